"""The one policy file: what is trusted, where, and within which limits.

`Policy.load` reads a named file and never searches for one; the TOML schema is in `toml.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from safehold.credentials.redaction import Redactor
from safehold.errors import ConfigError
from safehold.findings import Finding, Location, Rule, Severity
from safehold.policy.alerts import Alerts
from safehold.policy.deploy import Deploy
from safehold.policy.lines import read_regular
from safehold.policy.patterns import pattern_matcher, pattern_weight
from safehold.policy.recording import Recording
from safehold.policy.requests import Requests
from safehold.policy.revoked import Revocations
from safehold.policy.web import Web

Mode = Literal["off", "monitor", "enforce"]
Trust = Literal["internal", "external"]

CODE_CODECS = ("joblib", "pickle", "skops")
"""Codecs whose files name classes; only sealed files in internal zones may use them."""
DATA_CODECS = ("bytes", "json", "msgpack", "npy", "npz", "parquet", "safetensors")
"""Codecs whose files hold values alone."""

EVERY_TYPE = Rule(
    id="SH115",
    name="zone-allows-every-type",
    title="A zone allows every type",
    why="With allow = ['*'] a sealed file of the zone may name any class that is not known to "
    "be dangerous, so whoever can seal can choose what is instantiated.",
    remedy="List the presets and the exact dotted names of your own classes.",
    severity=Severity.HIGH,
    cwe=183,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:H/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=7.5,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is read.

    ``artifact``: bytes of one file, packed or unpacked. ``depth``: nesting of values and of
    archives within archives. ``expansion``: unpacked bytes per packed byte. ``members``:
    entries of one archive. ``seconds``: processor time that the scan of one file may take for
    each 64 MiB of it, or part of that.
    """

    artifact: int = 4 * 2**30
    depth: int = 64
    expansion: int = 1000
    members: int = 100_000
    seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class Zone:
    """A named set of paths with a trust level, its codecs and its allowed types.

    ``mmap``: its files may be mapped instead of read, where nobody else can write them.
    With ``sidecar`` what is written stays a plain file, whose seal is a file beside it.
    """

    name: str
    paths: tuple[str, ...] = ()
    trust: Trust = "external"
    codecs: tuple[str, ...] = DATA_CODECS
    allow: tuple[str, ...] = ()
    mmap: bool = False
    sidecar: bool = False


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where one key comes from: ``env:NAME``, ``file:PATH`` or ``cmd:COMMAND``; its one suite."""

    source: str = "env:SAFEHOLD_SECRET_KEY"
    id: str = "k1"
    suite: str = "HS256"


@dataclass(frozen=True, slots=True)
class Activation:
    """The guard turns itself on when the environment variable has one of the values."""

    variable: str = "SAFEHOLD_ENV"
    values: tuple[str, ...] = ("production",)


@dataclass(frozen=True, slots=True)
class Guard:
    """How the guard treats untrusted bytes; ``strict``: it refuses plain data as well."""

    strict: bool = False


@dataclass(frozen=True, slots=True)
class Redaction:
    """Names and patterns of what stays out of the trail, beside those that always do."""

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def redactor(self, traces: frozenset[int]) -> Redactor:
        """Return what takes them, and the secrets with these traces, out of events."""
        return Redactor(names=self.names, patterns=self.patterns, traces=traces)


OUTSIDE = Zone(name="external")
"""The zone of every path that no zone names."""
MEMORY = Zone(name="memory", trust="internal", codecs=("pickle", "joblib", "json", "msgpack"))
"""The zone of bytes without a path, unless ``[memory]`` says otherwise."""
_SCIENCE = ("sklearn", "numpy", "scipy", "pandas")
DEFAULT_ZONES = (
    Zone(
        name="models",
        paths=("models/**", "ml/**", "cache/**", "exports/models/**"),
        trust="internal",
        codecs=("joblib", "pickle", "skops", "safetensors", "json", "msgpack"),
        allow=_SCIENCE,
    ),
    Zone(
        name="data",
        paths=(
            "data/**",
            "configs/**",
            "exports/data/**",
            "integrations/**",
            "scripts/**",
            "utils/**",
        ),
        codecs=("json", "msgpack", "parquet", "npy", "safetensors"),
    ),
)
DEFAULT_TRAIL = "var/safehold/trail"
DEFAULT_MARKS = "var/safehold/marks"
DEFAULT_UNSEALED = "unsealed.toml"


@dataclass(frozen=True)
class Policy:
    """The effective policy; immutable. ``origins`` says where each value came from."""

    root: Path
    mode: Mode = "enforce"
    activation: Activation = field(default_factory=Activation)
    key: KeySource = field(default_factory=KeySource)
    previous: tuple[KeySource, ...] = ()
    local: KeySource | None = None
    zones: tuple[Zone, ...] = ()
    memory: Zone = MEMORY
    trusted: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    guard: Guard = field(default_factory=Guard)
    trail: str = DEFAULT_TRAIL
    recording: Recording = field(default_factory=Recording)
    marks: str = DEFAULT_MARKS
    unsealed: str = DEFAULT_UNSEALED
    revoked: Revocations = field(default_factory=Revocations)
    alerts: Alerts = field(default_factory=Alerts)
    redaction: Redaction = field(default_factory=Redaction)
    web: Web = field(default_factory=Web)
    requests: Requests = field(default_factory=Requests)
    deploy: Deploy = field(default_factory=Deploy)
    path: Path | None = None
    origins: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """Read and check a policy file.

        Raises:
            ConfigError: unreadable file, invalid TOML, unknown key or invalid value.
        """
        file = Path(path)
        try:
            data = read_regular(file)
        except (OSError, ValueError) as error:  # ValueError: NUL in the name
            reason = getattr(error, "strerror", None) or str(error)
            message = (
                f"policy {str(file)!r} cannot be read ({reason}); "
                f"name an existing file, or write one with: safehold harden PATH --write"
            )
            raise ConfigError(message) from error
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"policy {file} is not UTF-8 at byte {error.start}; save it as UTF-8"
            raise ConfigError(message) from error
        from safehold.policy.toml import parse_policy

        return parse_policy(text, file.resolve())

    @property
    def key_sources(self) -> tuple[tuple[str, str, str], ...]:
        """(id, source, suite) of every key, the signing one first."""
        return tuple((item.id, item.source, item.suite) for item in (self.key, *self.previous))

    @property
    def local_key(self) -> tuple[str, str] | None:
        """(id, source) of the key of this machine's trail and marks, if it has its own."""
        return None if self.local is None else (self.local.id, self.local.source)

    def zone_for(self, relative: str | None) -> Zone:
        """Return the zone of a path below the root (POSIX form); None means outside."""
        if relative is None:
            return OUTSIDE
        zone = self._found.get(relative)
        if zone is None:
            zone = self._zone_of(relative)
            if len(self._found) < _REMEMBERED:
                self._found[relative] = zone
        return zone

    def _zone_of(self, relative: str) -> Zone:
        if _IRREGULAR.search(relative):  # not a name that the kernel gives
            return OUTSIDE
        for matches, zone in self._patterns:
            if matches(relative):
                return zone
        return OUTSIDE

    def is_trusted(self, relative: str | None) -> bool:
        """Say whether a source file may load code-carrying artifacts."""
        if self.trusted is None:
            return True
        if relative is None or _IRREGULAR.search(relative):
            return False
        return any(matches(relative) for matches in self._trusted)

    def zone_named(self, name: str) -> Zone:
        """Return a zone by name. Raises ConfigError with the known names."""
        known = {zone.name: zone for zone in (*self.zones, self.memory, OUTSIDE)}
        if name not in known:
            message = f"no zone {name!r} in the policy; zones: {', '.join(sorted(known))}"
            raise ConfigError(message)
        return known[name]

    def check(self) -> Iterator[Finding]:
        """Yield findings about the policy itself."""
        where = Location(path=str(self.path or "<default policy>"))
        for zone in (*self.zones, self.memory):
            if "*" in zone.allow:
                yield Finding.of(EVERY_TYPE, f"zone {zone.name!r} allows every type", where)

    @cached_property
    def _found(self) -> dict[str, Zone]:
        """Zones that were looked up: which one a name has never changes."""
        return {}

    @cached_property
    def _patterns(self) -> tuple[tuple[Callable[[str], object], Zone], ...]:
        """Matchers and their zones, the most specific first; of equals, the external first."""
        ranked = [(pattern, zone) for zone in self.zones for pattern in zone.paths]
        ranked.sort(
            key=lambda item: (pattern_weight(item[0]), item[1].trust == "external"), reverse=True
        )
        return tuple((pattern_matcher(pattern), zone) for pattern, zone in ranked)

    @cached_property
    def _trusted(self) -> tuple[Callable[[str], object], ...]:
        return tuple(pattern_matcher(pattern) for pattern in self.trusted or ())


def default_policy(root: str | Path) -> Policy:
    """Return the policy that `safehold harden` starts from, for a tree at `root`."""
    return Policy(root=Path(root).resolve(), zones=DEFAULT_ZONES)


_REMEMBERED = 4096  # names, which an attacker may choose
_IRREGULAR = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")  # an empty, . or .. segment
