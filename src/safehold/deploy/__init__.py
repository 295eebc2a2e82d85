"""Whether a service's configuration is fit for production: settings in, findings out.

    deploy.check(os.environ)                       an environment
    deploy.check("/srv/app")                       the files of a service
    deploy.check(app)                              an application of Flask, FastAPI or Starlette
    deploy.require(os.environ, hold=hold)          at start-up: critical findings stop the service

Nothing is imported or run to find out: of modules the source is read. What no file, variable or
object says is not seen, such as what a proxy in front does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from safehold.deploy.checks import CHECKS, RULES
from safehold.deploy.reading import Read, read
from safehold.deploy.settings import Origin, Setting, Settings
from safehold.errors import ConfigError
from safehold.events import Event
from safehold.findings import Finding, Severity
from safehold.policy import Policy

if TYPE_CHECKING:
    from safehold.context import Context

__all__ = ["CHECKS", "RULES", "Origin", "Setting", "Settings", "check", "require", "settings_from"]

PRODUCTION: Final = "production"


def settings_from(*things: Any, policy: Policy | None = None) -> Settings:
    """Return what mappings, paths, command lines and objects hold, as Settings.

    Raises:
        ConfigError: a path that is not there, or an object that is not known.
    """
    into = Read()
    for thing in things:
        read(thing, into)
    names: Mapping[str, str] = {}
    days = 365
    if policy is not None:
        names, days = dict(policy.deploy.names), policy.deploy.key_days
        if policy not in into.policies:
            into.policies.append(policy)
    return into.whole(names, days)


def check(
    settings_or_env: Any, target: str = PRODUCTION, *, policy: Policy | None = None
) -> list[Finding]:
    """Return what is unsafe in settings, the worst first; no finding shows a secret.

    Args:
        settings_or_env: an environment or another mapping; a path of a file or directory; a
            command line; an application, settings class or module; a Policy; a list of those.
        target: where the service runs. Elsewhere than in ``production`` only what is unsafe
            anywhere is found.
        policy: what the service calls its settings, and what else is checked with them.

    Raises:
        ConfigError: a path that is not there, or an object that is not known.
    """
    return check_settings(settings_from(settings_or_env, policy=policy), target)


def check_settings(settings: Settings, target: str = PRODUCTION) -> list[Finding]:
    """Return what is unsafe in settings that were read."""
    found: dict[tuple[str, str, str], Finding] = {}
    for row in CHECKS:
        if target == PRODUCTION or row.always:
            for finding in row.check(settings):
                key = (finding.rule.id, finding.message, str(finding.location))
                found.setdefault(key, finding)
    return sorted(found.values(), key=lambda one: (-one.severity, one.rule.id, str(one.location)))


def require(
    settings_or_env: Any,
    *,
    hold: Context | None = None,
    target: str = PRODUCTION,
    stop: Severity = Severity.CRITICAL,
) -> list[Finding]:
    """Check at start-up, record the outcome, and stop the service for what is too bad.

    Returns the findings that do not stop it. Without ``hold`` nothing is recorded.

    Raises:
        ConfigError: a finding of at least the severity ``stop``; it lists all of them.
        TrailError: the outcome could not be recorded.
    """
    policy = None if hold is None else hold.policy
    findings = check(settings_or_env, target, policy=policy)
    fatal = [finding for finding in findings if finding.severity >= stop]
    if hold is not None:
        for finding in fatal:
            hold.recorder.record(_event(finding))
        counts = _counts(findings)
        hold.recorder.record(
            Event(
                action="check",
                outcome="refused" if fatal else "allowed",
                reason=target,
                detail={"findings": counts},
            )
        )
    if fatal:
        lines = "".join(f"\n  {one.rule.id} {one.message}: {one.remedy}" for one in fatal)
        raise ConfigError(f"the settings are not fit for {target}:{lines}")
    return findings


def _event(finding: Finding) -> Event:
    return Event(
        action="check",
        outcome="refused",
        rule=finding.rule.id,
        reason=finding.rule.name,
        detail={"setting": finding.detail.get("setting", ""), "place": str(finding.location)},
    )


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.severity.label] = counts.get(finding.severity.label, 0) + 1
    return counts
