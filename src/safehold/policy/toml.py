"""The policy file's schema: strict TOML to Policy; `rendering` has the way back.

An unknown key is an error that lists the allowed ones. `parse_policy` does no IO. A
`pyproject.toml` carries the same schema under ``[tool.safehold]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from safehold.allow import PRESETS, AllowList
from safehold.credentials.redaction import pattern_problem
from safehold.errors import ConfigError
from safehold.policy import (
    CODE_CODECS,
    DATA_CODECS,
    MEMORY,
    OUTSIDE,
    Activation,
    Guard,
    KeySource,
    Limits,
    Mode,
    Policy,
    Redaction,
    Trust,
    Zone,
    alerts,
    deploy,
    recording,
    requests,
    web,
)
from safehold.policy.lines import key_lines, read_toml
from safehold.policy.revoked import KEYS, Revocations
from safehold.policy.sizes import parse_size
from safehold.sfh1 import SUITES

_FLAGS = ("mmap", "sidecar")  # of a zone
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 1_000_000
_TABLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "version", "mode", "root", "activation", "keys", "zone", "memory", "code", "limits",
        "guard", "trail", "marks", "unsealed", "revoked",
        "alerts", "redaction", "web", "requests", "deploy",
    ),
    "activation": ("variable", "values"),
    "keys": ("source", "id", "suite", "previous", "local"),
    "keys.previous": ("source", "id", "suite"),
    "keys.local": ("source", "id"),
    "zone": ("name", "paths", "trust", "codecs", "allow", *_FLAGS),
    "memory": ("trust", "codecs", "allow"),
    "code": ("trusted",),
    "limits": ("artifact", "depth", "expansion", "members", "seconds"),
    "guard": ("strict",),
    "trail": ("path", *recording.KEYS),
    "marks": ("path",),
    "unsealed": ("path",),
    "revoked": ("keys", "artifacts", "file"),
    "alerts": alerts.KEYS,
    "alerts.channel": alerts.CHANNEL_KEYS,
    "redaction": ("names", "patterns"),
    "web": web.KEYS,
    "requests": requests.KEYS,
    "requests.cookie": requests.COOKIE_KEYS,
    "deploy": deploy.KEYS,
}  # fmt: skip


def parse_policy(text: str, path: Path) -> Policy:
    """Build a policy from TOML text; `path` names the file and anchors relative patterns.

    Raises:
        ConfigError: with the file, the key and the allowed values.
    """
    return _Parser(text, path).policy()


class _Parser:
    """One parse: keeps the file name for messages and collects origins."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.origins: dict[str, str] = {}
        self.key_ids: set[str] = set()
        data = read_toml(text, path)
        lines = key_lines(text)
        if path.name == "pyproject.toml":
            tool = data.get("tool")
            data = tool.get("safehold", {}) if isinstance(tool, dict) else {}
            if not data:
                message = f"{path} has no [tool.safehold] table"
                raise ConfigError(message)
            own = "tool.safehold."
            lines = {key[len(own) :]: line for key, line in lines.items() if key.startswith(own)}
        self.lines = lines
        self.data = self.table(data, "")

    def policy(self) -> Policy:
        data = self.data
        if "version" not in data:
            raise self.error("version", "is missing; add: version = 1")
        if type(data["version"]) is not int or data["version"] != 1:
            shown = _brief(data["version"])
            raise self.error("version", f"is {shown}; this safehold reads version 1")
        defaults = Policy(root=self.path.parent)
        activation = self.table(data.get("activation", {}), "activation")
        keys = self.table(data.get("keys", {}), "keys")
        memory = self.table(data.get("memory", {}), "memory")
        code = self.table(data.get("code", {}), "code")
        trusted = self._strings(code, "code", "trusted", ()) if "trusted" in code else None
        return Policy(
            root=self._root(data),
            mode=cast("Mode", self._choice(data, "", "mode", ("off", "monitor", "enforce"))),
            activation=Activation(
                self._string(activation, "activation", "variable", defaults.activation.variable),
                self._strings(activation, "activation", "values", defaults.activation.values),
            ),
            key=self._key(keys, "keys", defaults.key),
            previous=tuple(
                self._key(self.table(item, key := f"keys.previous[{index}]"), key, None)
                for index, item in enumerate(self._list(keys, "keys", "previous"))
            ),
            local=self._key(self.table(keys["local"], "keys.local"), "keys.local", None)
            if "local" in keys
            else None,
            zones=self._zones(data),
            memory=self._zone(memory, "memory", MEMORY.name, (), MEMORY),
            trusted=None if trusted is None else self._patterns(trusted, "code.trusted"),
            limits=self._limits(),
            guard=Guard(self._flag(self.table(data.get("guard", {}), "guard"), "guard", "strict")),
            trail=self._place("trail", defaults.trail),
            recording=recording.parse_recording(self.table(data.get("trail", {}), "trail"), self),
            marks=self._place("marks", defaults.marks),
            unsealed=self._place("unsealed", defaults.unsealed),
            revoked=self._revoked(),
            alerts=alerts.parse_alerts(data.get("alerts", {}), self),
            redaction=self._redaction(),
            web=web.parse_web(data.get("web", {}), self),
            requests=requests.parse_requests(data.get("requests", {}), self),
            deploy=deploy.parse_deploy(data.get("deploy", {}), self),
            path=self.path,
            origins=MappingProxyType(self.origins),
        )

    # -- single values

    def error(self, key: str, what: str) -> ConfigError:
        line = self._line(key)
        name = key if key.isprintable() else repr(key)
        return ConfigError(f"{self.path}{f':{line}' if line else ''}: {name} {what}".rstrip())

    def _line(self, key: str) -> int | None:
        """Return the line of a key, or of the innermost table around it that is known."""
        while key and key not in self.lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self.lines.get(key)

    def _note(self, key: str, *, given: bool) -> None:
        line = self._line(key)
        self.origins[key] = f"{self.path.name}{f':{line}' if line else ''}" if given else "default"

    def noted(self, key: str) -> None:
        self._note(key, given=key in self.lines)

    def table(self, value: object, name: str) -> dict[str, Any]:
        allowed = _TABLES[_INDEX.sub("", name)]
        if not isinstance(value, dict):
            raise self.error(name, f"must be a table with the keys {', '.join(allowed)}")
        for key in value:
            if key not in allowed:
                full = f"{name}.{key}" if name else key
                raise self.error(full, f"is not a policy key; allowed: {', '.join(allowed)}")
        return value

    def _string(self, table: dict[str, Any], name: str, key: str, default: str | None) -> str:
        full = f"{name}.{key}" if name else key
        value = table.get(key, default)
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.error(full, "must be a string that is not empty and has no NUL")
        self._note(full, given=key in table)
        return value

    def _strings(
        self, table: dict[str, Any], name: str, key: str, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        value = table.get(key, list(default))
        if not isinstance(value, list) or not all(
            isinstance(item, str) and "\0" not in item for item in value
        ):
            raise self.error(f"{name}.{key}", "must be a list of strings without NUL")
        self._note(f"{name}.{key}", given=key in table)
        return tuple(value)

    def _list(self, table: dict[str, Any], name: str, key: str) -> list[Any]:
        value = table.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"{name}.{key}", f"must be an array of tables: [[{name}.{key}]]")
        return value

    def _choice(self, table: dict[str, Any], name: str, key: str, choices: tuple[str, ...]) -> str:
        default = choices[0] if key == "suite" else choices[-1]
        value = self._string(table, name, key, default)
        if value not in choices:
            full = f"{name}.{key}" if name else key
            raise self.error(full, f"is {_brief(value)}; allowed: {', '.join(choices)}")
        return value

    def _flag(self, table: dict[str, Any], name: str, key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"{name}.{key}", "must be true or false")
        self._note(f"{name}.{key}", given=key in table)
        return value

    def _number(self, table: dict[str, Any], key: str, default: int) -> int:
        value = table.get(key, default)
        if isinstance(value, str):
            value = parse_size(value)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise self.error(f"limits.{key}", 'must be a positive integer or a size as "4 GiB"')
        self._note(f"limits.{key}", given=key in table)
        return value

    def _seconds(self, table: dict[str, Any], default: float) -> float:
        value = table.get("seconds", default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = 0
        if not _LEAST_SECONDS <= value <= _MOST_SECONDS:
            raise self.error("limits.seconds", "must be a number of seconds, 0.1 to 1,000,000")
        self._note("limits.seconds", given="seconds" in table)
        return float(value)

    # -- composite values

    def _root(self, data: dict[str, Any]) -> Path:
        root = self.path.parent
        if "root" in data:
            root = root / self._string(data, "", "root", None)
        else:
            self._note("root", given=False)
        return root.resolve()

    def _key(self, table: dict[str, Any], name: str, default: KeySource | None) -> KeySource:
        source = self._string(table, name, "source", default.source if default else None)
        if not _SOURCE.fullmatch(source):
            # Not shown: some write the key itself here.
            raise self.error(f"{name}.source", "must name a place: env:NAME, file:PATH or cmd:...")
        key_id = self._string(table, name, "id", default.id if default else None)
        if key_id in self.key_ids:
            raise self.error(f"{name}.id", f"is {_brief(key_id)}, which another key has")
        self.key_ids.add(key_id)
        if name == "keys.local":
            return KeySource(source, key_id)
        return KeySource(source, key_id, self._choice(table, name, "suite", tuple(SUITES)))

    def _limits(self) -> Limits:
        table = self.table(self.data.get("limits", {}), "limits")
        limits = Limits()
        return Limits(
            artifact=self._number(table, "artifact", limits.artifact),
            depth=self._number(table, "depth", limits.depth),
            expansion=self._number(table, "expansion", limits.expansion),
            members=self._number(table, "members", limits.members),
            seconds=self._seconds(table, limits.seconds),
        )

    def _place(self, name: str, default: str) -> str:
        table = self.table(self.data.get(name, {}), name)
        return self._string(table, name, "path", default)

    def _revoked(self) -> Revocations:
        table = self.table(self.data.get("revoked", {}), "revoked")
        keys, artifacts = (self._strings(table, "revoked", name, ()) for name in KEYS)
        file = self._string(table, "revoked", "file", None) if "file" in table else ""
        revoked = Revocations(keys, artifacts, file)
        for key, problem in revoked.problems():
            raise self.error(f"revoked.{key}", problem)
        return revoked

    def _redaction(self) -> Redaction:
        table = self.table(self.data.get("redaction", {}), "redaction")
        names = self._strings(table, "redaction", "names", ())
        for name in names:
            if not _NAME.fullmatch(name):
                problem = f"has {_brief(name)}; a name is of letters, digits, - and _"
                raise self.error("redaction.names", problem)
        patterns = self._strings(table, "redaction", "patterns", ())
        for pattern in patterns:
            if reason := pattern_problem(pattern):
                raise self.error("redaction.patterns", f"has {_brief(pattern)}, which {reason}")
        return Redaction(names, patterns)

    def _zones(self, data: dict[str, Any]) -> tuple[Zone, ...]:
        raw = data.get("zone", [])
        if not isinstance(raw, list):
            raise self.error("zone", "must be an array of tables: [[zone]]")
        zones: list[Zone] = []
        owner: dict[str, str] = {}
        for index, item in enumerate(raw):
            key = f"zone[{index}]"
            table = self.table(item, key)
            name = self._string(table, key, "name", None)
            if name in {zone.name for zone in zones} | {MEMORY.name, OUTSIDE.name}:
                raise self.error(
                    f"{key}.name", f"is {_brief(name)}, which is used twice or reserved"
                )
            paths = self._patterns(self._strings(table, key, "paths", ()), f"{key}.paths")
            if not paths:
                raise self.error(f"{key}.paths", f"of zone {_brief(name)} is empty")
            for pattern in paths:
                if owner.setdefault(pattern, name) != name:
                    raise self.error(
                        f"{key}.paths", f"has {_brief(pattern)}, which is in two zones"
                    )
            zone = self._zone(table, key, name, paths, OUTSIDE)
            mmap, sidecar = (self._flag(table, key, flag) for flag in _FLAGS)
            zones.append(replace(zone, mmap=mmap, sidecar=sidecar))
        return tuple(zones)

    def _zone(
        self, table: dict[str, Any], key: str, name: str, paths: tuple[str, ...], base: Zone
    ) -> Zone:
        trust = self._string(table, key, "trust", base.trust)
        if trust not in ("internal", "external"):
            raise self.error(f"{key}.trust", f"is {_brief(trust)}; allowed: internal, external")
        internal = trust == "internal"
        known = (*DATA_CODECS, *CODE_CODECS) if internal else DATA_CODECS
        fallback = known if base is OUTSIDE else tuple(c for c in base.codecs if c in known)
        codecs = self._strings(table, key, "codecs", fallback)
        for codec in codecs:
            if codec not in known:
                raise self.error(
                    f"{key}.codecs",
                    f"has {_brief(codec)}; a zone of trust {trust!r} can use: {', '.join(known)}",
                )
        allow = self._strings(table, key, "allow", base.allow)
        for entry in allow:
            self._allow_entry(f"{key}.allow", entry, internal=internal)
        return Zone(name, paths, cast("Trust", trust), codecs, allow)

    def _allow_entry(self, key: str, entry: str, *, internal: bool) -> None:
        if entry == "*":
            if not internal:
                raise self.error(key, "may hold '*' only in a zone of trust 'internal'")
        elif entry not in PRESETS and not _DOTTED.fullmatch(entry):
            raise self.error(
                key,
                f"has {_brief(entry)}, which is neither a preset ({', '.join(PRESETS)}) nor an "
                f"exact dotted name such as package.module.Class",
            )
        else:
            try:
                AllowList.of((entry,))
            except ConfigError as error:  # a name that is known to be dangerous
                raise self.error(key, f"has {_brief(entry)}: {error}") from error

    def _patterns(self, patterns: tuple[str, ...], key: str) -> tuple[str, ...]:
        for pattern in patterns:
            parts = pattern.split("/")
            if ".." in parts or "." in parts or "" in parts:
                raise self.error(
                    key,
                    f"has {_brief(pattern)}; patterns are relative to the root, without . or ..",
                )
            if "[" in pattern or any("**" in part and part != "**" for part in parts):
                raise self.error(key, f"has {_brief(pattern)}; use only *, ? and whole ** segments")
        return patterns


_INDEX = re.compile(r"\[\d+\]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_SOURCE = re.compile(r"[a-z][a-z0-9+.-]*:.+", re.DOTALL)


def _brief(value: object) -> str:
    """Show a value of any size or depth on one line."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "…"
