"""What a request brings: its address, headers and body, as texts for the checks of statements.

Nothing is read for this, and nothing waits: pieces of a body are kept as the application reads
them, and split when a check first asks. Of a body the strings count, also of one that is cut, has
a name twice or is called something else than it is; numbers cannot be more than numbers.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl

from safehold.inputs.requests import Inputs
from safehold.web.multipart import is_file, names_of, parts_of

MOST: Final = 16 * 2**20
"""Bytes of a body that are kept while a request is served."""
_WHOLE: Final = 64 * 1024
"""Longest text that counts as one value, and longest file of a form."""

_STRINGS: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_MARKUP: Final = re.compile(
    r"<!\[CDATA\[(.*?)\]\]>|>([^<]+)<|=\s*\"([^\"]*)\"|=\s*'([^']*)'", re.DOTALL
)
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
# Read as such anyway, or slow.
_NO_CHARSETS: Final = frozenset(("utf-8", "ascii", "iso8859-1", "idna", "punycode"))


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


def charset_of(kind: str) -> str:
    """Return the encoding that a type names, "" if it is read as that anyway.

    Whoever sends the type chooses it, and Django takes the query for it, too.
    """
    found = _CHARSET.search(kind)
    if found is None:
        return ""
    try:
        name = codecs.lookup(found[1]).name
        b"a".decode(name, "replace")  # not all of them make text
    except (LookupError, ValueError):
        return ""
    return "" if name in _NO_CHARSETS else name


def query_values(query: str, charset: str = "") -> Iterator[str]:
    """Yield names and values of a query, which a server hands on as Latin-1."""
    yield query
    yield from _pairs(query.encode("latin-1", "replace"), charset)


def header_values(name: str, value: str) -> Iterator[str]:
    """Yield what a header may be taken for; a server hands it on as Latin-1."""
    texts = {value, value.encode("latin-1", "replace").decode("utf-8", "replace")}
    yield from texts
    if name == "cookie":
        for text in texts:
            yield from _cookies(text)
    elif name == "authorization":
        _, _, given = value.partition(" ")
        yield given
        yield from _basic(given)
    elif name == "x-forwarded-for":
        yield from value.split(",")


def _cookies(cookies: str) -> Iterator[str]:
    for pair in cookies.split(";"):
        name, _, value = pair.partition("=")
        yield name.strip()
        value = value.strip()
        yield value.strip('"')
        if "\\" in value:
            plain = _SLASHED.sub(lambda m: chr(int(m[1], 8)) if m[1] else m[2], value.strip('"'))
            yield plain
            yield plain.encode("latin-1", "replace").decode("utf-8", "replace")


# How Python's http.cookies writes what a cookie cannot have.
_SLASHED: Final = re.compile(r"\\(?:([0-3][0-7]{2})|(.))", re.DOTALL)


def _basic(given: str) -> Iterator[str]:
    """Yield the name and the password of the scheme Basic."""
    try:
        pair = base64.b64decode(given.encode("latin-1", "replace"))
    except ValueError:
        return
    for text in _decoded(pair):
        name, _, password = text.partition(":")
        yield name
        yield password


def body_values(kind: str, body: bytes) -> Iterator[str]:
    """Yield the texts in a body, of each of the ways in which an application may read it."""
    low, charset = kind.lower(), charset_of(kind)
    start = body.removeprefix(codecs.BOM_UTF8).lstrip()[:4]
    is_json = "json" in low or start[:1] in (b"{", b"[", b'"') or b"\0" in start
    if is_json:
        yield from _strings(body)
    if "multipart" in low:
        for head, content in parts_of(kind, body):
            yield from _of_part(head, content, charset)
    if "urlencoded" in low:
        yield from _pairs(body, charset)
    if "multipart" in low or "urlencoded" in low or (not is_json and b"\0" in body[:1024]):
        return
    for text in _decoded(body, charset):
        if len(text) <= _WHOLE:
            yield text
        if "csv" in low:
            yield from re.split(r"[,;\t\r\n]+", text)
        elif start[:1] == b"<":
            yield from (
                found for match in _MARKUP.finditer(text) for found in match.groups() if found
            )
        elif b"=" in body[:1024] and not kind:
            yield from _pairs(body)


def _of_part(head: bytes, content: bytes, charset: str) -> Iterator[str]:
    for name in names_of(head):
        yield from _decoded(name, charset)
    if not content or (is_file(head) and (len(content) > _WHOLE or b"\0" in content)):
        return
    yield from _decoded(content, charset)
    if b"base64" in head.lower():  # Django reads these
        with contextlib.suppress(ValueError):
            yield from _decoded(base64.b64decode(content), charset)


def _decoded(data: bytes, charset: str = "") -> Iterator[str]:
    """Yield bytes as the text that an application takes them for."""
    try:
        yield data.decode("utf-8")
    except UnicodeDecodeError:
        yield data.decode("utf-8", "replace")
        yield data.decode("latin-1")
    if charset:
        yield data.decode(charset, "replace")


def _pairs(data: bytes, charset: str = "") -> Iterator[str]:
    text = data.decode("latin-1")
    is_plain = data.isascii() and b"%" not in data
    encodings = ["utf-8", *([] if is_plain else ["latin-1"]), *([charset] if charset else [])]
    for encoding in encodings:
        for pair in parse_qsl(text, keep_blank_values=True, encoding=encoding, errors="replace"):
            yield from pair


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
