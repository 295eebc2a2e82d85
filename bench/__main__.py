"""Run every topic, or those that are named: ``python -m bench [TOPIC...]``.

Each module beside this one is a topic. Its docstring says what is measured, and ``rows()``
yields one `Row` for each figure: ours and the peer's or the physical floor, both measured in
the same run in turn, with the goal beside it where there is one. No absolute time carries
over to another machine.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
import time
from pathlib import Path

from bench._rows import Row, head, line


def main(wanted: list[str]) -> int:
    """Print the table of each named topic, or of all of them, then what missed its goal."""
    names = sorted(item.name for item in pkgutil.iter_modules([str(Path(__file__).parent)]))
    known = [name for name in names if not name.startswith("_")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no topic {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    print(_machine())
    found = [row for name in wanted or known for row in _table(name)]
    goals = [row for row in found if row.met is not None]
    missed = [row for row in goals if not row.met]
    print(
        f"\n{len(goals) - len(missed)} of {len(goals)} goals met, "
        f"{sum(row.result is None for row in found)} rows left out, "
        f"{time.perf_counter() - started:.0f} s"
    )
    for row in missed:
        print(f"  missed: {row.label}")
    return 0


def _table(name: str) -> list[Row]:
    module = importlib.import_module(f"bench.{name}")
    title = (module.__doc__ or "").splitlines()[0]
    print(f"\n== {name}: {title}\n{head()}", flush=True)
    found = []
    for row in module.rows():
        print(line(row), flush=True)
        found.append(row)
    return found


def _machine() -> str:
    """Say what the figures depend on; other work on the machine spoils wall time above all."""
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors, "
        f"load {busy}. Clocks: cpu is processor time of all threads and children, wall is wall "
        f"time; medians of rounds in turn."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
