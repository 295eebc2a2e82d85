"""Formats that are recognised, but whose content is not read: never clean, and why."""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import rules
from safehold.scan.visit import Source, Visit

_MAGICS: Final = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GGUF", "gguf"),
)
_LAMBDA: Final = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|__lambda__)"')


def read(source: Source, visit: Visit) -> str | None:
    """Say which format it is and that it was not read; None for any other."""
    for magic, name in _MAGICS:
        if source.starts(magic):
            if _LAMBDA.search(source.data):
                message = "a layer that carries Python bytecode"
                visit.note(source, rules.EMBEDDED_CODE, message)
            visit.note(source, rules.UNREADABLE_STREAM, f"the content of {name} is not read here")
            return name
    return None
