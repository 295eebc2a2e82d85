"""Channels: how a group of alerts is sent, one function per kind.

TLS is verified, no redirect is followed, no proxy is asked, and every call has a time limit. What
is sent holds names and numbers, as the trail does. `send` raises ExportError and shows no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from safehold.errors import ConfigError, ExportError
from safehold.keys.sources import Environment, read_source
from safehold.policy.alerts import LOOPBACK, Channel, url_problem

SECONDS: Final = 10.0
_ANSWER: Final = 64 * 2**10
_SHOWN: Final = 50
"""Most alerts in one message that people read."""
SIGNATURE: Final = "X-Safehold-Signature"


# What is wrong with a message, and not with the channel: of the others an operator mends the cause.
_UNACCEPTABLE: Final = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell: `labels` say what it is, `annotations` what it was about."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts: float

    def line(self) -> str:
        """Return it as one line."""
        summary = self.annotations.get("summary") or self.labels.get("alertname", "")
        words = [self.labels.get("severity", ""), summary]
        words += [f"{name}={self.annotations[name]}" for name in ("artifact", "caller")
                  if self.annotations.get(name)]  # fmt: skip
        text = " ".join(words)
        return "".join(char if char.isprintable() else " " for char in text)[:600]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a policy's paths start, and the environment that secrets come from."""

    root: Path
    environ: Environment


def send(channel: Channel, alerts: Sequence[Alert], where: Surroundings) -> None:
    """Send alerts as one message.

    Raises:
        ExportError: it was not sent.
        ConfigError: for a missing secret.
    """
    try:
        _KINDS[channel.kind](channel, alerts, where)
    except smtplib.SMTPDataError as error:
        raise _answered(channel, error.smtp_code, is_final=error.smtp_code >= 500) from None
    except (OSError, ValueError, http.client.HTTPException, smtplib.SMTPException) as error:
        # An answer may quote what was sent, and so may the error of a header that cannot be.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ExportError(f"channel {channel.name!r}: {reason}") from None


def _secret(channel: Channel, where: Surroundings) -> str:
    if not channel.secret:
        return ""
    name = f"alerts channel {channel.name}"
    found = read_source(name, channel.secret, where.root, where.environ)
    try:
        return found.decode("ascii")
    except UnicodeDecodeError:
        del found
    raise ConfigError(f"the secret of {name} is not ASCII text")


def _alertmanager(channel: Channel, alerts: Sequence[Alert], where: Surroundings) -> None:
    token = _secret(channel, where)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = [
        {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": _stamp(alert.starts),
        }
        for alert in alerts
    ]
    path = urlsplit(channel.url).path.rstrip("/") + "/api/v2/alerts"
    _post(channel, channel.url, path, _json(body), headers, where)


def _webhook(channel: Channel, alerts: Sequence[Alert], where: Surroundings) -> None:
    body = _json(
        {
            "schema": 1,
            "alerts": [
                {
                    "labels": dict(alert.labels),
                    "annotations": dict(alert.annotations),
                    "starts": _stamp(alert.starts),
                }
                for alert in alerts
            ],
        }
    )
    headers = {SIGNATURE: signature(_secret(channel, where), body, int(time.time()))}
    _post(channel, channel.url, _target(channel.url), body, headers, where)


def signature(secret: str, body: bytes, at: int) -> str:
    """Return ``t=SECONDS,v1=HEX``: HMAC-SHA256 over the time, a dot and the body."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _slack(channel: Channel, alerts: Sequence[Alert], where: Surroundings) -> None:
    url = _secret(channel, where)
    if problem := url_problem(channel.kind, url):
        del url
        raise ConfigError(f"the secret of alerts channel {channel.name!r} {problem}")
    lines = [_slack_text(alert.line()) for alert in alerts[:_SHOWN]] + _more(alerts)
    _post(channel, url, _target(url), _json({"text": "\n".join(lines)}), {}, where)


def _slack_text(line: str) -> str:
    """Escape what Slack gives a meaning: ``<!channel>`` would call everybody."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _email(channel: Channel, alerts: Sequence[Alert], where: Surroundings) -> None:
    parts = urlsplit(channel.url)
    host = parts.hostname or ""
    message = EmailMessage()
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.to)
    message["Subject"] = f"safehold: {len(alerts)} {'alert' if len(alerts) == 1 else 'alerts'}"
    message.set_content("\n".join([alert.line() for alert in alerts[:_SHOWN]] + _more(alerts)))
    context = _tls(channel, where)
    if parts.scheme == "smtps":
        port = parts.port or smtplib.SMTP_SSL_PORT
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=SECONDS)
    with server:
        if parts.scheme == "smtp":
            server.ehlo()
            if host not in LOOPBACK or server.has_extn("starttls"):
                server.starttls(context=context)  # raises where the server has none
        if channel.secret:
            server.login(unquote(parts.username or channel.sender), _secret(channel, where))
        server.send_message(message)


_KINDS: Final[Mapping[str, Callable[[Channel, Sequence[Alert], Surroundings], None]]] = {
    "alertmanager": _alertmanager,
    "webhook": _webhook,
    "slack": _slack,
    "email": _email,
}


def _post(
    channel: Channel,
    url: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    where: Surroundings,
) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=SECONDS, context=_tls(channel, where)
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=SECONDS)
    try:
        headers = {"Content-Type": "application/json", **headers}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read(_ANSWER)
    finally:
        connection.close()
    if not 200 <= answer.status < 300:  # a redirect is one of the others
        raise _answered(channel, answer.status, is_final=answer.status in _UNACCEPTABLE)


def _answered(channel: Channel, code: int, *, is_final: bool) -> ExportError:
    return ExportError(f"channel {channel.name!r}: answer {code}", is_final=is_final)


def _tls(channel: Channel, where: Surroundings) -> ssl.SSLContext:
    if not channel.ca:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=str(where.root / channel.ca))


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _more(alerts: Sequence[Alert]) -> list[str]:
    return [f"and {len(alerts) - _SHOWN} more"] if len(alerts) > _SHOWN else []


def _json(value: dict[str, Any] | Iterable[Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
