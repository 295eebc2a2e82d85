"""SH251, SH252, SH253: the address of a database, or its parts, as `dsn.check_url` judges them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from safehold.deploy.checks.row import Check, Example, found
from safehold.deploy.settings import Origin, Setting, Settings
from safehold.dsn import LOGIN_PASSWORD, NO_TLS, SUPERUSER, check_url
from safehold.errors import ConfigError
from safehold.findings import Finding, Severity

_LOGIN = re.compile(r"[A-Za-z][\w+.-]*://[^/\s@]*:[^/\s]*@")
_HOST = re.compile(r"@(\w[\w-]*)[:/]")
_OFF = frozenset("disable disabled allow prefer off false no 0 none preferred".split())
_HALF = frozenset("require required verify-ca verify_ca".split())
_ADMINISTRATORS = frozenset("postgres root sa admin administrator mysql sys system".split())


def _urls(settings: Settings) -> Iterator[tuple[Setting, Finding]]:
    for setting in settings.all:
        text = setting.text if isinstance(setting.value, str) else ""
        is_url = setting.topic == "database-url" and "://" in text
        is_login = _LOGIN.match(text) is not None and not text.lower().startswith(("http", "ws"))
        if not (is_url or is_login) or "${" in text or "{{" in text or "%(" in text:
            continue
        if text.lower().startswith(("http:", "https:", "file:", "s3:", "gs:")):
            continue
        try:
            findings = list(check_url(text, setting.where))
        except ConfigError:
            continue
        host = _HOST.search(text)
        inner = setting.origin is Origin.CONTAINER and host and host[1] in settings.services
        for finding in findings:
            if not (inner and finding.rule is NO_TLS):
                yield setting, replace(finding, message=f"{setting.name}: {finding.message}")


def _check_tls(settings: Settings) -> Iterator[Finding]:
    for _, finding in _urls(settings):
        if finding.rule is NO_TLS:
            yield finding
    for setting in settings.about("database-tls"):
        mode = setting.text.lower()
        if setting.flag is False or mode in _OFF:
            yield found(NO_TLS, setting, "lets the connection go on unencrypted")
        elif mode in _HALF:
            message = "encrypts and does not check who answers"
            yield found(NO_TLS, setting, message, severity=Severity.MEDIUM)


def _check_password(settings: Settings) -> Iterator[Finding]:
    for _, finding in _urls(settings):
        if finding.rule is LOGIN_PASSWORD:
            yield finding
    for setting in settings.all:
        name = setting.name.lower()
        if (("allow_empty" in name or "empty_root" in name) and setting.flag) or (
            name.endswith("host_auth_method") and setting.text.lower() == "trust"
        ):
            yield found(LOGIN_PASSWORD, setting, "lets everybody in without a password")


def _check_user(settings: Settings) -> Iterator[Finding]:
    for _, finding in _urls(settings):
        if finding.rule is SUPERUSER:
            yield finding
    for setting in settings.about("database-user"):
        if setting.text.lower() in _ADMINISTRATORS and not _is_of_server(setting):
            yield found(SUPERUSER, setting, "is an administrator of the database")


def _is_of_server(setting: Setting) -> bool:
    """Say whether it makes the server's first role, which is an administrator in any case."""
    return setting.origin is Origin.CONTAINER and setting.name.endswith("POSTGRES_USER")


_GOOD = (
    Example(
        "DATABASE_URL=postgresql://app:vP3xT9qLw2Zr8KdN@db.example.org/app?sslmode=verify-full\n"
    ),
)
TLS = Check(
    rule=NO_TLS,
    check=_check_tls,
    bad=(
        Example("DATABASE_URL=postgresql://app:vP3xT9qLw2Zr8KdN@db.example.org/app\n"),
        Example("PGSSLMODE=disable\n"),
    ),
    good=_GOOD,
)
PASSWORD = Check(
    rule=LOGIN_PASSWORD,
    check=_check_password,
    bad=(
        Example("DATABASE_URL=postgresql://app:postgres@localhost/app\n"),
        Example("CELERY_BROKER_URL=amqp://guest:guest@mq:5672//\n"),
    ),
    good=_GOOD,
)
USER = Check(
    rule=SUPERUSER,
    check=_check_user,
    bad=(
        Example("DATABASE_URL=postgresql://postgres:vP3xT9qLw2Zr8KdN@localhost/app\n"),
        Example("DB_USER=root\n"),
    ),
    good=_GOOD,
)
