"""Words of identifiers: `apiKey`, `API_KEY` and `api-key` are "api" and "key"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of an identifier in lower case."""
    return tuple(word.lower() for word in _WORD.findall(name))


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield the identifiers in a piece of source: names, attributes, keywords, plain strings."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.keyword) and part.arg:
            yield part.arg
        elif (
            isinstance(part, ast.Constant)
            and isinstance(part.value, str)
            and part.value.isidentifier()
        ):
            yield part.value
