"""The documents that a report reads: proofs, acceptances, reports of earlier runs.

Numbers in them are not taken over. Of an earlier report only the findings are read, and scored
anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from safehold.errors import ConfigError
from safehold.findings import Finding, Location, Rule, Severity

_LARGEST: Final = 64 * 2**20
_Text = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]
_T = TypeVar("_T")


class Probe(msgspec.Struct, frozen=True):
    """What one probe came to, of `safehold prove --output`."""

    id: _Text
    rule: str
    title: str
    outcome: Literal["got-in", "held", "not-tried"]
    reason: str = ""


class _Proof(msgspec.Struct, frozen=True):
    schema: Literal[1]
    tree: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """The probes of a run of `safehold prove`, if that was on this very tree.

    ``note`` says why nothing counts, where nothing does.
    """

    probes: tuple[Probe, ...] = ()
    note: str = "no proof was given: safehold prove --output FILE, then report --prove FILE"
    here: bool = False

    @classmethod
    def load(cls, path: str, digests: frozenset[str]) -> Proof:
        """Read it; `digests` are those of this tree. Raises ConfigError, OSError."""
        read = _decoded(path, _Proof, "a document of safehold prove")
        if not read.tree or read.tree not in digests:
            note = (
                f"{path} proves nothing here: it is of {read.tree or 'no tree'}, not of this one; "
                "run safehold prove again, and keep its output outside the tree"
            )
            return cls((), note)
        return cls(read.probes, "", here=True)

    def linked(self, rule: str) -> tuple[Probe, ...]:
        """Return the probes that try what a rule finds."""
        return tuple(probe for probe in self.probes if probe.rule == rule)


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A risk that somebody takes until a day: findings of a rule in one file."""

    rule: Annotated[str, msgspec.Meta(pattern=r"^SH[0-9]{3}$")]
    path: str
    owner: _Text
    reason: _Text
    expires: date

    def takes(self, finding: Finding) -> bool:
        """Say whether it is about this finding."""
        return (self.rule, self.path) == (finding.rule.id, finding.location.path)

    def is_over(self, today: date) -> bool:
        """Say whether it counts no more; its day is the last on which it does."""
        return today > self.expires


class _Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: tuple[Acceptance, ...] = ()


def load_accepted(path: str) -> tuple[Acceptance, ...]:
    """Read the `[[accepted]]` tables of a file. Raises ConfigError, OSError."""
    try:
        return msgspec.toml.decode(_read(path), type=_Accepted).accepted
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"{path}: {error}; each [[accepted]] has rule, path, owner, reason and expires"
        raise ConfigError(message) from error


class Old(msgspec.Struct, frozen=True):
    """One finding of an earlier report."""

    rule: str
    severity: Literal["info", "low", "medium", "high", "critical"]
    part: str
    path: str
    message: str
    fingerprint: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
    line: int | None = None

    def finding(self, rules: dict[str, Rule]) -> Finding | None:
        """Return it as a finding of this version, None if that knows no such rule."""
        rule = rules.get(self.rule)
        if rule is None:
            return None
        where = Location(self.path, line=self.line)
        return Finding.of(rule, self.message, where, severity=Severity[self.severity.upper()])


class Earlier(msgspec.Struct, frozen=True):
    """An earlier report in JSON."""

    safehold: Literal["risk"]
    schema: Literal[1]
    made: datetime
    findings: tuple[Old, ...]

    @classmethod
    def load(cls, path: str) -> Earlier:
        """Read it. Raises ConfigError, OSError."""
        read = _decoded(path, cls, "a risk report in JSON")
        if read.made.tzinfo is None:
            message = f"{path} says no time zone of when it was made"
            raise ConfigError(message)
        return read


def _decoded(path: str, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"{path} is not {what}: {error}"
        raise ConfigError(message) from error


def _read(path: str) -> bytes:
    if os.stat(path).st_size > _LARGEST:
        message = f"{path} is larger than {_LARGEST >> 20} MiB"
        raise ConfigError(message)
    return Path(path).read_bytes()


def rules_by_id() -> dict[str, Any]:
    """Return every rule of safehold by its id."""
    from safehold.report.rules import all_rules

    return {rule.id: rule for rule in all_rules()}
