"""SH318: sessions and tokens that are good for too long."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_AUTHENTICATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH318",
    name="session-lifetime",
    title="A session or token is good for too long",
    why="What was stolen once opens the account until it ends, and a token that is checked by its "
    "signature alone cannot be taken back.",
    remedy="A day or less for access tokens, 31 days at most for sessions.",
    severity=Severity.LOW,
    cwe=613,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.3,
    references=(OWASP_AUTHENTICATION,),
)
_DAY = 86400


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("session-age"):
        if "at browser close" in " ".join(words_of(setting.name)):
            continue
        words = {*words_of(setting.name)}
        is_token = bool(words & {"access", "jwt", "token", "id"}) and "refresh" not in words
        most = _DAY if is_token else 90 * _DAY if "refresh" in words else 31 * _DAY
        seconds = setting.seconds
        never = setting.flag is False if seconds is None else seconds <= 0
        if setting.default and setting.value is None:
            continue
        if never or setting.is_nothing:
            if "idle" not in words or setting.value is not None:
                yield found(RULE, setting, "stands for no end")
        elif seconds is not None and seconds > most:
            yield found(RULE, setting, f"is more than {most // _DAY} days")


SESSION = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SESSION_COOKIE_AGE=31536000\n"),
        Example("ACCESS_TOKEN_EXPIRE_MINUTES=525600\n"),
        Example("JWT_ACCESS_TOKEN_EXPIRES = False\n", "config.py"),
    ),
    good=(Example("SESSION_COOKIE_AGE=1209600\nACCESS_TOKEN_EXPIRE_MINUTES=30\n"),),
)
