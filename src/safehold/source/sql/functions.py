"""Parameters of functions: their annotations, defaults, and what a call gives them."""

from __future__ import annotations

import ast

from safehold.source.scopes import Kind, Scope


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
