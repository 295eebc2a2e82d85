"""Which assignment a variable's value comes from, where only one can be it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.scopes import Module, Scope

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_ENDS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)


@dataclass(frozen=True, slots=True)
class Reached:
    """The assignment, and the `name += ...` between it and the use, in their order."""

    assignment: ast.Assign | ast.AnnAssign
    value: ast.expr
    additions: tuple[ast.AugAssign, ...]


def reached(use: ast.Name, module: Module) -> Reached | None:
    """Return the assignment that a use of a name sees; None when there may be several."""
    name = use.id
    additions: list[ast.AugAssign] = []
    child: ast.AST = use
    while (parent := module.parents.get(child)) is not None:
        if isinstance(child, ast.stmt):
            block = _block(parent, child)
            if not _is_plain(parent, child, block, name):
                return None
            for statement in reversed(block[: block.index(child)]):
                value = _assigned(statement, name)
                if value is not None and isinstance(statement, ast.Assign | ast.AnnAssign):
                    return Reached(statement, value, tuple(reversed(additions)))
                if isinstance(statement, ast.AugAssign) and _is_addition(statement, name):
                    additions.append(statement)
                elif stores(statement, name):
                    return None
        if isinstance(parent, _ENDS):
            return None
        child = parent
    return None


def _is_plain(parent: ast.AST, child: ast.stmt, block: list[ast.stmt], name: str) -> bool:
    """Whether what stands around a statement does not give the name a value as well."""
    if isinstance(parent, _LOOPS):
        if isinstance(parent, ast.For | ast.AsyncFor) and stores(parent.target, name):
            return False
        before = block[: block.index(child)]
        if not any(_assigned(item, name) is not None for item in before):
            return not stores(parent, name)
    if isinstance(parent, ast.Try) and block is not parent.body:
        return not any(stores(item, name) for item in parent.body)
    if isinstance(parent, ast.ExceptHandler):
        return parent.name != name
    if isinstance(parent, ast.With | ast.AsyncWith):
        return not any(stores(item, name) for item in parent.items)
    return True


def _block(parent: ast.AST, child: ast.stmt) -> list[ast.stmt]:
    for _, value in ast.iter_fields(parent):
        if isinstance(value, list) and child in value:
            return value
    return [child]


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return None
    return statement.value if isinstance(target, ast.Name) and target.id == name else None


def _is_addition(statement: ast.stmt, name: str) -> bool:
    return (
        isinstance(statement, ast.AugAssign)
        and isinstance(statement.op, ast.Add)
        and isinstance(statement.target, ast.Name)
        and statement.target.id == name
    )


def stores(node: ast.AST, name: str) -> bool:
    """Whether anything in a node gives a name a value or takes it away."""
    return any(_names(inner, name) for inner in ast.walk(node))


def _names(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Global | ast.Nonlocal):
        return name in node.names
    return isinstance(node, ast.ExceptHandler) and node.name == name


class Flow:
    """The assignments that the uses of a module's names see, each asked about once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._seen: dict[ast.Name, Reached | None] = {}
        self._uses: dict[tuple[str, Scope], Counter[ast.stmt | None]] = {}

    def reached(self, use: ast.Name) -> Reached | None:
        """Return the assignment that a use of a name sees; None when there may be several."""
        if use not in self._seen:
            self._seen[use] = reached(use, self._module)
        return self._seen[use]

    def is_only_use(self, known: Reached, use: ast.Name, scope: Scope) -> bool:
        """Whether no other use of a name may see the same assignment."""
        key = (use.id, scope)
        if key not in self._uses:
            self._uses[key] = Counter(self._assignments(use.id, scope))
        counts = self._uses[key]
        return not counts[None] and counts[known.assignment] == 1

    def _assignments(self, name: str, scope: Scope) -> Iterator[ast.stmt | None]:
        for use, where in self._module.loads.get(name, ()):
            if next((owner for owner, _ in where.lookup(name)), None) is scope:
                known = self.reached(use)
                yield None if known is None else known.assignment
