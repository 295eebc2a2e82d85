"""SH315: TLS that is switched off, and addresses of the service that begin with http://."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from safehold.credentials.names import words_of
from safehold.deploy.checks.row import OWASP_CRYPTOGRAPHY, Check, Example, found
from safehold.deploy.settings import Setting, Settings
from safehold.findings import Finding, Rule, Severity

RULE = Rule(
    id="SH315",
    name="transport-in-the-clear",
    title="What is sent can be read and changed on the way",
    why="Without TLS whoever is between sees sessions and passwords, and answers in the service's "
    "place.",
    remedy="Redirect to HTTPS (SECURE_SSL_REDIRECT, [requests] https) and give addresses that begin "
    "with https://.",
    severity=Severity.HIGH,
    cwe=319,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
    score=9.1,
    references=(OWASP_CRYPTOGRAPHY,),
)
_AGAINST = frozenset("disable disabled no without skip off allow permit insecure plaintext".split())
_PLAIN = frozenset({"http", "ws", "plaintext", "plain", "none", "ftp"})


def _check(settings: Settings) -> Iterator[Finding]:
    stated = list(settings.about("transport"))
    encrypted = {_prefix(setting) for setting in stated if setting.flag and not _problem(setting)}
    for setting in stated:
        problem = _problem(setting)
        # EMAIL_USE_SSL and EMAIL_USE_TLS: one of two ways is enough.
        if problem and not (_prefix(setting) and _prefix(setting) in encrypted):
            yield found(RULE, setting, problem)


def _prefix(setting: Setting) -> str:
    """Return what stands before the choice of a way, as `EMAIL` of `EMAIL_USE_TLS`."""
    way = re.fullmatch(r"(?i)(.*?)[_.-]?(?:use[_.-]?)?(?:tls|ssl|starttls)", setting.name)
    return way[1].lower() if way else ""


def _problem(setting: Setting) -> str:
    words = frozenset(words_of(setting.name.rsplit(".", 1)[-1]))
    last = words_of(setting.name)[-1:]
    if last and last[0] in ("url", "uri", "endpoint"):
        return "begins with http://" if _is_open(setting.text) else ""
    if last and last[0] in ("scheme", "protocol"):
        return "is without TLS" if setting.text.lower().rstrip(":/") in _PLAIN else ""
    is_against = not words.isdisjoint(_AGAINST) or "http" in words
    if setting.flag is None or (isinstance(setting.value, str) and not setting.text):
        return ""
    if setting.value is None:
        return ""
    if setting.flag is is_against:
        return "allows connections without TLS" if is_against else "is off"
    return ""


def _is_open(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme.lower() not in ("http", "ws") or not parts.hostname:
        return False
    host = parts.hostname.lower()
    if host == "localhost" or host.endswith(".localhost") or "." not in host:
        return False  # this machine, or one container to another
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return not address.is_loopback


TRANSPORT = Check(
    rule=RULE,
    check=_check,
    bad=(
        Example("SECURE_SSL_REDIRECT=False\n"),
        Example("BASE_URL=http://app.example.org\n"),
        Example("server:\n  force_https: false\n", "config.yaml"),
        Example("OAUTHLIB_INSECURE_TRANSPORT=1\n"),
    ),
    good=(
        Example("SECURE_SSL_REDIRECT=True\nBASE_URL=https://app.example.org\n"
                "API_URL=http://127.0.0.1:9000\n"),
    ),
)  # fmt: skip
