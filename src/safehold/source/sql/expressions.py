"""What an expression is made of, and those whose value is the present time or a count."""

from __future__ import annotations

import ast
import re

from safehold.source.entries import last_name, literal
from safehold.source.scopes import Scope

_COUNTED = re.compile(
    r"\s*SELECT\s+(?:@@|(?:COALESCE\(|IFNULL\()?(?:COUNT|SUM|AVG|(?:MAX|MIN)\(\w*id\b))",
    re.IGNORECASE,
)

MADE_OF_PARTS = (
    ast.JoinedStr, ast.FormattedValue, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.BoolOp,
    ast.IfExp, ast.UnaryOp, ast.Compare, ast.NamedExpr, ast.Starred,
)  # fmt: skip
STRING_METHODS = frozenset(
    "strip lstrip rstrip lower upper title format join replace decode isoformat strftime "
    "capitalize zfill removeprefix removesuffix hexdigest casefold".split()
)
_DOUBLED = (['"', '""'], ["`", "``"], ["]", "]]"])


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


def is_counted(node: ast.expr, scope: Scope) -> bool:
    """Whether it is the result of a constant statement that counts something."""
    if isinstance(node, ast.Name):
        found = [item.value for _, item in scope.lookup(node.id)]
        if len(found) != 1 or found[0] is None:
            return False
        node = found[0]
    if not isinstance(node, ast.Call) or last_name(node.func) != "execute" or not node.args:
        return False
    statement = node.args[0]
    if isinstance(statement, ast.Call) and last_name(statement.func) == "text":
        statement = statement.args[0] if statement.args else statement
    return bool(_COUNTED.match(literal(statement) or ""))


def is_clock(func: ast.expr, scope: Scope) -> bool:
    """Whether it is a method of the present time."""
    value = func.value if isinstance(func, ast.Attribute) else func
    if isinstance(value, ast.Name):
        found = [item.value for _, item in scope.lookup(value.id)]
        if len(found) == 1 and found[0] is not None:
            value = found[0]
    return isinstance(value, ast.Call) and last_name(value.func) in ("now", "today", "utcnow")


def is_doubling(args: list[ast.expr]) -> bool:
    """`replace('"', '""')`, `replace(quote, quote + quote)`, `replace(quote, quote * 2)`."""
    if len(args) != 2:
        return False
    mark, twice = args
    if isinstance(twice, ast.BinOp) and isinstance(mark, ast.Name):
        again = "2" if isinstance(twice.op, ast.Mult) else mark.id
        return (ast.unparse(twice.left), ast.unparse(twice.right)) == (mark.id, again)
    return [literal(item) for item in args] in _DOUBLED
