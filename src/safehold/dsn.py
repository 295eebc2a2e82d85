"""The address of a database: whom a program connects to, as whom, and whether others can listen.

`check_url` reads an address and asks nobody. What a proxy on the way does is not seen.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from safehold.errors import ConfigError
from safehold.findings import Finding, Location, Rule, Severity
from safehold.keys.strength import weakness_of_login

_WIRE: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N"
_GUESSED: Final = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
_RIGHTS: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"

NO_TLS: Final = Rule(
    id="SH251",
    name="database-without-tls",
    title="A connection to a database can be read or answered by others",
    why="Without verification of the certificate, whoever is on the way sees logins and rows, and "
    "can answer in the server's place. The modes allow and prefer go on unencrypted when the "
    "other end says so; require encrypts to anybody.",
    remedy="PostgreSQL: sslmode=verify-full and sslrootcert=PATH (or system). MySQL: "
    "ssl_mode=VERIFY_IDENTITY, or with PyMySQL ssl_ca=PATH and ssl_verify_identity=true.",
    severity=Severity.HIGH,
    cwe=319,
    cvss=_WIRE,
    score=9.1,
    references=("https://www.postgresql.org/docs/current/libpq-ssl.html",),
)
LOGIN_PASSWORD: Final = Rule(
    id="SH252",
    name="database-password",
    title="The password of a database's login is easy to guess",
    why="Whoever reaches the port needs no other hole.",
    remedy="Draw one of 20 characters or more, or log in by certificate, peer or IAM.",
    severity=Severity.HIGH,
    cwe=521,
    cvss=_GUESSED,
    score=9.3,
)
SUPERUSER: Final = Rule(
    id="SH253",
    name="database-superuser",
    title="A service connects to its database as an administrator",
    why="An injected statement then reads files of the server, runs programs there (COPY PROGRAM), "
    "and no GRANT or policy of rows holds.",
    remedy="Give the service a role of its own that is no superuser and owns nothing.",
    severity=Severity.HIGH,
    cwe=250,
    cvss=_RIGHTS,
    score=7.7,
)

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


def _check_login(address: _Address, where: Location) -> Iterator[Finding]:
    user, password = address.user, address.password
    if user.lower() in _SUPERUSERS:
        message = f"the login {user!r} is that of an administrator"
        yield Finding.of(SUPERUSER, message, where, detail={"user": user})
    if password is None:
        return  # peer authentication, a certificate, a password file
    reason = weakness_of_login(password)
    if user and user.lower() in password.lower():
        reason = "it holds the name of the login"
    if reason is not None:
        yield Finding.of(LOGIN_PASSWORD, f"the password of the login: {reason}", where)


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
        NO_TLS,
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
