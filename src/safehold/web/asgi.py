"""The outermost layer of an ASGI application: every answer leaves with the headers, once."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from safehold.context import Context
from safehold.web.asgi_gate import GatedASGI
from safehold.web.changes import Change, change_of
from safehold.web.exchange import KEY, Exchange
from safehold.web.gate import Gate
from safehold.web.site import Site

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FAILED = b"Internal Server Error"
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_STARTS = frozenset(("http.response.start", "websocket.http.response.start"))


class SecurityHeaders:
    """Wraps an application; attributes that it has not are the application's.

    It stands outside of everything, also of a framework's own handler of errors. An error that
    nobody handled becomes a plain 500 with the headers and goes on to the server, which logs it.
    """

    __slots__ = ("_gate", "_gated", "_site", "app")

    app: Any
    _gate: Gate
    _gated: GatedASGI
    _site: Site[bytes]

    def __init__(self, app: App, hold: Context) -> None:
        """Wrap `app` under the ``[web]`` and ``[requests]`` tables of a Context's policy.

        Raises:
            ConfigError: the table is weaker than the default and gives no reason.
        """
        object.__setattr__(self, "app", app)
        object.__setattr__(self, "_site", Site(hold, str.encode))
        object.__setattr__(self, "_gate", Gate(hold))
        object.__setattr__(self, "_gated", GatedASGI(app, self._gate))
        if hasattr(app, "swagger_ui_init_oauth"):  # FastAPI
            from safehold.web.docs import replace_docs

            replace_docs(app, hold.policy.web.docs)

    def around(self, app: App) -> SecurityHeaders:
        """Return the same layer around another application."""
        layer = SecurityHeaders.__new__(SecurityHeaders)
        object.__setattr__(layer, "app", app)
        object.__setattr__(layer, "_site", self._site)
        object.__setattr__(layer, "_gate", self._gate)
        object.__setattr__(layer, "_gated", GatedASGI(app, self._gate))
        return layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.app, name, value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        # A scope that has an exchange came through another layer of ours, which is outside.
        if scope["type"] == "websocket" and KEY not in scope:
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http" or KEY in scope:
            await self.app(scope, receive, send)
            return
        exchange = scope[KEY] = Exchange()
        started = False

        # No coroutine of its own: what is sent is the server's.
        def guarded(message: Message) -> Awaitable[None]:
            nonlocal started
            if message["type"] == "http.response.start":
                # A new message: some applications send the same one to everybody.
                headers = self._site.over(
                    message.get("headers", ()), message["status"], exchange,
                    exchange.change or _change(scope),
                )  # fmt: skip
                message = {**message, "headers": headers}
                started = True
            return send(message)

        try:
            await self._gated(scope, receive, guarded)
        except Exception:
            if not started:
                with contextlib.suppress(Exception):  # the client has gone
                    await self._fail("http", exchange, send)
            raise
        if not started:
            await self._fail("http", exchange, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope[KEY] = Exchange()
        # Without the extension only the server can make the answer, which is a bare 403.
        answers = "websocket.http.response" in (scope.get("extensions") or {})
        decided = False

        async def guarded(message: Message) -> None:
            nonlocal decided
            kind = message["type"]
            if kind in _STARTS:
                headers = self._site.over(
                    message.get("headers", ()), message["status"], exchange, _change(scope)
                )
                message = {**message, "headers": headers}
            elif kind == "websocket.close" and not decided and answers:
                decided = True
                await self._answer("websocket.http", 403, b"Forbidden", exchange, send)
                return
            decided = True
            if kind == "websocket.accept":
                message = {**message, "headers": self._site.accepted(message.get("headers", ()))}
            await send(message)

        try:
            await self._gated(scope, receive, guarded)
        except Exception:
            if not decided and answers:
                with contextlib.suppress(Exception):  # as above
                    await self._fail("websocket.http", exchange, send)
            raise

    async def _fail(self, kind: str, exchange: Exchange, send: Send) -> None:
        await self._answer(kind, 500, _FAILED, exchange, send)

    async def _answer(
        self, kind: str, status: int, body: bytes, exchange: Exchange, send: Send
    ) -> None:
        headers = [_PLAIN, (b"content-length", str(len(body)).encode())]
        headers = self._site.over(headers, status, exchange)
        await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})


def _change(scope: Scope) -> Change | None:
    """Return the change of the route that a router has put into the scope."""
    route = scope.get("endpoint")  # Starlette, FastAPI
    if route is None:
        route = getattr(scope.get("route_handler"), "fn", None)  # Litestar
        if route is None:
            return None
    return change_of(route)
