"""``env:NAME``: an environment variable."""

from __future__ import annotations

import re

from safehold.errors import ConfigError
from safehold.keys.sources import Wanted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def read(wanted: Wanted) -> bytes:
    """Return the variable's value. Raises ConfigError."""
    name = wanted.place
    if not _NAME.fullmatch(name):
        message = f"key source env: must name an environment variable, not {name!r}"
        raise ConfigError(message)
    value: object = wanted.environ.get(name)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass" if _odd(value) else "surrogateescape")
    del value  # a mapping may hold other things than strings; they are not shown either
    message = (
        f'environment variable {name} holds no key; set it with: export {name}="$(safehold keygen)"'
    )
    raise ConfigError(message)


def _odd(value: str) -> bool:
    """Say whether there are surrogates that no byte of an environment was decoded to."""
    return any("\ud800" <= char <= "\udfff" and not "\udc80" <= char <= "\udcff" for char in value)
