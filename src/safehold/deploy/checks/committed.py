"""SH301: secrets in files that are shipped or kept in the repository."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import Kind
from safehold.deploy.checks.row import Check, Example, found
from safehold.deploy.names import secret_kind
from safehold.deploy.settings import Settings
from safehold.facts import HARD_CODED
from safehold.findings import Finding, Severity


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("secret", "password"):
        is_text = isinstance(setting.value, str | bytes) and len(setting.text) > 2
        if not setting.committed or setting.default or not is_text:
            continue
        kind = secret_kind(setting.name) or Kind.KEY
        severity = Severity.HIGH if kind is Kind.PASSWORD else None
        message = "stands in a file that is shipped or committed"
        yield found(HARD_CODED, setting, message, shown=False, severity=severity)


COMMITTED = Check(
    rule=HARD_CODED,
    check=_check,
    always=True,
    bad=(
        Example("FROM python:3.12.4\nUSER app\n"
                "ENV SECRET_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n", "Dockerfile"),
        Example("auth:\n  jwt_secret: 9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n",
                "settings.yaml"),
    ),
    good=(
        Example("auth:\n  jwt_secret: ${JWT_SECRET}\n", "settings.yaml"),
    ),
)  # fmt: skip
