"""``[requests]``: which requests reach the application, how large they may be, its cookies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from safehold.policy.alerts import Reading
from safehold.policy.sizes import parse_size, size_text

_LABELS: Final = (
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_HOST: Final = re.compile(rf"(?:\*\.)?{_LABELS}(?::\d{{1,5}})?|\[[0-9a-f:.]+\](?::\d{{1,5}})?")
_ORIGIN: Final = re.compile(rf"https?://(?:{_LABELS}|\[[0-9a-f:.]+\])(?::\d{{1,5}})?")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")
_COOKIE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_MOST_DEPTH: Final = 500
"""Python's own parser ends at the depth of its stack, which is about twice that."""


@dataclass(frozen=True, slots=True)
class CookieException:
    """One cookie that may go without a flag; ``allow_unsafe`` is the reason.

    ``scripts``: scripts may read it. ``cross_site``: it goes with requests of other sites.
    ``plain``: it goes over HTTP, too.
    """

    name: str
    allow_unsafe: str
    scripts: bool = False
    cross_site: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked of a request.

    ``hosts``: names by which the service is asked for, ``*.`` in front for all below; none means
    any that is well formed. ``origins``: other origins whose pages may use it. ``proxies``:
    addresses and networks whose ``X-Forwarded-`` headers count. ``https``: requests over HTTP are
    sent to HTTPS. ``isolation``: requests that pages of other sites make are refused;
    ``allow_unsafe``: why they are not. ``shared``: paths that any page may load nevertheless.
    ``inputs``: what a request brings is kept while it is served, for the checks of statements and
    commands. ``body``, ``bodies``: most bytes of a body, and of one below a path. ``depth``: most
    values of JSON within each other.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    https: bool = False
    isolation: bool = True
    shared: tuple[str, ...] = ()
    inputs: bool = True
    body: int = 10 * 2**20
    bodies: tuple[tuple[str, int], ...] = ()
    depth: int = 64
    cookies: tuple[CookieException, ...] = ()
    allow_unsafe: str = ""

    def loosened(self) -> Iterator[tuple[str, str, str]]:
        """Yield what is weaker than by default: its key, what it allows, and the reason."""
        if not self.isolation:
            yield "isolation", "requests of other sites", self.allow_unsafe
        for cookie in self.cookies:
            for flag, allowed in _ALLOWED.items():
                if getattr(cookie, flag):
                    yield f"cookie {cookie.name}", allowed, cookie.allow_unsafe


_ALLOWED: Final = {
    "scripts": "scripts to read it",
    "cross_site": "requests of other sites to carry it",
    "plain": "HTTP to carry it",
}
KEYS: Final = (
    "hosts", "origins", "proxies", "https", "isolation", "allow_unsafe", "shared", "inputs",
    "body", "bodies", "depth", "cookie",
)  # fmt: skip
COOKIE_KEYS: Final = ("name", "allow_unsafe", "scripts", "cross_site", "plain")
_LISTS: Final = ("hosts", "origins", "proxies", "shared")
_FLAGS: Final = ("https", "isolation", "inputs")
_COOKIE_FLAGS: Final = COOKIE_KEYS[2:]


def is_below(path: str, place: str) -> bool:
    """Say whether a path is a place or below it; never of one that leads out of it again."""
    if path != place and not path.startswith(place.rstrip("/") + "/"):
        return False
    return "/." not in path and "\\" not in path


def parse_requests(table: object, reading: Reading) -> Requests:
    """Build the section from its table. Raises ConfigError."""
    data = reading.table(table, "requests")
    given: dict[str, Any] = {}
    for key, value in data.items():
        if key == "cookie":
            given["cookies"] = _cookies(value, reading)
            continue
        if wrong := _problem(key, value):
            raise reading.error(f"requests.{key}", wrong)
        given[key] = _plain(key, value)
    if given.get("https") and not given.get("hosts"):
        wrong = "needs hosts: else whoever writes the Host header says where a request is sent to"
        raise reading.error("requests.https", wrong)
    if not given.get("isolation", True) and not given.get("allow_unsafe"):
        raise reading.error("requests.isolation", "can be false only with a reason: allow_unsafe")
    for key in KEYS[:-1]:
        reading.noted(f"requests.{key}")
    return Requests(**given)


def _plain(key: str, value: Any) -> Any:
    if key == "body":
        return _size(value)
    if key == "bodies":
        return tuple((path, _size(size)) for path, size in value.items())
    return tuple(value) if key in _LISTS else value


def _problem(key: str, value: object) -> str:
    if key in _FLAGS:
        return "" if isinstance(value, bool) else "must be true or false"
    if key == "depth":
        right = type(value) is int and 1 <= value <= _MOST_DEPTH
        return "" if right else f"must be a whole number, 1 to {_MOST_DEPTH}"
    if key == "allow_unsafe":
        is_text = isinstance(value, str) and value.strip() != "" and value.isprintable()
        return "" if is_text else "must be a printable reason"
    if key == "body":
        return "" if _size(value) else _SIZES
    if key == "bodies":
        right = isinstance(value, dict) and all(
            _PATH.fullmatch(path) and _size(size) for path, size in value.items()
        )
        return "" if right else f"must be a table of paths; each {_SIZES}"
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return "must be a list of strings"
    check, said = _ITEMS[key]
    wrong = [item for item in value if not check(item)]
    return f"has {wrong[0]!r}; {said}" if wrong else ""


_SIZES: Final = 'must be a positive number of bytes, or a size as "10 MiB"'


def _size(value: object) -> int:
    if isinstance(value, str):
        value = parse_size(value)
    return value if type(value) is int and value > 0 else 0


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


_ITEMS: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    "hosts": (_HOST.fullmatch, "a host is as example.org, *.example.org or [::1]:8000"),
    "origins": (_ORIGIN.fullmatch, "an origin is as https://app.example.org"),
    "proxies": (_is_network, "a proxy is an address or a network such as 10.0.0.0/8"),
    "shared": (_PATH.fullmatch, "a path begins with /"),
}


def _cookies(value: object, reading: Reading) -> tuple[CookieException, ...]:
    if not isinstance(value, list):
        raise reading.error("requests.cookie", "must be an array of tables: [[requests.cookie]]")
    found: list[CookieException] = []
    for index, item in enumerate(value):
        key = f"requests.cookie[{index}]"
        table = reading.table(item, key)
        name, reason = table.get("name"), table.get("allow_unsafe")
        if not isinstance(name, str) or not _COOKIE.fullmatch(name):
            raise reading.error(f"{key}.name", "must be the name of a cookie")
        if name in [one.name for one in found]:
            raise reading.error(f"{key}.name", "is that of another exception")
        if not isinstance(reason, str) or not reason.strip() or not reason.isprintable():
            raise reading.error(f"{key}.allow_unsafe", "must be a printable reason")
        for flag in _COOKIE_FLAGS:
            if not isinstance(table.get(flag, False), bool):
                raise reading.error(f"{key}.{flag}", "must be true or false")
        found.append(
            CookieException(name, reason, *(table.get(flag, False) for flag in _COOKIE_FLAGS))
        )
    return tuple(found)


def request_lines(requests: Requests, quote: Callable[[str], str]) -> Iterator[str]:
    """Yield the section as TOML; nothing if everything is as by default."""
    plain = Requests()
    if requests == plain:
        return
    yield from ("", "[requests]")
    for key in _LISTS:
        if items := getattr(requests, key):
            yield f"{key} = [{', '.join(map(quote, items))}]"
    for key in _FLAGS:
        if getattr(requests, key) != getattr(plain, key):
            yield f"{key} = {str(getattr(requests, key)).lower()}"
    if requests.allow_unsafe:
        yield f"allow_unsafe = {quote(requests.allow_unsafe)}"
    yield f"body = {quote(size_text(requests.body))}"
    yield f"depth = {requests.depth}"
    if requests.bodies:
        yield from ("", "[requests.bodies]")
        for path, size in requests.bodies:
            yield f"{quote(path)} = {quote(size_text(size))}"
    for cookie in requests.cookies:
        yield from ("", "[[requests.cookie]]", f"name = {quote(cookie.name)}")
        yield f"allow_unsafe = {quote(cookie.allow_unsafe)}"
        yield from (f"{flag} = true" for flag in _COOKIE_FLAGS if getattr(cookie, flag))
