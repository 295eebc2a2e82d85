"""Values that a text gives to a name: `password=...`, `"token": "..."`, `--api-key ...`, prose."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from safehold.credentials.names import Label

_QUOTE = r"(?:\\*[\"'`]|%22|%27|&quot;|&#39;|&#x27;|\\u0022)"
_HEAD = re.compile(
    rf"(?<![\w.\-])(?<!\[redacted:)(?P<name>[\w.\-]+(?:\[\w*\])?)(?P<close>(?:{_QUOTE})?\]?)"
    rf"(?P<sep>[^\S\n]*(?:=>|:=|={{1,3}}|:|%3(?:[Aa]|[Dd])|>)[^\S\n]*(?:[|>]?[+-]?\r?\n[ \t]*)?"
    rf"|[^\S\n]*,\s*(?=[bBrRuUfF]{{0,2}}{_QUOTE})"
    rf"|\((?=[bBrRuUfF]{{0,2}}{_QUOTE})"
    rf"|\s+(?:(?:is|was)\b\s*:?\s*)?)"
)
_OPEN = re.compile(rf"[bBrRuUfF]{{0,2}}(?P<quote>{_QUOTE})")
_BEFORE = re.compile(r"(?:[A-Za-z]+[ ]){1,2}\Z")
_UNQUOTED = re.compile(
    r"(?:(?!\s|[,;&](?:\s|\Z|[\w.\-]+(?:=|:|%3D))|[)\]}>]+(?:[\s,;.:)\]}>]|\Z)"
    r"|\\*[\"'`](?:[\s,;:)\]}>\\]|\Z)|\\+[\"'`]|%2[26C]|&quot;|</).)+"
)
_LINE = re.compile(r"(?:(?!\\r|\\n)[^\r\n])+")
_WITHIN = re.compile(r"[^\r\n\"'`\\]+")
_CLOSERS = {"[": "]", "(": ")", "{": "}"}
_NOTHING = re.compile(
    r"(?i)none|null|nil|true|false|undefined|[*.x•]{3,}|…|\$\w+|\$?\{[\w.]*\}"
    r"|\{\{[\w. ]*\}\}|<[\w -]*>|%s|%\(\w+\)s"
    r"|\[redacted:[\w-]{1,20}\]|(?:bearer|basic) \[redacted:[\w-]{1,20}\]|\W{1,2}"
)
_IN_URL = re.compile(r"(?i)(?:sig|signature|key|x-amz-signature|x-goog-signature)")
_OF_URL = Label("signature", is_weak=True)
_PATH = re.compile(r"[\w./\\-]*/[\w./\\-]*|[\w-]+\.[a-z]{1,5}")
_LOWER = re.compile(r"[a-z]+(?:[,_-][a-z]+)*")
_SYMBOLS = frozenset("!@#$%^&*+/=~?")
_TO_LINE_END = ("authorization", "cookie")
_SECOND = ("key", "keys", "string", "signature")
_REACH = 40


class _Span(NamedTuple):
    begin: int
    end: int


def without_assigned(text: str, label_of: Callable[[str], Label | None]) -> str:
    """Return a text with markers in the place of values whose names speak of secrets."""
    out: list[str] = []
    done = 0
    for head in _HEAD.finditer(text):
        if head.start() < done:
            continue
        label = _label(text, head, label_of)
        span = None if label is None else _value(text, head, label)
        if label is not None and span is not None and not _is_nothing(text, span):
            out += (text[done : span.begin], f"[redacted:{label.kind}]")
            done = span.end
    return "".join((*out, text[done:])) if out else text


def _is_nothing(text: str, span: _Span) -> bool:
    """Say whether a value is none, a place for one, or a marker."""
    found = _NOTHING.match(text, span.begin)
    return found is not None and found.end() >= span.end


def _label(text: str, head: re.Match[str], label_of: Callable[[str], Label | None]) -> Label | None:
    name = head["name"]
    label = label_of(name)
    if label is not None:
        return label
    start = head.start()
    if start and text[start - 1] in "?&" and "=" in head["sep"] and _IN_URL.fullmatch(name):
        return _OF_URL
    if name.lower() in _SECOND:  # "the API key", "Access Key"
        before = _BEFORE.search(text, max(start - _REACH, 0), start)
        if before is not None:
            return label_of(before[0] + name)
    return None


def _value(text: str, head: re.Match[str], label: Label) -> _Span | None:
    """Find the value behind a head; None if what is there need not be one."""
    at, sep = head.end(), head["sep"].strip()
    is_option = head["name"].startswith("-")
    is_prose = sep in ("", "is", "was")
    if label.is_weak and is_prose and not is_option:
        return None
    opened = _OPEN.match(text, at)
    if opened is not None:
        return _quoted(text, opened)
    if sep in (",", "("):
        return None
    if is_prose:
        return _word(text, at, is_option=is_option)
    if text[at : at + 1] in _CLOSERS:
        end = _bracketed(text, at)
        rest = _UNQUOTED.match(text, end)
        return _Span(at, end if rest is None else rest.end())
    return _assigned(text, head, label)


def _word(text: str, at: int, *, is_option: bool) -> _Span | None:
    """Find a value that only white space stands before."""
    span = _span(_UNQUOTED.match(text, at))
    if span is None:
        return None
    value = text[span.begin : span.end]
    if is_option:
        return None if value.startswith("-") else span
    return span if _is_drawn(value) else None


def _assigned(text: str, head: re.Match[str], label: Label) -> _Span | None:
    """Find a value without quotes behind a colon or its like."""
    at, sep = head.end(), head["sep"].strip()
    is_told = sep == ":" and not head["close"] and head["sep"] != ":"
    if label.kind in _TO_LINE_END and sep != ">" and not (is_told and label.is_weak):
        is_within = text[head.start() - 1 : head.start()] in ("'", '"', "`")
        return _span((_WITHIN if is_within else _LINE).match(text, at))
    span = _span(_UNQUOTED.match(text, at))
    if span is None:
        return None
    value = text[span.begin : span.end]
    if label is _OF_URL or (is_told and label.is_weak):
        return span if _is_drawn(value) else None  # "tests pass: 34"
    if is_told and label.kind != "password" and value.strip(".,").isalpha():
        return None  # "token: expected"
    if sep == ":" and label.kind == "token" and _LOWER.fullmatch(value):
        return None  # "scope=token:read,write"
    return span


def _span(found: re.Match[str] | None) -> _Span | None:
    return None if found is None or found.end() == found.start() else _Span(*found.span())


def _quoted(text: str, opened: re.Match[str]) -> _Span | None:
    quote, begin = opened["quote"], opened.end()
    if text.startswith(quote * 2, begin):  # three in a row
        quote, begin = quote * 3, begin + 2 * len(quote)
    end = text.find(quote[-1:] if quote[:1] == "\\" else quote, begin)
    while end >= 0 and not _closes(text, begin, end, quote):
        end = text.find(quote[-1], end + 1)
    if end < 0:
        return _Span(begin, len(text))
    end -= len(quote) - 1 if quote[:1] == "\\" else 0
    return _Span(begin, end) if end > begin else None


def _closes(text: str, begin: int, at: int, quote: str) -> bool:
    """Say whether the quote at a place is the end and not a part of the value, escaped."""
    run = 0
    while at - run > begin and text[at - run - 1] == "\\":
        run += 1
    depth = quote.count("\\")
    if depth:
        return run <= depth
    return len(quote) > 1 or run % 2 == 0


def _bracketed(text: str, at: int) -> int:
    """Return where the brackets that open at a place are closed, or the text's end."""
    opener, closer, depth = text[at], _CLOSERS[text[at]], 0
    for end in range(at, len(text)):
        depth += (text[end] == opener) - (text[end] == closer)
        if not depth:
            return end + 1
    return len(text)


def _is_drawn(value: str) -> bool:
    """Say whether a word in prose is too mixed to be one."""
    if len(value) < 6 or _PATH.fullmatch(value):
        return False
    has_digit, has_letter = any(map(str.isdigit, value)), any(map(str.isalpha, value))
    is_mixed = bool(re.search(r"[a-z][A-Z]", value)) and len(value) >= 12
    return (has_digit and has_letter) or is_mixed or not _SYMBOLS.isdisjoint(value)
