"""Scores, computed in this run from CVSS 4.0 vectors; whole tenths, so that sums are exact."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Final

from safehold.errors import MissingExtra
from safehold.findings import Finding, Severity

FORMULA: Final = (
    "Open risk is the sum of the scores of all open findings. The score of a finding is the "
    "CVSS 4.0 score of its rule's vector; where the finding is of another severity than its rule, "
    "the score is moved to the nearest one of that severity (low 0.1 to 3.9, medium 4.0 to 6.9, "
    "high 7.0 to 8.9, critical 9.0 to 10.0, info 0). So mending one finding lowers open risk by "
    "exactly its score. An accepted finding is not open: its score stands in the accepted risk."
)
RESIDUAL: Final = (
    "Residual risk is the same sum, in which a finding whose linked probes all held on this very "
    "tree has the score of its vector with E:U, CVSS 4.0's value for no known exploit. Held says "
    "that those attempts failed, no more: the finding stays open."
)
# https://www.first.org/cvss/v4.0/specification-document, table of severities; in tenths.
_BANDS: Final = {
    Severity.INFO: (0, 0),
    Severity.LOW: (1, 39),
    Severity.MEDIUM: (40, 69),
    Severity.HIGH: (70, 89),
    Severity.CRITICAL: (90, 100),
}


@cache
def tenths_of(vector: str) -> int:
    """Return the score of a vector. Raises MissingExtra."""
    try:
        from cvss import CVSS4
    except ImportError as error:
        package, extra = "cvss", "report"
        raise MissingExtra(package, extra) from error
    return int(Decimal(str(CVSS4(vector).base_score)) * 10)


def score_of(finding: Finding) -> int:
    """Return what the finding adds to the open risk; the rule's written score is not read."""
    score = tenths_of(finding.rule.cvss)
    if finding.severity is finding.rule.severity:
        return score
    lowest, highest = _BANDS[finding.severity]
    return min(max(score, lowest), highest)


def held_score_of(finding: Finding) -> int:
    """Return what is left of it where every linked probe held."""
    return min(score_of(finding), tenths_of(finding.rule.cvss + "/E:U"))


def shown(tenths: int) -> str:
    """Return a score as it is read."""
    return f"{tenths // 10}.{tenths % 10}"
