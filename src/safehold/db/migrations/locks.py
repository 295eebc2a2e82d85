"""One migration at a time: what holds others back while one runner works, by dialect.

PostgreSQL has an advisory lock of the session, asked for again and again and never waited for:
a session that waits holds a snapshot, for which CREATE INDEX CONCURRENTLY would wait in turn. It
belongs to the connection that migrates, so that it is gone when that is. A pool that gives
statements of one session to several servers (PgBouncer in transaction mode) breaks it.
SQLite has its one writer: everything happens in one transaction that begins with BEGIN IMMEDIATE.
MySQL and MariaDB have a named lock.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

from safehold.errors import MigrationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_PAUSES: Final = 0.02, 0.2
"""Seconds between two attempts: at least, at most."""
_SQLITE_BUSY: Final = "database is locked"


class Lock(Protocol):
    """Taken before anything is read from the database, let go of at the end."""

    def take(self, connection: Connection, patience: float) -> None:
        """Take it within so many seconds. Raises MigrationError."""

    def release(self, connection: Connection, *, kept: bool) -> None:
        """Let go of it; ``kept`` says whether what was done stays."""


def lock_for(connection: Connection, table: str) -> Lock:
    """Return the lock of a database for those who share a version table.

    Raises:
        MigrationError: a dialect that has none here.
    """
    name = connection.dialect.name
    kind = _KINDS.get(name)
    if kind is None:
        known = ", ".join(_KINDS)
        raise MigrationError(f"no lock is known for {name!r}; there are: {known}")
    return kind(table)


class _Sqlite:
    def __init__(self, table: str) -> None:
        del table  # the whole database has one writer

    def take(self, connection: Connection, patience: float) -> None:
        if connection.in_transaction():
            connection.commit()  # what env.py has begun before is no part of this run
        # From here on the driver begins none by itself, before DDL or ever.
        driver: Any = connection.connection
        driver.isolation_level = None

        def begin() -> bool:
            from sqlalchemy.exc import OperationalError

            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except OperationalError as error:
                connection.rollback()
                if _SQLITE_BUSY not in str(error.orig):
                    raise
                return False
            return True

        _poll(begin, patience)

    def release(self, connection: Connection, *, kept: bool) -> None:
        if kept:
            connection.commit()
        else:
            connection.rollback()


class _Postgresql:
    def __init__(self, table: str) -> None:
        self._number = int.from_bytes(_digest(table)[:8], "big", signed=True)

    def take(self, connection: Connection, patience: float) -> None:
        def ask() -> bool:
            return bool(_scalar(connection, f"SELECT pg_try_advisory_lock({self._number:d})"))

        _poll(ask, patience)

    def release(self, connection: Connection, *, kept: bool) -> None:
        del kept
        if not connection.closed and not connection.invalidated:
            if connection.in_transaction():
                connection.rollback()
            _scalar(connection, f"SELECT pg_advisory_unlock({self._number:d})")


class _Mysql:
    def __init__(self, table: str) -> None:
        self._name = f"safehold-{_digest(table)[:16].hex()}"

    def take(self, connection: Connection, patience: float) -> None:
        def ask() -> bool:
            return _scalar(connection, f"SELECT GET_LOCK('{self._name}', 0)") == 1

        _poll(ask, patience)

    def release(self, connection: Connection, *, kept: bool) -> None:
        del kept
        if not connection.closed and not connection.invalidated:
            if connection.in_transaction():
                connection.rollback()
            _scalar(connection, f"SELECT RELEASE_LOCK('{self._name}')")


_KINDS: Final[dict[str, Callable[[str], Lock]]] = {
    "sqlite": _Sqlite,
    "postgresql": _Postgresql,
    "mysql": _Mysql,
    "mariadb": _Mysql,
}


def _digest(table: str) -> bytes:
    return sha256(b"safehold db migration lock:" + table.encode()).digest()


def _scalar(connection: Connection, statement: str) -> object:
    """Run one statement that ends its own transaction; the statement has numbers and hex alone."""
    try:
        return connection.exec_driver_sql(statement).scalar()
    finally:
        with suppress(Exception):  # the statement's own error says more
            connection.commit()


def _poll(attempt: Callable[[], bool], patience: float) -> None:
    """Try until it succeeds. Raises MigrationError when time is up."""
    ends = time.monotonic() + patience
    while not attempt():
        if time.monotonic() >= ends:
            raise MigrationError(
                f"another migration holds the lock for more than {patience:g} seconds; "
                "wait for it, or give more patience"
            )
        time.sleep(random.uniform(*_PAUSES))  # noqa: S311  (spreads runners, hides nothing)
