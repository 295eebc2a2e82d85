"""Whether a statement in a variable goes straight from where it is built to where it is executed.

Values then move from there to here: nothing between may change them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.source.rewrite import NotProvenError
from safehold.source.scopes import Module
from safehold.source.sql.flow import Flow
from safehold.source.sql.statements import Statement

_PURE = (ast.Name, ast.Constant, ast.expr_context)
_READ = (*_PURE, ast.Attribute, ast.Subscript)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def check_straight(statement: Statement, flow: Flow, module: Module) -> None:
    """See that nothing happens between the parts of a statement and its call.

    Raises:
        NotProvenError: something may, with the reason.
    """
    named = [part for part in statement.built.parts if part.name is not None]
    if not named:
        return
    sink = statement.sink
    name = named[0].name.id if named[0].name is not None else ""
    if named[0].scope is not sink.called.scope or not isinstance(sink.sql, ast.Name):
        raise NotProvenError(f"`{name}` is built in another function")
    known = flow.reached(sink.sql)
    if known is None:
        raise NotProvenError(f"`{name}` has more than one value")
    if not flow.is_only_use(known, sink.sql, sink.called.scope):
        raise NotProvenError(f"`{name}` is used elsewhere too")
    block, start = _block(_statement_of(named[0].node, module), module)
    ancestors = list(_ancestors(sink.called.node, module))
    end = next((i for i, item in enumerate(block) if i > start and item in ancestors), None)
    if end is None:
        raise NotProvenError(f"`{name}` is built under a condition")
    inner = ancestors[: ancestors.index(block[end]) + 1]
    is_repeated = any(isinstance(item, _LOOPS) for item in inner)
    if any(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for item in inner):
        raise NotProvenError(f"`{name}` is built in another function")
    between = block[start + 1 : end + 1]
    given = set(_given(between))
    for value in _moved(statement):
        _check_value(value, given, is_near=len(between) == 1, is_repeated=is_repeated)


def _moved(statement: Statement) -> Iterator[ast.expr]:
    for bit in statement.built.bits:
        if bit.hole is not None:
            yield bit.hole.value


def _given(between: list[ast.stmt]) -> Iterator[str]:
    """Yield what some statements give a value: names, `.attributes` and `names[...]`."""
    for node in (inner for statement in between for inner in ast.walk(statement)):
        if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute):
                yield f".{node.attr}"
            elif isinstance(node, ast.Subscript):
                yield getattr(node.value, "id", "")


def _check_value(value: ast.expr, given: set[str], *, is_near: bool, is_repeated: bool) -> None:
    """See that a value is the same before and after some statements."""
    nodes = list(ast.walk(value))
    allowed = _PURE if is_repeated else _READ
    if not (is_near and not is_repeated) and not all(isinstance(node, allowed) for node in nodes):
        shown = ast.unparse(value)
        raise NotProvenError(f"`{shown}` is computed before the statement is executed")
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names.update(f".{node.attr}" for node in nodes if isinstance(node, ast.Attribute))
    if names & given:
        shown = ast.unparse(value)
        raise NotProvenError(f"`{shown}` changes before the statement is executed")


def _statement_of(node: ast.AST, module: Module) -> ast.stmt:
    for item in (node, *_ancestors(node, module)):
        if isinstance(item, ast.stmt):
            return item
    raise NotProvenError("its assignment is not found")


def _ancestors(node: ast.AST, module: Module) -> Iterator[ast.AST]:
    parent = module.parents.get(node)
    while parent is not None:
        yield parent
        parent = module.parents.get(parent)


def _block(statement: ast.stmt, module: Module) -> tuple[list[ast.stmt], int]:
    """Return the list of statements that holds one, and its place there."""
    for _, value in ast.iter_fields(module.parents[statement]):
        if isinstance(value, list) and statement in value:
            return value, value.index(statement)
    raise NotProvenError("its assignment is not found")
