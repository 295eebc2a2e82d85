"""The guard of psycopg 3: classes of connections, sync and async, whose cursors ask first.

A program's own class of cursors, given to a connection as ``cursor_factory``, is asked as well: the
guard stands before it. What PL/pgSQL runs inside of the server is not seen.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self

try:
    import psycopg
    from psycopg import sql
except ImportError as missing:
    from safehold.errors import MissingExtra

    raise MissingExtra("psycopg", "postgresql") from missing

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed
from safehold.db.guarding.watch import Watch, plan_line
from safehold.errors import ConfigError, SafeholdError

_IDLE: Final = psycopg.pq.TransactionStatus.IDLE
_OFF: Final = "standard_conforming_strings=off"
_PREFIX: Final = "EXPLAIN (COSTS OFF) "


def text_of(query: Any, context: Any) -> str:
    """Return the text of any form in which psycopg takes a statement."""
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode("utf-8", "replace")
    if isinstance(query, sql.Composable):
        return query.as_string(context)
    return "%s".join(query.strings)  # a template: its values are bound


class _Run:
    """One statement, from the question to the record."""

    def __init__(self, watch: Watch, cursor: Any, query: Any, parameters: Any = ()) -> None:
        """Raises QueryRefused."""
        self._watch = watch
        self._parameters = parameters
        self.text = text_of(query, cursor)
        self._verdict = watch.admit(self.text)
        self._started = perf_counter()
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Keep a driver's error for `finish` to raise another in its place."""
        if isinstance(error, Exception) and not isinstance(error, SafeholdError):
            self.failure = scrubbed(error) if is_from_driver(error) else error
            return True
        if error is not None:  # cancelled
            self._watch.failed(self._verdict, self._started, error, self._parameters)
        return False

    @property
    def wants_plan(self) -> bool:
        """Say whether to ask the server how it was run."""
        return self.failure is None and self._watch.wants_plan(self._verdict, self._started)

    def finish(self, cursor: Any, plan: list[str] | None = None) -> None:
        """Record it. Raises what went wrong, LimitExceeded for too many rows."""
        if self.failure is not None:
            self._watch.failed(self._verdict, self._started, self.failure, self._parameters)
            raise self.failure
        rows = cursor.rowcount
        most = self._watch.limits.max_rows
        result = getattr(cursor, "pgresult", None)
        if most is not None and rows > most and result is not None and result.nfields:
            cursor.close()
            raise self._watch.too_many(self._verdict)
        self._watch.done(self._verdict, self._started, rows, self._parameters, plan)


@functools.lru_cache(maxsize=64)
def _cursor_class(watch: Watch, base: Any) -> Any:
    """Return a class of cursors that asks the guard before the class does what it does."""
    if issubclass(base, psycopg.AsyncServerCursor | psycopg.AsyncCursor):
        return _async_class(watch, base)

    class Cursor(base):  # type: ignore[misc]
        """Asks the guard, runs, and tells it."""

        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            with _Run(watch, self, query, params) as run:
                super().execute(query, params, **more)
            run.finish(self, _plan(self.connection, run, params) if run.wants_plan else None)
            return self

        def executemany(self, query: Any, params_seq: Any, **more: Any) -> None:
            with _Run(watch, self, query, params_seq) as run:
                super().executemany(query, params_seq, **more)
            run.finish(self)

        def stream(self, query: Any, params: Any = None, **more: Any) -> Iterator[Any]:
            read = 0
            with _Run(watch, self, query, params) as run:
                for row in super().stream(query, params, **more):
                    read += 1
                    _count(watch, read)
                    yield row
            run.finish(self)

        @contextlib.contextmanager
        def copy(self, statement: Any, params: Any = None, **more: Any) -> Iterator[Any]:
            run = _Run(watch, self, statement, params)
            with run, super().copy(statement, params, **more) as copy:
                yield copy
            run.finish(self)

    if watch.limits.max_rows is None or not issubclass(base, psycopg.ServerCursor):
        return Cursor

    class Counted(Cursor):
        """Lets so many rows of a statement through, which the server keeps until they are asked."""

        def fetchone(self) -> Any:
            row = super().fetchone()
            _count(watch, self._pos)
            return row

        def fetchmany(self, size: int = 0) -> Any:
            rows = super().fetchmany(size)
            _count(watch, self._pos)
            return rows

        def fetchall(self) -> Any:
            rows = super().fetchmany((watch.limits.max_rows or 0) + 1 - self._pos)
            _count(watch, self._pos)
            return rows

        def __next__(self) -> Any:
            row = super().__next__()
            _count(watch, self._pos)
            return row

    return Counted


def _async_class(watch: Watch, base: Any) -> Any:
    class AsyncCursor(base):  # type: ignore[misc]
        """Asks the guard, runs, and tells it."""

        async def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            with _Run(watch, self, query, params) as run:
                await super().execute(query, params, **more)
            plan = await _async_plan(self.connection, run, params) if run.wants_plan else None
            run.finish(self, plan)
            return self

        async def executemany(self, query: Any, params_seq: Any, **more: Any) -> None:
            with _Run(watch, self, query, params_seq) as run:
                await super().executemany(query, params_seq, **more)
            run.finish(self)

        async def stream(self, query: Any, params: Any = None, **more: Any) -> AsyncIterator[Any]:
            read = 0
            with _Run(watch, self, query, params) as run:
                async for row in super().stream(query, params, **more):
                    read += 1
                    _count(watch, read)
                    yield row
            run.finish(self)

        @contextlib.asynccontextmanager
        async def copy(self, statement: Any, params: Any = None, **more: Any) -> AsyncIterator[Any]:
            with _Run(watch, self, statement, params) as run:
                async with super().copy(statement, params, **more) as copy:
                    yield copy
            run.finish(self)

    if watch.limits.max_rows is None or not issubclass(base, psycopg.AsyncServerCursor):
        return AsyncCursor

    class Counted(AsyncCursor):
        """Lets so many rows of a statement through, which the server keeps until they are asked."""

        async def fetchone(self) -> Any:
            row = await super().fetchone()
            _count(watch, self._pos)
            return row

        async def fetchmany(self, size: int = 0) -> Any:
            rows = await super().fetchmany(size)
            _count(watch, self._pos)
            return rows

        async def fetchall(self) -> Any:
            rows = await super().fetchmany((watch.limits.max_rows or 0) + 1 - self._pos)
            _count(watch, self._pos)
            return rows

        async def __anext__(self) -> Any:
            row = await super().__anext__()
            _count(watch, self._pos)
            return row

    return Counted


def _count(watch: Watch, read: int) -> None:
    most = watch.limits.max_rows
    if most is not None and read > most:
        raise watch.too_many(None)


class _Factories:
    """What both kinds of connections have: classes of cursors, each with the guard before it."""

    safehold_watch: Watch

    @property
    def cursor_factory(self) -> Any:
        return self._client

    @cursor_factory.setter
    def cursor_factory(self, value: Any) -> None:
        self._client = _cursor_class(self.safehold_watch, value)

    @property
    def server_cursor_factory(self) -> Any:
        return self._server

    @server_cursor_factory.setter
    def server_cursor_factory(self, value: Any) -> None:
        self._server = _cursor_class(self.safehold_watch, value)


class _Ending:
    """One commit or rollback; of a transaction that did nothing, none."""

    def __init__(self, connection: Any, action: str) -> None:
        self._watch: Watch = connection.safehold_watch
        self._action = action
        self._is_none = connection.info.transaction_status == _IDLE
        self._started = perf_counter()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._failure = error
        return error is not None and is_from_driver(error)

    def finish(self) -> None:
        """Record it. Raises what went wrong."""
        if self._failure is None:
            if not self._is_none:
                self._watch.transaction(self._action, self._started)
            return
        clean = scrubbed(self._failure)
        self._watch.transaction(self._action, self._started, clean)
        raise clean


@functools.lru_cache(maxsize=64)
def connection_class(watch: Watch) -> type[psycopg.Connection[Any]]:
    """Return the class whose `connect` makes guarded connections."""

    class Connection(_Factories, psycopg.Connection[Any]):
        """A connection whose every statement goes by the guard."""

        safehold_watch = watch

        @classmethod
        def connect(cls, *args: Any, **more: Any) -> Any:
            try:
                connection = super().connect(*args, **more)
            except psycopg.Error as error:
                failure = scrubbed(error)
            else:
                _verify_mode(connection, watch)
                for statement in _settings(watch):
                    psycopg.Cursor(connection).execute(statement)
                psycopg.Connection.commit(connection)
                return connection
            raise failure

        def commit(self) -> None:
            with _Ending(self, "commit") as ending:
                super().commit()
            ending.finish()

        def rollback(self) -> None:
            with _Ending(self, "rollback") as ending:
                super().rollback()
            ending.finish()

        @contextlib.contextmanager
        def transaction(self, *args: Any, **more: Any) -> Iterator[Any]:
            block = _Block(watch)
            with block.told(), super().transaction(*args, **more) as transaction:
                yield transaction

    return Connection


@functools.lru_cache(maxsize=64)
def async_connection_class(watch: Watch) -> type[psycopg.AsyncConnection[Any]]:
    """Return the class whose `connect` makes guarded connections for asyncio."""

    class AsyncConnection(_Factories, psycopg.AsyncConnection[Any]):
        """A connection whose every statement goes by the guard."""

        safehold_watch = watch

        @classmethod
        async def connect(cls, *args: Any, **more: Any) -> Any:
            try:
                connection = await super().connect(*args, **more)
            except psycopg.Error as error:
                failure = scrubbed(error)
            else:
                _verify_mode(connection, watch)
                for statement in _settings(watch):
                    await psycopg.AsyncCursor(connection).execute(statement)
                await psycopg.AsyncConnection.commit(connection)
                return connection
            raise failure

        async def commit(self) -> None:
            with _Ending(self, "commit") as ending:
                await super().commit()
            ending.finish()

        async def rollback(self) -> None:
            with _Ending(self, "rollback") as ending:
                await super().rollback()
            ending.finish()

        @contextlib.asynccontextmanager
        async def transaction(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
            block = _Block(watch)
            with block.told():
                async with super().transaction(*args, **more) as transaction:
                    yield transaction

    return AsyncConnection


class _Block:
    """A block of `transaction()`, which ends without `commit` or `rollback` being called."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        failure: BaseException | None = None
        started = perf_counter()
        try:
            yield
        except psycopg.Rollback:
            self._watch.transaction("rollback", started)
            raise
        except BaseException as error:
            self._watch.transaction("rollback", started)
            if not (isinstance(error, Exception) and is_from_driver(error)):
                raise
            failure = scrubbed(error)
        else:
            self._watch.transaction("commit", started)
        if failure is not None:
            raise failure


def _settings(watch: Watch) -> Iterator[str]:
    limits = watch.limits
    if limits.statement_timeout_ms is not None:
        yield f"SET statement_timeout = {limits.statement_timeout_ms:d}"
    if limits.read_only:
        yield "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"


def _verify_mode(connection: Any, watch: Watch) -> None:
    """Raise ConfigError where a server reads backslashes otherwise than the guard was told."""
    is_off = connection.info.parameter_status("standard_conforming_strings") == "off"
    if is_off != (_OFF in watch.modes):
        connection.pgconn.finish()
        told = "without" if is_off else "with"
        raise ConfigError(f"the guard was made {told} modes=[{_OFF!r}], the server is otherwise")


def _can_plan(connection: Any) -> bool:
    states = (_IDLE, psycopg.pq.TransactionStatus.INTRANS)
    return not connection.pgconn.pipeline_status and connection.info.transaction_status in states


def _plan(connection: Any, run: _Run, parameters: Any) -> list[str] | None:
    if not _can_plan(connection):
        return None
    # Within a savepoint: a plan that fails does not end the program's transaction.
    apart = psycopg.Connection.transaction(connection)
    with contextlib.suppress(psycopg.Error), psycopg.Cursor(connection) as cursor, apart:
        cursor.execute(_PREFIX + run.text, parameters)
        return _lines(cursor.fetchmany(40))
    return None


async def _async_plan(connection: Any, run: _Run, parameters: Any) -> list[str] | None:
    if not _can_plan(connection):
        return None
    with contextlib.suppress(psycopg.Error):
        apart = psycopg.AsyncConnection.transaction(connection)
        async with psycopg.AsyncCursor(connection) as cursor, apart:
            await cursor.execute(_PREFIX + run.text, parameters)
            return _lines(await cursor.fetchmany(40))
    return None


def _lines(rows: Any) -> list[str]:
    return [plan_line(str(row[0])) for row in rows]
