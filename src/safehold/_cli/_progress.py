"""A progress line on the terminal, for anything that takes a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

_QUIET_SECONDS = 1.0


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, str], None]]:
    """Yield a function to call with (stage, path); quiet when piped or without the extra `cli`."""
    if not sys.stderr.isatty():
        yield lambda _stage, _path: None
        return
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        yield lambda _stage, _path: None
        return
    console = Console(stderr=True)
    status = console.status("")
    started = time.monotonic()
    counts: Counter[str] = Counter()
    shown = False

    def tell(stage: str, path: str) -> None:
        nonlocal shown
        counts[stage] += 1
        if not shown and time.monotonic() - started > _QUIET_SECONDS:
            status.start()
            shown = True
        if shown:
            status.update(Text(f"{stage}: {counts[stage]} files, {path}"[: console.width - 4]))

    try:
        yield tell
    finally:
        status.stop()
