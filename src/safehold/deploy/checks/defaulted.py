"""SH303: secrets with a default that the source or a compose file holds."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.deploy.checks.row import Check, Example, found
from safehold.deploy.settings import Settings
from safehold.facts import DEFAULT
from safehold.findings import Finding


def _check(settings: Settings) -> Iterator[Finding]:
    for setting in settings.about("secret", "password"):
        if setting.default and isinstance(setting.value, str | bytes) and len(setting.text) > 2:
            yield found(DEFAULT, setting, "has a default that everybody can read", shown=False)


DEFAULTED = Check(
    rule=DEFAULT,
    check=_check,
    bad=(
        Example("import os\n\nSECRET_KEY = os.environ.get('SECRET_KEY', 'dev-key')\n", "settings.py"),
        Example("services:\n  web:\n    image: app:1.2\n    mem_limit: 1g\n    user: app\n"
                "    environment:\n      SECRET_KEY: ${SECRET_KEY:-changeme}\n", "compose.yaml"),
    ),
    good=(
        Example("import os\n\nSECRET_KEY = os.environ['SECRET_KEY']\n", "settings.py"),
    ),
)  # fmt: skip
