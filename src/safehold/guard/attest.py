"""Whether running code is what the source file that it names holds.

A code object carries a file name that whoever makes it may choose. So the file is compiled once
more, and the running code must equal a part of what comes out. That is done once for each code
object; afterwards the object itself is known.
"""

from __future__ import annotations

import io
import tokenize
from types import CodeType, FrameType
from typing import Final

from safehold.guard.grants import OWN, Held

_genuine: Final[dict[int, CodeType]] = {}
_parts: Final[dict[str, frozenset[CodeType]]] = {}
_MOST: Final = 16 * 2**20


def is_genuine(frame: FrameType) -> bool:
    """Say whether a frame runs code of the file that its code object names."""
    code = frame.f_code
    if id(code) in _genuine:  # which holds it, so that no other has its address
        return True
    name = code.co_filename
    with Held(OWN):
        parts = _parts.get(name)
        if parts is None:
            parts = _parts[name] = frozenset(_compiled(name))
    if code not in parts:
        return False
    _genuine[id(code)] = code
    return True


def _compiled(name: str) -> list[CodeType]:
    try:
        with open(name, "rb") as file:
            source = file.read(_MOST)
        text = io.TextIOWrapper(io.BytesIO(source), tokenize.detect_encoding(
            io.BytesIO(source).readline)[0]).read()  # fmt: skip
        waiting = [compile(text, name, "exec", dont_inherit=True)]
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    while waiting:
        code = waiting.pop()
        found.append(code)
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
    return found
