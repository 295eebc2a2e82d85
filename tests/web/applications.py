"""The same small service in every framework, and bare: each class of answers has a path."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import safehold
from tests.web.driving import PAGE

TEXT = "hello"
EVENTS = [b"data: 1\n\n", b"data: 2\n\n"]
STREAM = [b"one", b"two"]


def page(request: Any) -> str:
    return PAGE.format(safehold.web.nonce(request))


def boom() -> Any:
    message = "nobody handles this"
    raise ZeroDivisionError(message)


# Path -> (method, path, status); what a framework has not is left out of its answers.
REQUESTS = {
    "json": ("GET", "/json", 200),
    "page": ("GET", "/page", 200),
    "redirect": ("GET", "/redirect", 307),
    "not found": ("GET", "/nowhere", 404),
    "wrong method": ("DELETE", "/json", 405),
    "not valid": ("GET", "/number/x", 422),
    "HTTPException": ("GET", "/teapot", 418),
    "unhandled": ("GET", "/boom", 500),
    "stream": ("GET", "/stream", 200),
    "events": ("GET", "/events", 200),
    "file": ("GET", "/static/file.txt", 200),
    "no file": ("GET", "/static/none.txt", 404),
    "head": ("HEAD", "/page", 200),
    "options": ("OPTIONS", "/json", 200),
    "background": ("GET", "/background", 200),
    "mounted": ("GET", "/mounted/page", 200),
    "mounted error": ("GET", "/mounted/boom", 500),
    "middleware": ("GET", "/json?middleware", 500),
    "banner": ("GET", "/banner", 200),
}


class Failing:
    """Middleware that fails for one request, as ASGI."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("query_string") == b"middleware":
            boom()
        await self.app(scope, receive, send)


async def chunks(parts: list[bytes]) -> Any:
    for part in parts:
        await asyncio.sleep(0)
        yield part


def starlette_routes() -> list[Any]:
    from starlette.background import BackgroundTask
    from starlette.exceptions import HTTPException
    from starlette.responses import (
        HTMLResponse,
        JSONResponse,
        RedirectResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import Route

    async def json(request: Any) -> Any:
        return JSONResponse({"a": 1})

    async def html(request: Any) -> Any:
        return HTMLResponse(page(request))

    async def redirect(request: Any) -> Any:
        return RedirectResponse("/json")

    async def teapot(request: Any) -> Any:
        raise HTTPException(418)

    async def broken(request: Any) -> Any:
        boom()

    async def stream(request: Any) -> Any:
        return StreamingResponse(chunks(STREAM), media_type="text/plain")

    async def events(request: Any) -> Any:
        return StreamingResponse(chunks(EVENTS), media_type="text/event-stream")

    async def background(request: Any) -> Any:
        return JSONResponse({}, background=BackgroundTask(int, "1"))

    async def banner(request: Any) -> Any:
        headers = {"Server": "x/1.0", "X-Powered-By": "y", "X-Frame-Options": "ALLOWALL"}
        return Response(TEXT, headers=headers)

    return [
        Route("/json", json, methods=["GET", "OPTIONS"]),
        Route("/page", html),
        Route("/redirect", redirect),
        Route("/teapot", teapot),
        Route("/boom", broken),
        Route("/stream", stream),
        Route("/events", events),
        Route("/background", background),
        Route("/banner", banner),
    ]


def static(folder: Any) -> Any:
    from starlette.staticfiles import StaticFiles

    return StaticFiles(directory=folder)


def starlette(folder: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount

    inner = Starlette(routes=starlette_routes())
    mounts = [Mount("/static", static(folder)), Mount("/mounted", inner)]
    return Starlette(routes=[*starlette_routes(), *mounts], middleware=[Middleware(Failing)])


def fastapi(folder: Any) -> Any:
    from fastapi import FastAPI
    from starlette.applications import Starlette

    app = FastAPI()

    @app.get("/number/{number}")
    def number(number: int) -> int:
        return number

    app.router.routes.extend(starlette_routes())
    app.mount("/static", static(folder))
    app.mount("/mounted", Starlette(routes=starlette_routes()))
    app.add_middleware(Failing)
    return app


def flask(folder: Any) -> Any:
    import flask as fl

    app = fl.Flask(__name__, static_folder=str(folder), static_url_path="/static")
    inner = fl.Blueprint("inner", __name__)

    @inner.get("/page")
    def html() -> str:
        return fl.render_template_string(PAGE.format("{{ csp_nonce() }}"))

    @inner.get("/boom")
    def broken() -> Any:
        return boom()

    @app.get("/json")
    def json() -> Any:
        return {"a": 1}

    @app.get("/redirect")
    def redirect() -> Any:
        return fl.redirect("/json", 307)

    @app.get("/number/<number>")
    def number(number: str) -> Any:
        fl.abort(422)

    @app.get("/teapot")
    def teapot() -> Any:
        fl.abort(418)

    @app.get("/stream")
    def stream() -> Any:
        return fl.Response((part for part in STREAM), mimetype="text/plain")

    @app.get("/events")
    def events() -> Any:
        return fl.Response((part for part in EVENTS), mimetype="text/event-stream")

    @app.get("/banner")
    def banner() -> Any:
        return fl.Response(TEXT, headers={"Server": "x/1.0", "X-Powered-By": "y"})

    @app.before_request
    def fail() -> None:
        if fl.request.query_string == b"middleware":
            boom()

    app.register_blueprint(inner, name="first")
    app.register_blueprint(inner, name="mounted", url_prefix="/mounted")
    return app


def raw_asgi(folder: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        path, method = scope["path"].removeprefix("/mounted"), scope["method"]
        if scope["query_string"]:
            boom()
        status, kind, body = _raw(path, method, scope, folder)
        headers = [(b"content-type", kind)] if kind else []
        if path == "/redirect":
            headers.append((b"location", b"/json"))
        if path == "/banner":
            headers += [(b"Server", b"x"), (b"X-Powered-By", b"y"), (b"X-FRAME-OPTIONS", b"z")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def raw_wsgi(folder: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"].removeprefix("/mounted")
        if environ["QUERY_STRING"]:
            boom()
        status, kind, body = _raw(path, environ["REQUEST_METHOD"], environ, folder)
        headers = [("Content-Type", kind.decode())] if kind else []
        if path == "/banner":
            headers += [("Server", "x"), ("X-Powered-By", "y"), ("x-frame-options", "z")]
        start_response(f"{status} Status", headers)
        return iter(body)

    return app


def _raw(path: str, method: str, place: Any, folder: Any) -> tuple[int, bytes, list[bytes]]:
    if path == "/boom":
        boom()
    if method == "DELETE":
        return 405, b"", []
    if path == "/page":
        return 200, b"text/html", [page(place).encode()]
    if path.startswith("/static/"):
        file = os.path.join(folder, path[8:])
        if not os.path.exists(file):
            return 404, b"", []
        with open(file, "rb") as handle:
            return 200, b"text/plain", [handle.read()]
    answers: dict[str, tuple[int, bytes, list[bytes]]] = {
        "/json": (200, b"application/json", [b"{}"]),
        "/redirect": (307, b"", []),
        "/number/x": (422, b"", []),
        "/teapot": (418, b"text/plain", [b"short and stout"]),
        "/stream": (200, b"text/plain", STREAM),
        "/events": (200, b"text/event-stream", EVENTS),
        "/background": (200, b"application/json", [b"{}"]),
        "/banner": (200, b"text/plain", [b"hello"]),
    }
    return answers.get(path, (404, b"text/html", [b"<h1>nothing</h1>"]))
