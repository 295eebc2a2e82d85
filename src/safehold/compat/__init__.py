"""Drop-in facades with the signatures of the libraries that they replace.

    import safehold.compat.pickle as pickle

A facade finds its Context from `use`, else from the policy that ``SAFEHOLD_POLICY`` names;
it never invents keys.
"""

from __future__ import annotations

import os
import threading

from safehold.artifacts import Store
from safehold.artifacts.mapped import MODES
from safehold.context import Context
from safehold.errors import ConfigError
from safehold.paths import StrPath

VARIABLE = "SAFEHOLD_POLICY"

_lock = threading.Lock()
_active: Store | None = None


def use(hold: Context | None) -> None:
    """Make every facade of this process use `hold`; None goes back to ``SAFEHOLD_POLICY``."""
    global _active  # noqa: PLW0603  (the one explicit choice a process makes)
    with _lock:
        _active = None if hold is None else Store(hold)


def mmap_mode_for(store: Store, path: StrPath, mode: str | None) -> str | None:
    """Return the mode in which a file is mapped; None where it is private memory instead.

    That is so for the modes that write into the file, which a seal does not survive, and in
    zones that the policy does not say ``mmap = true`` of.
    """
    return mode if mode in MODES and store.maps(path) else None


def active_store() -> Store:
    """Return the Store that the facades use.

    Raises:
        ConfigError: neither `safehold.use` was called nor ``SAFEHOLD_POLICY`` set, or what
            it names is not usable.
    """
    global _active  # noqa: PLW0603  (as above; loaded once, at first use)
    store = _active
    if store is not None:
        return store
    with _lock:
        if _active is None:
            path = os.environ.get(VARIABLE)
            if not path:
                message = (
                    f"no policy: set {VARIABLE} to the path of safehold.toml, or call "
                    f"safehold.use(safehold.Context.load(path)) at start-up"
                )
                raise ConfigError(message)
            _active = Store(Context.load(path))
        return _active
