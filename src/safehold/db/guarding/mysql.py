"""The guard of PyMySQL and mysqlclient: a class of connections, whose cursors ask first.

Both put values into the text themselves before they send it; what is judged is the text that the
program gave. A text that goes to `Connection.query` past every cursor is judged as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed
from safehold.db.guarding.watch import Watch
from safehold.errors import ConfigError, MissingExtra

_READ_ONLY: Final = "SET SESSION TRANSACTION READ ONLY"


@functools.lru_cache(maxsize=64)
def _cursor_class(base: Any) -> Any:
    class Cursor(base):  # type: ignore[misc]
        """Asks the guard, runs, and tells it; what its methods call of each other is one."""

        def execute(self, query: Any, args: Any = None) -> Any:
            run = functools.partial(super().execute, query, args)
            return self.connection.safehold_run(query, run, args, self)

        def executemany(self, query: Any, args: Any) -> Any:
            run = functools.partial(super().executemany, query, args)
            return self.connection.safehold_run(query, run, args, self)

        def callproc(self, procname: Any, args: Any = ()) -> Any:
            run = functools.partial(super().callproc, procname, args)
            name = procname.decode() if isinstance(procname, bytes) else procname
            text = f"CALL `{name.replace('`', '``')}`"
            return self.connection.safehold_run(text, run, args, self)

    return Cursor


@functools.lru_cache(maxsize=64)
def connection_class(watch: Watch, base: Any, cursors: Any) -> Any:  # noqa: C901  (a class)
    """Return a guarded class of connections: call it as the driver's `connect`.

    `base` is the driver's class of connections, `cursors` its class of cursors. Raises
    ConfigError for limits that only the server's own settings can hold a session to.
    """
    if watch.limits.statement_timeout_ms is not None or watch.limits.max_rows is not None:
        raise ConfigError(
            "statement_timeout_ms and max_rows are for SQLite and PostgreSQL; MySQL and MariaDB "
            "have max_execution_time, max_statement_time and sql_select_limit"
        )

    class Connection(base):  # type: ignore[misc]
        """A connection whose every statement goes by the guard."""

        safehold_watch = watch

        def __init__(self, *args: Any, **more: Any) -> None:
            # What the driver itself says while it connects is the driver's.
            self._safehold_running = True
            self._safehold_open = False
            more["cursorclass"] = _cursor_class(more.get("cursorclass") or cursors)
            failure: BaseException | None = None
            try:
                super().__init__(*args, **more)
                if watch.limits.read_only and not hasattr(base, "connect"):
                    super().query(_READ_ONLY)  # mysqlclient, which never connects again
            except Exception as error:
                if not is_from_driver(error):
                    raise
                failure = scrubbed(error)
            if failure is not None:
                raise failure
            self._safehold_running = False

        def connect(self, *args: Any, **more: Any) -> Any:
            """Connect, also again: the session gets its settings each time."""
            before, self._safehold_running = self._safehold_running, True
            try:
                made = super().connect(*args, **more)
                if watch.limits.read_only:
                    super().query(_READ_ONLY)
            finally:
                self._safehold_running = before
            return made

        def cursor(self, cursor: Any = None) -> Any:
            return super().cursor(None if cursor is None else _cursor_class(cursor))

        def query(self, sql: Any, *rest: Any, **more: Any) -> Any:
            run = functools.partial(super().query, sql, *rest, **more)
            return self.safehold_run(sql, run)

        def commit(self) -> None:
            self._end("commit", super().commit)

        def rollback(self) -> None:
            self._end("rollback", super().rollback)

        def safehold_run(
            self, query: Any, run: Callable[[], Any], args: Any = None, cursor: Any = None
        ) -> Any:
            """Ask the guard, run, and tell it, unless this is a part of what runs already."""
            if self._safehold_running:
                return run()
            text = query if isinstance(query, str) else bytes(query).decode("utf-8", "replace")
            verdict = watch.admit(text)
            started = perf_counter()
            self._safehold_running = self._safehold_open = True
            try:
                found = run()
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = scrubbed(error) if is_from_driver(error) else error
            else:
                watch.done(verdict, started, getattr(cursor, "rowcount", -1), args or ())
                return found
            finally:
                self._safehold_running = False
            watch.failed(verdict, started, failure, args or ())
            raise failure

        def _end(self, action: str, ending: Callable[[], None]) -> None:
            if self._safehold_running or not self._safehold_open:  # nothing to tell
                ending()
                return
            started = perf_counter()
            self._safehold_open = False
            try:
                ending()
            except Exception as error:  # noqa: BLE001  (raised again below)
                failure = scrubbed(error) if is_from_driver(error) else error
            else:
                watch.transaction(action, started)
                return
            watch.transaction(action, started, failure)
            raise failure

    return Connection


@functools.lru_cache(maxsize=64)
def pymysql_class(watch: Watch) -> Any:
    """Return the class of PyMySQL."""
    try:
        from pymysql.connections import Connection
        from pymysql.cursors import Cursor
    except ModuleNotFoundError:
        raise MissingExtra("pymysql", "pymysql") from None

    class Reading(Connection):  # type: ignore[misc]  # PyMySQL has no types
        """A connection whose every answer is read without the values that errors quote."""

        def _read_packet(self, *args: Any, **more: Any) -> Any:
            # Rows of an unbuffered cursor are read long after the statement was sent.
            try:
                return super()._read_packet(*args, **more)
            except Exception as error:
                if not is_from_driver(error):
                    raise
                failure = scrubbed(error)
            raise failure

    return connection_class(watch, Reading, Cursor)


@functools.lru_cache(maxsize=64)
def mysqlclient_class(watch: Watch) -> Any:
    """Return the class of mysqlclient."""
    try:
        from MySQLdb.connections import Connection
        from MySQLdb.cursors import Cursor
    except ModuleNotFoundError:
        raise MissingExtra("mysqlclient", "mysqlclient") from None

    return connection_class(watch, Connection, Cursor)
