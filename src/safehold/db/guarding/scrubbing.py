"""Errors of drivers without the values that they quote; class, code and names are kept.

A server quotes the value that it could not use, the row that broke a constraint, the text around a
mistake. What is left is what the table below says of messages: others are replaced by the name of
their class. What a program's own errors say, raised while a driver converts values, is theirs.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

_SQLITE: Final = re.compile(
    r"(?:UNIQUE|NOT NULL|FOREIGN KEY) constraint failed(?:: [\w., ]+)?"
    r"|CHECK constraint failed(?:: \w+)?"
    r"|database (?:\w+ )?is locked|database table is locked|attempt to write a readonly database"
    r"|(?:no such table|no such view|no such index|no such function): [\w.]+"
    r"|not authorized|interrupted|disk I/O error|database or disk is full"
    r"|unable to open database file"
    r"|out of memory|database disk image is malformed|file is not a database|datatype mismatch"
    r"|Cannot operate on a closed (?:database|cursor)\."
    r"|You can only execute one statement at a time\."
    r"|Incorrect number of bindings supplied\. The current statement uses \d+, and there are \d+ "
    r"supplied\.|cannot (?:start|commit|rollback)[a-z -]*|query returned more rows than expected"
    r"|SQLite objects created in a thread can only be used in that same thread\.[\w .]*"
    r"|table \w+ already exists|table \w+ has \d+ columns but \d+ values were supplied"
)
_LIBPQ: Final = re.compile(
    r"the query has \d+ placeholders? but \d+ parameters were passed"
    r"|query parameter missing: [\w, ]+|the (?:connection|cursor) is (?:closed|lost)"
    r"|cannot adapt type '[\w.]+' using placeholder '%[sbt]' \(format: \w+\)"
)
# Classes of SQLSTATE whose messages name objects and no values: broken constraints, transactions,
# resources, administrators; and tables that are not there.
_NAMING: Final = ("23", "25", "40", "53", "55", "57", "42P01", "42501", "3D000")
# Numbers of MySQL's errors of that kind: no right, column that has to have a value, no such table,
# locks, broken references, and what a client says of a connection that is lost.
_NUMBERS: Final = frozenset(
    (1044, 1045, 1048, 1049, 1146, 1205, 1213, 1451, 1452, 2003, 2006, 2013)
)
_PYMYSQL: Final = re.compile(r"Already closed|Cursor closed|execute\(\) first")
_ASYNCPG: Final = re.compile(
    r"(?:the server expects|cannot call) [\w .():]+|connection (?:is|was) closed[\w ]*"
    r"|cannot perform operation: [\w ]+"
)
_NAMED: Final = ("schema_name", "table_name", "column_name", "data_type_name", "constraint_name")
_NAMED_FIELDS: Final = (
    "SEVERITY", "SEVERITY_NONLOCALIZED", "SQLSTATE", "SCHEMA_NAME", "TABLE_NAME", "COLUMN_NAME",
    "DATATYPE_NAME", "CONSTRAINT_NAME",
)  # fmt: skip


def scrubbed(error: BaseException) -> BaseException:
    """Return an error to raise in place of a driver's: the same class, without values.

    Raise it outside of the ``except`` block, or the original is its context.
    """
    if isinstance(error, UnicodeError):  # which holds what it could not encode
        clean: BaseException = _unicode(error)
    elif isinstance(error, sqlite3.Error):
        clean = _sqlite(error)
    elif type(error).__module__.startswith("asyncpg."):
        clean = _asyncpg(error)
    elif type(error).__module__.partition(".")[0] == "psycopg":
        clean = _psycopg(error)
    else:
        clean = _other(error)
    clean.safehold_is_clean = True  # type: ignore[attr-defined]
    return clean


def is_from_driver(error: BaseException) -> bool:
    """Say whether an error may quote a value that was sent: a driver's, or of text's encoding."""
    return isinstance(error, (sqlite3.Error, UnicodeError)) or _is_dbapi(type(error))


_ROOTS: Final = ("Error", "PostgresError", "InterfaceError", "MySQLError")


def _is_dbapi(kind: type) -> bool:
    """Say whether a class descends from a driver's ``Error``, as PEP 249 has it."""
    return any(base.__name__ in _ROOTS for base in kind.__mro__)


def _withheld(error: BaseException) -> str:
    return f"{type(error).__name__}; what the database says is withheld, as it may quote values"


def _unicode(error: UnicodeError) -> UnicodeError:
    if isinstance(error, UnicodeEncodeError):
        return UnicodeEncodeError(error.encoding, "?", 0, 1, error.reason)
    if isinstance(error, UnicodeDecodeError):
        return UnicodeDecodeError(error.encoding, b"?", 0, 1, error.reason)
    return type(error)(_withheld(error))


def _sqlite(error: sqlite3.Error) -> sqlite3.Error:
    text = str(error)
    name = getattr(error, "sqlite_errorname", "")
    if not _SQLITE.fullmatch(text):
        text = _withheld(error) + (f" ({name})" if name else "")
    clean = type(error)(text)
    if name:
        clean.sqlite_errorname = error.sqlite_errorname
        clean.sqlite_errorcode = error.sqlite_errorcode
    return clean


def _psycopg(error: Any) -> BaseException:
    state = error.sqlstate or ""
    diag = getattr(error, "diag", None)
    primary = str(getattr(diag, "message_primary", None) or "")
    if state.startswith(_NAMING) and primary:
        text = primary
    elif not state and _LIBPQ.fullmatch(str(error)):
        text = str(error)
    else:
        text = _withheld(error) + (f" ({state})" if state else "")
    info = getattr(error, "_info", None)
    clean: BaseException
    if info is None:
        clean = type(error)(text)
    else:
        from psycopg.pq import DiagnosticField

        def field(key: DiagnosticField) -> bytes | None:
            return info.get(key) if isinstance(info, dict) else info.error_field(key)

        kept = {key: field(key) for key in (DiagnosticField[name] for name in _NAMED_FIELDS)}
        clean = type(error)(text, info=kept, encoding=error._encoding)  # noqa: SLF001 (no other way)
    if state:
        clean.sqlstate = state  # type: ignore[attr-defined]
    return clean


def _asyncpg(error: Any) -> BaseException:
    state = getattr(error, "sqlstate", None) or ""
    text = str(error.args[0]) if error.args else ""
    if not (state.startswith(_NAMING) if state else _ASYNCPG.fullmatch(text)):
        text = _withheld(error) + (f" ({state})" if state else "")
    clean: BaseException = type(error)(text)
    for name in _NAMED if state else ():
        setattr(clean, name, getattr(error, name, None))
    return clean


def _other(error: BaseException) -> BaseException:
    """Return an error of another driver: its number, if the first argument is one."""
    code = error.args[0] if error.args and type(error.args[0]) is int else None
    text = _withheld(error)
    if code in _NUMBERS or (code is None and _PYMYSQL.fullmatch(str(error))):
        text = str(error.args[-1])
    try:
        made = type(error)(*(() if code is None else (code,)), text)
    except Exception:  # noqa: BLE001  (a class that is made in another way: the original, emptied)
        error.args = (_withheld(error),)
        for name in ("orig", "object", "doc", "params"):
            if name in getattr(error, "__dict__", {}):
                setattr(error, name, None)
        error.__cause__ = error.__context__ = None
        return error
    return made
