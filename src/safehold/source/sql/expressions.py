"""Expressions whose value is made of the values of their parts."""

from __future__ import annotations

import ast

MADE_OF_PARTS = (
    ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.BoolOp,
    ast.IfExp, ast.UnaryOp, ast.Compare, ast.NamedExpr, ast.Starred,
)  # fmt: skip


def parts_of(node: ast.expr) -> list[ast.expr]:
    """Return the expressions whose values an expression can have in it."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.FormattedValue):
        return [node.value]
    if isinstance(node, ast.Compare):
        return []  # True or False
    if isinstance(node, ast.Dict):
        return [*(key for key in node.keys if key is not None), *node.values]
    return [item for item in ast.iter_child_nodes(node) if isinstance(item, ast.expr)]
