"""SH317: cookies that go over HTTP, are read by scripts, or go with requests of other sites."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_AUTHENTICATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH317",
    name="cookie-settings",
    title="Cookies of sessions lack a flag",
    why="Without Secure they go out in the clear, without HttpOnly an injected script takes them, "
    "without SameSite other sites act with them.",
    remedy="SESSION_COOKIE_SECURE and SESSION_COOKIE_HTTPONLY on, SESSION_COOKIE_SAMESITE Lax or "
    "Strict; the same for other cookies of logins.",
    severity=Severity.MEDIUM,
    cwe=614,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.0,
    references=(OWASP_AUTHENTICATION,),
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("cookie-secure"):
        if setting.flag is False and not (setting.value is None or setting.text == ""):
            yield found(RULE, setting, "is off: cookies go over HTTP")
    for setting in settings.about("cookie-httponly"):
        if setting.flag is False and not {"csrf", "xsrf"} & {*setting.name.lower().split("_")}:
            yield found(RULE, setting, "is off: scripts can read the cookie")
    for setting in settings.about("cookie-samesite"):
        if setting.is_nothing or setting.flag is False:
            yield found(RULE, setting, "is off: requests of other sites carry the cookie")


COOKIES = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SESSION_COOKIE_SECURE=False\n"),
        Example("SESSION_COOKIE_HTTPONLY = False\n", "settings.py"),
        Example("SESSION_COOKIE_SAMESITE=None\n"),
        Example("CSRF_COOKIE_SECURE=0\n"),
        Example("session:\n  cookie:\n    secure: false\n", "config.yaml"),
    ),
    good=(
        Example("SESSION_COOKIE_SECURE=True\nSESSION_COOKIE_HTTPONLY=1\n"
                "SESSION_COOKIE_SAMESITE=Lax\nCSRF_COOKIE_HTTPONLY=False\n"),
    ),
)  # fmt: skip
