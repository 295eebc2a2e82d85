"""Whom a program connects to and as whom: the address of a database, and an open session.

`check_url` reads an address and asks nobody; `check_connection` asks the server what the session
may do. What a proxy on the way does with the connection is seen by neither.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from safehold.db import rules
from safehold.errors import ConfigError
from safehold.findings import Finding, Location, Severity
from safehold.keys.strength import weakness_of_login

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FAMILIES: Final = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
_SUPERUSERS: Final = frozenset("postgres root sa admin administrator mysql sys system".split())
# A word of a conninfo string of libpq: 'a value', or one without spaces.
_WORD: Final = re.compile(r"\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)+))", re.DOTALL)
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


@dataclass(frozen=True, slots=True)
class _Address:
    """What an address says; ``hosts`` is empty for a socket's default place or a file."""

    family: str
    hosts: tuple[str, ...]
    user: str
    password: str | None
    options: Mapping[str, str]


def check_url(url: str, location: Location | None = None) -> Iterator[Finding]:
    """Yield what is unsafe in the address of a database: a URL, or a conninfo string of libpq.

    No finding shows the password. Of a database that is not PostgreSQL, MySQL, MariaDB or SQLite
    only the login is judged.

    Raises:
        ConfigError: it is no address; the message does not repeat it.
    """
    address = _parse(url)
    where = location or Location()
    if address.family == "sqlite":
        return
    yield from _check_login(address, where)
    remote = tuple(host for host in address.hosts if not _is_local(host))
    if remote and address.family in ("postgresql", "mysql"):
        yield from _check_tls(address, remote, where)


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
        yield Finding.of(rules.SUPERUSER, f"the role of the session {what}", where)
    elif changes:
        message = "the role of the session may make tables, or owns some"
        yield Finding.of(rules.SCHEMA_RIGHTS, message, where)
    if is_remote and not is_encrypted:
        message = "the session crosses a network and is not encrypted"
        yield Finding.of(rules.NO_TLS, message, where)
    for setting in _TIMEOUTS:
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "0":
            message = f"{setting} is not set for the session"
            yield Finding.of(rules.NO_TIMEOUT, message, where, detail={"setting": setting})


def _check_login(address: _Address, where: Location) -> Iterator[Finding]:
    user, password = address.user, address.password
    if user.lower() in _SUPERUSERS:
        message = f"the login {user!r} is that of an administrator"
        yield Finding.of(rules.SUPERUSER, message, where, detail={"user": user})
    if password is None:
        return  # peer authentication, a certificate, a password file
    reason = weakness_of_login(password)
    if user and user.lower() in password.lower():
        reason = "it holds the name of the login"
    if reason is not None:
        yield Finding.of(rules.LOGIN_PASSWORD, f"the password of the login: {reason}", where)


def _check_tls(address: _Address, remote: tuple[str, ...], where: Location) -> Iterator[Finding]:
    if address.family == "postgresql":
        mode = address.options.get("sslmode") or address.options.get("ssl") or "prefer"
        if mode == "verify-full":
            return
        encrypts = mode in ("require", "verify-ca")
    else:
        options = address.options
        mode = options.get("ssl_mode", "").lower().replace("_", "-")
        verifies = options.get("ssl_verify_identity", "").lower() in ("1", "true")
        if mode == "verify-identity" or (verifies and "ssl_ca" in options):
            return
        encrypts = mode in ("required", "verify-ca") or any(
            name == "ssl" or name.startswith("ssl_") for name in options
        )
    what = "does not check who answers" if encrypts else "may go on unencrypted"
    yield Finding.of(
        rules.NO_TLS,
        f"the connection to {', '.join(map(repr, remote))} {what}",
        where,
        severity=Severity.MEDIUM if encrypts else None,
        detail={"hosts": list(remote), "mode": mode or None},
    )


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host.lower() in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parse(url: str) -> _Address:
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _parse_words(url)
    family = scheme.lower().partition("+")[0]
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ConfigError("the address of the database cannot be read as a URL") from None
    login, _, hosts = parts.netloc.rpartition("@")
    user, has_password, password = login.partition(":")
    named = options.get("host") or hosts
    return _Address(
        family=_FAMILIES.get(family, family),
        hosts=tuple(_without_port(host) for host in named.split(",") if host),
        user=unquote(user) or options.get("user", ""),
        password=unquote(password) if has_password else options.get("password"),
        options=options,
    )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") > 1:  # of IPv6 without brackets, as in a query
        return host
    return unquote(host.partition(":")[0])


def _parse_words(text: str) -> _Address:
    """Read a conninfo string of libpq. Raises ConfigError."""
    options: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip()):
        word = _WORD.match(text, at)
        if word is None:
            raise ConfigError("the address of the database is neither a URL nor words NAME=VALUE")
        value = word[3] if word[2] is None else word[2]
        options[word[1]] = re.sub(r"\\(.)", r"\1", value)
        at = word.end()
    if not options:
        raise ConfigError("the address of the database is empty")
    hosts = ",".join(options[name] for name in ("host", "hostaddr") if name in options)
    return _Address(
        family="postgresql",
        hosts=tuple(host for host in hosts.split(",") if host),
        user=options.get("user", ""),
        password=options.get("password"),
        options=options,
    )
