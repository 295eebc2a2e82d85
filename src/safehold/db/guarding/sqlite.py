"""The guard of sqlite3: a class of connections, whose cursors ask before they run a statement.

SQLite's authorizer is asked too, for what text does not show: a trigger or view that attaches a
file. It is the connection's, so that no cursor of a program's own class is without it.
"""

from __future__ import annotations

import functools
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, Final

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed
from safehold.db.guarding.watch import Watch, plan_line
from safehold.db.statements import Verdict, rules
from safehold.findings import Rule
from safehold.inputs.requests import current

_STEPS: Final = 5_000
"""Instructions of SQLite's machine between two looks at the clock."""
_TEMPORARY: Final = ("", ":memory:")
_UNSAFE_PRAGMAS: Final = frozenset(
    "writable_schema temp_store_directory data_store_directory".split()
)
_WRITES: Final = frozenset(
    (
        sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_DROP_TRIGGER, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_CREATE_VTABLE, sqlite3.SQLITE_DROP_VTABLE,
    )
)  # fmt: skip

Authorizer = Callable[..., int]


@functools.lru_cache(maxsize=64)
def _cursor_class(  # noqa: C901  (two classes)
    watch: Watch, base: type[sqlite3.Cursor]
) -> type[sqlite3.Cursor]:
    clean, records, slow = watch.clean, watch.records, watch.slow
    most = -1 if watch.limits.max_rows is None else watch.limits.max_rows
    is_timed = watch.limits.statement_timeout_ms is not None

    class Cursor(base):  # type: ignore[misc, valid-type]
        """Asks the guard, runs, and tells it."""

        _verdict: Verdict | None = None
        _read = 0

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            verdict = clean.get(sql)
            if verdict is None or current() is not None:
                verdict = watch.admit(sql)
            started = perf_counter()
            if most >= 0:
                self._verdict, self._read = verdict, 0
            if is_timed:
                self.connection.start_clock()
            try:
                super().execute(sql, parameters)
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = error
            else:
                if records or perf_counter() - started >= slow or verdict.refused:
                    _tell(watch, self, verdict, started, sql, parameters)
                return self
            raise _failure(watch, self.connection, verdict, started, failure, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            verdict = clean.get(sql)
            if verdict is None or current() is not None:
                verdict = watch.admit(sql)
            started = perf_counter()
            if is_timed:
                self.connection.start_clock()
            try:
                super().executemany(sql, parameters)
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = error
            else:
                watch.done(verdict, started, self.rowcount, parameters)
                return self
            raise _failure(watch, self.connection, verdict, started, failure, parameters)

        def executescript(self, sql: str, /) -> Any:
            verdict = watch.admit(sql)
            started = perf_counter()
            if is_timed:
                self.connection.start_clock()
            try:
                super().executescript(sql)
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = error
            else:
                watch.done(verdict, started)
                return self
            raise _failure(watch, self.connection, verdict, started, failure)

    if most < 0:
        return Cursor

    class Counted(Cursor):
        """Lets so many rows of a statement through."""

        def __iter__(self) -> Iterator[Any]:
            return self

        def __next__(self) -> Any:
            return self._counted(super().__next__())

        def fetchone(self) -> Any:
            row = super().fetchone()
            return None if row is None else self._counted(row)

        def fetchmany(self, size: int | None = None) -> Any:
            wanted = self.arraysize if size is None else size
            rows = super().fetchmany(min(wanted, most - self._read + 1))
            self._count(len(rows))
            return rows

        def fetchall(self) -> Any:
            rows = super().fetchmany(most - self._read + 1)
            self._count(len(rows))
            return rows

        def _counted(self, row: Any) -> Any:
            self._count(1)
            return row

        def _count(self, rows: int) -> None:
            self._read += rows
            if self._read > most:
                self._read = most
                raise watch.too_many(self._verdict)

    return Counted


@functools.lru_cache(maxsize=64)
def connection_class(watch: Watch) -> type[sqlite3.Connection]:  # noqa: C901  (a class)
    """Return the class of connections for `sqlite3.connect(factory=...)`."""
    limits, usual = watch.limits, _cursor_class(watch, sqlite3.Cursor)

    class Connection(sqlite3.Connection):
        """A connection whose every statement goes by the guard."""

        safehold_watch = watch

        def __init__(self, *args: Any, **more: Any) -> None:
            self.safehold_denied: Rule | None = None
            self._asked: Authorizer | None = None
            self._ends = math.inf
            super().__init__(*args, **more)
            if limits.read_only:
                sqlite3.Cursor(self).execute("PRAGMA query_only = 1")
            super().set_authorizer(self._authorize)
            if limits.statement_timeout_ms is not None:
                super().set_progress_handler(self._is_late, _STEPS)

        def start_clock(self) -> None:
            """Let what runs from now on run as long as the guard allows."""
            self._ends = perf_counter() + (limits.statement_timeout_ms or 0) / 1000

        def cursor(self, factory: Any = None) -> Any:
            if factory is not None:
                return _made(watch, self, factory)
            made = usual(self)
            if self.row_factory is not None:
                made.row_factory = self.row_factory
            return made

        # The originals make a cursor that is not asked for here.
        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            return self.cursor().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            return self.cursor().executemany(sql, parameters)

        def executescript(self, sql: str, /) -> Any:
            return self.cursor().executescript(sql)

        def set_authorizer(self, authorizer_callback: Authorizer | None, /) -> None:
            """Ask a program's own authorizer of what the guard lets through."""
            self._asked = authorizer_callback

        def commit(self) -> None:
            self._end("commit", super().commit)

        def rollback(self) -> None:
            self._end("rollback", super().rollback)

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> Any:
            # The original calls its own commit, which is not this one.
            if kind is not None:
                self.rollback()
                return False
            try:
                self.commit()
            except BaseException:
                self.rollback()
                raise
            return False

        def _end(self, action: str, ending: Callable[[], None]) -> None:
            if not self.in_transaction:  # of which there is nothing to tell
                ending()
                return
            started = perf_counter()
            try:
                ending()
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = scrubbed(error)
            else:
                watch.transaction(action, started)
                return
            watch.transaction(action, started, failure)
            raise failure

        def _is_late(self) -> bool:
            return perf_counter() > self._ends

        def _authorize(self, action: int, first: Any, second: Any, *rest: Any) -> int:
            rule = _forbidden(watch, action, first, second)
            if rule is not None:
                self.safehold_denied = rule
                if watch.enforces:
                    return sqlite3.SQLITE_DENY
                watch.noticed(rule)
            if self._asked is not None:
                return self._asked(action, first, second, *rest)
            return sqlite3.SQLITE_OK

    return Connection


def _made(watch: Watch, connection: sqlite3.Connection, factory: Any) -> Any:
    base = factory
    if not isinstance(base, type):  # a function that makes one
        made = base(connection)
        base = type(made)
    if not issubclass(base, sqlite3.Cursor):
        raise TypeError("the factory of a guarded connection makes cursors of sqlite3")
    made = _cursor_class(watch, base)(connection)
    if connection.row_factory is not None:
        made.row_factory = connection.row_factory
    return made


def _forbidden(watch: Watch, action: int, first: Any, second: Any) -> Rule | None:
    if action == sqlite3.SQLITE_ATTACH and first not in _TEMPORARY:
        rule = rules.FILES
    elif action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
        rule = rules.PROGRAMS
    elif action == sqlite3.SQLITE_PRAGMA and second is not None and first in _UNSAFE_PRAGMAS:
        rule = rules.FILES
    elif watch.limits.read_only and action in _WRITES:
        rule = rules.WRITES
    else:
        return None
    return None if watch.allows(rule) else rule


def _tell(
    watch: Watch,
    cursor: sqlite3.Cursor,
    verdict: Verdict,
    started: float,
    sql: str,
    parameters: Any,
) -> None:
    plan = None
    if watch.wants_plan(verdict, started):
        try:
            rows = sqlite3.Cursor(cursor.connection).execute(
                f"EXPLAIN QUERY PLAN {sql}", parameters
            )
            plan = [plan_line(row[3]) for row in rows.fetchmany(20)]
        except sqlite3.Error:
            plan = None
    watch.done(verdict, started, cursor.rowcount, parameters, plan)


def _failure(
    watch: Watch,
    connection: Any,
    verdict: Verdict,
    started: float,
    error: Exception,
    parameters: Any = (),
) -> BaseException:
    """Record what went wrong; return what to raise, which has none of the values."""
    denied, connection.safehold_denied = connection.safehold_denied, None
    if denied is not None and watch.enforces and "not authorized" in str(error):
        return watch.refusal(denied, verdict)
    clean = scrubbed(error) if is_from_driver(error) else error
    watch.failed(verdict, started, clean, parameters)
    return clean
