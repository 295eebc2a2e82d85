"""Names that were compared with fixed values before they are used: what is left of them is fixed.

`if text in ("a", "b"):` around a place, or `if text not in ("a", "b"): raise` before it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.blocks import end_of_block
from safehold.source.fixed import Fixed
from safehold.source.scopes import Module, Scope
from safehold.source.unit import Unit


@dataclass(frozen=True, slots=True)
class _Check:
    """A comparison, and the lines in which its name is one of the choices."""

    choices: ast.expr
    line: int
    first: int
    last: int


class Checks:
    """The comparisons of one module, by name."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._found: dict[str, list[_Check]] = defaultdict(list)
        for node in module.parents:
            if isinstance(node, ast.If | ast.IfExp):
                for name, check in _checks(node, module):
                    self._found[name].append(check)

    def leaves_fixed(self, node: ast.expr, place: ast.expr, scope: Scope) -> bool:
        """Say whether what a name can be at a place stands in the source."""
        if not isinstance(node, ast.Name) or node.id not in self._found:
            return False
        bindings = list(scope.lookup(node.id))
        return any(
            check.first <= place.lineno <= check.last
            and not any(check.line < item.line <= place.lineno for _, item in bindings)
            and all(getattr(owner.node, "lineno", 0) <= check.line for owner, _ in bindings)
            and Fixed(self._module).is_fixed(check.choices, scope)
            for check in self._found[node.id]
        )


def checks_of(unit: Unit) -> Checks:
    """Return the comparisons of a module, for `Unit.once`."""
    return Checks(unit.module)


def _checks(node: ast.If | ast.IfExp, module: Module) -> Iterator[tuple[str, _Check]]:
    line = node.lineno
    body = node.body if isinstance(node, ast.If) else [node.body]
    for test in _tests(node.test):
        if (compared := _compared(test, ast.In)) is not None:
            name, choices = compared
            yield name, _Check(choices, line, body[0].lineno, body[-1].end_lineno or 0)
    if (
        isinstance(node, ast.If)
        and isinstance(body[-1], ast.Raise | ast.Return | ast.Continue)
        and not node.orelse
        and (compared := _compared(node.test, ast.NotIn)) is not None
    ):
        name, choices = compared
        yield (
            name,
            _Check(choices, line, (node.end_lineno or line) + 1, end_of_block(node, module)),
        )


def _tests(test: ast.expr) -> list[ast.expr]:
    """Return what holds where a test holds."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return test.values
    return [test]


def _compared(test: ast.expr, how: type[ast.cmpop]) -> tuple[str, ast.expr] | None:
    """`name in ("a", "b")`; of a text, any part would do."""
    if (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and len(test.ops) == 1
        and isinstance(test.ops[0], how)
        and not isinstance(test.comparators[0], ast.Constant)
    ):
        return test.left.id, test.comparators[0]
    return None
