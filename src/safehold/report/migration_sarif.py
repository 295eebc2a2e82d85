"""A migration as SARIF 2.1.0: one result for each edit and each thing that is left by hand.

The edits of a file need each other, so its first edit has the fix, and that makes all of them.
Columns are those of Unicode code points, lines those of Python, which ends them at CR, too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from safehold.report.migration import Migration
from safehold.report.names import uri_of
from safehold.report.sarif_run import LEVELS, ROOT, Tool, document, fitting, plain_text
from safehold.source import Diagnostic, Edit, FileAudit
from safehold.source.unified import Changes

_CATEGORY: Final = "safehold-migrate/"


def render(migration: Migration) -> str:
    """Return the document: one run."""
    return document(_Run(migration).as_json())


class _Run:
    def __init__(self, migration: Migration) -> None:
        self.migration = migration
        self.tool = Tool(())

    def as_json(self) -> dict[str, Any]:
        totals = self.migration.totals
        results = list(fitting(self._results()))
        left_out = totals["edits"] + totals["diagnostics"] - len(results)
        return {
            "tool": {"driver": self.tool.driver()},
            "automationDetails": {"id": _CATEGORY},
            "columnKind": "unicodeCodePoints",
            "newlineSequences": ["\r\n", "\n", "\r"],
            "originalUriBaseIds": {
                ROOT: {"description": {"text": "The directory in which safehold was started."}}
            },
            "invocations": [self._invocation(left_out)],
            "taxonomies": [self.tool.taxonomy()],
            "artifacts": [
                {
                    "location": self._uri(audit),
                    "roles": ["analysisTarget", *self._modified(audit)],
                    "properties": {"outcome": audit.outcome},
                }
                for audit in self.migration.audits
            ],
            "results": results,
            "properties": {"summary": {**totals, "written": self.migration.written}},
        }

    def _invocation(self, left_out: int) -> dict[str, Any]:
        made: dict[str, Any] = {"executionSuccessful": True, "exitCode": self.migration.code}
        if left_out:
            text = f"{left_out} further results are not listed here; --format json has them all"
            made["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": text}}]
        return made

    def _modified(self, audit: FileAudit) -> list[str]:
        return ["modified"] if self.migration.written and audit.after is not None else []

    def _results(self) -> Iterator[dict[str, Any]]:
        for index, audit in enumerate(self.migration.audits):
            seen: Counter[str] = Counter()
            for item in audit.diagnostics:
                yield self._diagnosed(index, audit, item, seen)
            for number, edit in enumerate(audit.edits):
                row = self._edited(index, audit, edit, seen)
                if number == 0 and not self.migration.written:
                    row["fixes"] = [self._fix(index, audit)]
                yield row

    def _diagnosed(
        self, index: int, audit: FileAudit, item: Diagnostic, seen: Counter[str]
    ) -> dict[str, Any]:
        row = self._result(index, audit, item.line, item.rule, item.message, seen)
        if not item.is_open:
            row["level"] = "note"
        row["properties"] |= {"kind": "by hand" if item.is_open else "note"}
        row["properties"] |= {"remedy": plain_text(item.remedy)}
        return row

    def _edited(
        self, index: int, audit: FileAudit, edit: Edit, seen: Counter[str]
    ) -> dict[str, Any]:
        verb = "was rewritten as" if self.migration.written else "can be rewritten as"
        message = f"{edit.before} {verb} {edit.after}"
        row = self._result(index, audit, edit.line, edit.rule, message, seen)
        if self.migration.written:
            row |= {"kind": "informational", "level": "none"}
        row["properties"] |= {"kind": "edit"}
        return row

    def _result(
        self, index: int, audit: FileAudit, line: int, rule: str, message: str, seen: Counter[str]
    ) -> dict[str, Any]:
        number = self.tool.indices[rule]
        return {
            "ruleId": rule,
            "ruleIndex": number,
            "kind": "fail",
            "level": LEVELS[self.tool.rules[number].severity],
            "message": {"text": plain_text(message)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {**self._uri(audit), "index": index},
                        "region": {"startLine": max(line, 1)},
                    }
                }
            ],
            "partialFingerprints": {"safehold-migrate/v1": _fingerprint(rule, message, seen)},
            "properties": {"outcome": audit.outcome},
        }

    def _fix(self, index: int, audit: FileAudit) -> dict[str, Any]:
        replacements = list(_replacements(audit))
        number = f"{len(replacements)} line{'' if len(replacements) == 1 else 's'}"
        return {
            "description": {"text": f"Migrate this file: {number}."},
            "artifactChanges": [
                {
                    "artifactLocation": {**self._uri(audit), "index": index},
                    "replacements": replacements,
                }
            ],
        }

    def _uri(self, audit: FileAudit) -> dict[str, Any]:
        uri = uri_of(os.path.join(self.migration.root, audit.path), self.migration.base)
        return {"uri": uri} if "://" in uri else {"uri": uri, "uriBaseId": ROOT}


def _fingerprint(rule: str, message: str, seen: Counter[str]) -> str:
    """Return what makes a result the same one again, wherever in its file it has moved."""
    text = json.dumps([rule, message])
    seen[text] += 1
    return hashlib.sha256(f"1\n{seen[text]}\n{text}".encode()).hexdigest()[:32]


def _replacements(audit: FileAudit) -> Iterator[dict[str, Any]]:
    """Yield each line that changes, whole; a line that is added stands before another one."""
    lines = Changes.of(audit)
    if lines is None:
        return
    changed = lines.changed()
    for line in sorted({*changed, lines.added} - {0}):
        old = lines.before.text(line) if line in changed else ""
        new = lines.new(line) if line in changed else ""
        head = lines.after.whole(line) if line == lines.added else ""
        yield {
            "deletedRegion": {
                "startLine": line,
                "startColumn": 1,
                "endLine": line,
                "endColumn": len(old) + 1,
            },
            "insertedContent": {"text": head + new},
        }
