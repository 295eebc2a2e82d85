"""What the look at one source file gives: findings, edits, diagnostics, paths of artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from safehold.findings import Finding

Outcome = Literal["migrated", "diagnosed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One edited line."""

    line: int
    rule: str
    before: str
    after: str

    def as_json(self) -> dict[str, Any]:
        """Return the edit in the shape of `migrate --format json`."""
        return {"line": self.line, "rule": self.rule, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something to know or to do by hand.

    ``is_open`` when migration left something unsafe in place; a note otherwise.
    """

    line: int
    rule: str
    message: str
    remedy: str
    is_open: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the diagnostic in the shape of `migrate --format json`."""
        return {
            "line": self.line,
            "rule": self.rule,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class ArtifactUse:
    """A read or write of an artifact whose path the source shows.

    ``pattern`` is relative to the policy's root, `*` stands for what is not known; absolute
    when it lies outside. ``via``: path, handle or bytes. ``is_sure`` is false when the path is
    a default that a caller or the environment can replace. ``without_facade``: the call, when
    it is one that migration leaves as it is.
    """

    pattern: str
    kind: Literal["read", "write"]
    codec: str
    is_model: bool
    line: int
    via: str = "path"
    is_sure: bool = True
    without_facade: str = ""


@dataclass(frozen=True, slots=True)
class FileAudit:
    """The result for one file; `before` and `after` are bytes only when it would change.

    ``added`` is the number of the one line of `after` that `before` has not; 0 when there is none.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    edits: tuple[Edit, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    artifacts: tuple[ArtifactUse, ...] = ()
    before: bytes | None = None
    after: bytes | None = None
    added: int = 0

    @property
    def outcome(self) -> Outcome:
        """`migrated` when it would change, `diagnosed` when something is left by hand."""
        if self.after is not None:
            return "migrated"
        return "diagnosed" if any(item.is_open for item in self.diagnostics) else "unchanged"

    @property
    def is_settled(self) -> bool:
        """Say whether nothing is left to do once the edits are made."""
        return not any(item.is_open for item in self.diagnostics)

    def as_json(self) -> dict[str, Any]:
        """Return the file in the shape of `migrate --format json`."""
        return {
            "path": self.path,
            "outcome": self.outcome,
            "edits": [edit.as_json() for edit in self.edits],
            "diagnostics": [item.as_json() for item in self.diagnostics],
        }
