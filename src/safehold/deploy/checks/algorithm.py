"""SH336: algorithms that no longer protect: none, MD5 and SHA-1, TLS before 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.settings import Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH336",
    name="weak-algorithm",
    title="Settings name an algorithm that no longer protects",
    why="A token of the algorithm none is anybody's, hashes of MD5 and SHA-1 are guessed by the "
    "billion, and TLS before 1.2 has known attacks.",
    remedy="HS256 or better for tokens, Argon2 or PBKDF2 for passwords, TLS 1.2 or later.",
    severity=Severity.HIGH,
    cwe=327,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=8.3,
    references=(OWASP_CRYPTOGRAPHY,),
)
_WEAK = re.compile(r"(?i)none|.*(?<![a-z0-9])(?:(?:hashlib\.)?(?:unsalted)?(?:md5|md4|sha1|sha-1|rc4|des|3des"
                   r"|crypt)(?:passwordhasher)?|plaintext)(?![a-z0-9]).*|(?:ssl|tls|tlsv|sslv)?[ _v-]*"
                   r"(?:1(?:[._]?[01])?|2[._]0|3[._]0)|sslv[23]|tlsv1(?:[._]?[01])?")  # fmt: skip


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("algorithm"):
        name = setting.name.lower()
        about_tls = "tls" in name or "ssl" in name
        for item in setting.items:
            is_number = bool(re.fullmatch(r"[\d._]+", item))
            if _WEAK.fullmatch(item) and (about_tls or not is_number):
                yield found(RULE, setting, f"names {item[:60]}")
                break


ALGORITHM = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("JWT_ALGORITHM=none\n"),
        Example("PASSWORD_HASHERS = ['django.contrib.auth.hashers.MD5PasswordHasher']\n",
                "settings.py"),
        Example("TLS_MIN_VERSION=TLSv1.0\n"),
    ),
    good=(Example("JWT_ALGORITHM=HS256\nTLS_MIN_VERSION=TLSv1.2\n"),),
)  # fmt: skip
