"""SH324: zones of the policy in which every account of the machine writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from safehold.deploy.checks.row import OWASP_INTEGRITY, Check, Example, found
from safehold.deploy.checks.trail import policy_setting
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity
from safehold.policy import Policy

RULE = Rule(
    id="SH324",
    name="zone-world-writable",
    title="Every account of the machine writes in a zone of the policy",
    why="An artifact can be replaced or removed there by anybody; its seal shows the first, and "
    "nothing brings the file back.",
    remedy="chmod o-w on the directory, and give it to the account that deploys.",
    severity=Severity.MEDIUM,
    cwe=732,
    cvss="CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:L/VA:H/SC:N/SI:N/SA:N",
    score=6.9,
    references=(OWASP_INTEGRITY,),
)
_MOST = 2000


def _check(settings: Settings) -> Iterator[Finding]:
    for policy in settings.policies:
        for name, path in islice(_places(policy), _MOST):
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            if mode & 0o002 and mode & 0o170000 in (0o040000, 0o100000):
                setting = policy_setting(policy, f"zone {name}", str(path))
                yield found(RULE, setting, f"can be written by every account: {path}")


def _places(policy: Policy) -> Iterator[tuple[str, Path]]:
    """Yield the directories and files of zones, the outer ones first."""
    for zone in policy.zones:
        for pattern in zone.paths:
            first = [part for part in pattern.split("/") if part]
            while first and any(mark in first[-1] for mark in "*?"):
                first.pop()
            base = policy.root.joinpath(*first)
            if not first:
                continue
            yield zone.name, base
            for folder, folders, files in os.walk(base):
                for one in sorted((*folders, *files)):
                    yield zone.name, Path(folder, one)


ZONES = Check(rule=RULE, check=_check, bad=(), good=(
    Example("version = 1\n[[zone]]\nname = 'models'\npaths = ['models/**']\n", "safehold.toml"),
))  # fmt: skip
