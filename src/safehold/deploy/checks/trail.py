"""SH321: a trail that is off, or that does not outlive the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_LOGGING, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH321",
    name="trail-lost",
    title="The trail is off, or kept where it does not last",
    why="What was refused and what was done is then known to nobody after the next start; an "
    "intruder has nothing to remove.",
    remedy="Give [trail] a path on a disk that stays, which only the service can write.",
    severity=Severity.MEDIUM,
    cwe=778,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_LOGGING,),
)
TEMPORARY = re.compile(r"(?i)(?:file:(?://)?)?/(?:tmp|var/tmp|dev/shm|run/shm|run/user|private/tmp|dev/null)(?:/|$)"
                       r"|[a-z]:.(?:windows.)?temp\b|\$\{?tmp|%tmp%|%temp%|/dev/null$|nul$")  # fmt: skip
_AGAINST = frozenset("disable disabled no skip without".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("trail"):
        problem = _problem(setting)
        if problem:
            yield found(RULE, setting, problem)
    for policy in settings.policies:
        if TEMPORARY.match(policy.trail) and not Path(policy.trail).is_relative_to(policy.root):
            setting = policy_setting(policy, "trail.path", policy.trail)
            yield found(RULE, setting, "lies where it does not last")


def policy_setting(policy: object, name: str, value: object) -> Setting:
    """Return a setting of a policy of safehold."""
    from safehold.deploy.settings import Origin
    from safehold.findings import Location

    return Setting(name, value, Location(str(getattr(policy, "path", None) or "")), Origin.POLICY)


def _problem(setting: Setting) -> str:
    words = words_of(setting.name)
    is_against = not _AGAINST.isdisjoint(words)
    if words[-1:] == ("level",):
        return ""
    if setting.flag is not None and (setting.text or is_against):
        return "switches it off" if setting.flag is is_against else ""
    if setting.is_nothing and not setting.default:
        return "is empty"
    return "lies where it does not last" if TEMPORARY.match(setting.text) else ""


TRAIL = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("AUDIT_LOG_ENABLED=false\n"),
        Example("AUDIT_LOG_PATH=/tmp/audit.log\n"),
        Example("version = 1\n[trail]\npath = '/tmp/trail'\n", "safehold.toml"),
    ),
    good=(
        Example("AUDIT_LOG_PATH=/var/log/app/audit.log\n"),
        Example("version = 1\n[trail]\npath = 'var/safehold/trail'\n", "safehold.toml"),
    ),
)
