"""The guard of asyncpg: a class of connections, whose protocol asks before it sends a statement.

All that a connection, a prepared statement, a cursor or a pool does goes through the protocol. The
driver's own look-ups of types are neither judged nor recorded; they have fixed texts.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from safehold.errors import MissingExtra

try:
    import asyncpg
    from asyncpg.transaction import Transaction
except ModuleNotFoundError:
    raise MissingExtra("asyncpg", "asyncpg") from None

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed
from safehold.db.guarding.watch import Watch, plan_line
from safehold.db.statements import Verdict

_own: ContextVar[bool] = ContextVar("safehold_asyncpg_own", default=False)
"""Whether what is sent is the driver's: a look-up of types, or BEGIN, COMMIT and ROLLBACK of a
block, which are told in another way."""


class _Protocol:
    """A protocol that asks the guard, runs, and tells it."""

    def __init__(self, protocol: Any, watch: Watch) -> None:
        self._protocol = protocol
        self._watch = watch
        self._settings = list(_settings(watch))
        self._read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    async def query(self, query: str, timeout: Any) -> Any:  # noqa: ASYNC109  (the original's)
        original = self._protocol.query
        if _own.get():
            return await self._scrubbed(original(query, timeout))
        return await self._run(query, lambda: original(query, timeout))

    async def prepare(self, name: Any, query: str, *rest: Any, **more: Any) -> Any:
        """Judge a text, which the server reads now; it is told of when it runs or fails."""
        run = functools.partial(self._protocol.prepare, name, query, *rest, **more)
        if _own.get():
            return await self._scrubbed(run())
        return await self._run(query, run, tells=False)

    async def bind_execute(
        self, state: Any, args: Any, portal_name: str, limit: int, *rest: Any, **more: Any
    ) -> Any:
        most = self._watch.limits.max_rows
        if most is not None and not 0 < limit <= most:
            limit = most + 1
        run = functools.partial(
            self._protocol.bind_execute, state, args, portal_name, limit, *rest, **more
        )
        if _own.get():
            return await self._scrubbed(run())
        self._read = 0
        return await self._run(state.query, run, args)

    async def bind_execute_many(self, state: Any, args: Any, *rest: Any, **more: Any) -> Any:
        run = functools.partial(self._protocol.bind_execute_many, state, args, *rest, **more)
        return await self._run(state.query, run, args)

    async def bind(self, state: Any, args: Any, *rest: Any, **more: Any) -> Any:
        self._read = 0
        run = functools.partial(self._protocol.bind, state, args, *rest, **more)
        return await self._run(state.query, run, args)

    async def execute(self, state: Any, *rest: Any, **more: Any) -> Any:
        """Read on in a cursor."""
        found = await self._scrubbed(self._protocol.execute(state, *rest, **more))
        self._count(state.query, found)
        return found

    async def copy_out(self, copy_stmt: str, *rest: Any, **more: Any) -> Any:
        run = functools.partial(self._protocol.copy_out, copy_stmt, *rest, **more)
        return await self._run(copy_stmt, run)

    async def copy_in(self, copy_stmt: str, *rest: Any, **more: Any) -> Any:
        run = functools.partial(self._protocol.copy_in, copy_stmt, *rest, **more)
        return await self._run(copy_stmt, run)

    async def _run(
        self,
        text: str,
        run: Callable[[], Awaitable[Any]],
        args: Any = (),
        *,
        tells: bool = True,
    ) -> Any:
        watch = self._watch
        verdict = watch.admit(text)
        while self._settings:
            await self._protocol.query(self._settings.pop(), None)
        started = perf_counter()
        try:
            found = await run()
        except Exception as error:  # noqa: BLE001  (raised again below)
            failure = scrubbed(error) if is_from_driver(error) else error
        except BaseException as error:  # cancelled
            watch.failed(verdict, started, error, args)
            raise
        else:
            if tells:
                plan = (
                    await self._plan(text, verdict, args)
                    if watch.wants_plan(verdict, started)
                    else None
                )
                watch.done(verdict, started, _rows(found), args, plan)
                self._count(text, found)
            return found
        watch.failed(verdict, started, failure, args)
        raise failure

    async def _scrubbed(self, running: Awaitable[Any]) -> Any:
        try:
            return await running
        except Exception as error:
            if not is_from_driver(error):
                raise
            failure = scrubbed(error)
        raise failure

    def _count(self, text: str, found: Any) -> None:
        most = self._watch.limits.max_rows
        rows = found[0] if isinstance(found, tuple) else found
        if most is None or not isinstance(rows, list):
            return
        self._read += len(rows)
        if self._read > most:
            raise self._watch.too_many(self._watch.admit(text))

    async def _plan(self, text: str, verdict: Verdict, args: Any) -> list[str] | None:
        """Return how the server would run a statement without parameters; others it cannot say."""
        if args or verdict.writes or self._protocol.is_in_transaction():
            return None
        try:
            state = await self._protocol.prepare(
                "", "EXPLAIN (COSTS OFF) " + text, None,
                ignore_custom_codec=True, record_class=asyncpg.Record,
            )  # fmt: skip
            state._init_types()  # noqa: SLF001  (as the driver does)
            state._init_codecs()  # noqa: SLF001
            rows = await self._protocol.bind_execute(state, (), "", 40, False, None)  # noqa: FBT003
        except asyncpg.PostgresError:
            return None
        return [plan_line(str(row[0])) for row in rows]


class _Block(Transaction):  # type: ignore[misc]  # asyncpg has no types
    """A block of `transaction()`: one record at its end."""

    __slots__ = ("_safehold_watch",)

    def __init__(self, watch: Watch, connection: Any, *rest: Any) -> None:
        super().__init__(connection, *rest)
        self._safehold_watch = watch

    async def start(self) -> None:
        token = _own.set(True)
        try:
            await super().start()
        finally:
            _own.reset(token)

    # Mangled by hand: these two are what commit(), rollback() and the end of a block call.
    async def _Transaction__commit(self) -> None:  # noqa: N802
        await self._end("commit", super()._Transaction__commit)

    async def _Transaction__rollback(self) -> None:  # noqa: N802
        await self._end("rollback", super()._Transaction__rollback)

    async def _end(self, action: str, ending: Callable[[], Awaitable[None]]) -> None:
        started = perf_counter()
        token = _own.set(True)
        try:
            await ending()
        except BaseException as error:
            self._safehold_watch.transaction(action, started, error)
            raise
        finally:
            _own.reset(token)
        self._safehold_watch.transaction(action, started)


@functools.lru_cache(maxsize=64)
def connection_class(watch: Watch) -> Any:
    """Return the class for ``asyncpg.connect(connection_class=...)`` and for pools."""

    class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
        """A connection whose every statement goes by the guard."""

        __slots__ = ()
        safehold_watch = watch

        def __init__(self, protocol: Any, *rest: Any) -> None:
            super().__init__(_Protocol(protocol, watch), *rest)

        @classmethod
        async def connect(cls, *args: Any, **more: Any) -> Any:
            """Connect; an address that cannot be read is not quoted in the error."""
            try:
                return await asyncpg.connect(*args, **{**more, "connection_class": cls})
            except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
                failure = scrubbed(error)
            raise failure

        async def _introspect_types(self, *args: Any) -> Any:
            token = _own.set(True)
            try:
                return await super()._introspect_types(*args)
            finally:
                _own.reset(token)

        async def _introspect_type(self, *args: Any) -> Any:
            token = _own.set(True)
            try:
                return await super()._introspect_type(*args)
            finally:
                _own.reset(token)

        def transaction(
            self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False
        ) -> Any:
            self._check_open()
            return _Block(watch, self, isolation, readonly, deferrable)

    return Connection


def plain_class() -> Any:
    """Return a class that connects as the guarded one does, without a guard."""

    class Connection(asyncpg.Connection):  # type: ignore[misc]  # as above
        """A connection of asyncpg."""

        __slots__ = ()

        @classmethod
        async def connect(cls, *args: Any, **more: Any) -> Any:
            return await asyncpg.connect(*args, **{**more, "connection_class": cls})

    return Connection


def _settings(watch: Watch) -> list[str]:
    limits = watch.limits
    found = []
    if limits.statement_timeout_ms is not None:
        found.append(f"SET statement_timeout = {limits.statement_timeout_ms:d}")
    if limits.read_only:
        found.append("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    return found


def _rows(found: Any) -> int:
    """Return how many rows a statement has returned or changed, -1 if that was not said."""
    if isinstance(found, tuple):
        rows, status = found[0], found[1]
        if rows:
            return len(rows)
        found = status.decode("ascii", "replace") if isinstance(status, bytes) else status
    if isinstance(found, list):
        return len(found)
    last = found.rpartition(" ")[2] if isinstance(found, str) else ""
    return int(last) if last.isascii() and last.isdigit() else -1
