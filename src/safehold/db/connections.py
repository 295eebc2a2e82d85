"""What an open session of a database may do, as its server says.

What a proxy on the way does with the connection is not seen. The address of a database is
judged by `dsn.check_url`, which asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from safehold.db import rules
from safehold.dsn import NO_TLS, SUPERUSER, check_url
from safehold.errors import ConfigError
from safehold.findings import Finding, Location

__all__ = ["check_connection", "check_url"]

if TYPE_CHECKING:
    from sqlalchemy import Connection

_TIMEOUTS: Final = ("statement_timeout", "lock_timeout")
_SESSION: Final = """
    SELECT
        (SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN (current_user, session_user)),
        (SELECT bool_or(rolcreaterole OR rolcreatedb OR rolbypassrls)
            FROM pg_roles WHERE rolname IN (current_user, session_user)),
        has_database_privilege(current_database(), 'CREATE')
            OR coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
            OR EXISTS (SELECT FROM pg_class WHERE relowner = current_user::regrole
                AND relkind IN ('r', 'p')),
        inet_client_addr() IS NOT NULL AND NOT inet_client_addr() <<= '127.0.0.0/8'
            AND inet_client_addr() <> '::1',
        coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
"""


def check_connection(connection: Connection, location: Location | None = None) -> Iterator[Finding]:
    """Yield what a session of PostgreSQL may do that a service at run time should not.

    SQLite has no sessions, and nothing is found there.

    Raises:
        ConfigError: a database whose sessions are not known here.
    """
    name = connection.dialect.name
    if name == "sqlite":
        return
    if name != "postgresql":
        raise ConfigError(f"sessions of {name} are not judged, those of PostgreSQL are")
    where = location or Location()
    is_super, manages, changes, is_remote, is_encrypted = connection.exec_driver_sql(_SESSION).one()
    if is_super or manages:
        what = (
            "is a superuser" if is_super else "may make roles or databases, or sees past policies"
        )
        yield Finding.of(SUPERUSER, f"the role of the session {what}", where)
    elif changes:
        message = "the role of the session may make tables, or owns some"
        yield Finding.of(rules.SCHEMA_RIGHTS, message, where)
    if is_remote and not is_encrypted:
        message = "the session crosses a network and is not encrypted"
        yield Finding.of(NO_TLS, message, where)
    for setting in _TIMEOUTS:
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "0":
            message = f"{setting} is not set for the session"
            yield Finding.of(rules.NO_TIMEOUT, message, where, detail={"setting": setting})
