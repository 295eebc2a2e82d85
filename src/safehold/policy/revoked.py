"""Revocations: ids of keys and artifacts that are refused, from the policy and a file beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from safehold.errors import ConfigError
from safehold.policy.lines import read_regular, read_toml

KEYS = ("keys", "artifacts")
_ARTIFACT = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Revocations:
    """Ids of keys and of artifacts, the latter in hexadecimal; `file` names a file with more."""

    keys: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    file: str = ""

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield a list's name and what is wrong with it."""
        if "" in self.keys:
            yield "keys", "has an id that is empty"
        for artifact in self.artifacts:
            if not _ARTIFACT.fullmatch(artifact):
                shown = f"has {artifact[:100]!r}; an artifact id has 32 hexadecimal digits"
                yield "artifacts", f"{shown}, see: safehold inspect PATH"

    def with_file(self, root: Path) -> Revocations:
        """Return these with what the file lists now. Raises ConfigError: there must be one."""
        if not self.file:
            return self
        more = _read(root / self.file)
        return replace(
            self,
            keys=_union(self.keys, more.keys),
            artifacts=_union(self.artifacts, more.artifacts),
        )


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _read(path: Path) -> Revocations:
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, ValueError) as error:  # no UTF-8; NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        message = (
            f"revocation list {str(path)!r} cannot be read ({reason}); put it there: without it "
            f"nothing says what is revoked"
        )
        raise ConfigError(message) from error
    table = read_toml(text, path)
    for name, value in table.items():
        if name not in KEYS:
            message = f"{path}: {name!r} is no list of revocations; allowed: {', '.join(KEYS)}"
            raise ConfigError(message)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            message = f"{path}: {name} must be a list of strings"
            raise ConfigError(message)
    found = Revocations(tuple(table.get("keys", ())), tuple(table.get("artifacts", ())))
    for name, problem in found.problems():
        message = f"{path}: {name} {problem}"
        raise ConfigError(message)
    return found
