"""The guard's extension in C, or None where it was not built, or ``SAFEHOLD_NO_NATIVE=1``.

Without it the guard decides the same, by the code in Python that the extension asks when it is not
certain, and costs more.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Final

# In `_native.c` as well; higher with each change of what the two have to agree on. A checkout may
# hold what was built of an older source.
_REVISION: Final = 3


def _found() -> ModuleType | None:
    if os.environ.get("SAFEHOLD_NO_NATIVE") == "1":
        return None
    try:
        from safehold.guard import _native
    except ImportError:  # no compiler, or a sub-interpreter
        return None
    return _native if _native.REVISION == _REVISION else None


native: Final[Any] = _found()
