"""From a weakness to the controls it is evidence about, in one table of subjects.

Evidence, not compliance: what stands here says which question of an auditor a finding, or a check
that found none, belongs to. Chapters are named where a standard's own numbers change often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from safehold.findings import Rule

# https://cwe.mitre.org/top25/archive/2024/2024_cwe_top25.html
TOP_25: Final = frozenset(
    {79, 787, 89, 352, 22, 125, 78, 416, 862, 434, 94, 20, 77, 287, 269, 502, 200, 863, 918, 119,
     476, 798, 190, 400, 306}
)  # fmt: skip
FRAMEWORKS: Final = {
    "OWASP Top 10 2021": "https://owasp.org/Top10/2021/",
    "OWASP Top 10 2025": "https://owasp.org/Top10/2025/",
    "OWASP ASVS 5.0": "https://github.com/OWASP/ASVS/tree/v5.0.0/5.0/en",
    "NIST SSDF 1.1": "https://csrc.nist.gov/pubs/sp/800/218/final",
    "SOC 2 (TSC 2017)": "https://www.aicpa-cima.com/resources/landing/system-and-organization-controls-soc-suite-of-services",
    "PCI DSS 4.0": "https://www.pcisecuritystandards.org/document_library/",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Weaknesses of one kind, with the controls in the order of FRAMEWORKS; "" where none is."""

    name: str
    weaknesses: frozenset[int]
    controls: tuple[str, str, str, str, str, str]


SUBJECTS: Final = (
    Subject("data that runs code, and integrity of artifacts",
            frozenset({94, 95, 183, 345, 353, 354, 494, 502, 667, 668, 706, 829, 913}),
            ("A08", "A08", "V1, V15", "PW.5, PS.2", "CC6.8", "6.2.4")),
    Subject("injection", frozenset({73, 78, 79, 88, 89, 113, 116, 158, 174, 1007, 209, 1336}),
            ("A03", "A05", "V1, V2", "PW.5, PW.7", "CC6.8", "6.2.4")),
    Subject("access, files and origins",
            frozenset({20, 22, 200, 269, 276, 285, 346, 352, 377, 552, 644, 732, 918, 942, 1021}),
            ("A01", "A01", "V3, V5, V8", "PW.5, PW.9", "CC6.1", "6.2.4, 7.2")),
    Subject("keys, secrets and authentication",
            frozenset({321, 323, 324, 326, 327, 328, 330, 521, 540, 798, 1391, 1392}),
            ("A02, A07", "A04, A07", "V6, V11, V13", "PS.1, PW.9", "CC6.1", "3.6, 8.6.2")),
    Subject("transport and sessions", frozenset({295, 319, 523, 525, 613, 614, 1275}),
            ("A02, A05", "A02, A04", "V3, V7, V12", "PW.9", "CC6.7", "4.2.1")),
    Subject("settings", frozenset({250, 348, 489, 497, 693, 749, 1188, 1327}),
            ("A05", "A02", "V13", "PW.9", "CC6.6, CC7.1", "2.2")),
    Subject("limits and failures",
            frozenset({248, 400, 404, 409, 430, 436, 611, 628, 674, 770, 1059, 1116, 1284}),
            ("A04", "A06, A10", "V2, V4, V15", "PW.5", "A1.1", "6.2.4")),
    Subject("trail and errors", frozenset({532, 778}),
            ("A09", "A09", "V16", "PO.5", "CC7.2", "10.2, 10.3")),
    Subject("components and their origin", frozenset({1286, 1357, 1395}),
            ("A06", "A03", "V15", "PW.4", "CC8.1", "6.3")),
    Subject("parsing", frozenset({776}),
            ("A05", "A02", "V1", "PW.5", "CC6.8", "6.2.4")),
)  # fmt: skip


def subject_of(rule: Rule) -> Subject | None:
    """Return the subject of a rule's weakness."""
    return next((one for one in SUBJECTS if rule.cwe in one.weaknesses), None)


def mapped(rules: Iterable[Rule]) -> list[tuple[Subject, list[str]]]:
    """Return each subject with the ids of the rules that are evidence for it."""
    found = {rule.id: subject_of(rule) for rule in rules}
    return [
        (subject, sorted(name for name, one in found.items() if one is subject))
        for subject in SUBJECTS
    ]
