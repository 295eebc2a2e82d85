"""Files of processes that have ended, in the directory of prometheus-client's multiprocess mode.

prometheus-client keeps the files of every process for ever, as their counts belong to the sum, and
reads all of them at each scrape. `merge_dead` adds those of dead processes into one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from safehold.errors import MissingExtra

try:
    from prometheus_client.mmap_dict import MmapedDict
    from prometheus_client.multiprocess import mark_process_dead
except ModuleNotFoundError as missing:
    package = "prometheus-client"
    raise MissingExtra(package, "monitor") from missing

_SUMMED = re.compile(r"(counter|histogram|summary)_(\d+)\.db")
_ANY = re.compile(r"(?:counter|histogram|summary|gauge_live[a-z]+)_(\d+)\.db")
_LOCK = ".merge"


def clean(directory: str | Path) -> None:
    """Remove every file of an earlier run. For the parent, before any worker counts."""
    for path in Path(directory).glob("*.db"):
        path.unlink(missing_ok=True)


def merge_dead(directory: str | Path) -> int:
    """Drop live gauges of processes that have ended, add their counts into one file each.

    Returns how many files are gone. Call it when a worker ends (``child_exit`` of gunicorn), or
    from time to time. A scrape at the same time may see a sum without them, or a kill may lose
    them: to Prometheus either is a restart. Raises OSError.
    """
    folder = Path(directory)
    gone = 0
    with _alone(folder):
        for path in sorted(folder.glob("*.db")):
            named = _ANY.fullmatch(path.name)
            if named is None or _lives(int(named[1])):
                continue
            if summed := _SUMMED.fullmatch(path.name):
                _add(path, folder / f"{summed[1]}_dead.db")
                gone += 1
            else:
                mark_process_dead(int(named[1]), str(folder))
                gone += not path.exists()
    return gone


def _add(path: Path, total: Path) -> None:
    found = list(MmapedDict.read_all_values_from_file(str(path)))
    path.unlink()
    kept = MmapedDict(str(total))
    try:
        for key, number, _, _ in found:
            before, _ = kept.read_value(key)
            kept.write_value(key, before + number, 0.0)
    finally:
        kept.close()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
