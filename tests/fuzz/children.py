"""A child process in which a loader reads streams, of this Python or another."""

from __future__ import annotations

import marshal
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LOADER = Path(__file__).with_name("loader.py")
Job = tuple[bool, bytes]


class Loader:
    """A context that ends the child."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._start()

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [self._python, "-I", "-S", str(LOADER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.communicate()

    def send(self, jobs: Sequence[Job]) -> None:
        """Hand over (python, data) pairs; one answer follows."""
        assert self._child.stdin is not None
        raw = marshal.dumps(list(jobs), 2)
        self._child.stdin.write(struct.pack("<I", len(raw)) + raw)
        self._child.stdin.flush()

    def answer(self) -> list[Any] | None:
        """Return what `loader.load` returned for each; None if the child died."""
        assert self._child.stdout is not None
        head = self._child.stdout.read(4)
        if len(head) < 4:
            self._child.kill()
            self._child.communicate()
            self._start()
            return None
        raw = self._child.stdout.read(struct.unpack("<I", head)[0])
        return marshal.loads(raw)  # type: ignore[no-any-return]  # noqa: S302  our child
