"""What a migration has to show: each file with its outcome, and the sums."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from safehold.source import FileAudit

OUTCOMES = ("migrated", "diagnosed", "unchanged")


DataOutcome = Literal[
    "seal", "convert", "list", "leave", "sealed", "converted", "listed", "left", "failed"
]


def left(audit: FileAudit) -> int:
    """Return how many things in a file are left to do by hand."""
    return sum(item.is_open for item in audit.diagnostics)


@dataclass(frozen=True, slots=True)
class DataFile:
    """What becomes of one file that migrated calls read; `original` is where its bytes are kept."""

    path: str
    outcome: DataOutcome
    reason: str
    remedy: str = ""
    original: str = ""

    @property
    def is_settled(self) -> bool:
        """Say whether nothing is left to do."""
        return self.outcome in ("sealed", "converted", "listed")

    def as_json(self) -> dict[str, str]:
        """Return the file in the shape of `migrate --format json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Migration:
    """All that a renderer needs; the same migration gives the same document.

    ``root`` is the directory that the files' paths are relative to, ``base`` the one that paths
    in documents are relative to. ``written`` says whether the edits were made. ``data`` is None
    where only sources were looked at.
    """

    audits: tuple[FileAudit, ...]
    root: str
    base: str
    written: bool = False
    data: tuple[DataFile, ...] | None = None

    @property
    def code(self) -> int:
        """The exit code: 1 while something is to be changed or done by hand."""
        open_sources = (
            not audit.is_settled or (audit.after is not None and not self.written)
            for audit in self.audits
        )
        return int(any(open_sources) or not all(file.is_settled for file in self.data or ()))

    @property
    def totals(self) -> dict[str, int]:
        """How many files there are, in all and of each outcome, and what was found in them.

        ``partly``: those among the migrated ones of which something is left to do by hand.
        """
        totals = {"files": len(self.audits), **dict.fromkeys(OUTCOMES, 0)}
        for audit in self.audits:
            totals[audit.outcome] += 1
        return totals | {
            "partly": sum(bool(left(audit)) for audit in self.audits if audit.after is not None),
            "calls": sum(len(audit.findings) for audit in self.audits),
            "edits": sum(len(audit.edits) for audit in self.audits),
            "diagnostics": sum(len(audit.diagnostics) for audit in self.audits),
        }
