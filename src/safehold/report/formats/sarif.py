"""SARIF 2.1.0, as code scanning services take it.

A finding in an artifact points at the file, with its byte offset; in a member of an archive, at
the file, with the member as logical location and, as related location, as a nested artifact.
Fingerprints hold no offsets, so a result stays the same one when bytes before it move.

GitHub rejects a document of more than 25,000 results or, compressed, 10 MB, so that one hostile
file could keep every finding from being shown. What does not fit is left out, the least severe
first and of each file its first findings last, and a notification says how many.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from safehold._version import __version__
from safehold.findings import Location, Rule, Severity
from safehold.report.names import member_uri, uri_of
from safehold.report.result import SOURCE_FORMAT, Entry, Item, Origin, Result
from safehold.report.shown import escaped, json_text

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT: Final = "%SRCROOT%"
_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# https://docs.github.com/en/code-security/code-scanning/troubleshooting-sarif-uploads
_MOST_RESULTS: Final = 25_000
_MOST_COMPRESSED: Final = 9_000_000
_LONGEST_MESSAGE: Final = 1000
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")


def render(result: Result) -> str:
    """Return the document: one run."""
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [_Run(result).as_json()]})


class _Run:
    """Rules and artifacts get their index when a result first names them."""

    def __init__(self, result: Result) -> None:
        # All of safehold has rules; whoever writes another format does without most of it.
        from safehold.report.rules import all_rules

        self.result = result
        used = {
            item.finding.rule.id: item.finding.rule
            for entry in result.entries
            for item in entry.items
        }
        rules = used | {rule.id: rule for rule in all_rules()}
        self.rules = [rules[name] for name in sorted(rules)]
        self.indices = {rule.id: index for index, rule in enumerate(self.rules)}
        self.weaknesses = sorted({rule.cwe for rule in self.rules})
        self.artifacts: list[dict[str, Any]] = []
        self.places: dict[tuple[str, str | None], int] = {}

    def as_json(self) -> dict[str, Any]:
        rows = _by_weight(self.result.entries)
        results = list(self._fitting(rows))
        run: dict[str, Any] = {
            "tool": {"driver": self._driver()},
            "automationDetails": {"id": f"{escaped(self.result.category)}/"},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                _ROOT: {"description": {"text": "The directory in which the scan was started."}}
            },
            "invocations": [self._invocation(len(rows) - len(results))],
            "taxonomies": [self._taxonomy()],
            "artifacts": self.artifacts,
            "results": results,
            "properties": {"summary": self.result.summary},
        }
        if self.result.origin is not None:
            run["versionControlProvenance"] = [self._provenance(self.result.origin)]
        return run

    def _driver(self) -> dict[str, Any]:
        return {
            "name": "safehold",
            "semanticVersion": __version__,
            "rules": [self._rule(rule) for rule in self.rules],
            "supportedTaxonomies": [{"name": "CWE", "index": 0}],
        }

    def _rule(self, rule: Rule) -> dict[str, Any]:
        text = f"{rule.why} Remedy: {rule.remedy}"
        links = "".join(f"\n- <{reference}>" for reference in rule.references)
        described: dict[str, Any] = {
            "id": rule.id,
            "name": "".join(word.capitalize() for word in rule.name.split("-")),
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.why},
            "help": {
                "text": text,
                "markdown": f"{rule.why}\n\n**Remedy:** {rule.remedy}\n{links}".rstrip(),
            },
            "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            "relationships": [
                {
                    "target": {
                        "id": str(rule.cwe),
                        "index": self.weaknesses.index(rule.cwe),
                        "toolComponent": {"name": "CWE", "index": 0},
                    },
                    "kinds": ["superset"],
                }
            ],
            "properties": {
                "tags": ["security", f"external/cwe/cwe-{rule.cwe:03}"],
                "precision": "high",
                "security-severity": f"{rule.score:.1f}",
                "cvss": rule.cvss,
            },
        }
        if rule.references:
            described["helpUri"] = rule.references[0]
        return described

    def _taxonomy(self) -> dict[str, Any]:
        return {
            "name": "CWE",
            "organization": "MITRE",
            "informationUri": "https://cwe.mitre.org/",
            "isComprehensive": False,
            "shortDescription": {"text": "The MITRE Common Weakness Enumeration"},
            "taxa": [
                {
                    "id": str(number),
                    "helpUri": f"https://cwe.mitre.org/data/definitions/{number}.html",
                }
                for number in self.weaknesses
            ],
        }

    def _invocation(self, left_out: int) -> dict[str, Any]:
        told = [
            {
                "level": "error",
                "message": {"text": _text(item.finding.message)},
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
            {"level": "note", "message": {"text": _text(f"baseline: {line}")}}
            for line in self.result.stale
        ]
        made: dict[str, Any] = {
            "executionSuccessful": not any(entry.failed for entry in self.result.entries),
            "exitCode": self.result.code,
            "toolExecutionNotifications": told[:_MOST_RESULTS],
        }
        if self.result.made is not None:
            made["endTimeUtc"] = f"{self.result.made:%Y-%m-%dT%H:%M:%SZ}"
        return made

    def _fitting(self, rows: Sequence[tuple[Entry, Item]]) -> Iterator[dict[str, Any]]:
        packer, size = zlib.compressobj(), 0
        for entry, item in rows[:_MOST_RESULTS]:
            row = self._result(entry, item)
            size += len(packer.compress(json_text(row).encode()))
            if size > _MOST_COMPRESSED:
                return
            yield row

    def _result(self, entry: Entry, item: Item) -> dict[str, Any]:
        finding = item.finding
        row: dict[str, Any] = {
            "ruleId": finding.rule.id,
            "ruleIndex": self.indices[finding.rule.id],
            "kind": "fail",
            "level": _LEVELS[finding.severity],
            "message": {"text": _text(finding.message)},
            "locations": [self._location(entry, item)],
            "partialFingerprints": {"safehold/v1": item.fingerprint},
            "properties": {
                "verdict": str(entry.report.verdict),
                "severity": finding.severity.label,
                "confidence": finding.confidence.label,
                "remedy": _text(finding.remedy),
                "detail": {
                    escaped(key): escaped(value)[:_LONGEST_MESSAGE]
                    for key, value in finding.detail.items()
                },
            },
        }
        if entry.report.format != SOURCE_FORMAT:
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
        return {"id": 1, "physicalLocation": place, "message": {"text": _text(f"in {member}")}}

    def _at(self, entry: Entry) -> dict[str, Any]:
        location = self._uri(entry)
        return {**location, "index": self._artifact(entry)}

    def _uri(self, entry: Entry) -> dict[str, Any]:
        uri = uri_of(entry.report.path, self.result.root)
        return {"uri": uri} if "://" in uri else {"uri": uri, "uriBaseId": _ROOT}

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
            "mappedTo": {"uriBaseId": _ROOT},
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


def _text(text: str) -> str:
    """Return a message in which nothing is a link or a placeholder, as SARIF's text can have."""
    shown = escaped(text)
    if len(shown) > _LONGEST_MESSAGE:
        shown = shown[:_LONGEST_MESSAGE] + "..."
    shown = shown.replace("](", "]\\x28")  # readers differ in how brackets are escaped
    return _PLACEHOLDER.sub(r"{{\1}}", shown)
