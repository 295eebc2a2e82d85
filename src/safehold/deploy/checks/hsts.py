"""SH316: browsers that are not told, or not for long, to use HTTPS alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CONFIGURATION, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH316",
    name="hsts-setting",
    title="Settings leave Strict-Transport-Security out, or make it short",
    why="The first request of a visit then goes out in the clear, and whoever is on the way answers "
    "it.",
    remedy="SECURE_HSTS_SECONDS = 31536000 or more, with subdomains; [web] hsts.",
    severity=Severity.MEDIUM,
    cwe=319,
    cvss="CVSS:4.0/AV:N/AC:H/AT:P/PR:N/UI:P/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=6.0,
    references=(OWASP_CONFIGURATION, "https://www.rfc-editor.org/rfc/rfc6797"),
)
_LEAST = 180 * 86400


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("hsts"):
        name = setting.name.lower()
        if "preload" in name:
            continue  # is a promise about every name below, for good
        if re.search(r"sub_?-?domains|enabled|enable|subdomains", name):
            if setting.flag is False:
                severity = Severity.LOW if "sub" in name else None
                yield found(RULE, setting, "is off", severity=severity)
            continue
        age = re.search(r"max-age=\"?(\d+)", setting.text)
        seconds = float(age[1]) if age else setting.seconds
        if isinstance(setting.value, bool) or (seconds is None and setting.flag is not None):
            if setting.flag is False:
                yield found(RULE, setting, "is off")
        elif (
            seconds is not None
            and seconds < _LEAST
            and not (seconds == 1 and name.endswith("hsts"))
        ):
            yield found(RULE, setting, "is off" if not seconds else "is less than 180 days")


HSTS = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SECURE_HSTS_SECONDS=0\n"),
        Example("SECURE_HSTS_SECONDS = 3600\n", "settings.py"),
        Example("version = 1\n[web]\nhsts = 0\nallow_unsafe = 'later'\n", "safehold.toml"),
        Example("security:\n  hsts: false\n", "config.yaml"),
    ),
    good=(Example("SECURE_HSTS_SECONDS=31536000\nSECURE_HSTS_PRELOAD=false\n"),),
)
