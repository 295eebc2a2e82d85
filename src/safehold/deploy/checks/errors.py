"""SH329: errors that are shown to whoever caused them."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH329",
    name="error-detail",
    title="Answers show the details of errors",
    why="A traceback names files, versions, statements and sometimes values; it is what an attacker "
    "tries inputs for.",
    remedy="Answer with an id that the log has, and keep the traceback there.",
    severity=Severity.MEDIUM,
    cwe=209,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=6.9,
    references=(OWASP_CONFIGURATION,),
)
_AGAINST = frozenset("hide mask suppress sanitize".split())
_SHOWN = frozenset(
    "full verbose detailed debug always traceback stacktrace on_param on-param all".split()
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("error-detail"):
        if isinstance(setting.value, list | tuple | dict) or setting.is_nothing:
            continue
        if not _AGAINST.isdisjoint(words_of(setting.name)):
            on = setting.flag is False
        else:
            on = setting.flag is True or setting.text.lower() in _SHOWN
        if on:
            yield found(RULE, setting, "shows them")


ERRORS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("PROPAGATE_EXCEPTIONS=True\n"),
        Example("SHOW_TRACEBACKS=1\n"),
        Example("errors:\n  include_stacktrace: always\n", "config.yaml"),
    ),
    good=(Example("PROPAGATE_EXCEPTIONS=False\nSHOW_TRACEBACKS=0\n"),),
)
