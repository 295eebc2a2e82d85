"""What marshalled Python bytecode names, found without loading it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from safehold import dangers

_WORD: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_]+")
# Modules that no layer computes with.
_MODULES: Final = frozenset(
    """
    os posix nt sys subprocess builtins importlib socket shutil ctypes pty runpy marshal pickle
    urllib requests http ftplib pathlib tempfile multiprocessing threading webbrowser
    """.split()
)
# A code object, with or without the bit that lets it be referred to again.
_CODE: Final = (b"c", b"\xe3")
_LARGEST: Final = 2**20


def decode(text: str) -> bytes | None:
    """Return the code object in a base64 text; None if there is none."""
    if not text or len(text) > 2 * _LARGEST:
        return None
    try:
        found = base64.b64decode(text.encode("ascii"))
    except (binascii.Error, UnicodeError):
        return None
    return found if found[:1] in _CODE else None


def dangerous_names(code: bytes) -> list[str]:
    """Return the names in bytecode that run code or reach the system.

    A name stands behind its length; words in texts and paths do not.
    """
    found: dict[str, None] = {}
    for match in _WORD.finditer(code[:_LARGEST]):
        start, length = match.start(), len(match[0])
        if code[start - 1 : start] != bytes([length & 255]) and code[
            max(0, start - 4) : start
        ] != length.to_bytes(4, "little"):
            continue
        word = match[0].decode()
        if word in _MODULES or dangers.lookup("builtins", word) is not None:
            found[word] = None
    return list(found)
