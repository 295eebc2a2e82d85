"""Uses of functions besides calls by name: handed on, or of a module that is kept somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.calls import Called, attribute_by_name, attributes_read, names_of
from safehold.source.carried import Carried
from safehold.source.contexts import PATCHERS, Context, is_passed_on, quiet_context
from safehold.source.entries import last_name
from safehold.source.scopes import Kind, Module, Scope
from safehold.source.unit import Unit


@dataclass(frozen=True, slots=True)
class Handed:
    """A function that is passed, stored or returned: called somewhere else."""

    name: str
    node: ast.expr | ast.stmt


def handed(unit: Unit, names: frozenset[str]) -> Iterator[Handed]:
    """Yield where functions, by their full names, are handed on to code that is not followed."""
    if not _speaks_of(unit, names):
        return
    seen: set[ast.expr] = set()
    for loads in unit.module.loads.values():
        for start, scope in loads:
            node = _whole(start, unit.module)
            if node in seen:
                continue
            seen.add(node)
            for name in dict.fromkeys(names_of(node, scope, unit.module)):
                if name in names and _is_handed(node, scope, unit.module):
                    yield Handed(name, node)
    yield from _offered(unit, names)


def _offered(unit: Unit, names: frozenset[str]) -> Iterator[Handed]:
    """Yield imports that make a function an attribute of a class, or of a package."""
    is_package = unit.path.endswith("__init__.py")
    for scope in unit.module.scopes:
        if scope.kind is not Kind.CLASS and not (is_package and scope is unit.module.scope):
            continue
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                if binding.statement is None or name in unit.module.loads:
                    continue
                for meant in names_of(ast.Name(name, ast.Load()), scope, unit.module):
                    if meant in names:
                        yield Handed(meant, binding.statement)


def carried(unit: Unit, names: frozenset[str]) -> Iterator[Called | Handed]:
    """Yield what can be a function of a module that was kept in an attribute, passed, returned."""
    if not _speaks_of(unit, names):
        return
    module = unit.module
    wanted = frozenset(name.rpartition(".")[2] for name in names)
    modules = {
        ".".join(parts[:count])
        for parts in (name.split(".") for name in names)
        for count in range(1, len(parts))
    }

    def exact(node: ast.expr, scope: Scope) -> Iterator[str]:
        return (name for name in names_of(node, scope, module) if name in modules)

    flow: Carried[str] | None = None
    for node, base, attribute in attributes_read(module, wanted):
        flow = flow or Carried(module, exact)
        scope = flow.scope_of(node)
        if names.isdisjoint(names_of(node, scope, module)):
            for meant in sorted(flow.of(base, scope)):
                name = f"{meant}.{attribute}"
                if name in names:
                    yield _used(name, node, scope, module)


def _used(name: str, node: ast.expr, scope: Scope, module: Module) -> Called | Handed:
    parent = module.parents.get(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return Called(name, parent, scope, tuple(parent.args), tuple(parent.keywords))
    return Handed(name, node)


def _speaks_of(unit: Unit, names: frozenset[str]) -> bool:
    """Say whether a source has the name of one of the packages at all."""
    text = unit.text.utf8
    return any(root.encode() in text for root in {name.partition(".")[0] for name in names})


def _whole(start: ast.expr, module: Module) -> ast.expr:
    """Climb from a name to the whole of `name.a.b`."""
    node = start
    while True:
        parent = module.parents.get(node)
        reached = attribute_by_name(parent) if parent is not None else None
        is_named = reached is not None and reached[0] is node
        if isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and is_named):
            node = parent
        else:
            return node


def _is_handed(node: ast.expr, scope: Scope, module: Module) -> bool:
    """Say whether what is done with a function is no call, and no look at it."""
    parent = module.parents.get(node)
    while is_passed_on(parent, node) and isinstance(parent, ast.expr):
        node, parent = parent, module.parents.get(parent)
    if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        return False
    if isinstance(parent, ast.Call) and (
        parent.func is node
        or (parent.args[:1] == [node] and last_name(parent.func) in {*PATCHERS, "partial"})
    ):
        return False
    if isinstance(parent, ast.ClassDef):
        return True
    return not _is_alias(parent, scope, module) and quiet_context(node, module) is Context.HANDED


def _is_alias(parent: ast.AST | None, scope: Scope, module: Module) -> bool:
    """Say whether a name is given the function and read in this module, where its call is seen."""
    if isinstance(parent, ast.arguments):
        return True
    if not isinstance(parent, ast.Assign | ast.AnnAssign) or scope.kind is Kind.CLASS:
        return False
    targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
    return all(isinstance(item, ast.Name) and item.id in module.loads for item in targets)
