"""``file:PATH``: a regular file; links are followed, as secrets are mounted by links.

Everybody may read a file that a container runtime mounts, so that is not refused here.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from safehold.errors import ConfigError
from safehold.keys.sources import MAX_BYTES, Wanted

_NO_WAIT = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # a FIFO must not block


def read(wanted: Wanted) -> bytes:
    """Return the file's bytes. Raises ConfigError."""
    name = wanted.place
    try:
        fd = os.open(wanted.root / Path(name).expanduser(), _NO_WAIT)
    except (OSError, ValueError, RuntimeError) as error:  # NUL in the name; "~" without a home
        reason = getattr(error, "strerror", None) or str(error)
        message = (
            f"key file {name!r} cannot be read ({reason}); make one with: "
            f"safehold keygen --output {shlex.quote(name)}"
        )
        raise ConfigError(message) from error
    try:
        found = _contents(fd)
    except OSError as error:
        message = f"key file {name!r} cannot be read ({error.strerror})"
        raise ConfigError(message) from error
    finally:
        os.close(fd)
    if isinstance(found, bytes):
        return found
    if found & 0o002 and stat.S_ISREG(found):
        message = (
            f"key file {name!r} can be changed by everybody; make a new key, and keep it with: "
            f"chmod o-w {shlex.quote(name)}"
        )
    else:
        message = (
            f"key file {name!r} is not a regular file of at most {MAX_BYTES} bytes; make one "
            f"with: safehold keygen --output NEWFILE"
        )
    raise ConfigError(message)


def _contents(fd: int) -> bytes | int:
    """Return what a key file holds, or the mode of what is none. Raises OSError."""
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) or mode & 0o002:
        return mode
    with open(fd, "rb", closefd=False) as file:
        data = file.read(MAX_BYTES + 1)  # its size is not asked: below /proc it is 0
    return data if len(data) <= MAX_BYTES else mode
