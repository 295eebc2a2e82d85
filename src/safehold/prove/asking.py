"""Requests to the service, on this machine alone; redirects are not followed."""

from __future__ import annotations

import http.client
import ipaddress
import json
import select
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from safehold.errors import ConfigError
from safehold.prove.hints import Endpoint

_MOST: Final = 2 * 2**20
_BLOCK: Final = 2**16
_SECONDS: Final = 10.0
# Who answers so to what is usual has not let it reach what is attacked.
_TURNED_AWAY: Final = frozenset({400, 401, 403, 405, 407, 415, 421, 429})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``problem`` says why nothing did. ``early``: before all was sent."""

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    problem: str = ""
    early: bool = False

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def away(self) -> str:
        """Why this answer to what is usual shows that the service was not reached, or nothing."""
        if self.problem:
            return f"the endpoint does not answer: {self.problem}"
        if self.status in _TURNED_AWAY or self.status >= 500 or 300 <= self.status < 400:
            return (
                f"what is usual is answered with {self.status}: see value of [[prove.endpoint]],"
                " and [prove] headers"
            )
        return ""

    @property
    def is_html(self) -> bool:
        """Whether a browser shows it as a page."""
        kind = next(iter(self.all("content-type")), "").partition(";")[0].strip().lower()
        return kind in ("text/html", "application/xhtml+xml", "image/svg+xml")


class Asker:
    """Asks one service.

    Raises:
        ConfigError: the address is none of this machine's own; no other is ever asked.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not is_loopback(host) or port == -1:
            message = f"{url[:200]} is not on this machine: prove asks 127.0.0.1, ::1 or localhost"
            raise ConfigError(message)
        # A name is not looked up: what it leads to might be elsewhere.
        self.host = "127.0.0.1" if host == "localhost" else host
        self.port = port or (443 if parts.scheme == "https" else 80)
        self.encrypted = parts.scheme == "https"
        self._headers = dict(headers or {})

    @property
    def url(self) -> str:
        """The address without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.encrypted else 'http'}://{host}:{self.port}"

    def get(self, path: str) -> Answer:
        """Return what a path answers, exactly as it is written."""
        return self._ask("GET", path, {}, b"")

    def at(self, endpoint: Endpoint, value: str) -> Answer:
        """Return what an endpoint answers to a text."""
        path = path_of(endpoint, value)
        if endpoint.method == "GET":
            return self._ask("GET", path, {}, b"")
        fields = dict(endpoint.fields)
        if endpoint.into:
            fields[endpoint.into] = value
        body = json.dumps(fields).encode()
        return self._ask(endpoint.method, path, {"Content-Type": "application/json"}, body)

    def send_large(self, endpoint: Endpoint, size: int, *, chunked: bool) -> Answer:
        """Send a body of a size; stop as soon as something comes back."""
        head = json.dumps({**endpoint.fields, endpoint.into: ""})[:-2].encode()
        parts = _large(head, size)
        connection = self._connection()
        try:
            has_host = any(name.lower() == "host" for name in self._headers)
            path = path_of(endpoint, endpoint.value)
            connection.putrequest(endpoint.method, path, skip_host=has_host)
            for name, value in (*self._headers.items(), ("Content-Type", "application/json")):
                connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            else:
                connection.putheader("Content-Length", str(size))
            connection.endheaders()
            early = False
            for part in parts:
                connection.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                if _is_readable(connection):
                    early = True
                    break
            else:
                if chunked:
                    connection.send(b"0\r\n\r\n")
            return _read(connection.getresponse(), early=early)
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected) as error:
            return Answer(problem=type(error).__name__, early=True)
        except (OSError, http.client.HTTPException) as error:
            return Answer(problem=f"{type(error).__name__}: {error}"[:200])
        finally:
            connection.close()

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = self._connection()
        try:
            connection.request(method, path, body=body or None, headers=self._headers | headers)
            return _read(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(problem=f"{type(error).__name__}: {error}"[:200])
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self.encrypted:
            return http.client.HTTPConnection(self.host, self.port, timeout=_SECONDS)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # nothing that is secret is sent, on this machine
        return http.client.HTTPSConnection(self.host, self.port, timeout=_SECONDS, context=context)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by its address alone or as ``localhost``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def path_of(endpoint: Endpoint, value: str) -> str:
    """Return the path with the text in its place."""
    return endpoint.path.replace("{}", quote(value, safe=""))


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def _large(head: bytes, size: int) -> Iterator[bytes]:
    yield head
    left = size - len(head) - 2
    while left > 0:
        yield b"x" * min(left, _BLOCK)
        left -= _BLOCK
    yield b'"}'


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    poll = select.poll()  # select() knows no descriptor beyond 1023
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _read(answer: http.client.HTTPResponse, *, early: bool = False) -> Answer:
    body = answer.read(_MOST)
    return Answer(answer.status, tuple(answer.getheaders()), body, early=early)
