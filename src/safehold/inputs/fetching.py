"""Requests to URLs of strangers: the address that is looked at is the one that is connected to.

Between a look-up that is checked and one that a client makes again, a name can get another address
(DNS rebinding). Here a name is looked up once for each connection, every address is checked, and
the socket is connected to one of them by number; TLS is still verified for the name. Redirects are
read and checked like the first URL. No proxy is used, as it would look the name up by itself.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from safehold.context import Context
from safehold.errors import InputRefused, LimitExceeded, MissingExtra
from safehold.events import Event
from safehold.inputs.urls import (
    PUBLIC,
    Destinations,
    Parts,
    checked_addresses,
    parse_url,
    refused,
    resolve,
)

if TYPE_CHECKING:
    import httpx
    import requests

_REDIRECTS = (301, 302, 303, 307, 308)
_STEP = 2**16


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: of `url`, after redirects."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def connect(
    host: str, port: int, timeout: float | None = 10.0, allowed: Destinations = PUBLIC
) -> socket.socket:
    """Connect to a host by an address that was checked.

    Raises:
        InputRefused: one of its addresses may not be connected to. OSError: none of them answers.
    """
    last: OSError | None = None
    for address in resolve(Parts("", host, port, ""), allowed):
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect((str(address), port))
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:  # also an interrupt
            sock.close()
            raise
    raise last or OSError("no address")


def open_url(
    url: str,
    *,
    allowed: Destinations = PUBLIC,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
    size: int = 2**24,
    redirects: int = 5,
    hold: Context | None = None,
) -> Answer:
    """Get a URL of a stranger. `timeout` is for each step of a connection.

    Headers go along to redirects of the same scheme, host and port only.

    Raises:
        InputRefused: it, or what it redirects to, leads where it must not. LimitExceeded: the
            answer is larger than `size`, or there are more `redirects`. OSError and
            http.client.HTTPException: there is no answer.
    """
    try:
        return _followed(url, allowed, dict(headers or {}), timeout, size, redirects)
    except InputRefused as error:
        if hold is None:
            raise
        event = Event(action="input", outcome="refused", reason=str(error), rule=error.rule)
        hold.recorder.refuse(event, error)


def _followed(
    url: str,
    allowed: Destinations,
    headers: dict[str, str],
    timeout: float,
    size: int,
    redirects: int,
) -> Answer:
    parts = parse_url(url, allowed)
    for _ in range(redirects + 1):
        answer = _get(parts, allowed, headers, timeout, size)
        location = dict(answer.headers).get("location")
        if answer.status not in _REDIRECTS or location is None:
            return answer
        try:
            target = urljoin(answer.url, location)
        except ValueError as error:  # as of `http://[`
            raise refused("a URL leads to what is no URL") from error
        following = parse_url(target, allowed)
        if following[:3] != parts[:3]:
            headers = {}
        parts = following
    raise LimitExceeded(f"a URL leads to more than {redirects} redirects")


def _get(
    parts: Parts, allowed: Destinations, headers: dict[str, str], timeout: float, size: int
) -> Answer:
    connection = http.client.HTTPConnection(parts.host, parts.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.sock = connect(parts.host, parts.port, timeout, allowed)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=parts.host)
        target = parts.rest.partition("#")[0]
        if not target.startswith("/"):
            target = f"/{target}"
        connection.request("GET", target, headers={**headers, "Host": parts.authority})
        response = connection.getresponse()
        body = bytearray()
        while data := response.read(min(_STEP, size + 1 - len(body))):
            body += data
            if len(body) > size:
                raise LimitExceeded(f"an answer has more than {size} bytes")
        found = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(parts.url, response.status, found, bytes(body))


def httpx_transport(allowed: Destinations = PUBLIC, **options: Any) -> httpx.BaseTransport:
    """Return what ``httpx.Client(transport=...)`` sends by; redirects are checked as well.

    `options` are those of ``httpx.HTTPTransport``, such as `verify`. The client's calls raise
    InputRefused.
    """
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingExtra("httpx", "fetch") from error

    class Pinned(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            parts = parse_url(str(request.url), allowed)
            address = resolve(parts, allowed)[0]
            return super().handle_request(_pinned(request, parts, str(address)))

    return Pinned(**_unkept(options))


def httpx_async_transport(
    allowed: Destinations = PUBLIC, **options: Any
) -> httpx.AsyncBaseTransport:
    """Return the same for ``httpx.AsyncClient(transport=...)``, on asyncio."""
    try:
        import httpx
    except ModuleNotFoundError as error:
        raise MissingExtra("httpx", "fetch") from error

    class Pinned(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            import asyncio

            parts = parse_url(str(request.url), allowed)
            look_up = asyncio.get_running_loop().getaddrinfo
            rows = await look_up(parts.host, parts.port, type=socket.SOCK_STREAM)
            address = checked_addresses((str(row[4][0]) for row in rows), allowed)[0]
            return await super().handle_async_request(_pinned(request, parts, str(address)))

    return Pinned(**_unkept(options))


def _unkept(options: dict[str, Any]) -> dict[str, Any]:
    import httpx

    # A connection that is kept, or shared as by HTTP/2, would be taken for another name at the
    # same address, whose certificate nobody has seen. A proxy looks names up by itself.
    if options.get("http2") or options.get("proxy") or options.get("uds"):
        raise refused("a pinned connection has no proxy, no socket of its own and no HTTP/2")
    limits = httpx.Limits(max_keepalive_connections=0)
    return {**options, "trust_env": False, "limits": limits}


def _pinned(request: httpx.Request, parts: Parts, address: str) -> httpx.Request:
    """Return a request to an address by number, with the name where servers look for it."""
    import httpx

    extensions = {**request.extensions, "sni_hostname": parts.host}
    headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=[(b"Host", parts.authority.encode()), *headers],
        stream=request.stream,
        extensions=extensions,
    )


def requests_adapter(
    allowed: Destinations = PUBLIC, **options: Any
) -> requests.adapters.HTTPAdapter:
    """Return what ``session.mount("https://", ...)`` takes, and ``"http://"`` too: mount both.

    The session's calls raise InputRefused, also when a proxy is set.
    """
    try:
        import requests
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
        from urllib3.connection import HTTPConnection, HTTPSConnection
    except ModuleNotFoundError as error:
        raise MissingExtra("requests", "fetch") from error

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self.host, self.port, _seconds(self.timeout), allowed)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self.host, self.port, _seconds(self.timeout), allowed)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    class Pinned(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}

        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            parse_url(request.url or "", allowed)
            if any((kwargs.get("proxies") or {}).values()):
                raise refused("a proxy would look names up by itself; set trust_env = False")
            return super().send(request, *args, **kwargs)

    return Pinned(**options)


def _seconds(timeout: Any) -> float | None:
    return timeout if isinstance(timeout, int | float) else 10.0
