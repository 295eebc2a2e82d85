"""The guard: every statement is judged before it is sent, and recorded."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

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

    ``sqlite3``: the `factory` of `sqlite3.connect`; ``asyncpg``: the `connection_class` of
    `asyncpg.connect` and `create_pool`; ``pymysql`` and ``mysqlclient``: to call in place of
    `connect`; ``psycopg``, ``psycopg_async``, ``aiosqlite``: to call `connect` of. The rest is as
    in `guard`.

    Raises:
        ConfigError: another driver, or what `guard` raises it for.
        MissingExtra: the driver is not installed.
    """
    if driver not in _DRIVERS:
        raise ConfigError(f"no class for {driver!r}; there are: {', '.join(_DRIVERS)}")
    dialect, module, name = _DRIVERS[driver]
    mode = mode or hold.policy.mode
    if mode == "off":
        return _plain(driver)
    limits = Limits(slow_ms, statement_timeout_ms, read_only, max_rows)
    watch = Watch(hold, dialect, limits, mode=mode, records=records, allow=allow, modes=modes)
    return getattr(importlib.import_module(f"safehold.db.guarding.{module}"), name)(watch)


def _plain(driver: str) -> Any:
    """Return a class that connects in the same way, and nothing else is changed of."""
    if driver in ("aiosqlite", "asyncpg"):
        return importlib.import_module(f"safehold.db.guarding.{driver}").plain_class()
    module, name = {
        "sqlite3": ("sqlite3", "Connection"),
        "psycopg": ("psycopg", "Connection"),
        "psycopg_async": ("psycopg", "AsyncConnection"),
        "pymysql": ("pymysql.connections", "Connection"),
        "mysqlclient": ("MySQLdb.connections", "Connection"),
    }[driver]
    return getattr(importlib.import_module(module), name)


_DRIVERS: Final = {
    "sqlite3": ("sqlite", "sqlite", "connection_class"),
    "aiosqlite": ("sqlite", "aiosqlite", "connection_class"),
    "psycopg": ("postgresql", "psycopg", "connection_class"),
    "psycopg_async": ("postgresql", "psycopg", "async_connection_class"),
    "asyncpg": ("postgresql", "asyncpg", "connection_class"),
    "pymysql": ("mysql", "mysql", "pymysql_class"),
    "mysqlclient": ("mysql", "mysql", "mysqlclient_class"),
}
"""Dialect, module and function of each driver."""
