"""SH327: pages that describe the interface of the service to everybody."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH327",
    name="docs-exposed",
    title="Pages that document the interface are open to everybody",
    why="They list every path and parameter, those of administrators too, and load scripts from "
    "elsewhere.",
    remedy="FastAPI(docs_url=None, redoc_url=None, openapi_url=None) in production, or put them "
    "behind a login.",
    severity=Severity.LOW,
    cwe=497,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=6.9,
    references=(OWASP_CONFIGURATION, "https://fastapi.tiangolo.com/tutorial/metadata/"),
)
_AGAINST = frozenset("disable disabled hide no".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("docs"):
        if isinstance(setting.value, list | tuple | dict) or setting.is_nothing:
            continue
        is_against = not _AGAINST.isdisjoint(words_of(setting.name))
        on = setting.flag is not False
        if is_against:
            on = setting.flag is False
        if on and not setting.text.startswith(("http://", "https://")):
            yield found(RULE, setting, "serves them")


DOCS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("DOCS_ENABLED=true\n"),
        Example("DOCS_URL=/docs\n"),
        Example("from fastapi import FastAPI\n\napp = FastAPI()\n", "main.py"),
    ),
    good=(
        Example("DOCS_ENABLED=false\n"),
        Example("from fastapi import FastAPI\n\n"
                "app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)\n", "main.py"),
    ),
)  # fmt: skip
