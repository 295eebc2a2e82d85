"""Functions of a module: which one is called, what it returns, and what it is given."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from safehold.source.blocks import end_of_block
from safehold.source.entries import last_name
from safehold.source.scopes import Kind, Module, Scope

_MOST_BLOCKS = 20
_ANNOTATED = frozenset(("int", "float", "bool", "uuid.UUID", "UUID", "datetime", "date",
                        "datetime.datetime", "datetime.date", "Decimal"))  # fmt: skip


def annotation_of(name: str, owner: Scope) -> ast.expr | None:
    """Return the annotation of a function's parameter."""
    node = owner.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return next((item.annotation for item in every if item.arg == name), None)


def is_nested(owner: Scope) -> bool:
    """Whether a function stands in another one."""
    return owner.parent is not None and owner.parent.kind is Kind.FUNCTION


def given(call: ast.Call, name: str, names: list[str]) -> ast.expr | None:
    """Return what a call gives to a parameter; `names` are those that go by position."""
    for item in call.keywords:
        if item.arg == name or item.arg is None:
            return item.value
    if name not in names:
        return None
    place = names.index(name)
    if any(isinstance(item, ast.Starred) for item in call.args[: place + 1]):
        return call.args[0]
    return call.args[place] if place < len(call.args) else None


def default(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.expr | None:
    """Return the default of a parameter."""
    every = [*node.args.posonlyargs, *node.args.args]
    positional = every[len(every) - len(node.args.defaults) :]
    for item, value in zip(positional, node.args.defaults, strict=True):
        if item.arg == name:
            return value
    for item, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if item.arg == name:
            return default
    return None


def functions_of(func: ast.expr, scope: Scope, module: Module) -> Iterator[Scope]:
    """Yield the functions of this module that a call can mean."""
    owner = scope.enclosing_class
    if isinstance(func, ast.Name):
        for item in module.scopes:
            is_method = item.parent is not None and item.parent.kind is Kind.CLASS
            is_named = getattr(item.node, "name", None) == func.id
            if is_named and item.kind is Kind.FUNCTION and not is_method:
                yield item
    elif (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id in ("self", "cls")
        and owner is not None
    ):
        yield from methods_of(owner, func.attr, module)


def methods_of(owner: Scope, name: str, module: Module) -> Iterator[Scope]:
    """Yield the methods of a class with a name."""
    for item in module.scopes:
        if item.parent is owner and getattr(item.node, "name", None) == name:
            yield item


def returns_of(function: Scope) -> list[ast.expr]:
    """Return what a function returns, each place."""
    node = function.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    return [
        item.value
        for item in own_nodes(node)
        if isinstance(item, ast.Return) and item.value is not None
    ]


def own_nodes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body without those of functions in it."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(node))


def calls_of(
    node: ast.FunctionDef | ast.AsyncFunctionDef, owner: Scope, module: Module
) -> list[tuple[ast.Call, Scope, int]]:
    """Return every call of a function; none when it is used in another way as well."""
    is_method = owner.parent is not None and owner.parent.kind is Kind.CLASS
    found = []
    for call, scope in module.calls:
        func = call.func
        if isinstance(func, ast.Name) and func.id == node.name and not is_method:
            found.append((call, scope, 0))
        elif isinstance(func, ast.Attribute) and func.attr == node.name and is_method:
            static = any(last_name(item) == "staticmethod" for item in node.decorator_list)
            found.append((call, scope, 0 if static else 1))
    loads = 0 if is_method else len(module.loads.get(node.name, ()))
    return [] if not is_method and loads != len(found) else found


def given_anew(owner: Scope, module: Module) -> dict[str, list[tuple[int, int]]]:
    """Return the lines in which a function gives its names a value, with the ends of their blocks.

    What stands behind such a line in its block sees that value, or a later one.
    """
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    node = owner.node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for item in own_nodes(node):
            if isinstance(item, ast.Assign):
                for target in item.targets:
                    if isinstance(target, ast.Name):
                        found[target.id].append((item.lineno, end_of_block(item, module)))
    for lines in found.values():
        lines.sort()
    return found


def last_given(lines: list[tuple[int, int]], place: int) -> int:
    """Return the line of the last value that is surely given before a place; 0 without one."""
    at = bisect_left(lines, (place, 0))
    for line, end in reversed(lines[max(at - _MOST_BLOCKS, 0) : at]):
        if place <= end:
            return line
    return 0


def is_numeric(note: ast.expr | str | None) -> bool:
    """Whether an annotation is of numbers, or None beside them."""
    text = note if isinstance(note, str) else "" if note is None else ast.unparse(note)
    return text.strip("'\"").removesuffix(" | None") in _ANNOTATED
