"""What every SARIF document of safehold shares: its rules, weaknesses, limits, messages."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from safehold._version import __version__
from safehold.findings import Rule, Severity
from safehold.report.shown import escaped, json_text

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT: Final = "%SRCROOT%"
LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# https://docs.github.com/en/code-security/code-scanning/troubleshooting-sarif-uploads
MOST_RESULTS: Final = 25_000
MOST_COMPRESSED: Final = 9_000_000
LONGEST_MESSAGE: Final = 1000
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")


def document(run: dict[str, Any]) -> str:
    """Return a document of one run."""
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


class Tool:
    """The driver with its rules: all of safehold's, and what else is used."""

    def __init__(self, used: Iterable[Rule]) -> None:
        # All of safehold has rules; whoever writes another format does without most of it.
        from safehold.report.rules import all_rules

        rules = {rule.id: rule for rule in used} | {rule.id: rule for rule in all_rules()}
        self.rules = [rules[name] for name in sorted(rules)]
        self.indices = {rule.id: index for index, rule in enumerate(self.rules)}
        self.weaknesses = sorted({rule.cwe for rule in self.rules})

    def driver(self) -> dict[str, Any]:
        """Return the tool's component, with every rule."""
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
            "defaultConfiguration": {"level": LEVELS[rule.severity]},
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

    def taxonomy(self) -> dict[str, Any]:
        """Return the weaknesses that the rules are about."""
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


def fitting(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield results, the first before the others, as long as the document can be taken."""
    packer, size = zlib.compressobj(), 0
    for row in islice(rows, MOST_RESULTS):
        size += len(packer.compress(json_text(row).encode()))
        if size > MOST_COMPRESSED:
            return
        yield row


def plain_text(text: str) -> str:
    """Return a message in which nothing is a link or a placeholder, as SARIF's text can have."""
    shown = escaped(text)
    if len(shown) > LONGEST_MESSAGE:
        shown = shown[:LONGEST_MESSAGE] + "..."
    shown = shown.replace("](", "]\\x28")  # readers differ in how brackets are escaped
    return _PLACEHOLDER.sub(r"{{\1}}", shown)
