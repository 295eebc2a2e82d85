"""Signatures for readers without safehold, of the very bytes that a seal verified."""

from __future__ import annotations

from safehold.artifacts import bundle
from safehold.artifacts.bundle import Signature
from safehold.artifacts.container import Sealed
from safehold.artifacts.files import OpenedFile
from safehold.artifacts.info import Info, info_of
from safehold.artifacts.plain import plain_bytes
from safehold.artifacts.reading import check_time
from safehold.artifacts.transfer import Transfers
from safehold.errors import DecodeError
from safehold.paths import StrPath, replace_file


class Signatures(Transfers):
    """The part of a Store that signs for others and verifies what others signed."""

    def export_signature(self, path: StrPath, key_file: StrPath, out: StrPath) -> Info:
        """Sign an authentic artifact for OpenSSF model-signing, with an EC key in PEM.

        What is signed is the plain file: the file itself if it has a sidecar, else what `unseal`
        gives. The digest is that of the very bytes whose seal was verified.

        Raises:
            FileExistsError: there is a file `out`. ConfigError: no such key.
            DecodeError: the payload is not a plain file. Otherwise as load.
        """
        key = bundle.load_private_key(key_file)
        with (
            self._opened("sign", path) as at,
            self._hold.root.open_parent(out) as (directory, name, _),
        ):
            sealed = self._authentic(at)
            data = bundle.signed(plain_bytes(sealed), at.name, key)
            replace_file(directory, name, [data], before_rename=at.entry.allow, new=True)
            return info_of(sealed.header, sealed.artifact, at.size, sidecar=self._is_plain(at))

    def verify_signature(self, path: StrPath, signature: Signature) -> None:
        """Verify an artifact, and that its plain file is the one that was signed.

        Raises:
            UnknownKey, Tampered: the signature does not hold. Otherwise as export_signature.
        """
        with self._opened("verify", path) as at:
            signature.verify(plain_bytes(self._authentic(at)), at.name)

    def _authentic(self, at: OpenedFile) -> Sealed:
        """Verify a file of one container, or with a sidecar, as for handing it on."""
        found = self._containers(at)
        if len(found) > 1:
            message = f"{at.target} holds {len(found)} containers, which are no file together"
            raise DecodeError(message)
        check_time(found[0].header)
        self._reader.check_fresh(found[0], at.target, 0)
        return found[0]
