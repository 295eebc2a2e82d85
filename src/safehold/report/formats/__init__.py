"""How the result of a scan is written: one module per format, each with ``render``.

    render(result: Result) -> str     the whole document, ending in a line feed

The same result gives the same bytes. All but ``text`` are for files and other programs; whatever
a format is, nothing in it that comes from a scanned file acts on who reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from safehold.report.formats import codequality, cyclonedx, html, json, sarif, text
from safehold.report.result import Result

__all__ = ["FORMATS", "Format"]


class Format(Protocol):
    """One format: a module with this function."""

    def render(self, result: Result, /) -> str:
        """Return the document."""


FORMATS: Mapping[str, Format] = {
    "text": text,
    "json": json,
    "sarif": sarif,
    "cyclonedx": cyclonedx,
    "html": html,
    "codequality": codequality,
}
