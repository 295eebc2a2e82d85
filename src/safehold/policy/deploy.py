"""``[deploy]``: what a service calls its settings, and how old a secret may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from safehold.policy.alerts import Reading

TOPICS: Final = tuple(
    "secret password debug testing reload environment bind transport hsts cookie-secure "
    "cookie-httponly cookie-samesite session-age csrf cors-origins cors-credentials allowed-hosts "
    "database-url database-user database-tls trail guard key-file key-date key-expiry limit "
    "rate-limit timeout proxy-trust waf docs log-level log-content error-detail run-as "
    "privileged verify serializer algorithm ignored".split()
)
"""What a setting can be about; `ignored` is about nothing that is judged."""
KEYS: Final = ("names", "key_days")
_LEAST, _MOST = 1, 36_500


@dataclass(frozen=True, slots=True)
class Deploy:
    """``names``: pairs of a setting's name and its topic. ``key_days``: most age of a secret."""

    names: tuple[tuple[str, str], ...] = ()
    key_days: int = 365


def parse_deploy(table: object, reading: Reading) -> Deploy:
    """Build it from the table. Raises ConfigError."""
    data: dict[str, Any] = reading.table(table, "deploy")
    names = data.get("names", {})
    if not isinstance(names, dict):
        raise reading.error("deploy.names", 'must be a table of names, as APP_KEY = "secret"')
    for name, topic in names.items():
        if not name.isprintable() or len(name) > 200:
            raise reading.error("deploy.names", "has a name that is not printable, or too long")
        if topic not in TOPICS:
            raise reading.error(f"deploy.names.{name}", f"must be one of {', '.join(TOPICS)}")
    days = data.get("key_days", Deploy().key_days)
    if type(days) is not int or not _LEAST <= days <= _MOST:
        raise reading.error("deploy.key_days", f"must be a whole number, {_LEAST} to {_MOST:,}")
    for key in KEYS:
        reading.noted(f"deploy.{key}")
    return Deploy(tuple(sorted(names.items())), days)


def deploy_lines(deploy: Deploy, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield the section as TOML; nothing if everything is as by default."""
    if deploy == Deploy():
        return
    yield from ("", "[deploy]", f"key_days = {deploy.key_days}")
    if deploy.names:
        yield from ("", "[deploy.names]")
        yield from (f"{quote(name)} = {quote(topic)}" for name, topic in deploy.names)
