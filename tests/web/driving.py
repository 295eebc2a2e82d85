"""Calls applications as a server does, and keeps what they send."""

from __future__ import annotations

import asyncio
import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

from safehold.web.headers import NINE

PAGE = "<!doctype html><script nonce={}>1</script>"


@dataclass
class Sent:
    """One answer: every header as it was sent, the body, and what was raised."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    raised: BaseException | None = None
    messages: list[Any] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def assert_nine(self) -> None:
        """Each of the nine headers exactly once, and no banner."""
        for name in (*NINE, "Reporting-Endpoints"):
            assert len(self.all(name)) == 1, (name, self.status, self.all(name))
        for name in ("Server", "X-Powered-By"):
            assert not self.all(name)

    @property
    def nonce(self) -> str:
        """The nonce of the policy."""
        _, found, rest = self.one("Content-Security-Policy").partition("script-src 'nonce-")
        return rest.partition("'")[0] if found else ""


def scope_of(path: str = "/", method: str = "GET", kind: str = "http", **more: Any) -> Any:
    path, _, query = path.partition("?")
    scope = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1234),
        "server": ("testserver", 80), "state": {}, "extensions": {},
    }  # fmt: skip
    http = {"scheme": "http", "method": method}
    return {**scope, **(http if kind == "http" else {"scheme": "ws", "subprotocols": []}), **more}


async def call(app: Any, path: str = "/", method: str = "GET", **more: Any) -> Sent:
    """Send one request and wait for the end of its answer."""
    sent = Sent()
    asked = False
    ended = asyncio.Event()

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await ended.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.messages.append(message)
        if message["type"] == "http.response.start":
            sent.status = message["status"]
            sent.headers = [(a.decode(), b.decode("latin-1")) for a, b in message["headers"]]
        elif message["type"] == "http.response.body":
            sent.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()

    try:
        await app(scope_of(path, method, **more), receive, send)
    except Exception as error:  # noqa: BLE001  what a server would see
        sent.raised = error
    return sent


def get(app: Any, path: str = "/", method: str = "GET", **more: Any) -> Sent:
    return asyncio.run(call(app, path, method, **more))


def environ_of(path: str = "/", method: str = "GET") -> dict[str, Any]:
    path, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "testserver", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.multithread": True,
        "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip


def wget(app: Any, path: str = "/", method: str = "GET", environ: Any = None) -> Sent:
    """Send one request to a WSGI application as a server does."""
    sent = Sent()
    began = False

    def write(data: bytes) -> None:
        nonlocal began
        began = began or bool(data)
        sent.body += data

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info and began:
            raise exc_info[1]
        assert exc_info or not sent.status, "start_response called twice without exc_info"
        sent.status, sent.headers = int(status[:3]), list(headers)
        return write

    environ = environ_of(path, method) if environ is None else environ
    try:
        body = app(environ, start_response)
        with contextlib.closing(body) if hasattr(body, "close") else contextlib.nullcontext():
            for data in body:
                assert sent.status, "a body before start_response"
                write(data)
    except Exception as error:  # noqa: BLE001  what a server would see
        sent.raised = error
    return sent
