"""SH320: hosts by which the service may be asked for: any."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH320",
    name="any-host",
    title="The service answers to any host name",
    why="Links in mails and caches are then built with the name that a stranger sends, and a page "
    "whose name was bound anew to an inner address reads the answers.",
    remedy="List the names of the service (ALLOWED_HOSTS, TrustedHostMiddleware, [requests] hosts).",
    severity=Severity.MEDIUM,
    cwe=1286,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=5.3,
    references=(OWASP_CONFIGURATION,),
)
_ANY = re.compile(
    r"\^?(?:\.?[*+]|\*\.\*|\.\*|0\.0\.0\.0(?:/0)?|_|\*\.[a-z]{2,6}|\.[a-z]{2,6}|all|any)(?::\d+|:\*)?\$?"
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("allowed-hosts"):
        if any(_ANY.fullmatch(item) for item in setting.items):
            yield found(RULE, setting, "lets every host in")


HOSTS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("ALLOWED_HOSTS=*\n"),
        Example("ALLOWED_HOSTS = ['app.example.org', '*']\n", "settings.py"),
        Example("server:\n  trusted_hosts: ['*']\n", "config.yaml"),
    ),
    good=(Example("ALLOWED_HOSTS=app.example.org,.example.org\n"),),
)
