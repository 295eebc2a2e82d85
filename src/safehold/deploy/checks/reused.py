"""SH311: one value that serves as several secrets."""

from __future__ import annotations

from collections.abc import Iterator

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH311",
    name="reused-secret",
    title="One value serves as several secrets",
    why="Who learns it in one place has all of them, and what is signed for one use is taken for "
    "another.",
    remedy="Make a key of its own for each use.",
    severity=Severity.HIGH,
    cwe=323,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=9.1,
    references=(OWASP_CRYPTOGRAPHY,),
)
_DATABASE = frozenset("db database postgres postgresql pg mysql mariadb redis rabbitmq".split())


def _check(settings: Settings) -> Iterator[Finding]:
    seen: dict[str, Setting] = {}
    for setting in settings.about("secret", "password"):
        if setting.default or not isinstance(setting.value, str | bytes) or len(setting.text) < 8:
            continue
        first = seen.setdefault(setting.text, setting)
        if first is not setting and not _is_same(first.name, setting.name):
            yield found(RULE, setting, f"has the value of {first.name}", shown=False)


def _is_same(first: str, second: str) -> bool:
    """Say whether two names are of one secret: written alike, or the login of one database."""
    one, two = words_of(first), words_of(second)
    if one[-len(two) :] == two or two[-len(one) :] == one:
        return True
    return not _DATABASE.isdisjoint(one) and not _DATABASE.isdisjoint(two)


REUSED = Check(
    rule=RULE,
    check=_check,
    always=True,
    bad=(
        Example("SECRET_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n"
                "JWT_SIGNING_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n"),
    ),
    good=(
        Example("SECRET_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\n"
                "JWT_SIGNING_KEY=1b7de02f6c58a94d30e9f7c4825ab61d7e04f3c9b8a25d16\n"),
    ),
)  # fmt: skip
