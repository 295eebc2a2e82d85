"""Cookies: flags that every cookie gets, and how to judge one that somebody else set.

What is added only narrows where a cookie goes: a flag that is there stays, a value is never
written anew. A cookie that browsers would refuse or read in two ways is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from safehold.findings import Finding, Location, Severity
from safehold.policy.requests import CookieException
from safehold.web.request_rules import COOKIE

_STRICTNESS: Final = {"strict": "Strict", "lax": "Lax", "none": "None"}
# RFC 6265bis, 5.6: a browser refuses cookies with these; in a header they would end it.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_EXCEPTION: Final = CookieException("", "")
_SESSION: Final = re.compile(r"sess|sid\b|auth|token|jwt|login|remember|identity", re.IGNORECASE)
# What a script has to read, to send it back in a header: that is what it protects with.
_FOR_SCRIPTS: Final = re.compile(r"csrf|xsrf", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cookie:
    """What a `Set-Cookie` says, as browsers read it: the last of two equal attributes counts."""

    name: str
    pair: str
    secure: bool = False
    http_only: bool = False
    same_site: str = ""
    path: str = ""
    domain: str = ""
    others: tuple[str, ...] = ()

    @property
    def prefix(self) -> Literal["", "__secure-", "__host-", "__http-", "__host-http-"]:
        """The prefix that binds it to flags; browsers compare it without case."""
        lower = self.name.lower()
        for prefix in _PREFIXES:
            if lower.startswith(prefix):
                return prefix
        return ""


_PREFIXES: Final = ("__host-http-", "__host-", "__http-", "__secure-")


def parse(value: str) -> Cookie | None:
    """Return the cookie of a `Set-Cookie`, None if browsers differ in what it is."""
    if _CONTROL.search(value):
        return None
    pair, *attributes = value.split(";")
    name, equals, content = pair.partition("=")
    name, content = name.strip(" \t"), content.strip(" \t")
    if not equals or not name:
        # Without a name, what is sent back is the value alone: it could be read as another one's.
        return None
    secure = http_only = False
    same_site = path = domain = ""
    others = []
    for attribute in attributes:
        key, _, given = attribute.partition("=")
        given = given.strip(" \t")
        match key.strip(" \t").lower():
            case "secure":
                secure = True
            case "httponly":
                http_only = True
            case "samesite":
                same_site = _STRICTNESS.get(given.lower(), "")
            case "path":
                path = given
            case "domain":
                domain = given
            case "":
                pass
            case _:
                others.append(attribute.strip(" \t"))
    return Cookie(
        name, f"{name}={content}", secure, http_only, same_site, path, domain, tuple(others)
    )


def harden(value: str, exceptions: Mapping[str, CookieException]) -> str | None:
    """Return a `Set-Cookie` with the flags that are missing; None if it must not be sent."""
    cookie = parse(value)
    if cookie is None:
        return None
    exception = exceptions.get(cookie.name, _NO_EXCEPTION)
    prefix = cookie.prefix
    same_site = cookie.same_site or "Lax"
    if same_site == "None" and not exception.cross_site:
        same_site = "Lax"
    # None without Secure is refused by browsers, and so is a prefix without what it stands for.
    secure = cookie.secure or not exception.plain or same_site == "None" or prefix != ""
    http_only = cookie.http_only or not exception.scripts or prefix.endswith("http-")
    path, domain = cookie.path, cookie.domain
    if prefix in ("__host-", "__host-http-"):
        path, domain = "/", ""
    parts = [cookie.pair]
    parts += [f"Path={path}"] if path else []
    parts += [f"Domain={domain}"] if domain else []
    parts += [*cookie.others, f"SameSite={same_site}"]
    parts += ["Secure"] if secure else []
    parts += ["HttpOnly"] if http_only else []
    return "; ".join(parts)


def exceptions_of(rows: Iterable[CookieException]) -> dict[str, CookieException]:
    """Return the exceptions by the names of their cookies."""
    return {row.name: row for row in rows}


def judge(values: Iterable[str], url: str) -> Iterator[Finding]:
    """Yield findings about the `Set-Cookie` headers of an answer that somebody made."""
    for value in values:
        cookie = parse(value)
        if cookie is None:
            yield _finding("has a form that browsers read differently", "", url)
            continue
        for problem in _problems(cookie, encrypted=url.startswith("https:")):
            yield _finding(problem, cookie.name, url)


def _problems(cookie: Cookie, *, encrypted: bool) -> Iterator[str]:
    if not cookie.secure:
        yield "has no Secure, so it is sent over HTTP, too"
    if not cookie.http_only and not _FOR_SCRIPTS.search(cookie.name):
        yield "has no HttpOnly, so every script of the page reads it"
    if not cookie.same_site:
        yield "has no SameSite; browsers differ in what they do then"
    elif cookie.same_site == "None":
        yield "has SameSite=None, so that requests of other sites carry it"
    if cookie.prefix in ("__host-", "__host-http-") and (
        cookie.domain or cookie.path != "/" or not cookie.secure
    ):
        yield "is named __Host- and is not bound to the host, so browsers refuse it"
    elif cookie.domain and _is_session(cookie.name):
        yield f"is sent to every host below {cookie.domain[:100]}"
    if not encrypted and cookie.secure:
        yield "has Secure and comes over HTTP, so browsers refuse it"


def _is_session(name: str) -> bool:
    return bool(_SESSION.search(name)) and not _FOR_SCRIPTS.search(name)


def _finding(problem: str, name: str, url: str) -> Finding:
    severity = COOKIE.severity if _is_session(name) else Severity.LOW
    shown = repr(name[:100]) if name else "a cookie"
    message = f"{shown} {problem}"
    where = Location(path=url)
    return Finding.of(COOKIE, message, where, severity=severity, detail={"cookie": name[:100]})
