"""Edits as byte spans, and the proof that they changed what was planned and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final

from safehold.source.text import Text, UnreadableError

# What begins like a formatted string, also in comments and in other strings, each by itself: the
# quote that ends another one may begin it.
_FORMATTED: Final = re.compile(
    rb"""fr?(?=("{3}.*?(?:"{3}|\Z)|'{3}.*?(?:'{3}|\Z)"""
    rb"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*|'[^'\\\n]*(?:\\.[^'\\\n]*)*))""",
    re.IGNORECASE | re.DOTALL,
)
# Fields times bytes: about two seconds of work.
_MOST_WORK: Final = 4 * 10**9


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end` of the UTF-8 source become `new`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One planned change: its spans, and the same change done to the syntax tree."""

    rule: str
    spans: tuple[Span, ...]
    transform: Callable[[], None]


class NotProvenError(ValueError):
    """An edit would have changed more than was planned; the source is left alone."""


def parse(utf8: bytes) -> ast.Module:
    """Parse source that `decode` gave.

    Raises:
        UnreadableError: not Python 3, or nested deeper than the parser can hold.
    """
    if sys.version_info < (3, 12) and is_slow(utf8):
        raise UnreadableError("formatted strings with too many fields to be parsed by this Python")
    try:
        text = utf8.decode("utf-8", "surrogatepass")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the source's own matter
            return ast.parse(text)
    except SyntaxError as error:
        raise UnreadableError(_syntax_message(error)) from None
    except (RecursionError, MemoryError):
        raise UnreadableError("nested too deeply for the parser") from None
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def is_slow(utf8: bytes) -> bool:
    """Whether formatted strings would keep a Python before 3.12 for long.

    It looks for the place of each field from the start of its string, so that one of 256 KiB takes
    it a quarter of a minute.
    """
    work = 0
    for match in _FORMATTED.finditer(utf8):
        work += match[1].count(b"{") * len(match[1])
        if work > _MOST_WORK:
            return True
    return False


def _syntax_message(error: SyntaxError) -> str:
    message = error.msg or "invalid syntax"
    old = ("Missing parentheses in call", "multiple exception types", "leading zeros")
    hint = " (Python 2 source)" if message.startswith(old) else ""
    return f"line {error.lineno or 0}: {message}{hint}"


def apply(text: Text, tree: ast.Module, changes: Iterable[Change]) -> bytes:
    """Return the source with the changes made; `tree` is altered to what it should become.

    Raises:
        NotProvenError: the result does not parse to exactly the altered tree, or bytes outside
            the spans would not stay as they are.
    """
    planned = list(changes)
    spans = sorted((span for change in planned for span in change.spans), key=lambda s: s.start)
    pieces: list[str] = []
    originals: list[str] = []
    position = 0
    try:
        for span in spans:
            if span.start < position:
                raise NotProvenError("two edits overlap")
            kept = text.utf8[position : span.start].decode("utf-8")
            pieces += [kept, span.new]
            originals += [kept, text.utf8[span.start : span.end].decode("utf-8")]
            position = span.end
        kept = text.utf8[position:].decode("utf-8")
        # Codecs with shift states give other bytes piece by piece; those files stay alone.
        before = b"".join(piece.encode(text.encoding) for piece in [*originals, kept])
        after = b"".join(piece.encode(text.encoding) for piece in [*pieces, kept])
        decoded = after.decode(text.encoding)
    except UnicodeError as error:
        raise NotProvenError(f"cannot be encoded as {text.encoding}: {error}") from None
    if text.mark + before != text.data:
        raise NotProvenError(f"{text.encoding} does not give the same bytes back")
    if decoded != "".join([*pieces, kept]):
        raise NotProvenError(f"the edited text does not survive {text.encoding}")
    try:
        result = parse(decoded.encode("utf-8"))
    except UnreadableError as error:
        raise NotProvenError(f"the edited source does not parse: {error}") from None
    for change in planned:
        change.transform()
    if not same_tree(tree, result):
        raise NotProvenError("more than the planned nodes changed")
    return text.mark + after


def same_tree(left: ast.AST, right: ast.AST) -> bool:
    """Compare two trees, with the lines of their statements, without recursion."""
    stack: list[tuple[Any, Any]] = [(left, right)]
    while stack:
        one, other = stack.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, ast.AST):
            if isinstance(one, ast.stmt) and one.lineno != other.lineno:
                return False
            for name in one._fields:
                value, its = getattr(one, name, None), getattr(other, name, None)
                if value is its:  # most of all: identifiers, None and `ast.Load()`
                    continue
                if isinstance(value, _LEAVES):
                    if type(value) is not type(its) or value != its:
                        return False
                else:
                    stack.append((value, its))
        elif isinstance(one, list):
            if len(one) != len(other):
                return False
            stack.extend(zip(one, other, strict=True))
        elif one != other or repr(one) != repr(other):
            return False  # repr tells 0.0 from -0.0
    return True


_LEAVES = (str, int, bytes, NoneType)
