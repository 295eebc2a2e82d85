"""What a service says about itself for the probes: the ``[prove]`` table of a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from safehold.errors import ConfigError

FILE: Final = "prove.toml"
_MOST_BODY: Final = 2**30


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that takes one text: ``{}`` in the path, or the field ``into`` of a JSON body.

    ``value``: what is usual there.
    """

    path: str
    method: str = "GET"
    value: str = "1"
    fields: Mapping[str, Any] = field(default_factory=dict)
    into: str = ""

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return f"{self.method} {self.path}" + (f" field {self.into}" if self.into else "")


@dataclass(frozen=True, slots=True)
class Hints:
    """``start``: the command, with ``{port}``; ``ready``: a page that answers once it runs.

    ``renew``: a command that writes a newer version of an artifact. ``warm``: pages whose answer
    needs what is loaded late. ``login``: a request whose answer holds a token. ``body``: bytes of
    a body that is larger than any the service expects. ``headers`` go with each request: a host
    that the service is asked for by, what a proxy says, who is logged in.
    """

    start: str = ""
    ready: str = "/"
    artifacts: tuple[str, ...] = ()
    renew: str = ""
    warm: tuple[str, ...] = ()
    seconds: float = 30.0
    body: int = 64 * 2**20
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    login: Endpoint | None = None

    @classmethod
    def load(cls, path: Path) -> Hints:
        """Read the file. Raises ConfigError."""
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            message = f"{path}: {error}"
            raise ConfigError(message) from error
        return parse_hints(data, str(path))


_TEXTS: Final = ("start", "ready", "renew")
_LISTS: Final = ("artifacts", "warm")
_TABLES: Final = ("environment", "headers")
_KEYS: Final = (*_TEXTS, *_LISTS, "seconds", "body", *_TABLES, "endpoint", "login")
_ENDPOINT: Final = {"path": str, "method": str, "value": str, "fields": dict, "into": str}


def parse_hints(data: Mapping[str, Any], where: str) -> Hints:
    """Build the hints from the document. Raises ConfigError."""
    if set(data) != {"prove"} or not isinstance(data["prove"], dict):
        message = f"{where}: holds one table, [prove]"
        raise ConfigError(message)
    table = data["prove"]
    if unknown := sorted(set(table) - set(_KEYS)):
        message = f"{where}: prove.{unknown[0]} is not known; there are {', '.join(_KEYS)}"
        raise ConfigError(message)
    given: dict[str, Any] = {}
    for key in _TEXTS:
        if key in table:
            given[key] = _of(str, table[key], f"{where}: prove.{key}")
    for key in _LISTS:
        if key in table:
            rows = _of(list, table[key], f"{where}: prove.{key}")
            given[key] = tuple(_of(str, row, f"{where}: prove.{key}") for row in rows)
    given |= _numbers(table, where)
    for key in _TABLES:
        if key in table:
            values = _of(dict, table[key], f"{where}: prove.{key}")
            for name, value in values.items():
                _of(str, value, f"{where}: prove.{key}.{name}")
            given[key] = values
    rows = _of(list, table.get("endpoint", []), f"{where}: prove.endpoint")
    given["endpoints"] = tuple(_endpoint(row, f"{where}: prove.endpoint") for row in rows)
    if "login" in table:
        given["login"] = _endpoint(table["login"], f"{where}: prove.login")
    return Hints(**given)


def _numbers(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, most in (("seconds", 600), ("body", _MOST_BODY)):
        if key in table:
            value = table[key]
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
                message = f"{where}: prove.{key} is a number, 1 to {most}"
                raise ConfigError(message)
            given[key] = value
    return given


def _endpoint(row: object, where: str) -> Endpoint:
    table = _of(dict, row, where)
    for key, value in table.items():
        if key not in _ENDPOINT:
            message = f"{where}: {key} is not known; there are {', '.join(_ENDPOINT)}"
            raise ConfigError(message)
        _of(_ENDPOINT[key], value, f"{where}.{key}")
    if not table.get("path", "").startswith("/"):
        message = f"{where}.path begins with /"
        raise ConfigError(message)
    return Endpoint(**table)


def _of(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        names = {"str": "a text", "list": "a list", "dict": "a table"}
        message = f"{where} is {names[kind.__name__]}"
        raise ConfigError(message)
    return value
