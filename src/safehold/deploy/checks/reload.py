"""SH313: servers that load the source anew whenever a file changes."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH313",
    name="reload-on",
    title="The server reloads the source whenever a file changes",
    why="Who can write one file of the service, an upload or a cache, runs it at once; a reloader "
    "is also a second process that no limit was made for.",
    remedy="Start the server without --reload, and templates without auto_reload.",
    severity=Severity.MEDIUM,
    cwe=489,
    cvss="CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:L/SC:N/SI:N/SA:N",
    score=7.3,
    references=(OWASP_CONFIGURATION, "https://www.uvicorn.org/deployment/"),
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("reload"):
        if setting.flag:
            yield found(RULE, setting, "is on")


RELOAD = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("web: uvicorn app:app --reload\n", "Procfile"),
        Example("reload = True\n", "gunicorn.conf.py"),
        Example("UVICORN_RELOAD=true\n"),
    ),
    good=(Example("web: uvicorn app:app\n", "Procfile"),),
)
