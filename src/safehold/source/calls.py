"""What an expression means by the imports of its module."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safehold.source.entries import imported_by_name, last_name, literal, spelled
from safehold.source.scopes import Binding, How

if TYPE_CHECKING:
    from safehold.source.scopes import Bound, Module, Scope

_BUILTINS = frozenset(vars(builtins))
_MOST_ALIASES = 500
_LONGEST_PATH = 20


@dataclass(frozen=True, slots=True)
class Called:
    """A call by the full name of what it calls, or what a partial object of it is given.

    ``args`` and ``keywords`` are those of the function that is named.
    """

    name: str
    node: ast.Call
    scope: Scope
    args: tuple[ast.expr, ...]
    keywords: tuple[ast.keyword, ...]

    def argument(self, position: int, *names: str) -> ast.expr | None:
        """Return an argument by position or keyword; None without it, or behind a star."""
        before = self.args[: position + 1]
        if not any(isinstance(item, ast.Starred) for item in before) and len(before) > position:
            return before[position]
        return next((item.value for item in self.keywords if item.arg in names), None)

    @property
    def is_open_ended(self) -> bool:
        """Whether arguments come from a sequence or mapping that the call spreads."""
        return any(isinstance(item, ast.Starred) for item in self.args) or any(
            item.arg is None for item in self.keywords
        )


def names_of(node: ast.expr, scope: Scope, module: Module) -> Iterator[str]:
    """Yield the full names that `pd.read_pickle`, `dump` or `getattr(os, "system")` can stand for.

    Names that a function or class of the module has bound to them stand for the same. What nobody
    binds is of `builtins`, where that has it and no star import can. Each name is followed once,
    so that many bindings of names to each other take no longer than they are many.
    """
    start, path = _split(node)
    if isinstance(start, ast.Name) and len(path) <= _LONGEST_PATH:
        heads, values = _bound(start.id, scope, module)
        if not values:  # as most are: nothing to follow
            for head in heads:
                yield module.real(".".join([head, *path]))
            return
    yield from _followed(node, scope, module)


def _followed(node: ast.expr, scope: Scope, module: Module) -> Iterator[str]:
    """Yield the full names that an expression can stand for through the values of names."""
    left: list[tuple[ast.expr, Scope, tuple[str, ...]]] = [(node, scope, ())]
    seen: set[tuple[ast.expr | Scope, str, tuple[str, ...]]] = set()
    while left and len(seen) < _MOST_ALIASES:
        value, where, below = left.pop()
        start, path = _split(value)
        rest = (*path, *below)
        key: tuple[ast.expr | Scope, str, tuple[str, ...]] = (start, "", rest)
        if isinstance(start, ast.Name):
            key = (where, start.id, rest)
        if key in seen or len(rest) > _LONGEST_PATH:
            continue
        seen.add(key)
        left.extend((part, where, rest) for part in reversed(_alternatives(start)))
        if isinstance(start, ast.Name):
            heads, values = _bound(start.id, where, module)
            for head in heads:
                yield module.real(".".join([head, *rest]))
            left.extend((part, owner, rest) for part, owner in reversed(values))
        elif (dotted := imported_by_name(start)) is not None:
            yield ".".join([dotted, *rest])


def _split(node: ast.expr) -> tuple[ast.expr, list[str]]:
    """Return what a chain of attributes begins with, and the attributes."""
    rest: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            if node.attr != "__call__":
                rest.append(node.attr)
            node = node.value
        elif (inner := attribute_by_name(node)) is not None:
            rest.append(inner[1])
            node = inner[0]
        else:
            return node, rest[::-1]


def _alternatives(node: ast.expr) -> Sequence[ast.expr]:
    """Return the parts of an expression that can be its value."""
    if isinstance(node, ast.NamedExpr):
        return (node.value,)
    if isinstance(node, ast.IfExp):
        return node.body, node.orelse
    return node.values if isinstance(node, ast.BoolOp) else ()


def attribute_by_name(node: ast.AST) -> tuple[ast.expr, str] | None:
    """Return the object and the name of `getattr(module, "load")`."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and len(node.args) in (2, 3)
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    ):
        return node.args[0], node.args[1].value
    return None


def attributes_read(
    module: Module, wanted: frozenset[str]
) -> Iterator[tuple[ast.expr, ast.expr, str]]:
    """Yield the places where an attribute of one of these names is read, its object and its name.

    A name that is made at run time counts as each of those that the source has as a string.
    """
    strings: frozenset[str] | None = None
    for node in module.parents:
        if not isinstance(node, ast.expr):
            continue
        reached = _reached_by_name(node)
        if reached is not None:
            if reached[1] in wanted:
                yield node, *reached
        elif isinstance(node, ast.Call) and last_name(node.func) == "getattr" and node.args:
            if strings is None:
                strings = wanted & {
                    item.value
                    for item in module.parents
                    if isinstance(item, ast.Constant) and isinstance(item.value, str)
                }
            for name in sorted(strings):
                yield node, node.args[0], name


def _reached_by_name(node: ast.AST) -> tuple[ast.expr, str] | None:
    """Return the object and the name of an attribute that is read, however it is written.

    `m.load`, `getattr(m, "load")`, `vars(m)["load"]`, `m.__dict__["load"]`,
    `m.__getattribute__("load")`, `attrgetter("load")(m)`, `methodcaller("load", path)(m)`.
    """
    if isinstance(node, ast.Attribute):
        return (node.value, node.attr) if isinstance(node.ctx, ast.Load) else None
    if isinstance(node, ast.Subscript):
        base, name = _namespace(node.value), literal(node.slice)
        return None if base is None or name is None else (base, name)
    if not isinstance(node, ast.Call):
        return None
    if (inner := attribute_by_name(node)) is not None or not node.args:
        return inner
    func = node.func
    if isinstance(func, ast.Attribute):
        if (name := literal(node.args[0])) is None:
            return None
        if func.attr == "__getattribute__":
            return func.value, name
        base = _namespace(func.value) if func.attr == "get" else None
        return None if base is None else (base, name)
    if isinstance(func, ast.Call) and last_name(func.func) in ("attrgetter", "methodcaller"):
        name = literal(func.args[0]) if func.args else None
        return None if name is None else (node.args[0], name)
    return None


def _namespace(node: ast.expr) -> ast.expr | None:
    """Return the object whose attributes a mapping holds."""
    if isinstance(node, ast.Attribute) and node.attr == "__dict__":
        return node.value
    if isinstance(node, ast.Call) and last_name(node.func) == "vars" and len(node.args) == 1:
        return node.args[0]
    return None


def _bound(name: str, scope: Scope, module: Module) -> Bound:
    """Return the full names that a name is imported as, and the values that it is given."""
    known = module.bound.get((scope, name))
    if known is None:
        known = module.bound[scope, name] = _looked_up(name, scope, module)
    return known


def _looked_up(name: str, scope: Scope, module: Module) -> Bound:
    heads: list[str] = []
    values: list[tuple[ast.expr, Scope]] = []
    bindings = list(scope.lookup(name))
    for owner, binding in bindings:
        if binding.alias is not None:
            head = _imported(name, binding, module)
            if head is not None:
                heads.append(head)
        elif binding.value is not None and binding.how is How.ASSIGN:
            values.append((binding.value, owner))
        elif binding.value is not None and binding.how is How.PARAMETER:
            values.append((binding.value, owner.parent or owner))
    if not bindings and module.stars:
        for star in module.stars:
            dotted = (spelled(star, star.names[0]) or "").removesuffix("*") + name
            if not star.level or dotted in module.renamed:
                heads.append(dotted)
    elif not bindings and name in _BUILTINS:
        heads.append(f"builtins.{name}")
    return heads, values


def _imported(name: str, binding: Binding, module: Module) -> str | None:
    statement, alias = binding.statement, binding.alias
    if alias is None:
        return None
    if isinstance(statement, ast.Import):
        return alias.name if alias.asname else name
    if not isinstance(statement, ast.ImportFrom) or binding.how is not How.FROM:
        return None
    if statement.level and not module.renamed:
        return None
    return spelled(statement, alias)
