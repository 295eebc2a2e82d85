"""Files that this process sealed and then renames: a seal names its file, so they are sealed anew.

Writing to a temporary file that takes another's name at the end is how programs save in one step.
"""

from __future__ import annotations

import os

from safehold.guard.grants import OWN, Held
from safehold.magic import MAGIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from safehold.guard.gate import Gate

_MOST: Final = 1 << 12
_sealed: Final[dict[tuple[int, int], None]] = {}
"""Device and inode of files that begin with a container of this process's making, the latest."""


def note(what: int | str | os.PathLike[str]) -> None:
    """Note a file, by its descriptor or path, that was sealed from its beginning on."""
    status = os.stat(what)
    _sealed[status.st_dev, status.st_ino] = None
    while len(_sealed) > _MOST:
        _sealed.pop(next(iter(_sealed)), None)


def sealing(raw: Any, gate: Gate) -> Any:
    """Return what takes the place of ``os.rename`` or ``os.replace``."""

    def rename(src: Any, dst: Any, **options: Any) -> None:
        if _sealed and not options and _is_to_be_sealed(gate, src, dst):
            store = gate.store
            with Held(OWN):
                store.rename(src, dst, replace=True)
            note(dst)
        else:
            raw(src, dst, **options)

    rename.__name__ = rename.__qualname__ = raw.__name__
    rename.__module__ = "os"  # where one finds this very function
    return rename


def _is_to_be_sealed(gate: Gate, old: Any, new: Any) -> bool:
    try:
        status = os.lstat(old)
        if (status.st_dev, status.st_ino) not in _sealed or os.path.isdir(new):
            return False
        with Held(OWN):
            with open(old, "rb") as file:
                is_sealed = file.read(len(MAGIC)) == MAGIC
            with gate.hold.root.open_parent(new) as (_, _, place):
                is_internal = gate.hold.policy.zone_for(place.relative).trust == "internal"
        is_same = os.path.lexists(new) and os.path.samefile(old, new)
    except (OSError, ValueError):
        return False  # which the call itself reports
    return is_sealed and is_internal and not is_same
