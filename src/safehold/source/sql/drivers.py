"""Drivers, how each writes a parameter, and which driver an object of a module belongs to."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from safehold.source.calls import names_of
from safehold.source.entries import last_name
from safehold.source.scopes import How, Module, Scope
from safehold.source.sql.functions import annotation_of, functions_of, methods_of, own_nodes


class Style(enum.Enum):
    """How a parameter is written in a statement (PEP 249), and how values are given."""

    QMARK = enum.auto()  # ?, one sequence
    FORMAT = enum.auto()  # %s, one sequence; with values, a percent sign is written twice
    DOLLAR = enum.auto()  # $1, values as arguments of their own
    NAMED = enum.auto()  # :name, a mapping
    NONE = enum.auto()  # not known


@dataclass(frozen=True, slots=True)
class Driver:
    """One driver.

    ``double_quotes_values``: whether its databases take "x" for a string. ``backslashes``: whether
    a backslash may hide the quote behind it. ``dialect``: of `safehold.db.ident`; empty where a
    driver has several.
    """

    name: str
    modules: tuple[str, ...]
    style: Style
    double_quotes_values: bool = False
    backslashes: bool = False
    dialect: str = ""


def _mysql(name: str, *modules: str) -> Driver:
    return Driver(
        name, modules, Style.FORMAT, double_quotes_values=True, backslashes=True, dialect="mysql"
    )


DRIVERS: tuple[Driver, ...] = (
    Driver(
        "sqlite3",
        ("sqlite3", "pysqlite2.dbapi2", "pysqlite3"),
        Style.QMARK,
        double_quotes_values=True,
        dialect="sqlite",
    ),
    Driver("aiosqlite", ("aiosqlite",), Style.QMARK, double_quotes_values=True, dialect="sqlite"),
    Driver("psycopg2", ("psycopg2", "psycopg2cffi"), Style.FORMAT, dialect="postgresql"),
    Driver("psycopg", ("psycopg", "psycopg_pool"), Style.FORMAT, dialect="postgresql"),
    Driver("asyncpg", ("asyncpg",), Style.DOLLAR, dialect="postgresql"),
    _mysql("PyMySQL", "pymysql"),
    _mysql("MySQLdb", "MySQLdb"),
    _mysql("mysql.connector", "mysql.connector"),
    _mysql("aiomysql", "aiomysql", "asyncmy"),
    Driver("Django", ("django.db",), Style.FORMAT, backslashes=True),
)
SQLALCHEMY = Driver("SQLAlchemy", ("sqlalchemy", "sqlmodel"), Style.NAMED, backslashes=True)
UNKNOWN = Driver("", (), Style.NONE, double_quotes_values=True, backslashes=True)

# What a connection, pool or cursor gives that belongs to the same driver.
_GIVES = frozenset(
    "cursor execute executemany acquire connection getconn connect get_connection transaction "
    "Connection AsyncConnection Cursor AsyncCursor create_pool ConnectionPool AsyncConnectionPool "
    "ThreadedConnectionPool SimpleConnectionPool Pool __enter__ __aenter__ connections".split()
)
_SAME = frozenset(("closing", "enter_context", "enter_async_context", "wait_for", "aclosing"))
_DEPTH = 10


class Owners:
    """Says which driver a connection or cursor belongs to, by what the module shows."""

    def __init__(self, module: Module) -> None:
        self._module = module

    @cached_property
    def imported(self) -> tuple[Driver, ...]:
        """Return the drivers that the module imports."""
        names = {
            name
            for scope in self._module.scopes
            for bindings in scope.bindings.values()
            for binding in bindings
            for name in _modules(binding.statement)
        }
        return tuple(
            driver
            for driver in (*DRIVERS, SQLALCHEMY)
            if any(_is_below(name, driver) for name in names)
        )

    def of(self, node: ast.expr, scope: Scope) -> Driver | None:
        """Return the driver of an object, when every value that it can have is one's."""
        found = set(self._drivers(node, scope, 0))
        return found.pop() if len(found) == 1 else None

    def _drivers(self, node: ast.expr, scope: Scope, depth: int) -> Iterator[Driver | None]:
        if depth > _DEPTH:
            yield None
            return
        following = depth + 1
        if isinstance(node, ast.Await | ast.NamedExpr):
            yield from self._drivers(node.value, scope, following)
        elif isinstance(node, ast.Name):
            yield from self._name(node, scope, following)
        elif isinstance(node, ast.Call):
            yield from self._call(node, scope, following)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node, scope, following)
        elif isinstance(node, ast.Subscript):
            yield from self._drivers(node.value, scope, following)
        elif not (isinstance(node, ast.Constant) and node.value is None):
            yield None

    def _name(self, node: ast.Name, scope: Scope, depth: int) -> Iterator[Driver | None]:
        empty = True
        for owner, binding in scope.lookup(node.id):
            empty = False
            note = annotation_of(node.id, owner)
            if binding.alias is not None:
                yield self._full(node, scope)
            elif note is not None:
                yield self._annotated(note, owner.parent or owner)
            elif binding.how in (How.ASSIGN, How.WITH) and binding.value is not None:
                yield from self._drivers(binding.value, owner, depth)
            else:
                yield None
        if empty:
            yield None

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> Iterator[Driver | None]:
        func = node.func
        name = last_name(func)
        if name in _SAME and node.args:
            yield from self._drivers(node.args[0], scope, depth)
        elif name in _GIVES and isinstance(func, ast.Attribute):
            yield from self._drivers(func.value, scope, depth)
        elif name in _GIVES and (driver := self._full(func, scope)) is not None:
            yield driver
        else:
            bodies = list(functions_of(func, scope, self._module))
            for body in bodies:
                yield from self._returned(body, depth)
            if not bodies:
                yield None

    def _attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> Iterator[Driver | None]:
        owner = scope.enclosing_class
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") and owner:
            yield from self._member(owner, node.attr, depth)
        elif node.attr in ("connection", "conn", "_conn", "_connection"):
            yield from self._drivers(node.value, scope, depth)
        else:
            yield self._full(node, scope)

    def _member(self, owner: Scope, name: str, depth: int) -> Iterator[Driver | None]:
        values = self._module.attributes.get((owner, name), ())
        for value, scope in values:
            yield from self._drivers(value, scope, depth)
        node = owner.node
        found = False
        for statement in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(statement, ast.AnnAssign) and last_name(statement.target) == name:
                found = True
                yield self._annotated(statement.annotation, owner)
        for body in methods_of(owner, name, self._module):
            found = True
            yield from self._returned(body, depth)
        if not values and not found:
            yield None

    def _returned(self, function: Scope, depth: int) -> Iterator[Driver | None]:
        """Yield the driver of what a function returns or yields."""
        node = function.node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield None
            return
        note = None if node.returns is None else self._annotated(node.returns, function)
        if note is not None:
            yield note
            return
        found = False
        for inner in own_nodes(node):
            if isinstance(inner, ast.Return | ast.Yield) and inner.value is not None:
                found = True
                yield from self._drivers(inner.value, function, depth)
        if not found:
            yield None

    def _annotated(self, note: ast.expr, scope: Scope) -> Driver | None:
        """Return the driver of a type; `X | None`, `Optional[X]` and `Iterator[X]` are X."""
        if isinstance(note, ast.Constant) and isinstance(note.value, str):
            try:
                note = ast.parse(note.value, mode="eval").body
            except (SyntaxError, ValueError):
                return None
        if isinstance(note, ast.BinOp):
            sides = [side for side in (note.left, note.right) if not _is_none(side)]
            return self._annotated(sides[0], scope) if len(sides) == 1 else None
        if isinstance(note, ast.Subscript):
            if last_name(note.value) in ("Optional", "Iterator", "Generator", "AsyncIterator",
                                         "AsyncGenerator", "Annotated"):  # fmt: skip
                inner = note.slice
                first = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
                return self._annotated(first, scope)
            return self._full(note.value, scope)
        return self._full(note, scope)

    def _full(self, node: ast.expr, scope: Scope) -> Driver | None:
        names = set(names_of(node, scope, self._module))
        found = {
            driver for name in names for driver in (*DRIVERS, SQLALCHEMY) if _is_below(name, driver)
        }
        return found.pop() if len(found) == 1 else None


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_below(name: str, driver: Driver) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in driver.modules)


def _modules(statement: ast.Import | ast.ImportFrom | None) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        yield statement.module
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
