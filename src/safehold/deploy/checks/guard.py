"""SH322: a guard that only watches, or is off."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_INTEGRITY, Check, Example, found
from safehold.deploy.checks.trail import policy_setting
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH322",
    name="guard-not-enforcing",
    title="Protection at run time is off, or only watches",
    why="What the policy forbids is loaded nevertheless, and at best recorded.",
    remedy='mode = "enforce" in the policy, and the activation variable with one of its values.',
    severity=Severity.HIGH,
    cwe=693,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=9.2,
    references=(OWASP_INTEGRITY,),
)
_WEAK = frozenset(
    "off monitor disabled disable false 0 no permissive report report-only report_only log warn audit "
    "none observe passive detect dry-run dryrun learning complain warning logging detection".split()
)
_AGAINST = frozenset("disable disabled skip bypass no allow".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("guard"):
        if _is_weak(setting):
            yield found(RULE, setting, "does not enforce")
    for policy in settings.policies:
        if policy.mode != "enforce":
            yield found(RULE, policy_setting(policy, "mode", policy.mode), "is not enforce")
        activation = policy.activation
        for setting in settings.all:
            if setting.name == activation.variable and setting.text not in activation.values:
                yield found(RULE, setting, "does not turn the guard on")


def _is_weak(setting: Setting) -> bool:
    words = {*words_of(setting.name)}
    if words & _AGAINST or words >= {"trust", "remote", "code"}:
        return setting.flag is True
    if setting.value is None or isinstance(setting.value, list | tuple | dict):
        return False
    return setting.text.lower() in _WEAK


GUARD = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SAFEHOLD_MODE=monitor\n"),
        Example("version = 1\nmode = 'monitor'\n", "safehold.toml"),
        Example("security:\n  mode: permissive\n", "config.yaml"),
    ),
    good=(Example("version = 1\nmode = 'enforce'\n", "safehold.toml"),),
)
