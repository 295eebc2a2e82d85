"""How large and how deep the body of a request may be, told while it is read.

JSON is measured as bytes: strings are cut out, the brackets that are left are counted. Whether a
body is JSON is what its first byte says, as an application may parse it whatever its type is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Final

from safehold.policy.requests import Requests, is_below
from safehold.web.refusals import Refusal
from safehold.web.request_rules import DEEP_JSON, LARGE_BODY

# No quantifier: what is hostile takes as long as anything else. A backslash outside of a string
# ends every parser, so that what it would hide from the count is not read.
_ESCAPES: Final = re.compile(rb"\\.", re.DOTALL)
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_STEPS: Final = [1 if byte in b"[{" else -1 for byte in range(256)]
_BEFORE: Final = b" \t\n\r\xef\xbb\xbf"  # and the mark of UTF-8
_OPENS: Final = (b"[", b"{", b"")
# UTF-16 and UTF-32 of an object or an array, as parsers guess it from the first bytes: what JSON
# has after a bracket, and few other texts. `{\0"\0` is as much the beginning of one as `[\0[\0`.
_AFTER: Final = rb"(?:[\[\]{} \t\r\n\"0-9-]|t%sr|f%sa|n%su|N%sa|I%sn)"
_LOW, _HIGH = rb"\0(?:\0\0)?", rb"(?:\0\0)?\0"
_WIDE: Final = re.compile(
    rb"(?:\xff\xfe)?[\[{ \t\r\n]%s%s%s" % (_LOW, _AFTER.replace(b"%s", _LOW), _LOW)
    + rb"|(?:\xfe\xff)?%s[\[{ \t\r\n]%s%s" % (_HIGH, _HIGH, _AFTER.replace(b"%s", _HIGH))
    + rb"|\xff\xfe\0\0|\0\0\xfe\xff"
)
_LEAST: Final = 12
_CONTROL: Final = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_BINARY: Final = re.compile(r"(?:image|audio|video|font|multipart)/|application/octet-stream")
_PIECE: Final = 64 * 1024
_JSON: Final = re.compile(r"(?:application|text)/(?:[a-z0-9.+-]{1,100}\+)?json")
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([^;\"\s]*)", re.IGNORECASE)
_UTF8: Final = frozenset(("utf-8", "utf8", "us-ascii", "ascii", ""))


class Limits:
    """The limits of one policy."""

    def __init__(self, requests: Requests) -> None:
        self._body = requests.body
        self._depth = requests.depth
        # The longest path that fits decides.
        self._bodies = sorted(requests.bodies, key=lambda row: -len(row[0]))

    def body(self, path: str) -> int:
        """Return how many bytes a body for a path may have."""
        for prefix, size in self._bodies:
            if is_below(path, prefix):
                return size
        return self._body

    def check(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused by what it says of its body, None if it is not."""
        declared = headers.get("content-length")
        if declared is not None:
            if not (declared.isascii() and declared.isdigit() and len(declared) < 20):
                return Refusal(400, LARGE_BODY, "no length")
            most = self.body(path)
            if int(declared) > most:
                return Refusal(413, LARGE_BODY, "declared", {"bytes": int(declared), "most": most})
        kind = headers.get("content-type", "")
        if _is_json(kind):
            charset = _CHARSET.search(kind)
            if charset is not None and charset[1].lower() not in _UTF8:
                return Refusal(415, DEEP_JSON, "charset", {"charset": charset[1][:40]})
        return None

    def meter(self, path: str, headers: Mapping[str, str]) -> Meter:
        """Return what measures a body."""
        return Meter(self.body(path), self._depth, headers.get("content-type", ""))


def _is_json(kind: str) -> bool:
    return _JSON.fullmatch(kind.partition(";")[0].strip().lower()) is not None


class Meter:
    """Measures one body, piece by piece; once it has refused, it refuses every piece."""

    __slots__ = ("_brackets", "_count", "_most", "refusal")

    def __init__(self, most: int, depth: int, kind: str = "") -> None:
        self.refusal: Refusal | None = None
        self._most = most
        self._count = 0
        self._brackets: Brackets | None = Brackets(depth, kind)

    @property
    def left(self) -> int:
        """How many bytes there is a reason to read: one more than may come."""
        return self._most - self._count + 1

    def feed(self, data: bytes) -> Refusal | None:
        """Take the next bytes; return why the body is refused, None if it is not."""
        if self.refusal is not None or not data:
            return self.refusal
        self._count += len(data)
        if self._count > self._most:
            self.refusal = Refusal(413, LARGE_BODY, "streamed", {"most": self._most})
        elif self._brackets is not None:
            problem = self._brackets.feed(data)
            if problem:
                self.refusal = Refusal(400, DEEP_JSON, problem)
            elif self._brackets.ended:
                self._brackets = None
        return self.refusal


class Brackets:
    """Counts how many values are open; ``ended`` once the body is known not to be JSON.

    What is declared as JSON is counted to its end; of anything else only what begins as an object
    or array, up to the first character that JSON has nowhere. What is declared as text could be
    read as JSON in another encoding, too.
    """

    __slots__ = (
        "_begun", "_deepest", "_depth", "_escaped", "_first", "_in_string", "_is_json", "_other",
    )  # fmt: skip

    def __init__(self, deepest: int, kind: str = "application/json") -> None:
        self._deepest = deepest
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._is_json = _is_json(kind)
        self._begun = self._is_json
        self._other = False
        # The first bytes, as long as they can tell of another encoding.
        self._first: bytes | None = b""
        if self._is_json or _BINARY.match(kind.lstrip().lower()):
            self._first = None

    @property
    def ended(self) -> bool:
        """Whether nothing that comes is counted."""
        return self._other and self._first is None

    def feed(self, data: bytes) -> str:
        """Take the next bytes; return what is wrong, "" if nothing is."""
        if self._first is not None:
            self._first += data[:_LEAST]
            if _WIDE.match(self._first):
                return "not UTF-8"
            if len(self._first) >= _LEAST:
                self._first = None
        for start in range(0, 0 if self._other else len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if not self._begun:
                piece = piece.lstrip(_BEFORE)
                self._begun, self._other = bool(piece), piece[:1] not in _OPENS
            if self._begun and not self._other and (problem := self._piece(piece)):
                return problem
            if self._other:
                break
        return ""

    def _piece(self, data: bytes) -> str:
        if other := _CONTROL.search(data):
            if self._is_json and other[0] == b"\0":  # other encodings are full of them
                return "not UTF-8"
            if not self._is_json:
                data, self._other = data[: other.start()], True
        if self._escaped:
            data = data[1:]
        if b"\\" in data:
            data = _ESCAPES.sub(b"", data)
        # What is left of a pair at the end is its half.
        self._escaped = data.endswith(b"\\")
        parts = data.translate(None, _OTHERS).split(b'"')
        outside = b"".join(parts[1::2] if self._in_string else parts[::2])
        self._in_string ^= len(parts) % 2 == 0
        return self._count(outside)

    def _count(self, brackets: bytes) -> str:
        if not brackets:
            return ""
        depths = [self._depth, *accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth)]
        if min(depths) < 0:
            # No JSON after that; what closes too much must not make room for what opens.
            depths = list(accumulate(_steps(brackets), _not_below, initial=self._depth))
        self._depth = depths[-1]
        return "too deep" if max(depths) > self._deepest else ""


def _steps(brackets: bytes) -> list[int]:
    """Return for each bracket whether it opens, 1, or closes, -1."""
    return [_STEPS[byte] for byte in brackets]


def _not_below(depth: int, step: int) -> int:
    return max(depth + step, 0)
