"""Every rule of safehold, gathered from the places that define them."""

from __future__ import annotations

from safehold.artifacts import rules as artifact_rules
from safehold.db import rules as database_rules
from safehold.db.statements import rules as statement_rules
from safehold.dependencies import rules as dependency_rules
from safehold.deploy import checks as deploy_checks
from safehold.findings import Rule
from safehold.guard import rules as guard_rules
from safehold.inputs import context as context_rules
from safehold.inputs import rules as input_rules
from safehold.inputs import tripwires
from safehold.policy import EVERY_TYPE
from safehold.scan import rules as scan_rules
from safehold.secrets import rules as secret_rules
from safehold.source import rules as source_rules
from safehold.web import request_rules
from safehold.web import rules as web_rules


def all_rules() -> list[Rule]:
    """Return every rule in the order of ids."""
    rows = [
        *scan_rules.RULES,
        *artifact_rules.RULES,
        EVERY_TYPE,
        *guard_rules.RULES,
        *database_rules.RULES,
        *statement_rules.RULES,
        *context_rules.RULES,
        *tripwires.RULES,
        *input_rules.RULES,
        *(row.rule for row in source_rules.RULES),
        *web_rules.RULES,
        *request_rules.RULES,
        *secret_rules.RULES,
        *dependency_rules.RULES,
    ]
    rows += [rule for rule in deploy_checks.RULES if rule not in rows]
    return sorted(rows, key=lambda rule: rule.id)
