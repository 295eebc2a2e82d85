"""A fork in the middle of what other threads do: a child has none of them, but all they hold.

The lock of a module that another thread imports is held forever in the child, and whoever needs the
module there waits forever. So a fork waits while another thread imports for the guard, and the
child gives up what nobody will finish. So it does with grants: a thread of the child may get the
number of one that was loading.
"""

from __future__ import annotations

import _frozen_importlib
import os
import sys
import time
from _thread import get_ident

from safehold.guard import creating
from safehold.guard.grants import OWN, live
from safehold.guard.importing import adapting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_TURNS: Final = 10_000
_TURN: Final = 0.001  # seconds
_locks: Final[dict[str, Any]] = getattr(_frozen_importlib, "_module_locks", {})
"""Name -> weak reference to the lock of a module that is being imported."""


def install() -> None:
    """Be there at each fork from now on."""
    os.register_at_fork(before=_wait, after_in_child=_forget_others)


def _owners() -> dict[str, int]:
    """Return the threads that are importing, by the names of the modules."""
    found = {}
    for name, reference in list(_locks.items()):
        owner = getattr(reference(), "owner", None)
        if owner is not None:
            found[name] = owner
    return found


def _wait() -> None:
    """Wait until no other thread imports for the guard, but not if it may wait for this one."""
    here = get_ident()
    for _ in range(_TURNS):
        owners = set(_owners().values())
        if here in owners or not any(live.get(owner) is OWN for owner in owners):
            return
        time.sleep(_TURN)


def _forget_others() -> None:
    """Give up, in the child, what belongs to threads that it has not."""
    here = get_ident()
    for thread in list(live):
        if thread != here:
            del live[thread]
    adapting[:] = [thread for thread in adapting if thread == here]
    for name, owner in _owners().items():
        if owner != here:
            del _locks[name]
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if getattr(spec, "_initializing", False):
                del sys.modules[name]  # to be imported anew
    creating.forget_others()
