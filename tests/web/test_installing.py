from __future__ import annotations

import functools

import pytest

from safehold.errors import ConfigError
from safehold.policy.web import Web
from safehold.web import SecurityHeaders, install
from safehold.web.wsgi import SecurityHeaders as OverWSGI
from tests.holding import make_world
from tests.web.driving import get, wget


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


class Callable:
    async def __call__(self, scope, receive, send):
        await asgi(scope, receive, send)


def returning(scope, receive, send):
    return asgi(scope, receive, send)


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize("app", [asgi, Callable(), returning, functools.partial(asgi)])
def test_asgi_is_known(hold, app):
    hardened = install(app, hold)
    assert type(hardened) is SecurityHeaders
    get(hardened).assert_nine()


@pytest.mark.parametrize("app", [wsgi, functools.partial(wsgi)])
def test_wsgi_is_known(hold, app):
    hardened = install(app, hold)
    assert type(hardened) is OverWSGI
    wget(hardened).assert_nine()


@pytest.mark.parametrize("app", [None, "app:app", Callable, 3])
def test_what_is_no_application_is_refused(hold, app):
    with pytest.raises(ConfigError, match="no ASGI or WSGI application"):
        install(app, hold)


@pytest.mark.parametrize("app", [asgi, wsgi])
def test_twice_is_once(hold, app):
    hardened = install(install(app, hold), hold)
    (get if app is asgi else wget)(hardened).assert_nine()


@pytest.mark.extras
@pytest.mark.parametrize("framework", ["fastapi", "starlette", "litestar", "flask"])
def test_frameworks_keep_their_object_and_routes_can_come_later(hold, framework):
    if framework == "flask":
        from flask import Flask

        app = Flask("later")
        assert install(app, hold) is app
        app.add_url_rule("/later", view_func=lambda: "x")
        sent = wget(app, "/later")
    elif framework == "litestar":
        from litestar import Litestar
        from litestar import get as route

        app = Litestar(openapi_config=None)
        assert install(app, hold) is app
        app.register(route("/later", sync_to_thread=False)(_later))
        sent = get(app, "/later")
    else:
        from fastapi import FastAPI
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse

        app = {"fastapi": FastAPI, "starlette": Starlette}[framework]()
        assert get(app).status == 404  # its middleware is made already
        assert install(app, hold) is app
        app.router.add_route("/later", lambda request: PlainTextResponse("x"))
        sent = get(app, "/later")
    assert sent.status == 200
    sent.assert_nine()


def _later() -> str:
    return "x"


@pytest.mark.extras
def test_policy_that_cannot_be_used_is_told_when_it_is_installed(tmp_path):
    from starlette.applications import Starlette

    hold = make_world(tmp_path, web=Web(resource="cross-origin")).hold
    with pytest.raises(ConfigError, match="allow_unsafe"):
        install(Starlette(), hold)


@pytest.mark.extras
def test_wrapped_fastapi_works_as_before(hold):
    from fastapi import FastAPI

    app = SecurityHeaders(FastAPI(), hold)

    @app.get("/x")
    def route() -> dict[str, int]:
        return {"a": 1}

    app.title = "named"
    app.state.value = 3
    assert (app.app.title, app.app.state.value) == ("named", 3)
    assert get(app, "/x").body == b'{"a":1}'
    assert b"named - Swagger UI" in get(app, "/docs").body
