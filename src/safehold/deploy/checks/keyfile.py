"""SH323: key files that others can read or change, or that lie where others look."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.checks.trail import TEMPORARY, policy_setting
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH323",
    name="key-file-exposed",
    title="A file of a key can be read or changed by others",
    why="Every account of the machine, or everybody who asks the web server for the file, then "
    "signs as the service does.",
    remedy="chmod 600, in a directory of the service that no server hands out, such as "
    "/run/secrets or /etc/NAME.",
    severity=Severity.HIGH,
    cwe=732,
    cvss="CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=8.4,
    references=(OWASP_CRYPTOGRAPHY,),
)
_SERVED = re.compile(r"(?i)(?:^|/)(?:static|staticfiles|public|public_html|www|htdocs|media|uploads?|"
                     r"wwwroot|assets|dist)(?:/|$)")  # fmt: skip


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("key-file"):
        if isinstance(setting.value, str) and setting.text and not setting.is_nothing:
            base = Path(setting.where.path).parent if setting.where.path else Path()
            yield from _of_file(setting, setting.text.removeprefix("file:"), base)
    for policy in settings.policies:
        for name, source, _ in policy.key_sources:
            if source.startswith("file:"):
                setting = policy_setting(policy, f"key {name}", source)
                yield from _of_file(setting, source[5:], policy.root)


def _of_file(setting: Setting, name: str, base: Path) -> Iterator[Finding]:
    if "-----BEGIN" in name:
        return
    path = base / Path(name)
    try:
        mode = os.stat(path).st_mode
        parent = os.stat(path.parent).st_mode
    except (OSError, ValueError):  # of another machine: judged by its name
        if TEMPORARY.match(name):
            yield found(RULE, setting, "lies where every account writes")
    else:
        if stat.S_ISREG(mode) and mode & 0o022:
            yield found(
                RULE, setting, f"names a file that others can change (mode {mode & 0o777:o})"
            )
        elif stat.S_ISREG(mode) and mode & 0o004:
            yield found(RULE, setting, f"names a file that others can read (mode {mode & 0o777:o})")
        elif stat.S_ISREG(mode) and mode & 0o040:
            message = f"names a file that its group can read (mode {mode & 0o777:o})"
            yield found(RULE, setting, message, severity=Severity.LOW)
        if parent & 0o002:
            yield found(RULE, setting, "lies in a directory where every account writes")
    if _SERVED.search(name):
        yield found(RULE, setting, "lies in a directory that servers hand out")


KEY_FILE = Check(
    rule=RULE,
    check=_check,
    always=True,
    bad=(
        Example("SECRET_KEY_FILE=/tmp/secret.key\n"),
        Example("web: uvicorn app:app --ssl-keyfile static/tls.key\n", "Procfile"),
    ),
    good=(Example("SECRET_KEY_FILE=/run/secrets/app_key\n"),),
)
