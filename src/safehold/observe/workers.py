"""Files of processes that have ended, in the directory of prometheus-client's multiprocess mode.

prometheus-client keeps the files of every process for ever, as their counts belong to the sum, and
reads all of them at each scrape. `merge_dead` adds those of dead processes into one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from safehold.errors import MissingExtra

try:
    from prometheus_client.mmap_dict import MmapedDict
    from prometheus_client.multiprocess import mark_process_dead
except ModuleNotFoundError as missing:
    package = "prometheus-client"
    raise MissingExtra(package, "monitor") from missing

_Value = tuple[float, float]
"""A number and, of gauges of which the latest counts, when it was set."""
_FILE = re.compile(r"(counter|histogram|summary|gauge_[a-z]+)_(\d+)\.db")
_LOCK = ".merge"


def _sum(one: _Value, other: _Value) -> _Value:
    return one[0] + other[0], 0.0


# How prometheus-client puts together what several processes say. Gauges that have the process as a
# label stay as they are: somebody may want to see the last word of a dead one.
_TOGETHER: Mapping[str, Callable[[_Value, _Value], _Value]] = {
    "counter": _sum,
    "histogram": _sum,
    "summary": _sum,
    "gauge_sum": _sum,
    "gauge_max": max,
    "gauge_min": min,
    "gauge_mostrecent": lambda one, other: max(one, other, key=lambda value: value[1]),
}


def clean(directory: str | Path) -> None:
    """Remove every file of an earlier run. For the parent, before any worker counts."""
    for path in Path(directory).glob("*.db"):
        path.unlink(missing_ok=True)


def merge_dead(directory: str | Path) -> int:
    """Drop live gauges of processes that have ended, put what else they say into one file per kind.

    Returns how many files are gone. Call it when a worker ends (``child_exit`` of gunicorn), or
    from time to time. A scrape at the same time may see a sum without them, or a kill may lose
    them: to Prometheus either is a restart. Raises OSError.
    """
    folder = Path(directory)
    gone = 0
    with _alone(folder):
        for path in sorted(folder.glob("*.db")):
            named = _FILE.fullmatch(path.name)
            if named is None or _lives(int(named[2])):
                continue
            if named[1] in _TOGETHER:
                _add(path, folder / f"{named[1]}_dead.db", _TOGETHER[named[1]])
            else:
                mark_process_dead(int(named[2]), str(folder))
            gone += not path.exists()
    return gone


def _add(path: Path, total: Path, together: Callable[[_Value, _Value], _Value]) -> None:
    found = _values(path)
    path.unlink()
    before = _values(total) if total.exists() else {}
    kept = MmapedDict(str(total))
    try:
        for key, value in found.items():
            kept.write_value(key, *(together(before[key], value) if key in before else value))
    finally:
        kept.close()


def _values(path: Path) -> dict[str, _Value]:
    rows = MmapedDict.read_all_values_from_file(str(path))
    return {key: (number, at) for key, number, at, _ in rows}


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
