"""Source bytes to text and back, so that an edit touches its own bytes and no others.

Python takes the encoding from a byte order mark or from a cookie in the first two lines
(PEP 263), ends lines at LF, CR LF or CR alone, and `ast` counts columns in bytes of UTF-8.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate

_NEWLINE = re.compile(rb"\r\n|\r|\n")
_COOKIE = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII | re.DOTALL)
_COMMENT_OR_BLANK = re.compile(rb"[ \t\f]*(?:#.*)?", re.DOTALL)
_ODD_SPELLING = re.compile(r"(utf-8|latin-1|iso-8859-1|iso-latin-1)-")

# Codecs in which every ASCII character of the text is that same byte. All others (utf-7,
# unicode_escape, iso-2022-*, hz, utf-16) can spell `import pickle` without these bytes.
_ASCII_BASED = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp(125\d|437|7\d\d|8\d\d|9\d\d|1006|1125)|koi8-[rut]|mac-\w+"
    r"|gbk|gb2312|gb18030|big5(hkscs)?|euc_(jp|kr|jis_2004|jisx0213)|shift_jis\w*|johab|kz1048"
    r"|ptcp154|tis-620|hp-roman8"
)


class UnreadableError(ValueError):
    """Python could not read this source either, or safehold will not; says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """Decoded source: `mark` is the byte order mark, `utf8` the rest as `ast` counts it."""

    data: bytes
    mark: bytes
    encoding: str
    utf8: bytes


def parse_encoding(data: bytes) -> str:
    """Return the name of the codec that Python would decode the source with.

    Raises:
        UnreadableError: unknown codec, or a cookie that contradicts the byte order mark.
    """
    marked = data.startswith(codecs.BOM_UTF8)
    name, _ = _cookie(data[3:] if marked else data)
    if name is None:
        return "utf-8"
    try:
        codec = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise UnreadableError(f"unknown encoding {name!r} in the coding comment") from None
    if marked and codec != "utf-8":
        raise UnreadableError(f"coding comment {name!r} contradicts the UTF-8 byte order mark")
    return codec


def cookie_line(data: bytes) -> int:
    """Return the number of the line that names the encoding, 0 when none does; no mark before."""
    return _cookie(data)[1]


def _cookie(data: bytes) -> tuple[str | None, int]:
    start = 0
    for number in (1, 2):
        end = _NEWLINE.search(data, start)
        line = data[start : end.start() if end else len(data)]
        if match := _COOKIE.match(line):
            name = match[1].decode("ascii")
            spelled = name[:12].lower().replace("_", "-")
            odd = _ODD_SPELLING.match(spelled + "-")
            return (odd[1] if odd else name), number
        if end is None or not _COMMENT_OR_BLANK.fullmatch(line):
            break
        start = end.end()
    return None, 0


@cache
def is_ascii_based(codec: str) -> bool:
    """Say whether ASCII text is the same bytes in the codec, wherever it stands."""
    return _ASCII_BASED.fullmatch(codec) is not None


def decode(data: bytes) -> Text:
    """Decode source as Python would.

    Raises:
        UnreadableError: NUL bytes, an unknown codec, or bytes that the codec does not know.
    """
    if b"\0" in data:
        raise UnreadableError("NUL bytes, which Python refuses in source")
    encoding = parse_encoding(data)
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data[len(mark) :]
    if encoding == "utf-8":
        _decoded(body, encoding)
        return Text(data, mark, encoding, body)
    return Text(data, mark, encoding, _decoded(body, encoding).encode("utf-8", "surrogatepass"))


def _decoded(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(_NEWLINE.findall(body, 0, error.start)) + 1
        raise UnreadableError(f"line {line} is not {encoding}: {error.reason}") from None
    except (LookupError, UnicodeError, ValueError) as error:
        # LookupError also for codecs that do not give text, such as rot13 and hex.
        raise UnreadableError(f"cannot be decoded as {encoding}: {error}") from None


class Lines:
    """Byte offsets of lines in UTF-8 source, counted as the parser counts them."""

    def __init__(self, utf8: bytes) -> None:
        self._utf8 = utf8

    @cached_property
    def _starts(self) -> list[int]:
        lines = self._utf8.splitlines(keepends=True)  # at LF, CR LF and CR alone, as the parser
        starts = [0, *accumulate(map(len, lines))]
        return starts if not lines or lines[-1].endswith((b"\n", b"\r")) else starts[:-1]

    @property
    def count(self) -> int:
        """The number of lines; a newline at the end begins no further one."""
        return len(self._starts) - (self._starts[-1] == len(self._utf8) and len(self._starts) > 1)

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line (from 1) and a column in bytes (from 0)."""
        return self._starts[line - 1] + column

    def line_at(self, offset: int) -> int:
        """Return the number (from 1) of the line that holds an offset."""
        return bisect_right(self._starts, offset)

    def text(self, line: int) -> str:
        """Return one line without its newline."""
        return self.whole(line).rstrip("\r\n")

    def whole(self, line: int) -> str:
        """Return one line with its newline."""
        end = self._starts[line] if line < len(self._starts) else len(self._utf8)
        return self._utf8[self._starts[line - 1] : end].decode("utf-8", "replace")
