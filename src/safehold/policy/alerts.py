"""``[alerts]``: what is told to people, how often, and over which channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from safehold.errors import ConfigError
from safehold.findings import Severity

KINDS: Final = ("alertmanager", "webhook", "slack", "email")
SEVERITIES: Final = tuple(severity.label for severity in Severity)
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SOURCE = re.compile(r"(?:env|file):.+")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_SCHEMES: Final = {"email": ("smtps", "smtp"), "": ("https", "http")}


class Reading(Protocol):
    """One parse of a policy file."""

    def table(self, value: object, name: str) -> dict[str, Any]:
        """Return a table of the keys that it may have. Raises ConfigError."""

    def error(self, key: str, what: str) -> ConfigError:
        """Return the error that names the file, the line and the key."""

    def noted(self, key: str) -> None:
        """Keep where the value of a key comes from."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts go directly. ``secret`` is a source, ``env:NAME`` or ``file:PATH``.

    It holds the token of an Alertmanager, the HMAC key of a webhook, the whole URL of Slack, the
    password of a mailbox. ``ca``: certificates to trust in place of the system's.
    """

    name: str
    kind: str
    url: str = ""
    secret: str = ""
    ca: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alerts:
    """What is told; times are in seconds, ``rate`` is messages per hour and channel."""

    severity: str = "high"
    repeat: int = 4 * 3600
    group: int = 10
    rate: int = 60
    verify: int = 26 * 3600
    spool: str = "var/safehold/alerts"
    channels: tuple[Channel, ...] = ()


_Error = Callable[[str, str], ConfigError]
_NUMBERS: Final = {"repeat": (1, 30 * 86400), "group": (0, 3600), "rate": (1, 3600),
                   "verify": (60, 366 * 86400)}  # fmt: skip
KEYS: Final = ("severity", *_NUMBERS, "spool", "channel")
CHANNEL_KEYS: Final = ("name", "kind", "url", "secret", "ca", "from", "to")
# Kind -> what it has to have; what it may have; anything else is refused.
_NEEDED: Final = {
    "alertmanager": (("url",), ("secret", "ca")),
    "webhook": (("url", "secret"), ("ca",)),
    "slack": (("secret",), ("ca",)),
    "email": (("url", "from", "to"), ("secret", "ca")),
}


def parse_alerts(table: object, reading: Reading) -> Alerts:
    """Build the section from its table. Raises ConfigError."""
    error = reading.error
    data = reading.table(table, "alerts")
    given: dict[str, Any] = {}
    for key, value in data.items():
        if key in _NUMBERS:
            least, most = _NUMBERS[key]
            if type(value) is not int or not least <= value <= most:
                raise error(f"alerts.{key}", f"must be a whole number, {least:,} to {most:,}")
            given[key] = value
        elif key == "severity" and value not in SEVERITIES:
            raise error("alerts.severity", f"must be one of {', '.join(SEVERITIES)}")
        elif key != "channel":
            given[key] = _string(data, "alerts", key, error)
    channels = data.get("channel", [])
    if not isinstance(channels, list):
        raise error("alerts.channel", "must be an array of tables: [[alerts.channel]]")
    found = tuple(
        _channel(item, f"alerts.channel[{index}]", reading) for index, item in enumerate(channels)
    )
    names = [channel.name for channel in found]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise error(f"alerts.channel[{index}].name", "is the name of another channel")
    for key in KEYS[:-1]:
        reading.noted(f"alerts.{key}")
    return Alerts(channels=found, **given)


def _channel(table: object, key: str, reading: Reading) -> Channel:
    error = reading.error
    data = reading.table(table, key)
    name, kind = _string(data, key, "name", error), _string(data, key, "kind", error)
    if not _NAME.fullmatch(name):
        raise error(f"{key}.name", "must be up to 32 of a-z, 0-9, - and _")
    if kind not in KINDS:
        raise error(f"{key}.kind", f"must be one of {', '.join(KINDS)}")
    needed, possible = _NEEDED[kind]
    for word in needed:
        if word not in data:
            raise error(f"{key}.{word}", f"is missing; a channel of kind {kind!r} needs it")
    for word in data:
        if word not in ("name", "kind", *needed, *possible):
            raise error(f"{key}.{word}", f"has no meaning for a channel of kind {kind!r}")
    texts = {word: _string(data, key, word, error) for word in data if word != "to"}
    if "secret" in texts and not _SOURCE.fullmatch(texts["secret"]):
        # Not shown: some write the secret itself here.
        raise error(f"{key}.secret", "must name a place: env:NAME or file:PATH")
    if "url" in texts and (problem := url_problem(kind, texts["url"])):
        raise error(f"{key}.url", problem)
    to = _addresses(data, key, error)
    return Channel(
        name, kind, texts.get("url", ""), texts.get("secret", ""), texts.get("ca", ""),
        texts.get("from", ""), to,
    )  # fmt: skip


def _addresses(data: dict[str, Any], key: str, error: _Error) -> tuple[str, ...]:
    to = data.get("to", [])
    if not isinstance(to, list) or ("to" in data and not to):
        raise error(f"{key}.to", "must be a list of addresses")
    for word, address in [("to", item) for item in to] + [("from", data.get("from"))]:
        if word in data and not (isinstance(address, str) and _ADDRESS.fullmatch(address)):
            raise error(f"{key}.{word}", "must be addresses such as ops@example.org")
    return tuple(to)


def url_problem(kind: str, url: str) -> str:
    """Say what is wrong with a channel's address, ``""`` if nothing is."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL"
    encrypted, plain = _SCHEMES.get(kind, _SCHEMES[""])
    if parts.scheme not in (encrypted, plain) or not parts.hostname or port == 0:
        return f"must begin with {encrypted}:// and name a host"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must be printable ASCII without spaces"
    if parts.password is not None or (parts.username is not None and kind != "email"):
        return "must hold no password; name its place with secret"
    if plain == "http" and parts.scheme == plain and parts.hostname not in LOOPBACK:
        return "must begin with https:// unless it is this machine"
    return ""


def _string(table: Mapping[str, Any], name: str, key: str, error: _Error) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise error(f"{name}.{key}", "must be a printable string that is not empty")
    return value


def alert_lines(alerts: Alerts, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield the section as TOML; nothing if everything is as by default."""
    if alerts == Alerts():
        return
    yield from ("", "[alerts]", f"severity = {quote(alerts.severity)}")
    for key in _NUMBERS:
        yield f"{key} = {getattr(alerts, key)}"
    yield f"spool = {quote(alerts.spool)}"
    for channel in alerts.channels:
        yield from ("", "[[alerts.channel]]")
        words = (("from", "sender"), *((word, word) for word in CHANNEL_KEYS[:5]))
        for word, field in words:
            if value := getattr(channel, field):
                yield f"{word} = {quote(value)}"
        if channel.to:
            yield f"to = [{', '.join(map(quote, channel.to))}]"
