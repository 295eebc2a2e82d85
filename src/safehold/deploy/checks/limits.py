"""SH325: limits that are switched off, or so high that they are none."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH325",
    name="limit-missing",
    title="A limit is missing",
    why="One request with a large body, a few slow ones or one hungry process take the whole "
    "service.",
    remedy="Set a limit: MAX_CONTENT_LENGTH, DATA_UPLOAD_MAX_MEMORY_SIZE, --timeout, "
    "--limit-concurrency, mem_limit, [requests] body.",
    severity=Severity.MEDIUM,
    cwe=770,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_CONFIGURATION,),
)
_NONE = frozenset("unlimited infinite infinity inf none null no off false -1 0 max any".split())
_MOST_BYTES = 8 * 2**30
_MOST_TIMEOUT = 3600
_AGAINST = frozenset("disable disabled no skip".split())


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("limit", "timeout", "rate-limit"):
        problem = _problem(setting)
        if problem:
            yield found(RULE, setting, problem)


def _problem(setting: Setting) -> str:
    words = {*words_of(setting.name)}
    if isinstance(setting.value, list | tuple | dict):
        return ""
    if setting.topic == "rate-limit" and words & _AGAINST:
        return "switches a limit off" if setting.flag else ""
    if setting.value is None or setting.text.lower() in _NONE or setting.value is False:
        return "stands for no limit"
    number = setting.number
    if number is not None and number <= 0:
        return "stands for no limit"
    if setting.topic == "timeout":
        seconds = setting.seconds
        return "is more than an hour" if seconds is not None and seconds > _MOST_TIMEOUT else ""
    size = setting.size
    is_bytes = bool(words & {"content", "upload", "body", "payload", "request", "form", "file"})
    if size is not None and is_bytes and size > _MOST_BYTES:
        return "is so high that it is none"
    return ""


LIMITS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("MAX_CONTENT_LENGTH=0\n"),
        Example("DATA_UPLOAD_MAX_MEMORY_SIZE = None\n", "settings.py"),
        Example("timeout = 0\n", "gunicorn.conf.py"),
        Example("RATE_LIMIT_ENABLED=false\n"),
        Example("services:\n  web:\n    image: app:1.2\n    user: app\n", "compose.yaml"),
    ),
    good=(Example("MAX_CONTENT_LENGTH=10485760\nREQUEST_TIMEOUT=30\nRATE_LIMIT_ENABLED=true\n"),),
)
