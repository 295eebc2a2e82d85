"""Formats that lines of a trail are exported to, one module for each with ``writer``.

    writer(file: IO[bytes], host: str) -> Writer

A line is written as it comes, so that memory does not grow with the trail. The event's words are
data in each of them: nothing in an event can end a line or begin a field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import IO, Protocol, cast

from safehold.observe.lines import Line

FORMATS: Mapping[str, str] = {
    "jsonl": f"{__name__}.jsonl",
    "ocsf": f"{__name__}.ocsf",
    "ecs": f"{__name__}.ecs",
    "cef": f"{__name__}.cef",
    "parquet": f"{__name__}.parquet",
}


class Writer(Protocol):
    """Writes lines to a file."""

    def write(self, line: Line) -> None:
        """Write one line. Raises OSError."""

    def close(self) -> None:
        """Write what ends the file, which stays open. Raises OSError."""


class _Module(Protocol):
    writer: Callable[[IO[bytes], str], Writer]


def open_writer(form: str, file: IO[bytes], host: str) -> Writer:
    """Return what writes a format to a file; `host` is where the trail was written.

    Raises:
        MissingExtra: the format needs a package that is not installed.
    """
    return cast("_Module", import_module(FORMATS[form])).writer(file, host)
