"""Forms of several parts, read in every way that some parser reads them.

Parsers differ in which boundary counts if there are two, in the ends of lines, and in quotes and
backslashes. Whoever sends a form chooses the one that a check does not know, so that no way is
left out here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from safehold.errors import LimitExceeded

_MOST: Final = 8
"""Boundaries of one form."""
_PARTS: Final = 10_000
_VALUE: Final = rb"[*0-9]*\s*=\s*(?:\"((?:[^\"\\]|\\.)*+)\"?|([^\s;]*+))"
_BOUNDARY: Final = re.compile(rb"boundary" + _VALUE, re.IGNORECASE | re.DOTALL)
_NAME: Final = re.compile(rb"name" + _VALUE, re.IGNORECASE | re.DOTALL)
_FIRST: Final = re.compile(rb"(?:\A|[\r\n])--([^\r\n]{1,200})[\r\n]")
_BLANK: Final = (b"\r\n\r\n", b"\n\n", b"\r\r")
_ENDS: Final = (b"\r\n", b"\n", b"\r")
_QUOTED: Final = re.compile(rb"\"(?:[^\"\\]|\\.)*+(?:\"|\Z)", re.DOTALL)
_DISPOSITION: Final = re.compile(rb"content-disposition[^\r\n]*", re.IGNORECASE)
_FILE: Final = re.compile(rb";\s*filename[*0-9]*\s*=\s*(?!\"\")[^\s;]", re.IGNORECASE)


def parts_of(kind: str, body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield head and content of each part; one that can be read in two ways comes twice.

    Raises:
        LimitExceeded: more parts than frameworks take, or more boundaries than clients name.
    """
    marks = set(_values(_BOUNDARY, kind.encode("latin-1", "replace")))
    first = _FIRST.search(body)
    if first is not None:
        marks.add(first[1].strip())
    marks.discard(b"")
    if len(marks) > _MOST:
        raise LimitExceeded("a form names more boundaries than one; refuse it")
    for mark in marks:
        parts = body.split(b"--" + mark, _PARTS)
        if len(parts) > _PARTS:
            raise LimitExceeded(f"a form has more than {_PARTS} parts; refuse it")
        for part in parts:
            yield from _read(part)


def _read(part: bytes) -> Iterator[tuple[bytes, bytes]]:
    found = {part.partition(blank) for blank in _BLANK if blank in part}
    for head, blank, content in found or {(b"", b"", part)}:
        end = next((end for end in _ENDS if content.endswith(end)), b"") if blank else b""
        yield head, content.removesuffix(end)


def names_of(head: bytes) -> Iterator[bytes]:
    """Yield the names of a field and of its file."""
    return _values(_NAME, head)


def is_file(head: bytes) -> bool:
    """Say whether a part is a file to every parser."""
    lines = _DISPOSITION.findall(_QUOTED.sub(_emptied, head))
    return bool(lines) and all(_FILE.search(line) for line in lines)


def _emptied(quoted: re.Match[bytes]) -> bytes:
    return b'""' if quoted[0] == b'""' else b'"x"'


def _values(pattern: re.Pattern[bytes], text: bytes) -> Iterator[bytes]:
    """Yield a parameter as it is written, without its backslashes, and as RFC 2231 has it."""
    whole = b""
    for match in pattern.finditer(text):
        given = match[1] if match[1] is not None else match[2]
        yield given
        yield given.partition(b",")[0].strip(b"'\"")
        if b"\\" in given:
            yield re.sub(rb"\\(.)", rb"\1", given, flags=re.DOTALL)
        if b"''" in given:
            yield unquote_to_bytes(given.partition(b"''")[2])
        whole += given
    yield whole
