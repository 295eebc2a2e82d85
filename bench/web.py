"""Web: what the headers cost a FastAPI service, in process, and what peers cost it.

Each request is a call of the application with a fresh scope, as a server makes it. The overhead of
a middleware is what a request takes with it less what the same request takes without; a ratio of
two overheads has the bare application measured beside both.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._clocks import Pairs, Times, in_turn, one_core
from bench._rows import Row, difference, left_out, ratio
from safehold import web
from safehold.context import Context
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key
from safehold.policy import Policy
from safehold.web import templates
from safehold.web.site import Site

_REPEAT = 400
_ROUNDS = 31
_TEMPLATE = """<!doctype html><title>{{ title }}</title>
<script src="/app.js" nonce="{{ csp_nonce() if csp_nonce else 'none' }}"></script>
<ul>{% for row in rows %}<li>{{ row.name }}: {{ row.score }}</li>{% endfor %}</ul>
"""


def rows() -> Iterator[Row]:
    """Yield the cost of an answer of each kind, and the peers' beside it."""
    try:
        import fastapi  # noqa: F401
        import jinja2  # noqa: F401
    except ModuleNotFoundError as error:
        yield left_out("headers", f"no {error.name}")
        return
    with tempfile.TemporaryDirectory() as name, one_core():
        hold = Context(
            Policy(root=Path(name)),
            Keyring(Key("k", generate_key().encode())),
            Recorder(_Nowhere()),
        )
        loop = asyncio.new_event_loop()
        for path in ("/json", "/page"):
            yield from _of(path, hold, loop)
        loop.close()
        hold.close()


class _Nowhere:
    def export(self, event: Event) -> None:
        pass


def _of(path: str, hold: Context, loop: asyncio.AbstractEventLoop) -> Iterator[Row]:
    kind = path[1:]
    bare = _service()
    ours = _headers_alone(_service(nonced=True), hold)

    def measured(app: Any) -> Pairs:
        pairs = in_turn(
            lambda: loop.run_until_complete(_requests(app, path, _REPEAT)),
            lambda: loop.run_until_complete(_requests(bare, path, _REPEAT)),
            rounds=_ROUNDS,
        )
        return Pairs(tuple((_each(one), _each(two)) for one, two in pairs.rounds))

    pairs = measured(ours)
    yield difference(f"headers, {kind}", pairs, against="the bare application", goal=7e-6)
    yield ratio(f"headers, {kind}", pairs, against="the bare application", goal=1.10)
    peers: list[tuple[str, Any, float]] = []
    try:
        from secure import Preset, Secure
        from secure.middleware import SecureASGIMiddleware

        strict = Secure.from_preset(Preset.STRICT)
        peers.append(("secure's middleware", SecureASGIMiddleware(_service(), secure=strict), 0.5))
    except ModuleNotFoundError:
        yield left_out(f"headers, {kind}, overhead", "no secure")
    peers.append(("a BaseHTTPMiddleware", _base(_service(nonced=True), hold), 0.1))
    for name, app, goal in peers:
        theirs, again = measured(app), measured(ours)
        one, other = again.difference("cpu"), theirs.difference("cpu")
        label = f"headers, {kind}, overhead, cpu"
        yield Row(label, one, other, one / other, goal, f"that of {name}")
    whole = measured(web.SecurityHeaders(_service(nonced=True), hold))
    yield difference(f"headers and checks of requests, {kind}", whole, against="the bare one")


def _headers_alone(app: Any, hold: Context) -> Any:
    """Return an application with the headers and without the checks of requests."""
    layer = web.SecurityHeaders(app, hold)
    object.__setattr__(layer, "_gated", app)
    return layer


def _each(times: Times) -> Times:
    return Times(times.cpu / _REPEAT, times.wall / _REPEAT)


def _service(*, nonced: bool = False) -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse
    from jinja2 import Environment

    app = FastAPI(openapi_url=None)
    environment = Environment(autoescape=True)
    environment.globals["csp_nonce"] = None
    if nonced:
        templates.jinja(environment)
    template = environment.from_string(_TEMPLATE)
    scores = [{"name": f"row {number}", "score": number / 7} for number in range(20)]

    @app.get("/json")
    async def json() -> dict[str, Any]:
        return {"scores": scores}

    @app.get("/page")
    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(template.render(request=request, title="Scores", rows=scores))

    return app


def _base(app: Any, hold: Context) -> Any:
    """Return the same headers set as most services set them."""
    from starlette.middleware.base import BaseHTTPMiddleware

    from safehold.web.exchange import KEY, Exchange

    site = Site(hold, str.encode)

    async def dispatch(request: Any, call_next: Any) -> Any:
        exchange = request.scope[KEY] = Exchange()
        response = await call_next(request)
        response.raw_headers = site.over(response.raw_headers, response.status_code, exchange)
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return app


async def _requests(app: Any, path: str, count: int) -> None:
    asked = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> Any:
        return asked

    async def send(message: Any) -> None:
        pass

    for _ in range(count):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "scheme": "http", "headers": [(b"host", b"service"), (b"accept", b"*/*")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "extensions": {},
        }  # fmt: skip
        await app(scope, receive, send)
