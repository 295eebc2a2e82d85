"""What a migration has to show: each file with its outcome, and the sums."""

from __future__ import annotations

from dataclasses import dataclass

from safehold.source import FileAudit

OUTCOMES = ("migrated", "diagnosed", "unchanged")


@dataclass(frozen=True, slots=True)
class Migration:
    """All that a renderer needs; the same migration gives the same document.

    ``root`` is the directory that the files' paths are relative to, ``base`` the one that paths
    in documents are relative to. ``written`` says whether the edits were made.
    """

    audits: tuple[FileAudit, ...]
    root: str
    base: str
    written: bool = False

    @property
    def code(self) -> int:
        """The exit code: 1 while something is to be changed or done by hand."""
        return int(
            any(
                not audit.is_settled or (audit.after is not None and not self.written)
                for audit in self.audits
            )
        )

    @property
    def totals(self) -> dict[str, int]:
        """How many files there are, in all and of each outcome, and what was found in them."""
        totals = {"files": len(self.audits), **dict.fromkeys(OUTCOMES, 0)}
        for audit in self.audits:
            totals[audit.outcome] += 1
        return totals | {
            "calls": sum(len(audit.findings) for audit in self.audits),
            "edits": sum(len(audit.edits) for audit in self.audits),
            "diagnostics": sum(len(audit.diagnostics) for audit in self.audits),
        }
