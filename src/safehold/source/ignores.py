"""`# safehold: ignore[SH501] reason`: findings that somebody has looked at and answers for.

The comment stands in the line of the finding, or in the first line of the statement that holds
it. It names its rules, and without a reason it does nothing. Comments are told from strings by
the tokenizer, which is asked only where the bytes of the marker are.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

_MARKER = re.compile(rb"safehold:[ \t]*ignore")
_COMMENT = re.compile(r"#\s*safehold:\s*ignore\b(?:\[([^\]]*)\])?([^#]*)")


@dataclass(slots=True)
class Ignore:
    """One comment; `used` are the rules of which it has kept something back."""

    line: int
    rules: tuple[str, ...]
    reason: str
    used: set[str] = field(default_factory=set)


class Ignores:
    """The comments of one module, and what they were used for."""

    def __init__(self, utf8: bytes = b"", tree: ast.Module | None = None) -> None:
        self._at: dict[int, list[Ignore]] = defaultdict(list)
        self._first: dict[int, int] = {}
        if tree is not None and _MARKER.search(utf8):
            for found in _comments(utf8):
                self._at[found.line].append(found)
            if self._at:
                self._first = dict(_first_lines(tree))

    def covers(self, rule: str, line: int) -> bool:
        """Say whether a finding of a rule in a line is to be kept back."""
        covered = False
        for at in {line, self._first.get(line, line)} if self._at else ():
            for found in self._at.get(at, ()):
                if found.reason and rule in found.rules:
                    found.used.add(rule)
                    covered = True
        return covered

    def problems(self, known: frozenset[str]) -> Iterator[tuple[int, str]]:
        """Yield line and words for comments that do nothing, once all has been asked for."""
        for found in (item for items in self._at.values() for item in items):
            if not found.rules:
                yield found.line, "the comment names no rule, so it ignores nothing"
            elif not found.reason:
                yield found.line, "the comment gives no reason, so it ignores nothing"
            for rule in found.rules if found.reason else ():
                if rule not in known:
                    yield found.line, f"{rule or 'nothing'} is no rule about sources"
                elif rule not in found.used:
                    yield found.line, f"nothing is left here of {rule} that would be ignored"


def _comments(utf8: bytes) -> Iterator[Ignore]:
    lines = io.StringIO(utf8.decode("utf-8", "surrogatepass"), newline=None).readline
    try:
        for token in tokenize.generate_tokens(lines):
            if token.type != tokenize.COMMENT:
                continue
            for match in _COMMENT.finditer(token.string):
                rules = tuple(item.strip() for item in (match[1] or "").split(",") if item.strip())
                reason = match[2].strip(" \t:-\u2013\u2014")
                told = reason if any(map(str.isalpha, reason)) else ""
                yield Ignore(token.start[0], rules, told)
    except (tokenize.TokenError, SyntaxError, RecursionError):
        return  # what the parser takes and the tokenizer does not: findings stay


def _first_lines(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield each further line of a statement, or of what stands before its block, and the first."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        end = node.end_lineno or node.lineno
        if body:
            inner = body[0]
            starts = [item.lineno for item in getattr(inner, "decorator_list", [])]
            line = getattr(inner, "lineno", None) or inner.pattern.lineno  # a case has no line
            end = min([line, *starts]) - 1
        for line in range(node.lineno + 1, end + 1):
            yield line, node.lineno
