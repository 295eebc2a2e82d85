"""The calls that hand a statement to a driver, and what is known of the driver."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.findings import Confidence
from safehold.source.calls import Called
from safehold.source.entries import last_name
from safehold.source.row import Hint
from safehold.source.sql.drivers import DRIVERS, SQLALCHEMY, UNKNOWN, Driver, Owners, Style
from safehold.source.unit import Unit


class Kind(enum.Enum):
    """How a call takes its statement."""

    EXECUTE = enum.auto()  # one statement and its values
    MANY = enum.auto()  # one statement for many rows
    SCRIPT = enum.auto()  # a text of statements, no values
    TEXT = enum.auto()  # SQLAlchemy's text(): values are bound by name
    PANDAS = enum.auto()  # a statement, a connection and params=
    OTHER = enum.auto()  # values cannot be added without knowing more


@dataclass(frozen=True, slots=True, eq=False)
class Sink:
    """One call. `is_sure` when it is known to run SQL; otherwise the text has to say so."""

    called: Called
    sql: ast.expr
    kind: Kind
    driver: Driver
    is_sure: bool
    confidence: Confidence = Confidence.HIGH
    obstacle: str = ""


_EXECUTE = {
    "execute": Kind.EXECUTE,
    "fetch": Kind.EXECUTE,
    "fetchrow": Kind.EXECUTE,
    "fetchval": Kind.EXECUTE,
    "execute_fetchall": Kind.EXECUTE,
    "execute_insert": Kind.EXECUTE,
    "executemany": Kind.MANY,
    "executescript": Kind.SCRIPT,
}
_ASYNCPG = frozenset(("fetch", "fetchrow", "fetchval"))
_AIOSQLITE = frozenset(("execute_fetchall", "execute_insert"))
_STATEMENT = ("sql", "query", "statement", "operation", "stmt")
_TEXTS = tuple(
    f"{module}.text"
    for module in (
        "sqlalchemy", "sqlalchemy.sql", "sqlalchemy.sql.expression", "sqlalchemy.sql.elements",
        "sqlmodel",
    )
)  # fmt: skip
_COLUMNS = ("sqlalchemy.literal_column", "sqlalchemy.sql.literal_column",
            "sqlalchemy.sql.expression.literal_column")  # fmt: skip
_PANDAS = ("pandas.read_sql", "pandas.read_sql_query", "pandas.io.sql.read_sql",
           "pandas.io.sql.read_sql_query", "polars.read_database")  # fmt: skip
_COMPOSED = ("psycopg.sql.SQL", "psycopg2.sql.SQL")
_RAW = ("django.db.models.expressions.RawSQL", "django.db.models.RawSQL")
# A call with a constant and nothing else is none that is put together.
_NOT_CONSTANT = r"\s*\((?!\s*\)|\s*[rR]?(?:\"[^\"\\\n]+\"|'[^'\\\n]+')\s*[,)])"
# A literal that begins as a statement, or a module whose calls run nothing but SQL.
_SQL = (
    r"(?i:['\"](?:\s|\\.|\(|--[^\n\\]*+(?:\n|\\n)|/\*[^*]{0,500}+\*/)*+(?:select|insert|replace|update|delete|with|merge|create"
    r"|drop|alter|comment|truncate|pragma|grant|vacuum|attach|lock|copy|explain|set)\b)"
)
_ALCHEMY = "sqlalchemy|sqlmodel"
_MODULES = "|".join(
    sorted({name.partition(".")[0] for item in (*DRIVERS, SQLALCHEMY) for name in item.modules})
)
_DRIVEN = rf"(?:{_MODULES}|alembic)(?!\w)|{_SQL}"
HINTS = (
    Hint.of(
        "execute",
        rf"(?<=\.)execute(?:many|script|_fetchall|_insert)?{_NOT_CONSTANT}",
        beside=_DRIVEN,
    ),
    Hint.of("exec_driver_sql", f"exec_driver_sql{_NOT_CONSTANT}"),
    Hint.of("fetch", rf"(?<=\.)fetch(?:row|val)?{_NOT_CONSTANT}", beside=_DRIVEN),
    Hint.of("text", rf"(?<!\w)text(?: as |{_NOT_CONSTANT})", beside=_ALCHEMY),
    Hint.of("text", rf"(?<=\.)text{_NOT_CONSTANT}", beside=r"db\s*\.\s*text(?!\w)"),
    Hint.of("literal_column", beside=_ALCHEMY),
    Hint.of("read_sql", beside=_DRIVEN),
    Hint.of("read_database", beside=_DRIVEN),
    Hint.of("RawSQL", beside="django"),
    Hint.of("SQL", r"(?<!\w)SQL\(", beside="psycopg"),
    Hint.of("raw", rf"(?<=\.)raw{_NOT_CONSTANT}", beside=r"(?:objects|manager)(?!\w)"),
    Hint.of("extra", r"(?<=\.)extra\("),
)
_DRIVER_SQL = "the parameter style is that of the engine's driver, which the module does not show"
_LEGACY = "plain text has the parameter style of a driver that the module does not show"
_LIKELY = frozenset(
    "cur cursor crsr curs c conn connection con db database dbapi_conn tx trans transaction "
    "session engine pool sqlite pg mysql".split()
)


def sinks(unit: Unit) -> Iterator[Sink]:
    """Yield every call of a module that can hand a statement to a driver."""
    owners = Owners(unit.module)
    for called in unit.methods(*_EXECUTE):
        yield from _executed(called, unit, owners)
    for called in unit.methods("exec_driver_sql"):
        yield from _of(called, Kind.OTHER, SQLALCHEMY, _DRIVER_SQL)
    for called in unit.calls(*_TEXTS):
        yield from _of(called, Kind.TEXT, SQLALCHEMY)
    for called in unit.methods("text"):
        if (
            isinstance(called.node.func, ast.Attribute)
            and last_name(called.node.func.value) == "db"
        ):
            yield from _of(called, Kind.TEXT, SQLALCHEMY)  # Flask-SQLAlchemy's
    for called in unit.calls(*_COLUMNS):
        yield from _of(called, Kind.OTHER, UNKNOWN, "literal_column takes constants; use literal()")
    for called in unit.calls(*_COMPOSED):
        reason = "psycopg.sql.SQL takes constants; sql.Identifier and sql.Literal quote values"
        yield from _of(called, Kind.OTHER, UNKNOWN, reason)
    for called in unit.calls(*_RAW):
        yield from _of(called, Kind.OTHER, UNKNOWN, "RawSQL takes its values as second argument")
    for called in unit.calls(*_PANDAS):
        yield from _frame(called, owners)
    yield from _django(unit)


def _argument(called: Called, position: int = 0) -> ast.expr | None:
    return called.argument(position, *_STATEMENT)


def _of(called: Called, kind: Kind, driver: Driver, obstacle: str = "") -> Iterator[Sink]:
    sql = called.argument(0, "text", *_STATEMENT)
    if sql is not None:
        yield Sink(called, sql, kind, driver, is_sure=True, obstacle=obstacle)


def _executed(called: Called, unit: Unit, owners: Owners) -> Iterator[Sink]:
    """A method of a connection or cursor, or of what is called like one."""
    func, sql = called.node.func, _argument(called)
    if sql is None or not isinstance(func, ast.Attribute):
        return
    if isinstance(sql, ast.Constant) or _is_safe_type(sql):
        return
    kind = _EXECUTE[called.name]
    if any(name.startswith("alembic.op.") for name in unit.names(called)):
        reason = "op.execute takes no values; give it sqlalchemy.text(...).bindparams(...)"
        yield Sink(called, sql, Kind.OTHER, UNKNOWN, is_sure=True, obstacle=reason)
        return
    driver = owners.of(func.value, called.scope)
    if driver is SQLALCHEMY:
        yield Sink(called, sql, Kind.OTHER, UNKNOWN, is_sure=True, obstacle=_LEGACY)
    elif driver is not None and _has(driver, called.name):
        yield Sink(called, sql, kind, driver, is_sure=True)
    elif driver is None:
        yield from _guessed(called, sql, kind, owners)


def _guessed(called: Called, sql: ast.expr, kind: Kind, owners: Owners) -> Iterator[Sink]:
    """Whose method it is, is not shown: the text has to be SQL, and nothing is rewritten."""
    func = called.node.func
    name = last_name(func.value) if isinstance(func, ast.Attribute) else ""
    likely = name.strip("_").lower() in _LIKELY or name.endswith(("cursor", "conn", "connection"))
    imported = owners.imported
    if called.name in _ASYNCPG and not likely and not imported:
        return
    reason = f"the module does not show which driver `{name or 'it'}` belongs to"
    if likely and len(imported) == 1:
        reason += f" ({imported[0].name} is imported)"
    yield Sink(called, sql, kind, UNKNOWN, is_sure=False, confidence=Confidence.MEDIUM,
               obstacle=reason)  # fmt: skip


def _has(driver: Driver, name: str) -> bool:
    """Whether a driver's objects take a statement in a method of this name."""
    if name in _ASYNCPG:
        return driver.style is Style.DOLLAR
    if name in _AIOSQLITE:
        return driver.name == "aiosqlite"
    return True


def _is_safe_type(node: ast.expr) -> bool:
    """What is no text: a statement object, a number, a list."""
    return isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Lambda | ast.Compare)


def _frame(called: Called, owners: Owners) -> Iterator[Sink]:
    sql = called.argument(0, "sql", "query")
    connection = called.argument(1, "con", "connection")
    if sql is None:
        return
    driver = None if connection is None else owners.of(connection, called.scope)
    if driver is None or driver.style not in (Style.QMARK, Style.FORMAT):
        reason = "the parameter style is that of the connection, which the module does not show"
        yield Sink(called, sql, Kind.PANDAS, UNKNOWN, is_sure=False, obstacle=reason)
    else:
        yield Sink(called, sql, Kind.PANDAS, driver, is_sure=True)


def _django(unit: Unit) -> Iterator[Sink]:
    for called in unit.methods("raw"):
        func = called.node.func
        owner = last_name(func.value) if isinstance(func, ast.Attribute) else ""
        sql = called.argument(0, "raw_query")
        if sql is not None and (owner == "objects" or owner.endswith("manager")):
            reason = "give the values to raw() as params=[...], with %s in the statement"
            yield Sink(called, sql, Kind.OTHER, UNKNOWN, is_sure=True, obstacle=reason)
    for called in unit.methods("extra"):
        for item in called.keywords:
            if item.arg in ("where", "tables", "order_by"):
                parts = item.value.elts if isinstance(item.value, ast.List | ast.Tuple) else []
            elif item.arg == "select" and isinstance(item.value, ast.Dict):
                parts = item.value.values
            else:
                continue
            reason = "give the values to extra() as params=[...] or select_params=[...]"
            for part in parts:
                yield Sink(called, part, Kind.OTHER, UNKNOWN, is_sure=True, obstacle=reason)
