"""Django: one line puts the guard beneath every database of the settings.

INSTALLED_APPS = ["safehold.db.django.Guard", ...]
SAFEHOLD = "safehold.toml"                                   # or a Context
SAFEHOLD_DATABASES = {"default": {"slow_ms": 100}}           # options of db.guard, if any
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from safehold.db.guarding.watch import Limits, Watch
from safehold.errors import ConfigError, MissingExtra
from safehold.inputs.settings import django_hold

try:
    from django.apps import AppConfig
except ModuleNotFoundError:
    raise MissingExtra("django", "django") from None

_LIMITS: Final = ("slow_ms", "statement_timeout_ms", "read_only", "max_rows")
_OTHERS: Final = ("mode", "records", "allow", "modes")
_BARE: Final = "safehold_bare"


class Guard(AppConfig):  # type: ignore[misc]  # Django has no types
    """Makes the connections of Django guarded ones, in every thread and for every alias."""

    name = "safehold.db.django"
    label = "safehold_db"
    verbose_name = "safehold: guard of statements"

    def ready(self) -> None:
        """Stand where connections are made.

        Raises:
            ConfigError: no ``SAFEHOLD`` in the settings, a database or driver that is not known,
                an option that its driver cannot be held to, or a connection that is open already.
        """
        from django.conf import settings
        from django.db import connections

        hold = django_hold()
        options = dict(getattr(settings, "SAFEHOLD_DATABASES", {}))
        if unknown := sorted(set(options) - set(connections)):
            raise ConfigError(f"SAFEHOLD_DATABASES has {unknown[0]!r}, and DATABASES has not")
        kinds: dict[type, dict[str, Any]] = {}
        for alias in connections:
            connection = connections[alias]
            watch = _watch(hold, connection.vendor, options.get(alias, {}))
            if watch is None:
                continue
            if connection.connection is not None:
                raise ConfigError(
                    f"the database {alias!r} is connected: put safehold.db.django.Guard before "
                    "the applications that ask it while they start"
                )
            made = _connector(connection, watch)
            kinds.setdefault(type(connection), {})[alias] = made
        for kind, by_alias in kinds.items():
            _replace(kind, by_alias)


def _watch(hold: Any, vendor: str, options: dict[str, Any]) -> Watch | None:
    if unknown := sorted(set(options) - {*_LIMITS, *_OTHERS}):
        known = ", ".join((*_LIMITS, *_OTHERS))
        raise ConfigError(f"SAFEHOLD_DATABASES has the option {unknown[0]!r}; there are: {known}")
    mode = options.get("mode") or hold.policy.mode
    limits = Limits(**{name: options[name] for name in _LIMITS if name in options})
    if mode == "off":
        return None
    return Watch(
        hold,
        vendor,
        limits,
        mode=mode,
        records=options.get("records", True),
        allow=options.get("allow", ()),
        modes=options.get("modes", ()),
    )


Connector = Callable[[Any, dict[str, Any], Callable[..., Any]], Any]
"""Makes a connection for a wrapper of Django's from parameters and the wrapper's own way."""


def _connector(connection: Any, watch: Watch) -> Connector:
    """Return what makes guarded connections for a kind of database. Raises ConfigError."""
    driver = connection.Database.__name__.partition(".")[0]
    if driver == "sqlite3":
        from safehold.db.guarding import sqlite

        kind = sqlite.connection_class(watch)
        return lambda self, given, bare: bare(self, {**given, "factory": kind})
    if driver == "psycopg":
        from safehold.db.guarding import psycopg

        return _psycopg(psycopg.connection_class(watch))
    if driver in ("MySQLdb", "pymysql"):
        from safehold.db.guarding import mysql

        # PyMySQL may stand in for mysqlclient.
        made = mysql.pymysql_class if driver == "pymysql" else mysql.mysqlclient_class
        kind = made(watch)
        return lambda _self, given, _bare: kind(**given)
    raise ConfigError(
        f"no guard for the driver {driver} of {connection.alias!r}; there are sqlite3, psycopg 3, "
        "mysqlclient and PyMySQL"
    )


def _psycopg(kind: Any) -> Connector:
    def connect(self: Any, given: dict[str, Any], bare: Callable[..., Any]) -> Any:
        options = self.settings_dict["OPTIONS"]
        if pool := options.get("pool"):
            options["pool"] = {**({} if pool is True else pool), "connection_class": kind}
            return bare(self, given)
        # The wrapper calls `connect` of the module that it has in this attribute.
        self.Database = _Driver(self.Database, kind)
        try:
            return bare(self, given)
        finally:
            del self.Database

    return connect


class _Driver:
    """The module of a driver whose connections are guarded."""

    def __init__(self, module: Any, kind: Any) -> None:
        self._module = module
        self.connect = kind.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _replace(kind: Any, by_alias: dict[str, Connector]) -> None:
    """Let a class of wrappers connect by the guard, once."""
    bare = kind.get_new_connection
    bare = getattr(bare, _BARE, bare)
    # Wrappers without an alias of the settings: the one that makes a database for tests.
    other = next(iter(by_alias.values()))

    def get_new_connection(self: Any, conn_params: dict[str, Any]) -> Any:
        return by_alias.get(self.alias, other)(self, dict(conn_params), bare)

    setattr(get_new_connection, _BARE, bare)
    kind.get_new_connection = get_new_connection
