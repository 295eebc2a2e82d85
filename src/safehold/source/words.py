"""The identifiers that a piece of source holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator


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
