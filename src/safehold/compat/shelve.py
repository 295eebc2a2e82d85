"""The `shelve` module's interface with sealed values.

Each value is sealed for the zone of the shelf's file, together with the shelf's name and its key,
so that no value can take the place of another one. Which keys a shelf has is not sealed: a value
can be taken out, or put back as it once was.
"""

from __future__ import annotations

import os
import shelve
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from safehold.compat import active_store
from safehold.compat.sealing import PREFER
from safehold.errors import WrongContext

__all__ = ["BsdDbShelf", "DbfilenameShelf", "Shelf", "open"]


if TYPE_CHECKING:

    class _Base(shelve.Shelf[Any]):
        """With the attributes that the stubs leave out."""

        cache: dict[str, Any]
        dict: Any
        keyencoding: str
        writeback: bool

else:
    _Base = shelve.Shelf


class Shelf(_Base):
    """`shelve.Shelf` over any mapping of bytes; its values belong to the policy's memory zone."""

    _zone = "memory"
    _name = ""

    def __init__(
        self,
        dict: MutableMapping[Any, Any],
        protocol: int | None = None,
        writeback: bool = False,
        keyencoding: str = "utf-8",
    ) -> None:
        """As `shelve.Shelf`; ``protocol`` is accepted and not used."""
        super().__init__(dict, protocol, writeback, keyencoding)

    def __getitem__(self, key: str) -> Any:
        """Verify and load a value.

        Raises:
            KeyError: there is none.
            WrongContext: it was stored under another key or in another shelf. Otherwise as
                `safehold.Store.loads`.
        """
        try:
            return self.cache[key]
        except KeyError:
            found = active_store().loads(self.dict[key.encode(self.keyencoding)], zone=self._zone)
            if not isinstance(found, tuple) or found[:-1] != (self._name, key):
                message = f"the value of {key!r} was stored under another key or in another shelf"
                raise WrongContext(message) from None
            if self.writeback:
                self.cache[key] = found[-1]
            return found[-1]

    def __setitem__(self, key: str, value: Any) -> None:
        """Seal a value. Raises as `safehold.Store.dumps`."""
        if self.writeback:
            self.cache[key] = value
        sealed = active_store().dumps((self._name, key, value), zone=self._zone, prefer=PREFER)
        self.dict[key.encode(self.keyencoding)] = sealed


class BsdDbShelf(Shelf):
    """`shelve.BsdDbShelf` with sealed values."""

    def set_location(self, key: str) -> tuple[str, Any]:
        """Go to a key; return it and its value."""
        return self._at(self.dict.set_location(key.encode(self.keyencoding)))

    def next(self) -> tuple[str, Any]:
        """Return the next key and its value."""
        return self._at(self.dict.next())

    def previous(self) -> tuple[str, Any]:
        """Return the key before and its value."""
        return self._at(self.dict.previous())

    def first(self) -> tuple[str, Any]:
        """Return the first key and its value."""
        return self._at(self.dict.first())

    def last(self) -> tuple[str, Any]:
        """Return the last key and its value."""
        return self._at(self.dict.last())

    def _at(self, item: tuple[bytes, bytes]) -> tuple[str, Any]:
        key = item[0].decode(self.keyencoding)
        return key, self[key]


class DbfilenameShelf(Shelf):
    """`shelve.DbfilenameShelf` with sealed values, which belong to the zone of its file."""

    def __init__(
        self,
        filename: str | os.PathLike[str],
        flag: str = "c",
        protocol: int | None = None,
        writeback: bool = False,
    ) -> None:
        """As `shelve.DbfilenameShelf`."""
        import dbm

        zone, self._name = active_store().place_of(filename)
        self._zone = zone.name
        store: Any = dbm.open(filename, flag)  # type: ignore[arg-type]  # noqa: SIM115  (closed with it)
        super().__init__(store, protocol, writeback)


def open(
    filename: str | os.PathLike[str],
    flag: str = "c",
    protocol: int | None = None,
    writeback: bool = False,
) -> DbfilenameShelf:
    """Open a shelf with sealed values; arguments as those of `shelve.open`."""
    return DbfilenameShelf(filename, flag, protocol, writeback)
