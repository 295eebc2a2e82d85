"""The forms in which a program may use an input: decoded, trimmed, escaped, in another case.

What a program does to a value between request and statement is not seen, so the usual ways are
tried, two after another. Others are not found: a value that was cut, put together from several,
decrypted, or fetched from where an earlier request left it.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

from safehold.errors import LimitExceeded

_MOST: Final = 64
"""Forms of one value before they are escaped."""
_ALL: Final = 400_000
"""Forms of all values; 20,000 names have fewer."""
_LONGEST: Final = 65_536
"""Longer values are looked for as they are, trimmed and in any case."""
_LIKE: Final = "\\!^|/~#"
"""Characters that programs escape the wildcards of LIKE with."""

_WORD: Final = re.compile(r"\w+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{2,}={0,2}")
_HEX: Final = re.compile(r"(?:0x|\\x)?((?:[0-9a-fA-F]{2}){4,})")
_QUOTES: Final = "'\"`"
# Without these it is words, and together they are one.
_JOINED: Final = re.compile(r"['\"`]|\w\s*[=<>]|--|/\*")
_TAG: Final = re.compile(r"<[^<>]*+>")
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u2060\ufeff]")
_QUOTES_ONLY: Final = re.compile(r"'+|\"+|`+")
# No attack has so little in it, and texts of SQL are full of it.
# Two words of SQL with nothing around them are no whole of anything.
_BLUNT: Final = re.compile(
    r"(?:insert|merge) +into|delete +from|(?:order|group) +by|(?:left|inner|cross) +join|union +all"
    r"|select +distinct|is +(?:not +)?null|not +(?:in|null|like)|[?(),.:%=s ]{1,3}|[^\w'\"`\\#/*-]"
)


@dataclass(frozen=True, slots=True)
class Needles:
    """What to look for in a text, in lower case.

    ``words`` and ``numbers`` are one token wherever they stand; ``quotes`` are lone quotes;
    ``others`` may be anything.
    """

    words: tuple[str, ...]
    numbers: tuple[str, ...]
    quotes: tuple[str, ...]
    others: tuple[str, ...]


def lowered(text: str) -> str:
    """Return a text in lower case, as long as it was."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def needles(texts: Iterable[str]) -> Needles:
    """Return every form of some texts, by what has to be asked about it.

    Raises:
        LimitExceeded: there are more than anybody can look for.
    """
    words: dict[str, None] = {}
    numbers: dict[str, None] = {}
    quotes: dict[str, None] = {}
    others: dict[str, None] = {}
    count = 0
    for text in texts:
        for form in forms(text):
            count += 1
            if count > _ALL:
                raise LimitExceeded(
                    f"the values of a request have more than {_ALL} forms; refuse it"
                )
            low = lowered(form.strip())
            if not low:
                continue
            if form[0] in "\r\n" or form[-1] in "\r\n":  # which ends a comment
                others[lowered(form.strip(" \t"))] = None
            if _BLUNT.fullmatch(low):
                continue
            if _WORD.fullmatch(low):
                (numbers if low[0].isdecimal() else words)[low] = None
            elif _QUOTES_ONLY.fullmatch(low):
                if len(low) % 2:  # pairs of them open nothing
                    quotes[low[0]] = None
            else:
                others[low] = None
    return Needles(tuple(words), tuple(numbers), tuple(quotes), tuple(others))


def forms(text: str, depth: int = 2) -> Iterator[str]:
    """Yield a text, what it decodes to, and how each of these is escaped."""
    yield text
    if len(text) > _LONGEST or (text.isalnum() and len(text) < 4):
        return
    found = {text: None}
    edge = [text]
    for _ in range(2):
        edge = [new for form in edge for new in _decoded(form)]
        edge = [new for new in dict.fromkeys(edge) if new not in found][: _MOST - len(found)]
        found.update(dict.fromkeys(edge))
    for form in found:
        if form is not text:
            yield form
        for new in _escaped(form):
            if len(new) > 1 and new != form:
                yield new
        # Each string of it is a text of its own, however many there are.
        if depth and form[:1] in '{["' and form[-1:] in '}]"' and len(form) > 1:
            for one in dict.fromkeys(_json(form)):
                yield from forms(one, depth - 1)


def _decoded(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote(text)
    if "%" in text or "+" in text:
        yield unquote_plus(text)
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        yield re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
    if "<" in text:
        yield _TAG.sub("", text)
    if not text.isprintable():
        yield _UNSEEN.sub("", text)
    if _BASE64.fullmatch(text):
        yield from _from_bytes(_base64, text)
    if found := _HEX.fullmatch(text):
        yield from _from_bytes(bytes.fromhex, found[1])
    if not text.isascii():
        yield unicodedata.normalize("NFKC", text)
        if any(quote in text for quote in _QUOTES):  # without one it may be a piece of SQL
            yield unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
            yield text.encode("ascii", "ignore").decode()


def _json(text: str) -> Iterator[str]:
    import msgspec  # the checks of requests without JSON need none

    waiting: list[object] = []
    try:
        waiting.append(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value


def _base64(text: str) -> bytes:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _from_bytes(decode: Callable[[str], bytes], text: str) -> Iterator[str]:
    try:
        plain = decode(text).decode("utf-8")
    except (binascii.Error, ValueError):
        return
    is_told = len(plain) > 1 or (text[-1] == "=" and not plain.isalnum())
    if plain and is_told and all(char.isprintable() or char.isspace() for char in plain):
        yield plain


def _escaped(text: str) -> Iterator[str]:
    """Yield how programs escape a text: that may be wrong for the place where it goes."""
    has_quote = any(quote in text for quote in _QUOTES)
    if has_quote or "\\" in text:
        yield from quoting(text)
        yield re.sub(r"['\"`]", "", text)
        yield re.sub(r"['\"`\\]", "", text)
        yield text.replace("'", "")
    if "%" in text or "_" in text:
        for mark in _LIKE:
            if mark == "\\" or not has_quote:
                for also in (mark, ""):
                    like = text.replace(also, mark * 2) if also else text
                    like = like.replace("%", f"{mark}%").replace("_", f"{mark}_")
                    yield like
                    yield like.replace("'", "''")
    if any(char in text for char in "<>&'\""):
        yield html.escape(text)
        yield html.escape(text, quote=False)
    if not text.isascii():
        for other in (text.upper(), text.lower(), text.casefold()):
            if len(other) != len(text):
                yield other
    collapsed = " ".join(text.split())
    if collapsed != text:
        yield collapsed
    if " " in collapsed and _JOINED.search(text):
        yield collapsed.replace(" ", "")


def quoting(text: str) -> Iterator[str]:
    """Yield a text with its quotes doubled, or behind backslashes."""
    for quote in _QUOTES:
        if quote in text:
            yield text.replace(quote, quote * 2)
    yield re.sub(r"(['\"\\])", r"\\\1", text)
    yield re.sub(r"(['\\])", r"\\\1", text)
    yield text.replace("'", "\\'")
    yield text.replace("\\", "\\\\").replace("'", "''")
    yield re.sub(r"([\\'\"\n\r\x1a])", lambda m: _MYSQL.get(m[0], "\\" + m[0]), text)


_MYSQL: Final = {"\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}
