"""A line at the foot of the terminal, for anything that takes a second; none when piped.

It has no thread of its own: the scanner forks only while it is the one thread, see `isolated`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

_QUIET_SECONDS = 1.0
_STEP_SECONDS = 0.1
# A file that takes as long as many others is shown before it is read.
_LARGE: Final = 64 * 2**20
# Opening a file costs about as much as reading so many bytes of it.
_OPENING: Final = 2**15
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Line:
    """One line, replaced in place; nothing without a terminal or without the extra `cli`."""

    def __init__(self) -> None:
        self._live: Any = None
        self._shown = False
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            return
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            return
        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def is_possible(self) -> bool:
        """Whether anybody sees it."""
        return self._live is not None

    def show(self, text: str) -> None:
        """Put a text there, as much of it as the line holds."""
        from rich.text import Text

        if not self._shown:
            self._live.start()
            self._shown = True
        self._live.update(Text(text, no_wrap=True, overflow="ellipsis", end=""), refresh=True)

    def hide(self) -> None:
        """Clear it, so that other lines can be printed."""
        if self._shown:
            self._live.stop()
            self._shown = False


class Gauge:
    """How far a scan is: files and bytes done of all, the rate, and the time that is left."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._clock = time.monotonic
        self._started = self._clock()
        self._told = self._started
        self._name = ""
        self._files = self._bytes = 0
        self._of: tuple[int, int] | None = None

    def counting(self, files: int) -> None:
        """Tell how many files were found, before any is read."""
        self._tell(f"counting: {files:,} files")

    def begin(self, name: str, of: tuple[int, int] | None) -> None:
        """Begin something; `of` are all files and bytes, if they are known."""
        self._name, self._of = name, of
        self._files = self._bytes = 0
        self._started = self._clock()

    def opened(self, path: str, size: int) -> None:
        """Tell what is read next, if that takes long."""
        if size >= _LARGE:
            self._line.show(self._text(path))

    def done(self, path: str, size: int) -> None:
        """Count a file."""
        self._files += 1
        self._bytes += size
        self._tell(lambda: self._text(path))

    def hide(self) -> None:
        """Clear the line."""
        self._line.hide()

    def _tell(self, text: str | Callable[[], str]) -> None:
        now = self._clock()
        if now - self._told < (_STEP_SECONDS if self._told > self._started else _QUIET_SECONDS):
            return
        self._told = now
        self._line.show(text if isinstance(text, str) else text())

    def _text(self, path: str) -> str:
        from safehold._cli._text import printable

        seconds = max(self._clock() - self._started, 1e-3)
        parts = [f"{self._name}: {self._files:,} files", bytes_text(self._bytes)]
        if self._of is not None:
            files, size = self._of
            parts = [f"{self._name}: {self._files:,} of {files:,} files"]
            parts += [f"{bytes_text(self._bytes)} of {bytes_text(size)}"]
        parts += [f"{bytes_text(int(self._bytes / seconds))}/s"]
        left = self._left(seconds)
        if left is not None:
            parts += [f"{time_text(left)} left"]
        return f"{', '.join(parts)}  {printable(path)}"

    def _left(self, seconds: float) -> float | None:
        """Return how many seconds the rest takes if it goes on like this; None if unknown."""
        if self._of is None or not self._files:
            return None
        files, size = self._of
        done = self._bytes + _OPENING * self._files
        return max(size + _OPENING * files - done, 0) * seconds / done


def bytes_text(count: int) -> str:
    """Return a number of bytes in three digits or so."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} {_UNITS[-1]}"


def time_text(seconds: float) -> str:
    """Return seconds as M:SS, or H:MM:SS."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, str], None]]:
    """Yield a function to call with (stage, path) for every file."""
    line = Line()
    if not line.is_possible:
        yield lambda _stage, _path: None
        return
    from safehold._cli._text import printable

    started = time.monotonic()
    counts: Counter[str] = Counter()

    def tell(stage: str, path: str) -> None:
        counts[stage] += 1
        if time.monotonic() - started > _QUIET_SECONDS:
            line.show(f"{stage}: {counts[stage]} files, {printable(path)}")

    try:
        yield tell
    finally:
        line.hide()
