"""Members of a zip archive, bounded before the first is unpacked.

The bounds are the policy's limits and what the directory says: a member that unpacks to more
than it says is cut there and fails its checksum.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO

from safehold.artifacts.codecs import Reading
from safehold.errors import DecodeError, LimitExceeded

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
INVALID = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError,
           RuntimeError, LookupError, OverflowError)  # fmt: skip


class Members:
    """The members of verified bytes by name."""

    def __init__(self, data: memoryview, reading: Reading) -> None:
        """Read and check the directory. Raises DecodeError, LimitExceeded."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except INVALID as error:
            message = f"not a zip archive: {error}"
            raise DecodeError(message) from error
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            strange = info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED
            if strange or info.filename in self.infos:
                message = f"the member {info.filename[:80]!r} is not one of its own"
                raise DecodeError(message)
            self.infos[info.filename] = info
        limits = reading.limits
        if len(self.infos) > limits.members:
            message = f"the archive has {len(self.infos)} members, the limit is {limits.members}"
            raise LimitExceeded(message)
        self.most = reading.budget(len(data))
        whole = sum(info.file_size for info in self.infos.values())
        if whole > self.most:
            message = f"the archive unpacks to {whole} bytes, the limit for it is {self.most}"
            raise LimitExceeded(message)

    def read(self, name: str) -> bytearray:
        """Unpack one member. Raises KeyError, DecodeError."""
        info = self.infos[name]
        try:
            with self._zip.open(info) as member:
                # With a size: `read()` would unpack all there is before it cuts.
                return bytearray(member.read(info.file_size))
        except INVALID as error:
            message = f"the member {name[:80]!r} cannot be unpacked: {error}"
            raise DecodeError(message) from error

    def copy_stored(self, out: IO[bytes]) -> None:
        """Write the members to another archive, nothing of which unpacks to more than it has."""
        with zipfile.ZipFile(out, "w") as archive:
            for name in self.infos:
                archive.writestr(name, bytes(self.read(name)))
