"""The guard: every statement is judged before it is sent, and recorded."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from safehold.context import Context
from safehold.db.guarding.watch import Limits, Mode, Watch
from safehold.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["connection_class", "guard"]


def guard(  # noqa: PLR0913  (a contract; each has a default)
    engine_or_url: Engine | AsyncEngine | str,
    hold: Context,
    *,
    mode: Mode | None = None,
    slow_ms: float = 200,
    statement_timeout_ms: int | None = None,
    read_only: bool = False,
    max_rows: int | None = None,
    records: bool = True,
    allow: Collection[str] = (),
    modes: Collection[str] = (),
) -> Any:
    """Put the guard before an engine of SQLAlchemy, and return the engine.

    Of a URL an engine is made. `mode` is the policy's unless it is given; without `records`, only
    refusals, errors and slow statements are recorded; `allow` names rules of statements that the
    program needs; `modes` are settings of the server by which it reads otherwise, as
    ``ANSI_QUOTES``.

    Raises:
        ConfigError: a dialect that is not known, an engine that is connected already, a limit that
            its driver cannot be held to.
    """
    try:
        from sqlalchemy import Engine, create_engine, make_url
    except ModuleNotFoundError:
        raise MissingExtra("sqlalchemy", "db") from None
    from safehold.db.guarding.engines import guard_engine

    made: Any = engine_or_url
    if isinstance(engine_or_url, str):
        url = make_url(engine_or_url)
        if url.get_dialect().is_async:
            from sqlalchemy.ext.asyncio import create_async_engine

            made = create_async_engine(url)
        else:
            made = create_engine(url)
    engine = getattr(made, "sync_engine", made)
    if not isinstance(engine, Engine):
        raise ConfigError(f"db.guard takes an engine or a URL, not {type(made).__name__}")
    mode = mode or hold.policy.mode
    if mode == "off":
        return made
    limits = Limits(slow_ms, statement_timeout_ms, read_only, max_rows)
    watch = Watch(
        hold, engine.dialect.name, limits, mode=mode, records=records, allow=allow, modes=modes
    )
    guard_engine(engine, watch)
    return made


def connection_class(  # noqa: PLR0913  (as guard)
    driver: str,
    hold: Context,
    *,
    mode: Mode | None = None,
    slow_ms: float = 200,
    statement_timeout_ms: int | None = None,
    read_only: bool = False,
    max_rows: int | None = None,
    records: bool = True,
    allow: Collection[str] = (),
    modes: Collection[str] = (),
) -> Any:
    """Return a guarded class of connections of a driver, for programs without SQLAlchemy.

    ``sqlite3``: the `factory` of `sqlite3.connect`; ``psycopg`` and ``psycopg_async``: a class to
    call `connect` of. The rest is as in `guard`.

    Raises:
        ConfigError: another driver, or what `guard` raises it for.
        MissingExtra: psycopg is not installed.
    """
    dialect = {"sqlite3": "sqlite", "psycopg": "postgresql", "psycopg_async": "postgresql"}
    if driver not in dialect:
        raise ConfigError(f"no class for {driver!r}; there are: {', '.join(dialect)}")
    mode = mode or hold.policy.mode
    if mode == "off":
        return _plain(driver)
    limits = Limits(slow_ms, statement_timeout_ms, read_only, max_rows)
    watch = Watch(
        hold, dialect[driver], limits, mode=mode, records=records, allow=allow, modes=modes
    )
    if driver == "sqlite3":
        from safehold.db.guarding import sqlite

        return sqlite.connection_class(watch)
    from safehold.db.guarding import psycopg  # raises MissingExtra

    if driver == "psycopg":
        return psycopg.connection_class(watch)
    return psycopg.async_connection_class(watch)


def _plain(driver: str) -> Any:
    if driver == "sqlite3":
        import sqlite3

        return sqlite3.Connection
    import psycopg

    return psycopg.Connection if driver == "psycopg" else psycopg.AsyncConnection
