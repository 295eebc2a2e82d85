"""What may be put on the list of unsealed files: plain files that the scanner finds clean."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256

from safehold.artifacts import container, streams
from safehold.artifacts.codecs import Buffer, Encoded
from safehold.artifacts.codecs.pickle import split_pickles
from safehold.artifacts.files import Packing
from safehold.artifacts.objects import pickle_in_array
from safehold.artifacts.pins import OBJECTS, Pin
from safehold.artifacts.signing import Signatures
from safehold.artifacts.target import target_of_place
from safehold.artifacts.unsealed import listed_zone
from safehold.artifacts.writing import Draft
from safehold.errors import ConfigError
from safehold.paths import StrPath


class Listing(Signatures):
    """The part of a Store that says what a list may hold."""

    def generation(self, path: StrPath) -> int:
        """Return the newest sealed generation of a file that this machine has seen; 0 for none.

        Raises:
            OSError: its directory cannot be opened. VerificationError: its mark is not authentic.
        """
        with self._hold.root.open_parent(path) as (_, _, place):
            newest = self._reader.newest(target_of_place(self._hold, place))
        return 0 if newest is None else newest.generation

    def pin(
        self,
        path: StrPath,
        until: date,
        *,
        form: str,
        packing: Packing | None = None,
        in_memory: bool = False,
    ) -> Pin:
        """Return what a list of unsealed files would say of a plain file, once it was scanned.

        `form` is its codec, or "npy-objects". Raises as `seal`.
        """
        with self._opened("list", path) as at:
            data = streams.read_whole(at.fd, at.size)
            if len(data) > self._hold.policy.limits.artifact or container.is_sealed(data):
                message = f"{at.target} is sealed, or too large to be listed"
                raise ConfigError(message)
            content = data if packing is None else packing.unpack(data)
            parts: Sequence[Buffer] = [content]
            if form == OBJECTS:
                parts = [pickle_in_array(content)]
            elif form == "pickle":
                parts = split_pickles(content)
            codec = "pickle" if form == OBJECTS else form
            zone = at.target._replace(zone=self._hold.policy.memory) if in_memory else at.target
            for part in parts:
                self._writer.scanned(Draft(Encoded([part], raw=True), codec), listed_zone(zone))
            return Pin(
                at.target.name,
                sha256(data).hexdigest(),
                form,
                until,
                self.generation(path),
                "" if packing is None else sha256(content).hexdigest(),
                len(parts) > 1,
                in_memory,
            )
