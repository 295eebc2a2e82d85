"""The gate before an ASGI application: requests, bodies, reports and cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

from safehold.inputs.requests import hold_inputs
from safehold.web.gate import Gate
from safehold.web.origins import HEADERS, Request
from safehold.web.refusals import Refusal
from safehold.web.reports import MOST_BYTES
from safehold.web.values import RequestInputs, charset_of, header_values, query_values

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES: Final = {name.encode(): name for name in HEADERS}


class GatedASGI:
    """Calls the application with the requests that the gate lets in."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application do so."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        gate = self._gate
        request = request_of(scope)
        if gate.is_report(request):
            await _answer(await self._report(request, receive), send)
        elif (refusal := gate.check(request)) is None:
            if not gate.keeps_inputs:
                await self._let_in(request, scope, receive, send, None)
                return
            inputs = RequestInputs(lambda: _parts(scope), request.headers.get("content-type", ""))
            before = hold_inputs(inputs)
            try:
                await self._let_in(request, scope, receive, send, inputs)
            finally:
                hold_inputs(before)
        elif request.socket:
            await receive()  # websocket.connect, before which nothing may be sent
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await _answer(refusal, send)

    async def _let_in(
        self,
        request: Request,
        scope: Scope,
        receive: Receive,
        send: Send,
        inputs: RequestInputs | None,
    ) -> None:
        if request.socket:
            await self._app(scope, receive if inputs is None else _told(scope, receive), send)
        elif _has_no_body(scope, request):
            await self._app(scope, receive, send)
        else:
            await self._measured(request, scope, receive, send, inputs)

    async def _measured(
        self,
        request: Request,
        scope: Scope,
        receive: Receive,
        send: Send,
        inputs: RequestInputs | None,
    ) -> None:
        """Call the application with a body that ends where it becomes too large or too deep.

        What it does about that is not sent: the client gets the refusal.
        """
        meter = self._gate.meter(request)
        started = refused = False

        async def receiving() -> Message:
            nonlocal refused
            if refused:
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] != "http.request":
                return message
            refusal = meter.feed(message.get("body", b""))
            if refusal is None:
                if inputs is not None:
                    inputs.feed(message.get("body", b""))
                return message
            refused = True
            self._gate.refused(refusal, request)
            if not started:
                await _answer(refusal, send)
            return {"type": "http.disconnect"}

        async def answering(message: Message) -> None:
            nonlocal started
            if refused and not started:
                return
            started = True
            await send(message)

        try:
            await self._app(scope, receiving, answering)
        except Exception:
            if not refused or started:
                raise

    async def _report(self, request: Request, receive: Receive) -> Refusal | int:
        refusal = self._gate.check_report(request)
        if refusal is not None:
            return refusal
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return 400
            body += message.get("body", b"")
            if len(body) > MOST_BYTES:
                return 413
            if not message.get("more_body", False):
                break
        kind = request.headers.get("content-type", "")
        return self._gate.reports.take(kind, bytes(body), self._gate.client(request))


def request_of(scope: Scope) -> Request:
    """Return the parts of a scope that are looked at."""
    headers: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in scope["headers"]:
        known = _NAMES.get(name)
        if known is not None:
            if known in headers:
                twice.add(known)
                headers[known] += "," + value.decode("latin-1")
            else:
                headers[known] = value.decode("latin-1")
    client = scope.get("client")
    return Request(
        scope.get("method", "GET"),
        scope.get("scheme", "http"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        client[0] if client else "",
        headers,
        frozenset(twice) if twice else _NONE,
    )


_NONE: Final[frozenset[str]] = frozenset()


def _parts(scope: Scope) -> Iterator[str | bytes]:
    """Yield what the sender wrote into a scope."""
    yield scope["path"]
    yield from scope["path"].split("/")
    # A router may take less than what is between two slashes.
    yield from map(str, (scope.get("path_params") or {}).values())
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    charset = next((charset_of(value) for name, value in headers if name == "content-type"), "")
    yield from query_values(scope.get("query_string", b"").decode("latin-1"), charset)
    for name, value in headers:
        yield from header_values(name, value)


def _told(scope: Scope, receive: Receive) -> Receive:
    """Return what receives the messages of a socket: each is the input of what comes after it."""

    async def receiving() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive":
            inputs = RequestInputs(lambda: _parts(scope), "")
            text = message.get("text") or message.get("bytes") or b""
            inputs.feed(text.encode("utf-8", "replace") if isinstance(text, str) else text)
            hold_inputs(inputs)
        return message

    return receiving


def _has_no_body(scope: Scope, request: Request) -> bool:
    """Say whether there can be none. In HTTP/2 a body needs no header."""
    return (
        "content-length" not in request.headers
        and "transfer-encoding" not in request.headers
        and scope.get("http_version", "1.1") in ("1.0", "1.1")
        and request.method in ("GET", "HEAD", "OPTIONS", "DELETE")
    )


async def _answer(what: Refusal | int, send: Send) -> None:
    if isinstance(what, Refusal):
        status, headers, body = what.status, what.headers, what.body
    else:
        status, body = what, b""
        headers = [] if status == 204 else [("Content-Length", "0")]
    raw = [(name.encode().lower(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
