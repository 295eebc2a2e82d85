"""SH332: a service that is told to run as in development."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH332",
    name="environment-not-production",
    title="The service is told that it is not in production",
    why="Frameworks and the service's own code switch checks off, and debugging on, in other "
    "environments.",
    remedy="Set the variable to production.",
    severity=Severity.MEDIUM,
    cwe=1188,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_CONFIGURATION,),
)
_OTHER = frozenset(
    "dev devel develop development developer debug local localhost test testing tests sandbox staging "
    "stage ci qa uat demo developmentconfig testingconfig devconfig testconfig localconfig".split()
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("environment"):
        text = setting.text.lower()
        if isinstance(setting.value, str) and (text in _OTHER or text.rsplit(".", 1)[-1] in _OTHER):
            yield found(RULE, setting, f"is {setting.text[:40]!r}")


ENVIRONMENT = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("CRYPTOSMARTTRADER_ENV=development\n"),
        Example("DJANGO_SETTINGS_MODULE=shop.settings.dev\n"),
        Example("environment: staging\n", "config.yaml"),
    ),
    good=(Example("CRYPTOSMARTTRADER_ENV=production\nAPP_ENV=prod\n"),),
)
