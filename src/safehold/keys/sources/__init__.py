"""Key sources: where a secret comes from, by the scheme of a URI; one file and one row per scheme.

To add one, write its file with `read` and add its row to `SOURCES`. A client of a key service
belongs behind an extra: its file is imported when a policy names its scheme.

No frame that raises holds a secret in a local variable, and no error is chained to one that
carries what was read: tracebacks with locals go to logs and error trackers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from safehold.errors import ConfigError, SafeholdError

MAX_BYTES = 64 * 2**10  # a PEM file of several keys fits; a log file or /dev/zero does not

SOURCES: Mapping[str, str] = {
    "env": f"{__name__}.env",
    "file": f"{__name__}.file",
    "cmd": f"{__name__}.cmd",
}


class Environment(Mapping[str, str]):
    """Environment variables whose ``repr`` shows none of them; by default the process's own."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({len(self)} variables)"


class Wanted(NamedTuple):
    """What a source is asked for: the key's id, and its place, which is the URI after the colon.

    ``root`` anchors paths, ``environ`` holds variables such as a service's token.
    """

    key_id: str
    place: str
    root: Path
    environ: Environment


class Source(Protocol):
    """What a source's module provides."""

    read: Callable[[Wanted], bytes]
    """Wanted -> the secret's bytes. Raises ConfigError that names the place and what mends it.

    It ends within a time of its own: nothing here stops it.
    """


def read_source(key_id: str, source: str, root: Path, environ: Environment) -> bytes:
    """Return the secret that a source names, without the line end of a text.

    Raises:
        ConfigError: the source is missing, unreadable or of no known scheme; says what mends it.
        MissingExtra: the scheme's client is not installed.
    """
    scheme, colon, place = source.partition(":")
    if scheme not in SOURCES or not colon or not place.strip():
        # The source is not shown: some write the key itself there.
        schemes = ", ".join(f"{name}:" for name in SOURCES)
        message = (
            f"key source of {key_id!r} must start with one of {schemes} and name a place, as "
            f"env:SAFEHOLD_SECRET_KEY does"
        )
        raise ConfigError(message)
    found = _read(scheme, Wanted(key_id, place, root, environ))
    if isinstance(found, bytes) and len(found) <= MAX_BYTES:
        return _trimmed(found)
    problem = found if isinstance(found, str) else f"gave more than {MAX_BYTES} bytes"
    del found
    message = f"key source {scheme}: of {key_id!r} {problem}, which is no key; name another source"
    raise ConfigError(message)


def _read(scheme: str, wanted: Wanted) -> bytes | str:
    """Return the secret, or in words why there is none."""
    module = cast("Source", import_module(SOURCES[scheme]))
    try:
        found: object = module.read(wanted)
    except SafeholdError:
        raise
    except Exception as error:  # noqa: BLE001  a client's own errors may quote what it has read
        return f"failed ({type(error).__name__})"
    return found if isinstance(found, bytes) else f"gave {type(found).__name__}"


def _trimmed(secret: bytes) -> bytes:
    """Take white space off both ends of a text; random bytes stay as they are."""
    text = secret.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    return text.encode() if text.isprintable() and "\ufffd" not in text else secret
