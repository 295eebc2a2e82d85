"""Jupyter notebooks: pickles and packed data in texts, as base64, hex or escaped bytes."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from safehold.scan import rules
from safehold.scan.budget import Budget
from safehold.scan.documents import FIRSTS, LARGEST, begins, parse, texts_of
from safehold.scan.visit import Source, Visit

__all__ = ["ENDS", "FIRSTS", "read"]

_SUFFIX: Final = ".ipynb"
ENDS: Final = (_SUFFIX,)
_SHORTEST: Final = 16
_MOST_TEXTS: Final = 1_000_000
# Beginnings of pickles, gzip, zlib, bz2, xz, zip, npy and joblib's old files.
_MAGIC: Final = re.compile(
    rb"\x80[\x02-\x05]|\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]|BZh[1-9]|\xfd7zXZ|PK\x03\x04|\x93NUMPY|ZF0x"
    rb"|c\w[\w.]*\n\w|[(\]}](?:[lpqtdVSFIc(]|\n)"
)
# Long lines that follow each other are one, as `base64.encodebytes` writes them.
_RUN: Final = re.compile(r"(?:[A-Za-z0-9+/_-]{60,}+(?:\\n|\\\n|\s)++)*[A-Za-z0-9+/_-]{4,}+={0,2}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{16,}")
# A literal of bytes: how it begins, and parts of it, as a group that repeats without bound takes
# memory for each time.
_OPENS: Final = re.compile(r"""[bB][rR]?(["']{1,3})""")
_PART: Final = re.compile(r"""(?:\\.|[^\\"']){1,10000}""", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([abfnrtv\\'\"\n]))")
# A literal takes as long as so many steps, with what is done of it elsewhere.
_STEPS: Final = 4
_SIMPLE: Final = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
    b"\n": b"",
}  # fmt: skip
_URL: Final = str.maketrans("-_", "+/")
# String literals beside each other are one.
_JOINT: Final = re.compile(r"""["']\s*+\+?\s*+[bB]?["']""")


def read(source: Source, visit: Visit) -> str | None:
    """Read what the texts of a notebook hold; None for anything else."""
    if not source.name.lower().endswith(_SUFFIX) or not begins(source.data, b"{"):
        return None
    if len(source.data) > 4 * LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a notebook larger than is read here")
        return "notebook"
    tree = parse(source.data, visit) if len(source.data) <= LARGEST else None
    if tree is None:
        texts: Iterator[str] = iter([bytes(source.data).decode("utf-8", "replace")])
    else:
        texts = texts_of(tree, _MOST_TEXTS, partial(_note_rest, source, visit), joined=True)
    count = 0
    for text in texts:
        for data in _embedded(text, visit.budget):
            count += 1
            inner = source.inner(data, "", f"{source.member or ''}@text{count}")
            if not visit.count_member(source) or not visit.admit(source, len(data)):
                return "notebook"
            visit.scan(inner)
    return "notebook" if source.named or count else None


def _note_rest(source: Source, visit: Visit) -> None:
    visit.note(source, rules.LIMIT_EXCEEDED, "more texts than are read here")
    visit.recognised = True  # also where nothing that was read is a pickle


def _embedded(text: str, budget: Budget) -> Iterator[bytes]:
    """Yield what a text encodes, if it begins like something that is loaded. Raises OutOfTime."""
    if len(text) < _SHORTEST:
        return
    joined = _joined(text, budget)
    for one in (text,) if len(joined) == len(text) else (text, joined):
        for found in _RUN.finditer(one):
            budget.spend()
            if len(found[0]) >= _SHORTEST:
                yield from _decoded(found[0])
        for found in _HEX.finditer(one):
            budget.spend()
            digits = found[0][: len(found[0]) // 2 * 2]
            if _MAGIC.match(bytes.fromhex(digits[:32])):
                yield bytes.fromhex(digits)
        for escaped in _literals(one, budget):
            raw = _ESCAPE.sub(_character, escaped.encode("latin-1", "replace"))
            if _MAGIC.match(raw):
                yield raw


def _joined(text: str, budget: Budget) -> str:
    """Return a text in which literals beside each other are one.

    Piece by piece, as a list of all pieces takes several times as much memory as the text.
    """
    found, at = io.StringIO(), 0
    for match in _JOINT.finditer(text):
        budget.spend()
        found.write(text[at : match.start()])
        at = match.end()
    if not at:
        return text
    found.write(text[at:])
    return found.getvalue()


def _literals(text: str, budget: Budget) -> Iterator[str]:
    """Yield what stands in literals of bytes, escaped; no quote of either kind does."""
    found = _OPENS.search(text)
    while found is not None:
        budget.spend(_STEPS)
        start = stop = found.end()
        while part := _PART.match(text, stop):
            stop = part.end()
        at = found.start() + 1
        if text.startswith(found[1], stop):
            yield text[start:stop]
            at = stop + len(found[1])
        found = _OPENS.search(text, at)


def _decoded(run: str) -> Iterator[bytes]:
    plain = re.sub(r"\\n|[\s\\]", "", run).rstrip("=").translate(_URL)
    head = base64.b64decode(plain[:16])
    if not _MAGIC.match(head):
        return
    # A last character that says nothing is left out.
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    try:
        yield base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return


def _character(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if found[2]:
        return bytes([int(found[2], 8) & 255])
    return _SIMPLE.get(found[3], found[3])
