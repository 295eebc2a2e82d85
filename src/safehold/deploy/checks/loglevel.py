"""SH328: logs that hold what no log should: everything, statements, bodies."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_LOGGING, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH328",
    name="log-verbose",
    title="Logs hold more than they should",
    why="At the level of debugging libraries write headers, statements and tokens, and logs are "
    "read by more people and kept longer than the data itself.",
    remedy="Level INFO or WARNING in production; no statements or bodies in logs.",
    severity=Severity.LOW,
    cwe=532,
    cvss="CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N",
    score=5.7,
    references=(OWASP_LOGGING,),
)
_VERBOSE = frozenset(
    "debug trace notset all silly 10 5 0 verbose finest fine spam everything".split()
)
_AGAINST = frozenset("hide redact redaction mask masking".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("log-level"):
        if isinstance(setting.value, bool | list | tuple | dict):
            continue
        words = words_of(setting.name)
        if words == ("level",) and not setting.text.isalpha():
            continue
        if setting.text.lower().rsplit(".", 1)[-1] in _VERBOSE:
            yield found(RULE, setting, "is that of debugging")
    for setting in settings.about("log-content"):
        if _is_on(setting):
            yield found(RULE, setting, "writes contents into logs")


def _is_on(setting: Setting) -> bool:
    words = {*words_of(setting.name)}
    if setting.value is None or isinstance(setting.value, list | tuple | dict):
        return False
    if "disable" in words:
        return setting.flag is True
    if words & _AGAINST:
        return setting.flag is False and setting.text != ""
    return setting.flag is True or setting.text.lower() == "debug"


LOG_LEVEL = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("LOG_LEVEL=DEBUG\n"),
        Example("web: uvicorn app:app --log-level trace\n", "Procfile"),
        Example("logging:\n  root:\n    level: DEBUG\n", "logging.yaml"),
        Example("SQLALCHEMY_ECHO=true\n"),
    ),
    good=(Example("LOG_LEVEL=INFO\nSQLALCHEMY_ECHO=false\n"),),
)
