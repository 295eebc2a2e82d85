"""SH310: secrets that can be guessed: known values, words and patterns, too little entropy."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import Kind
from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.names import secret_kind
from safehold.deploy.settings import Origin, Setting, Settings
from safehold.findings import Finding, Rule, Severity
from safehold.keys.strength import weakness, weakness_of_login

RULE = Rule(
    id="SH310",
    name="weak-secret",
    title="A secret of the service can be guessed",
    why="Who knows the key signs sessions, tokens and artifacts in the service's name; values of "
    "documentation, words and short keys are what attackers try first.",
    remedy="Make a key with: safehold keygen, and a password of 20 characters or more; keep them "
    "where only the service reads them.",
    severity=Severity.CRITICAL,
    cwe=1391,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=9.3,
    references=(OWASP_CRYPTOGRAPHY,),
)
_EMPTY_ALLOWED = ("allow_empty_password", "empty_root_password")


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("secret", "password"):
        if setting.default and setting.origin is Origin.SOURCE and setting.value:
            continue  # SH303 tells of it
        kind = secret_kind(setting.name) or Kind.KEY
        if setting.topic == "password":
            kind = Kind.PASSWORD
        values = setting.value if isinstance(setting.value, list | tuple) else [setting.value]
        for value in values:
            reason = _reason(value, kind, setting)
            if reason:
                severity = None if kind is Kind.KEY else Severity.HIGH
                yield found(RULE, setting, f"is weak: {reason}", shown=False, severity=severity)


def _reason(value: object, kind: Kind, setting: Setting) -> str | None:
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, bool):
        return None
    data = value if isinstance(value, bytes) else str(value).strip().encode()
    if not data:
        is_mail = any(
            word in setting.name.lower() for word in ("mail", "smtp")
        )  # a relay asks for none
        is_own = kind in (Kind.KEY, Kind.PASSWORD) and not (setting.default or is_mail)
        return "it is empty" if is_own else None
    if kind is Kind.KEY:
        return weakness(data)
    return weakness_of_login(data.decode("utf-8", "replace"))


WEAK = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SECRET_KEY=changeme\n"),
        Example("PYNOMALY_SECRET_KEY=your-secret-key-here\n"),
        Example("SERIALIZATION_SECRET_KEY=0123456789abcdef0123456789abcdef\n"),
        Example("ADMIN_PASSWORD=admin123\n"),
        Example("jwt:\n  secret: my-super-secret-jwt-key\n", "config.yaml"),
    ),
    good=(
        Example("SECRET_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n"),
        Example("ADMIN_PASSWORD=vP3xT9qLw2Zr8KdNs5\n"),
        Example("services:\n  web:\n    image: app:1.2\n    mem_limit: 1g\n    user: app\n"
                "    environment:\n      SECRET_KEY: ${SECRET_KEY}\n", "compose.yaml"),
    ),
)  # fmt: skip
