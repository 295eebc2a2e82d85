"""Edits as byte spans, and the proof that they changed what was planned and nothing else."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from safehold.source.text import Text, UnreadableError, decode

# What begins like a formatted string, also in comments and in other strings, each by itself: the
# quote that ends another one may begin it.
_FORMATTED: Final = re.compile(
    rb"""fr?(?=("{3}.*?(?:"{3}|\Z)|'{3}.*?(?:'{3}|\Z)"""
    rb"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*|'[^'\\\n]*(?:\\.[^'\\\n]*)*))""",
    re.IGNORECASE | re.DOTALL,
)
# Fields times bytes: about two seconds of work.
_MOST_WORK: Final = 4 * 10**9
_TOLD: Final = 4096
"""Parts of a tree that are hashed at once."""


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


def edited(text: Text, spans: Iterable[Span]) -> bytes:
    """Return the source with spans replaced; `decode` gives the same text for all the rest.

    Raises:
        NotProvenError: spans overlap, or bytes outside of them would not stay as they are.
    """
    ordered = sorted(spans, key=lambda span: span.start)
    pieces: list[str] = []
    originals: list[str] = []
    position = 0
    try:
        for span in ordered:
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
    return text.mark + after


def apply(text: Text, tree: ast.Module, changes: Iterable[Change]) -> bytes:
    """Return the source with the changes made; `tree` is altered to what it should become.

    Raises:
        NotProvenError: the result does not parse to exactly the altered tree, or bytes outside
            the spans would not stay as they are.
    """
    planned = list(changes)
    after = edited(text, [span for change in planned for span in change.spans])
    for change in planned:
        change.transform()
    prove(after, digest(tree))
    return after


def prove(after: bytes, wanted: bytes) -> None:
    """See that a source has the tree with this digest.

    Raises:
        NotProvenError: it has another one, or none.
    """
    try:
        result = parse(decode(after).utf8)
    except UnreadableError as error:
        raise NotProvenError(f"the edited source does not parse: {error}") from None
    if digest(result) != wanted:
        raise NotProvenError("more than the planned nodes changed")


def digest(tree: ast.AST) -> bytes:
    """Return what tells a tree from every other, with the lines of its statements.

    Of two trees one is gone before the other is made: together they are most of the memory. The
    walk keeps its own stack, and each list and node says how many things follow.
    """
    hashed = hashlib.blake2b(digest_size=32)
    told: list[str] = []
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.AST):
            kind = type(item)
            line = item.lineno if isinstance(item, ast.stmt) else ""
            told.append(f"{kind.__name__} {line}")
            stack.extend([getattr(item, name, None) for name in kind._fields])
        elif type(item) is list:
            told.append(f"[{len(item)}")
            stack.extend(item)
        elif type(item) is int:  # of which the decimal digits may be too many
            told.append(hex(item))
        else:  # its type is in its repr, and 0.0 is not -0.0 there
            told.append(repr(item))
        if len(told) > _TOLD:
            _tell(hashed, told)
    _tell(hashed, told)
    return hashed.digest()


def _tell(hashed: hashlib.blake2b, told: list[str]) -> None:
    told.append("")
    hashed.update("\n".join(told).encode("utf-8", "surrogatepass"))
    told.clear()
