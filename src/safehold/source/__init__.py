"""Source: finds code that deserializes unsafely and points it at the facades of `compat`.

`audit_tree`, `audit_file` and `audit_source` look and plan; `Journal` makes changes that
`rollback` undoes. Bytes pass through: prefilter, decode, parse, scopes, entries, sites, groups
of imports, edits as spans, proof that nothing else changed.
"""

from __future__ import annotations

from safehold.source.check import audit_source
from safehold.source.comment import comment_line, with_comment
from safehold.source.finalizing import FinalReport, finalize
from safehold.source.journal import Journal
from safehold.source.members import Members
from safehold.source.outcome import ArtifactUse, Diagnostic, Edit, FileAudit
from safehold.source.records import Run, runs
from safehold.source.tree import audit_file, audit_tree, carry_out, migrate_file
from safehold.source.undo import RollbackReport, rollback
from safehold.source.unified import diff

__all__ = [
    "ArtifactUse",
    "Diagnostic",
    "Edit",
    "FileAudit",
    "FinalReport",
    "Journal",
    "Members",
    "RollbackReport",
    "Run",
    "audit_file",
    "audit_source",
    "audit_tree",
    "carry_out",
    "comment_line",
    "diff",
    "finalize",
    "migrate_file",
    "rollback",
    "runs",
    "with_comment",
]
