from __future__ import annotations

import pytest
from cvss import CVSS4

from safehold.scan.rules import RULES

pytestmark = pytest.mark.extras  # cvss is a tool of this test alone


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_score_and_severity_are_those_of_the_vector(rule):
    vector = CVSS4(rule.cvss)
    assert float(vector.base_score) == rule.score
    expected = (
        "critical" if rule.id in {"SH101", "SH104", "SH122", "SH123"} else vector.severity.lower()
    )
    assert rule.severity.label == expected
