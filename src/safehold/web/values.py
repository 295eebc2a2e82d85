"""What a request brings: its address, headers and body, as texts for the checks of statements.

Nothing is read for this, and nothing waits: pieces of a body are kept as the application reads
them, and split when a check first asks. Of a body the strings count, also of one that is cut, has
a name twice or is called something else than it is; numbers cannot be more than numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl

from safehold.inputs.requests import Inputs

MOST: Final = 16 * 2**20
"""Bytes of a body that are kept while a request is served."""
_WHOLE: Final = 64 * 1024
"""Longest text that counts as one value, and longest file of a form."""

_STRINGS: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_MARKUP: Final = re.compile(r">([^<]+)<|=\s*\"([^\"]*)\"|=\s*'([^']*)'")
_BOUNDARY: Final = re.compile(r"boundary=\"?([^\";,]+)", re.IGNORECASE)
_NAMES: Final = re.compile(rb"name\*?=\"?([^\";\r\n]*)", re.IGNORECASE)
_IS_FILE: Final = re.compile(rb"filename\*?=", re.IGNORECASE)


class RequestInputs(Inputs):
    """The inputs of one request, and those of its body as far as it was read."""

    def __init__(self, parts: Callable[[], Iterable[str | bytes]], kind: str) -> None:
        """Take what returns the address and headers, and the type that the body is said to have."""
        super().__init__()
        self._kind = kind
        self._pieces: list[bytes] = []
        self._size = 0
        self._waits = False
        self.later(parts)

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        if not data or self._size > MOST:
            return
        self._size += len(data)
        self._pieces.append(data)
        if not self._waits:
            self._waits = True
            self.later(self._body)

    def _body(self) -> list[str]:
        self._waits = False
        return list(body_values(self._kind, b"".join(self._pieces)))


def query_values(query: str) -> Iterator[str]:
    """Yield names and values of a query, which a server hands on as Latin-1."""
    yield query
    yield from _pairs(query.encode("latin-1", "replace"))


def cookie_values(cookies: str) -> Iterator[str]:
    """Yield names and values of cookies."""
    for pair in cookies.split(";"):
        name, _, value = pair.partition("=")
        yield name.strip()
        yield value.strip().strip('"')


def body_values(kind: str, body: bytes) -> Iterator[str]:
    """Yield the texts in a body."""
    kind = kind.lower() if "multipart" not in kind.lower() else kind
    start = body[:200].lstrip()
    boundary = _BOUNDARY.search(kind) if "multipart" in kind.lower() else None
    if boundary is not None:
        yield from _parts(boundary[1].strip().encode("latin-1", "replace"), body)
        return
    if "urlencoded" in kind:
        yield from _pairs(body)
        return
    if "json" in kind or start[:1] in (b"{", b"[", b'"') or b"\0" in start[:4]:
        yield from _strings(body)
    elif b"\0" in body[:1024]:
        return  # no text
    for text in _decoded(body):
        if len(text) <= _WHOLE:
            yield text
        if "csv" in kind:
            yield from re.split(r"[,;\t\r\n]+", text)
        elif start[:1] == b"<":
            yield from (
                found for match in _MARKUP.finditer(text) for found in match.groups() if found
            )
        elif b"=" in body[:1024] and not kind:
            yield from _pairs(body)


def _decoded(data: bytes) -> Iterator[str]:
    """Yield bytes as the text that an application takes them for."""
    try:
        yield data.decode("utf-8")
    except UnicodeDecodeError:
        yield data.decode("utf-8", "replace")
        yield data.decode("latin-1")


def _pairs(data: bytes) -> Iterator[str]:
    for encoding in ("utf-8", "latin-1"):
        text = data.decode("latin-1")
        for pair in parse_qsl(text, keep_blank_values=True, encoding=encoding, errors="replace"):
            yield from pair
        if data.isascii() and b"%" not in data:
            return


def _strings(data: bytes) -> Iterator[str]:
    text = data.decode(json.detect_encoding(data), "replace")
    for match in _STRINGS.finditer(text):
        if "\\" in match[1]:
            try:
                yield json.loads(match[0], strict=False)
            except ValueError:
                yield match[1]
        else:
            yield match[1]


def _parts(boundary: bytes, body: bytes) -> Iterator[str]:
    for part in body.split(b"--" + boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        for name in _NAMES.findall(head):
            yield from _decoded(name)
        content = content.removesuffix(b"\r\n")
        is_text = not _IS_FILE.search(head) or (len(content) <= _WHOLE and b"\0" not in content)
        if content and is_text:
            yield from _decoded(content)
