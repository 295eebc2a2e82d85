"""Who asks for what: the Host of a request, its origin, the site it comes from, HTTPS.

    Origins(requests).check(request) -> Refusal | None

A request that carries none of what browsers send is a program's and passes; a value that is there
and is not understood is refused. The rules of the last check are those of a resource isolation
policy (https://web.dev/articles/fetch-metadata), but other sites may not put pages into frames.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import quote

from safehold.policy.requests import Requests, is_below
from safehold.web.refusals import Refusal
from safehold.web.request_rules import CROSS_SITE, HOST, UNENCRYPTED

# Lower case. Nothing that a URL would read differently: no @, /, \, ?, #, %, spaces.
_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_ORIGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,30})://(?P<host>[!-~]{1,260})")
_READS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_ENCRYPTED: Final = frozenset(("https", "wss"))
_OWN_SITES: Final = frozenset(("same-origin", "none"))
_SHOWN: Final = 120

HEADERS: Final = (
    "host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "x-forwarded-proto",
    "x-forwarded-host", "x-forwarded-for", "content-length", "content-type", "transfer-encoding",
)  # fmt: skip
"""What is looked at."""
_ONCE: Final = frozenset((*HEADERS[:5], "content-length", "content-type"))


class Request(NamedTuple):  # one for each request: the quickest that cannot be changed
    """A request as a server gives it; ``headers`` are those of `HEADERS`, ``twice`` came again."""

    method: str
    scheme: str
    path: str
    query: str = ""
    peer: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    twice: frozenset[str] = frozenset()

    @property
    def socket(self) -> bool:
        """Whether it asks for a WebSocket."""
        return self.scheme in ("ws", "wss")


class Origins:
    """The checks of one policy."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._origins = frozenset(requests.origins)
        self._networks = tuple(map(ipaddress.ip_network, requests.proxies))
        self._known: set[str] = set()
        # The addresses of proxies are few, and come with each request.
        self._is_proxy = lru_cache(maxsize=256)(self._in_networks)

    def check(self, request: Request) -> Refusal | None:
        """Return why the request must not reach the application, None if it may."""
        headers = request.headers
        if request.twice and (twice := sorted(_ONCE & request.twice)):
            return Refusal(400, HOST, "header twice", {"headers": twice})
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.3: two lengths are how a second request is hidden in a first.
            return Refusal(400, HOST, "two lengths")
        if request.path[:1] not in ("/", "") and request.path != "*":
            return Refusal(400, HOST, "absolute target", {"target": request.path[:_SHOWN]})
        scheme, host = request.scheme, headers.get("host", "").lower()
        if self._networks and self._is_proxy(request.peer):
            scheme, host = self._forwarded(request, scheme, host)
        if host not in self._known:
            if not self._answers_to(host):
                return Refusal(400, HOST, "host not allowed", {"host": host[:_SHOWN]})
            if len(self._known) < 256:  # a client chooses
                self._known.add(host)
        if self._requests.https and scheme not in _ENCRYPTED:
            return self._to_https(request, host)
        if not self._requests.isolation:
            return None
        return self._isolated(request, scheme, host)

    def client(self, request: Request) -> str:
        """Return the address of who asked: behind named proxies, what the first of them saw."""
        address = request.peer
        if self._networks and self._is_proxy(address):
            for given in reversed(request.headers.get("x-forwarded-for", "").split(",")[-20:]):
                try:
                    address = str(ipaddress.ip_address(given.strip(" \t")))
                except ValueError:  # written by who is before the last proxy
                    break
                if not self._is_proxy(address):
                    break
        return address

    def is_shared(self, path: str) -> bool:
        """Say whether other sites may load a path."""
        return any(is_below(path, one) for one in self._requests.shared)

    # -- host

    def _in_networks(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:  # a path of a socket, or none
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    @staticmethod
    def _forwarded(request: Request, scheme: str, host: str) -> tuple[str, str]:
        """Return scheme and host as the nearest proxy says; what is before it, anybody wrote."""
        headers = request.headers
        given = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip(" \t").lower()
        if given in _PORTS:
            encrypted = given in _ENCRYPTED
            scheme = ("wss" if encrypted else "ws") if request.socket else (
                "https" if encrypted else "http"
            )  # fmt: skip
        elif given:
            scheme = "ws" if request.socket else "http"
        named = headers.get("x-forwarded-host", "").rpartition(",")[2].strip(" \t").lower()
        return scheme, named or host

    def _answers_to(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None or ".." in host or int(found["port"] or 0) > 65535:
            return False
        hosts = self._requests.hosts
        if not hosts:
            return True
        name = found["name"].removesuffix(".")
        with_port = f"{name}:{found['port']}"
        return any(
            (name.endswith(one[1:]) and len(name) >= len(one))
            if one.startswith("*.") and not _has_port(one)
            else one in (name, with_port)
            for one in hosts
        )

    def _to_https(self, request: Request, host: str) -> Refusal:
        if request.socket or request.method not in _READS:
            # Sent again it would be encrypted, but it was read by now.
            return Refusal(403, UNENCRYPTED, "not over HTTPS")
        found = _HOST.fullmatch(host)
        name = host if found is None else found["name"].removesuffix(".")
        path = quote(request.path, safe="/:@!$&'()*+,;=~%")
        query = "?" + quote(request.query, safe="/:@!$&'()*+,;=~%?") if request.query else ""
        return Refusal(308, UNENCRYPTED, "not over HTTPS", {}, f"https://{name}{path}{query}")

    # -- origin

    def _isolated(self, request: Request, scheme: str, host: str) -> Refusal | None:
        headers = request.headers
        origin = headers.get("origin")
        site = headers.get("sec-fetch-site")
        if origin is not None and (request.socket or request.method not in _READS):
            if origin == "null":
                # A page without a referrer says so of itself; others cannot say same-origin.
                if site != "same-origin":
                    return self._foreign("origin is null", request)
            elif not self._is_own(origin, scheme, host):
                return self._foreign("origin not allowed", request)
        if site is None or site in _OWN_SITES:
            return None
        if origin is not None and origin in self._origins:
            return None
        if (
            headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
            and request.method in _READS
        ):
            return None
        if request.method in _READS and self.is_shared(request.path):
            return None
        return self._foreign("another site's request", request)

    def _is_own(self, origin: str, scheme: str, host: str) -> bool:
        if origin in self._origins:
            return True
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None or found["scheme"] not in ("http", "https"):
            return False
        # A page that came over HTTP may be anybody's. Behind a proxy that is not named nothing is
        # known about that, so both are taken there.
        if scheme in _ENCRYPTED and found["scheme"] != "https":
            return False
        own = _without_port(host, found["scheme"])
        return own == _without_port(found["host"], found["scheme"])

    @staticmethod
    def _foreign(reason: str, request: Request) -> Refusal:
        names = ("origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
        detail = {name: request.headers[name][:_SHOWN] for name in names if name in request.headers}
        return Refusal(403, CROSS_SITE, reason, detail)


def _has_port(host: str) -> bool:
    return host.rpartition("]")[2].rpartition(":")[1] == ":"


def _without_port(host: str, scheme: str) -> str:
    """Return a host without a port that goes without saying, and without its last dot."""
    return host.removesuffix(f":{_PORTS[scheme]}").removesuffix(".")
