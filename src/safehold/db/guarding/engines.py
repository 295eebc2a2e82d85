"""The guard of SQLAlchemy: sync and async engines, by events before and after what drivers do.

Where a driver's own connections can be guarded, the engine makes such ones, so that
`raw_connection()` is guarded too, and each statement is asked about once. With other drivers than
those of `connection_class`, what goes past SQLAlchemy goes past the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, cast

try:
    from sqlalchemy import Engine, event
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.exc import StatementError
    from sqlalchemy.pool import NullPool, QueuePool
except ImportError as missing:
    from safehold.errors import MissingExtra

    raise MissingExtra("sqlalchemy", "db") from missing

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed
from safehold.db.guarding.watch import Watch
from safehold.errors import ConfigError, SafeholdError

_BENEATH: Final = ("pysqlite", "psycopg", "aiosqlite", "asyncpg", "pymysql", "mysqldb")
"""Drivers whose own connections are guarded."""
_WITHHELD: Final = "what it says is withheld, as it may quote values"


def guard_engine(engine: Engine, watch: Watch) -> None:
    """Put the guard before an engine that has no connection yet.

    Raises:
        ConfigError: it has, or limits are asked for that its driver cannot be held to.
    """
    if _is_open(engine):
        raise ConfigError("the engine is connected: call db.guard right after create_engine")
    driver = engine.dialect.driver
    engine.hide_parameters = True
    event.listen(engine, "handle_error", _scrub)
    if driver in _BENEATH:
        event.listen(engine, "do_connect", _connecting(engine, watch))
        event.listen(engine, "connect", _verify)
        return
    limits = watch.limits
    if limits.statement_timeout_ms is not None or limits.max_rows is not None or limits.read_only:
        raise ConfigError(
            f"statement_timeout_ms, read_only and max_rows are not for {driver}, which has its own "
            "settings for them"
        )
    _listen(engine, watch)


def _is_open(engine: Engine) -> bool:
    pool = engine.pool
    if isinstance(pool, NullPool):
        return False
    if isinstance(pool, QueuePool):
        return pool.checkedin() + pool.checkedout() > 0
    return bool(getattr(pool, "_all_conns", None)) or "connection" in vars(pool)


def _connecting(engine: Engine, watch: Watch) -> Callable[..., Any]:
    driver = engine.dialect.driver
    if driver == "pysqlite":
        from safehold.db.guarding.sqlite import connection_class

        def sqlite(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
            options["factory"] = connection_class(watch)

        return sqlite
    connect = _connect(driver, watch, is_async=engine.dialect.is_async)
    if not engine.dialect.is_async:

        def sync(_dialect: Any, _record: Any, args: Any, options: dict[str, Any]) -> Any:
            return connect(*args, **options)

        return sync

    def with_await(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
        options["async_creator_fn"] = connect

    return with_await


def _connect(driver: str, watch: Watch, *, is_async: bool) -> Callable[..., Any]:
    """Return what makes guarded connections of a driver."""
    made: Any
    if driver == "psycopg":
        from safehold.db.guarding import psycopg

        kind = psycopg.async_connection_class if is_async else psycopg.connection_class
        return kind(watch).connect
    if driver in ("pymysql", "mysqldb"):
        from safehold.db.guarding import mysql

        made = mysql.pymysql_class(watch) if driver == "pymysql" else mysql.mysqlclient_class(watch)
        return cast("Callable[..., Any]", made)
    if driver == "asyncpg":
        from safehold.db.guarding import asyncpg

        return cast("Callable[..., Any]", asyncpg.connection_class(watch).connect)
    from safehold.db.guarding import aiosqlite

    return cast("Callable[..., Any]", aiosqlite.connection_class(watch).connect)


def _verify(connection: Any, _record: Any) -> None:
    """Refuse a connection that something else than the engine has made."""
    made = getattr(connection, "driver_connection", connection)
    if not hasattr(type(made), "safehold_watch"):
        raise ConfigError(
            "the engine makes its connections by creator=; leave that to it, or connect by "
            "safehold.db.connection_class there"
        )


def _listen(engine: Engine, watch: Watch) -> None:
    def run(method: str, cursor: Any, statement: str, parameters: Any) -> bool:
        verdict = watch.admit(statement)
        started = perf_counter()
        try:
            if parameters is None:
                getattr(cursor, method)(statement)
            else:
                getattr(cursor, method)(statement, parameters)
        except Exception as error:  # noqa: BLE001  (raised again below)
            failure = scrubbed(error) if is_from_driver(error) else error
        else:
            watch.done(verdict, started, getattr(cursor, "rowcount", -1), parameters)
            return True
        watch.failed(verdict, started, failure, parameters)
        raise failure

    @event.listens_for(engine, "do_execute")
    def one(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        return run("execute", cursor, statement, parameters)

    @event.listens_for(engine, "do_executemany")
    def many(cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        return run("executemany", cursor, statement, parameters)

    @event.listens_for(engine, "do_execute_no_params")
    def none(cursor: Any, statement: str, _context: Any) -> bool:
        return run("execute", cursor, statement, None)

    # The event of that name comes before it is known whether the commit fails.
    ending: Callable[[Any], None] = engine.dialect.do_commit

    def commit(connection: Any) -> None:
        started = perf_counter()
        try:
            ending(connection)
        except Exception as error:  # noqa: BLE001  (raised again below)
            failure = scrubbed(error) if is_from_driver(error) else error
        else:
            watch.transaction("commit", started)
            return
        watch.transaction("commit", started, failure)
        raise failure

    engine.dialect.do_commit = commit  # type: ignore[assignment, method-assign]

    @event.listens_for(engine, "rollback")
    def rollback(_connection: Any) -> None:
        watch.transaction("rollback", perf_counter())


def _scrub(context: ExceptionContext) -> None:
    """Take the values out of an error that SQLAlchemy is about to raise, and of what it wraps."""
    original = context.original_exception
    if isinstance(original, SafeholdError):
        return
    wrapped = context.sqlalchemy_exception
    if wrapped is None and not isinstance(original, StatementError):
        return
    # An adapter makes an error of its own from the driver's.
    is_clean = any(
        getattr(error, "safehold_is_clean", False) for error in (original, original.__cause__)
    )
    if not is_clean and isinstance(original, Exception):
        original.args = (f"{type(original).__name__}; {_WITHHELD}",)
        original.__cause__ = original.__context__ = None
    if isinstance(wrapped, StatementError):
        wrapped.params = None
        wrapped.statement = None
        wrapped.args = (f"({type(original).__module__}.{type(original).__name__}) {original}",)
