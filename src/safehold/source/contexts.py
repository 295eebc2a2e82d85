"""What is done with a thing where it is used, by what stands around it."""

from __future__ import annotations

import ast
import enum

from safehold.source.entries import last_name
from safehold.source.scopes import Module

PATCHERS = frozenset({"object", "setattr", "delattr", "multiple"})
"""Calls that give an attribute of their first argument another value."""


class Context(enum.Enum):
    """What is done with the thing that is used."""

    CALL = enum.auto()
    BASE = enum.auto()  # class Mine(pickle.Unpickler)
    HANDED = enum.auto()  # passed, stored, returned: called somewhere else
    ALIAS = enum.auto()  # p = pickle; what `p` does is found by itself
    PATCHED = enum.auto()  # a test replaces it, or only an attribute of it is read
    TYPE = enum.auto()  # annotation, isinstance, except
    CHECK = enum.auto()  # if joblib is None


def is_passed_on(parent: ast.AST | None, node: ast.expr) -> bool:
    """Say whether the value of an expression can be the value of the one around it."""
    if isinstance(parent, ast.NamedExpr):
        return parent.value is node
    if isinstance(parent, ast.IfExp):
        return parent.test is not node
    if isinstance(parent, ast.BoolOp):
        return isinstance(parent.op, ast.Or) or parent.values[-1] is node
    return False


def quiet_context(node: ast.expr, module: Module) -> Context:
    """Tell annotations, type checks and truth tests from real uses."""
    child: ast.AST = node
    parent = module.parents.get(child)
    if isinstance(parent, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Expr | ast.Assert):
        return Context.CHECK
    if isinstance(parent, ast.If | ast.While | ast.IfExp):
        return Context.CHECK
    while isinstance(parent, ast.Tuple | ast.Subscript | ast.BinOp | ast.List):
        child, parent = parent, module.parents.get(parent)
    if isinstance(parent, ast.arg | ast.ExceptHandler):
        return Context.TYPE
    if type(parent).__name__ in ("TypeAlias", "TypeVar"):  # since Python 3.12
        return Context.TYPE
    if isinstance(parent, ast.AnnAssign) and parent.annotation is child:
        return Context.TYPE
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) and parent.returns is child:
        return Context.TYPE
    if isinstance(parent, ast.Call) and last_name(parent.func) in ("isinstance", "issubclass"):
        return Context.TYPE
    return Context.HANDED
