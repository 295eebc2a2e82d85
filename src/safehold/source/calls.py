"""What a call means by the imports of its module, for rules about calls that are not rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.source.scopes import How, Scope


def dotted_names(node: ast.expr, scope: Scope) -> Iterator[str]:
    """Yield the full names that `pd.read_pickle`, `dump` or `os.replace` can stand for."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return
    for _, binding in scope.lookup(node.id):
        head = None
        if binding.alias is None:
            continue
        if isinstance(binding.statement, ast.Import):
            head = binding.alias.name if binding.alias.asname else node.id
        elif isinstance(binding.statement, ast.ImportFrom) and binding.how is How.FROM:
            module = binding.statement.module
            if module and not binding.statement.level:
                head = f"{module}.{binding.alias.name}"
        if head is not None:
            yield ".".join([head, *reversed(rest)])
