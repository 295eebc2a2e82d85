"""Rules about dependencies."""

from __future__ import annotations

from typing import Final

from safehold.findings import Rule, Severity

_COMPONENTS: Final = ("https://owasp.org/Top10/A06_2021-Vulnerable_and_Outdated_Components/",)
_EXCHANGED: Final = "CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"

VULNERABLE = Rule(
    id="SH601",
    name="vulnerable-dependency",
    title="A locked package has a known vulnerability",
    why="How to attack it is published; whoever looks for services that have it finds this one.",
    remedy="Lock a version in which it is mended; where there is none, do without the package or "
    "write down why the hole cannot be reached.",
    severity=Severity.HIGH,
    cwe=1395,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=8.3,
    references=_COMPONENTS,
)
NO_HASH = Rule(
    id="SH602",
    name="pin-without-hash",
    title="A locked package has no hash",
    why="A version says what a file is called: who can answer for the index can give another one.",
    remedy="Write the lock with hashes (pip-compile --generate-hashes, uv lock) and install with "
    "--require-hashes.",
    severity=Severity.MEDIUM,
    cwe=494,
    cvss=_EXCHANGED,
    score=7.7,
    references=("https://pip.pypa.io/en/stable/topics/secure-installs/",),
)
NOT_LOCKED = Rule(
    id="SH603",
    name="lock-drift",
    title="A declared dependency is not what the lock has",
    why="The next build takes another version than was tested, or fails.",
    remedy="Write the lock anew from the declarations, and commit both together.",
    severity=Severity.MEDIUM,
    cwe=1357,
    cvss=_EXCHANGED,
    score=7.7,
    references=_COMPONENTS,
)
OTHER_INSTALLED = Rule(
    id="SH604",
    name="other-version-installed",
    title="The environment has another version than the lock",
    why="What runs is not what was locked and audited.",
    remedy="Install the environment anew from the lock.",
    severity=Severity.MEDIUM,
    cwe=1357,
    cvss=_EXCHANGED,
    score=7.7,
    references=_COMPONENTS,
)
RULES: Final = (VULNERABLE, NO_HASH, NOT_LOCKED, OTHER_INSTALLED)
