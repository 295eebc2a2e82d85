"""Grants: what the unpickle that is live in a thread may do, by where its bytes come from.

Only the thread that loads has one, for as long as the load lasts; a load within a load has its
own. Nothing here imports more than C modules: the guard is on before the first import of a
program, and programs that load nothing should not pay for it.
"""

from __future__ import annotations

from _thread import get_ident

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Final


class Grant:
    """One kind of provenance, and where the bytes are if they are in a file.

    ``contained``: while such an unpickle is live, the thread starts no process, opens no socket
    and writes no file. ``unrestricted``: any name resolves.
    """

    __slots__ = ("artifact", "contained", "kind", "unrestricted", "zone")

    def __init__(
        self,
        kind: str,
        *,
        contained: bool = True,
        unrestricted: bool = False,
        zone: str = "memory",
        artifact: str = "",
    ) -> None:
        self.kind = kind
        self.zone = zone
        self.artifact = artifact
        self.contained = contained
        self.unrestricted = unrestricted

    def __repr__(self) -> str:
        return f"<grant: {self.kind}>"


STREAM: Final = Grant("untrusted", contained=False)
"""The same, read from a handle whose own code may go to the system for more."""
UNTRUSTED: Final = Grant("untrusted")
"""Bytes of unknown origin: data only."""
MINTED: Final = Grant("minted")
"""Bytes that this process pickled itself: any class, no known danger."""
VERIFIED: Final = Grant("verified")
"""A sealed artifact: the store resolves its names; what it loads within itself is untrusted."""
CHANNEL: Final = Grant("channel", contained=False, unrestricted=True)
"""A pipe between this process and its own children. What is loaded in the middle of one of its
messages, from elsewhere, is judged for itself."""
HANDED: Final = Grant("channel", contained=False, unrestricted=True)
"""A file that this program's processes hand to each other, with all that is loaded within it."""
OWN: Final = Grant("own", contained=False)
"""The guard itself, while it records or loads its policy: free to act, not to unpickle."""

live: Final[dict[int, Grant]] = {}
"""Thread id -> the grant of the unpickle that is live in that thread."""


def live_grant() -> Grant | None:
    """Return the grant of the unpickle that is live in this thread."""
    return live.get(get_ident())


class Held:
    """Holds a grant for the present thread, and puts back the one before.

    A signal that comes between what is held and its end leaves it there, and so may lack of memory
    for a frame: OWN, that is, which allows no name. The next load ends it.
    """

    __slots__ = ("_before", "_grant", "_thread")

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    def __enter__(self) -> None:
        self._thread = thread = get_ident()
        self._before = live.get(thread)
        live[thread] = self._grant

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is None:
            live.pop(self._thread, None)
        else:
            live[self._thread] = self._before
