"""SH312: secrets older than the policy allows, or past the day on which they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Confidence, Finding, Rule, Severity

RULE = Rule(
    id="SH312",
    name="old-secret",
    title="A secret is due for rotation",
    why="The longer a key is in use, the more people, backups and logs have seen it; who has it "
    "keeps what it opens until it is replaced.",
    remedy="Make a new key, list the old one as previous, and rotate: safehold rotate.",
    severity=Severity.MEDIUM,
    cwe=324,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.3,
    references=(OWASP_CRYPTOGRAPHY,),
)


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("key-date"):
        day = setting.day
        if day is not None and (settings.today - day).days > settings.key_days:
            message = f"says that it is older than {settings.key_days} days"
            yield found(RULE, setting, message)
    for setting in settings.about("key-expiry"):
        day = setting.day
        if day is not None and day < settings.today:
            yield found(RULE, setting, "is in the past")
    for setting in settings.about("key-file"):
        try:
            changed = datetime.fromtimestamp(os.stat(setting.text).st_mtime, UTC).date()
        except (OSError, ValueError, OverflowError):
            continue  # of another machine
        if (settings.today - changed).days > settings.key_days:
            message = f"names a file that was not changed for {settings.key_days} days"
            yield found(RULE, setting, message, confidence=Confidence.LOW)


AGED = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SECRET_KEY_CREATED=2019-03-01\n"),
        Example("API_TOKEN_EXPIRES_AT=2021-01-01\n"),
    ),
    good=(Example("SECRET_KEY_EXPIRES_AT=2999-01-01\n"),),
)
