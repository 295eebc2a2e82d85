"""SH334: protection from requests of other sites that is switched off."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_ACCESS, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH334",
    name="csrf-off",
    title="Protection from requests of other sites is off",
    why="A page of somebody else sends forms with the session of whoever looks at it.",
    remedy="Leave it on (WTF_CSRF_ENABLED, CsrfViewMiddleware, JWT_COOKIE_CSRF_PROTECT).",
    severity=Severity.MEDIUM,
    cwe=352,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=5.3,
    references=(OWASP_ACCESS,),
)
_AGAINST = frozenset("disable disabled skip no without exempt ignore".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("csrf"):
        if isinstance(setting.value, str | bool | int) and setting.flag is not None:
            is_against = not _AGAINST.isdisjoint(words_of(setting.name))
            if setting.flag is is_against and setting.text:
                yield found(RULE, setting, "switches it off")


CSRF = Check(
    rule=RULE,
    check=_check,
    bad=(Example("WTF_CSRF_ENABLED=False\n"), Example("DISABLE_CSRF=true\n")),
    good=(Example("WTF_CSRF_ENABLED=True\n"),),
)
