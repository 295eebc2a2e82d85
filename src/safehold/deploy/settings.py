"""Settings as they were written, and what each says once it is read as a flag, number or list."""

from __future__ import annotations

import contextlib
import enum
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from safehold.deploy.names import topic_of
from safehold.findings import Location

if TYPE_CHECKING:
    from safehold.policy import Policy

_ON: Final = frozenset("1 true yes on y t enable enabled active always full".split())
_OFF: Final = frozenset("0 false no off n f disable disabled inactive never none null nil".split())
NOTHING: Final = frozenset({"", "none", "null", "nil", "~", "undefined"})
_NUMBER: Final = re.compile(r"\s*(-?\d[\d_,]*(?:\.\d+)?(?:[eE]\d+)?)\s*([A-Za-z]*)\s*")
_SECONDS: Final = {
    "": 1, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800, "y": 31536000, "year": 31536000,
    "years": 31536000, "month": 2592000, "months": 2592000, "ms": 0.001,
}  # fmt: skip
_BYTES: Final = {
    "": 1, "b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20, "mib": 2**20,
    "g": 2**30, "gb": 2**30, "gib": 2**30, "t": 2**40, "tb": 2**40, "tib": 2**40,
}  # fmt: skip
_REFERENCE: Final = re.compile(
    r"\$\{[^}]*\}|\$[A-Za-z_]\w*|\$\([^)]*\)|\{\{.*\}\}|%\([^)]*\)s|\{[A-Za-z_]\w*\}|<<[^>]*>>"
    r"|(?:vault|ssm|aws-sm|gcp-sm|azure-kv|secretref|env|file|cmd|op|sops|arn|ref\+\w+):\S+"
    r"|ENC\[.*\]|!vault.*|/(?:run|var/run)/secrets/\S+",
    re.DOTALL | re.IGNORECASE,
)


class Origin(enum.StrEnum):
    """What kind of place a setting stands in."""

    ENVIRONMENT = "environment"
    ENV_FILE = "env file"
    DOCUMENT = "document"
    SOURCE = "source"
    OBJECT = "object"
    CONTAINER = "container"
    COMMAND = "command"
    POLICY = "policy"
    REQUIREMENT = "requirement"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``default``: nobody set it, the framework or the source does so.

    ``topic`` is what it is about, empty if it is none that a check knows.
    """

    name: str
    value: Any = field(repr=False)
    where: Location = field(default_factory=Location)
    origin: Origin = Origin.ENVIRONMENT
    default: bool = False
    topic: str = ""
    committed: bool = False

    @property
    def text(self) -> str:
        """The value as text without white space around it."""
        return "" if self.value is None else str(self.value).strip()

    @property
    def is_reference(self) -> bool:
        """Whether the value says where the value is, and is expanded by somebody else."""
        return (
            isinstance(self.value, str)
            and self.origin is not Origin.ENVIRONMENT
            and _REFERENCE.fullmatch(self.text) is not None
        )

    @property
    def is_nothing(self) -> bool:
        """Whether it is set to no value."""
        return self.value is None or (isinstance(self.value, str) and self.text.lower() in NOTHING)

    @property
    def flag(self) -> bool | None:
        """On or off; None if it is neither."""
        value = self.value
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return value != 0
        word = self.text.lower()
        return True if word in _ON else False if word in _OFF or not word else None

    @property
    def items(self) -> tuple[str, ...]:
        """The value as a list: of JSON, or of what commas, semicolons or spaces separate."""
        return tuple(str(item).strip().strip("\"'") for item in _items(self.value))

    @property
    def number(self) -> float | None:
        """The value as a number without a unit."""
        found = _measured(self.value)
        return None if found is None or found[1] else found[0]

    @property
    def size(self) -> float | None:
        """The value as bytes."""
        unit = "mb" if re.search(r"(?i)mb$|megabytes$", self.name) else ""
        return _scaled(self.value, _BYTES, unit)

    @property
    def seconds(self) -> float | None:
        """The value as a time; the name may say the unit."""
        if isinstance(self.value, timedelta):
            return self.value.total_seconds()
        last = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", self.name)[-1:]
        unit = last[0].lower() if last else ""
        return _scaled(self.value, _SECONDS, unit if len(unit) > 2 and unit in _SECONDS else "")

    @property
    def day(self) -> date | None:
        """The value as a day."""
        if isinstance(self.value, datetime):
            return self.value.date()
        if isinstance(self.value, date):
            return self.value
        number = self.number
        with contextlib.suppress(ValueError, OverflowError, OSError):
            if number is not None and number > 1e9:
                return datetime.fromtimestamp(number, UTC).date()
            return date.fromisoformat(self.text[:10])
        return None


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "("):
            with contextlib.suppress(ValueError):
                found = json.loads(text.replace("'", '"').replace("(", "[").replace(")", "]"))
                return list(found)
            text = text.strip("[]()")
        return [item for item in re.split(r"[,;\s]+", text) if item]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return [] if value is None else [value]


def _measured(value: Any) -> tuple[float, str] | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value), ""
    if not isinstance(value, str):
        return None
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    return float(found[1].replace(",", "").replace("_", "")), found[2].lower()


def _scaled(value: Any, units: Mapping[str, float], unit: str) -> float | None:
    found = _measured(value)
    if found is None:
        return None
    factor = units.get(found[1] or unit)
    return None if factor is None else found[0] * factor


@dataclass(frozen=True)
class Settings:
    """Everything that was read, in its order; ``policies`` are those of safehold among it.

    ``services`` are the names of other containers that stand beside, reached without a network
    of others. ``today`` is the day against which ages are counted.
    """

    all: tuple[Setting, ...] = ()
    policies: tuple[Policy, ...] = ()
    services: frozenset[str] = frozenset()
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    key_days: int = 365
    failed: tuple[tuple[Location, str], ...] = ()

    def about(self, *topics: str) -> Iterator[Setting]:
        """Yield what is about one of the topics and has a value of its own."""
        for topic in topics:
            for setting in self._by_topic.get(topic, ()):
                if not setting.is_reference:
                    yield setting

    @cached_property
    def _by_topic(self) -> dict[str, list[Setting]]:
        found: dict[str, list[Setting]] = {}
        for setting in self.all:
            if setting.topic:
                found.setdefault(setting.topic, []).append(setting)
        return found


Flat = Iterable[tuple[str, Any]]
Lines = Callable[[str], int | None]


def flatten(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield each value of nested tables with its dotted name; lists of plain values stay whole."""
    if depth > 32:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping | list) for one in value):
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{prefix}[{index}]", depth + 1)
    else:
        yield prefix, value


def settings_of(
    flat: Flat,
    origin: Origin,
    path: str = "",
    lines: Lines | None = None,
    *,
    committed: bool = False,
) -> Iterator[Setting]:
    """Yield settings of names and values, each with what it is about."""
    for name, value in flat:
        where = Location(path, line=None if lines is None else lines(name))
        topic = topic_of(name, value)
        yield Setting(name, value, where, origin, topic=topic, committed=committed)
