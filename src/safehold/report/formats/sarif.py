"""SARIF 2.1.0, as code scanning services take it.

A finding in an artifact points at the file, with its byte offset; in a member of an archive, at
the file, with the member as logical location and, as related location, as a nested artifact.
Fingerprints hold no offsets, so a result stays the same one when bytes before it move.

GitHub rejects a document of more than 25,000 results or, compressed, 10 MB, so that one hostile
file could keep every finding from being shown. What does not fit is left out, the least severe
first and of each file its first findings last, and a notification says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import Any

from safehold.findings import Location
from safehold.report.names import member_uri, uri_of
from safehold.report.result import LINES, Entry, Item, Origin, Result
from safehold.report.sarif_run import (
    LEVELS,
    LONGEST_MESSAGE,
    MOST_RESULTS,
    ROOT,
    Tool,
    document,
    fitting,
    plain_text,
)
from safehold.report.shown import escaped


def render(result: Result) -> str:
    """Return the document: one run."""
    return document(_Run(result).as_json())


class _Run:
    """Rules and artifacts get their index when a result first names them."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.tool = Tool(item.finding.rule for entry in result.entries for item in entry.items)
        self.artifacts: list[dict[str, Any]] = []
        self.places: dict[tuple[str, str | None], int] = {}

    def as_json(self) -> dict[str, Any]:
        rows = _by_weight(self.result.entries)
        results = list(fitting(starmap(self._result, rows)))
        run: dict[str, Any] = {
            "tool": {"driver": self.tool.driver()},
            "automationDetails": {"id": f"{escaped(self.result.category)}/"},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                ROOT: {"description": {"text": "The directory in which the scan was started."}}
            },
            "invocations": [self._invocation(len(rows) - len(results))],
            "taxonomies": [self.tool.taxonomy()],
            "artifacts": self.artifacts,
            "results": results,
            "properties": {"summary": self.result.summary},
        }
        if self.result.origin is not None:
            run["versionControlProvenance"] = [self._provenance(self.result.origin)]
        return run

    def _invocation(self, left_out: int) -> dict[str, Any]:
        told = [
            {
                "level": "error",
                "message": {"text": plain_text(item.finding.message)},
                "locations": [self._location(entry, item)],
            }
            for entry in self.result.entries
            if entry.failed
            for item in entry.items
        ]
        if left_out:
            text = f"{left_out} further findings are not listed here; --format json has them all"
            told.append({"level": "warning", "message": {"text": text}})
        told += [
            {"level": "note", "message": {"text": plain_text(f"baseline: {line}")}}
            for line in self.result.stale
        ]
        made: dict[str, Any] = {
            "executionSuccessful": not any(entry.failed for entry in self.result.entries),
            "exitCode": self.result.code,
            "toolExecutionNotifications": told[:MOST_RESULTS],
        }
        if self.result.made is not None:
            made["endTimeUtc"] = f"{self.result.made:%Y-%m-%dT%H:%M:%SZ}"
        return made

    def _result(self, entry: Entry, item: Item) -> dict[str, Any]:
        finding = item.finding
        row: dict[str, Any] = {
            "ruleId": finding.rule.id,
            "ruleIndex": self.tool.indices[finding.rule.id],
            "kind": "fail",
            "level": LEVELS[finding.severity],
            "message": {"text": plain_text(finding.message)},
            "locations": [self._location(entry, item)],
            "partialFingerprints": {"safehold/v1": item.fingerprint},
            "properties": {
                "verdict": str(entry.report.verdict),
                "severity": finding.severity.label,
                "confidence": finding.confidence.label,
                "remedy": plain_text(finding.remedy),
                "detail": {
                    escaped(key): escaped(value)[:LONGEST_MESSAGE]
                    for key, value in finding.detail.items()
                },
            },
        }
        if entry.report.format not in LINES:
            # What GitHub would compute from lines of text is nothing for bytes.
            row["partialFingerprints"]["primaryLocationLineHash"] = item.fingerprint
        if finding.location.member is not None:
            row["relatedLocations"] = [self._nested(entry, item, finding.location.member)]
        if self.result.compared:
            row["suppressions"] = _suppressions(item)
        return row

    def _location(self, entry: Entry, item: Item) -> dict[str, Any]:
        where = item.finding.location
        place: dict[str, Any] = {"artifactLocation": self._at(entry)}
        logical = None
        if where.line is not None and where.member is None:
            place["region"] = _lines(where)
        elif where.member is not None:
            member = escaped(where.member)
            path = escaped(entry.report.path)
            logical = {"name": member, "fullyQualifiedName": f"{path}!{member}", "kind": "resource"}
            place["region"] = {"startLine": 1}
        else:
            # GitHub shows no result without a line; other readers take the offset.
            place["region"] = {"startLine": 1, **_bytes(where.offset)}
        location: dict[str, Any] = {"physicalLocation": place}
        if logical is not None:
            location["logicalLocations"] = [logical]
        return location

    def _nested(self, entry: Entry, item: Item, member: str) -> dict[str, Any]:
        place: dict[str, Any] = {
            "artifactLocation": {
                "uri": member_uri(member),
                "index": self._artifact(entry, member),
            }
        }
        where = item.finding.location
        if region := _bytes(where.offset) if where.line is None else _lines(where):
            place["region"] = region
        return {"id": 1, "physicalLocation": place, "message": {"text": plain_text(f"in {member}")}}

    def _at(self, entry: Entry) -> dict[str, Any]:
        location = self._uri(entry)
        return {**location, "index": self._artifact(entry)}

    def _uri(self, entry: Entry) -> dict[str, Any]:
        uri = uri_of(entry.report.path, self.result.root)
        return {"uri": uri} if "://" in uri else {"uri": uri, "uriBaseId": ROOT}

    def _artifact(self, entry: Entry, member: str | None = None) -> int:
        key = (entry.report.path, member)
        known = self.places.get(key)
        if known is not None:
            return known
        row: dict[str, Any]
        if member is None:
            row = {"location": self._uri(entry), "roles": ["analysisTarget"]}
            if entry.report.digest:
                row["hashes"] = {"sha-256": entry.report.digest}
            row["properties"] = {
                "format": escaped(entry.report.format),
                "verdict": str(entry.report.verdict),
            }
        else:
            row = {"location": {"uri": member_uri(member)}, "parentIndex": self._artifact(entry)}
        self.places[key] = len(self.artifacts)
        self.artifacts.append(row)
        return self.places[key]

    def _provenance(self, origin: Origin) -> dict[str, Any]:
        row = {
            "repositoryUri": origin.repository,
            "revisionId": origin.revision,
            "mappedTo": {"uriBaseId": ROOT},
        }
        return row | ({"branch": escaped(origin.branch)} if origin.branch else {})


def _by_weight(entries: Sequence[Entry]) -> list[tuple[Entry, Item]]:
    """Return all findings, the worst first, and among equals the first of each file."""
    rows = [
        (-item.finding.severity, position, number, entry, item)
        for number, entry in enumerate(entries)
        for position, item in enumerate(entry.items)
    ]
    rows.sort(key=lambda row: row[:3])
    return [(entry, item) for *_, entry, item in rows]


def _suppressions(item: Item) -> list[dict[str, Any]]:
    if item.known is None:
        return []
    row: dict[str, Any] = {"kind": "external", "status": "accepted"}
    if item.known.reason:
        row["justification"] = escaped(item.known.reason)
    return [row]


def _lines(where: Location) -> dict[str, int]:
    region = {"startLine": max(where.line or 1, 1)}
    return region if where.column is None else region | {"startColumn": max(where.column, 1)}


def _bytes(offset: int | None) -> dict[str, int]:
    return {} if offset is None else {"byteOffset": max(offset, 0)}
