"""Pages that frameworks make themselves: each script and style in them is allowed to run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from safehold.policy.web import Web
from safehold.web import SecurityHeaders, install
from tests.holding import make_world
from tests.web.driving import Sent, environ_of, get, wget

pytestmark = pytest.mark.extras


class Parts(HTMLParser):
    """Everything of a page that a policy decides about."""

    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.styles: list[dict[str, str | None]] = []
        self.sheets: list[dict[str, str | None]] = []
        self.inline: list[tuple[str, str]] = []
        self.feed(sent.body.decode())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.inline += [(tag, name) for name in found if name.startswith("on") or name == "style"]
        if tag == "script":
            self.scripts.append(found)
        elif tag == "style":
            self.styles.append(found)
        elif tag == "link" and "stylesheet" in (found.get("rel") or ""):
            self.sheets.append(found)


def assert_runs(sent: Sent, scripts: int, *, handlers: bool = False) -> Parts:
    """Every script and inline style has the nonce; sheets have it, or are of this site."""
    sent.assert_nine()
    assert sent.one("Cache-Control") == "no-store"
    parts = Parts(sent)
    assert len(parts.scripts) >= scripts
    for one in (*parts.scripts, *parts.styles):
        assert one.get("nonce") == sent.nonce, one
    for one in parts.sheets:
        assert one.get("nonce") == sent.nonce or re.match(r"[/?]", one["href"] or ""), one
    assert handlers or not [one for one in parts.inline if one[1] != "style"]
    return parts


# -- FastAPI


def fastapi(**options):
    from fastapi import FastAPI

    return FastAPI(**options)


@pytest.mark.parametrize("way", [install, SecurityHeaders])
@pytest.mark.parametrize(("path", "scripts"), [
    ("/docs", 2), ("/redoc", 2), ("/docs/oauth2-redirect", 1),
])  # fmt: skip
def test_pages_of_documentation_run(hold, way, path, scripts):
    sent = get(way(fastapi(), hold), path)
    assert sent.status == 200
    parts = assert_runs(sent, scripts)
    assert not parts.inline


def test_pages_of_documentation_can_come_from_the_site_itself(tmp_path):
    hold = make_world(tmp_path, web=Web(docs="/static/docs/")).hold
    app = install(fastapi(docs_url="/help"), hold)
    pages = [get(app, path).body.decode() for path in ("/help", "/redoc")]
    assert 'src="/static/docs/swagger-ui-bundle.js"' in pages[0]
    assert 'src="/static/docs/redoc.standalone.js"' in pages[1]
    assert "https:" not in "".join(pages)


def test_documentation_of_a_mounted_application_runs_too(hold):
    outer = fastapi()
    outer.mount("/inner", fastapi())
    assert_runs(get(install(outer, hold), "/inner/docs"), 2)


def test_title_and_parameters_cannot_end_their_place(hold):
    bad = "</title></script><script>alert(1)</script>"
    app = install(
        fastapi(title=bad, swagger_ui_parameters={"x": bad}, swagger_ui_init_oauth={"y": bad}), hold
    )
    for path in ("/docs", "/redoc"):
        sent = get(app, path, root_path="/<script>'")
        assert bad not in sent.body.decode()
        assert "\\u003cscript\\u003e" in sent.body.decode()
        assert_runs(sent, 2)
        assert len(Parts(sent).scripts) == 2


def test_oauth_and_parameters_are_kept(hold):
    app = install(fastapi(swagger_ui_parameters={"tryItOutEnabled": True},
                          swagger_ui_init_oauth={"clientId": "me"}), hold)  # fmt: skip
    body = get(app, "/docs", root_path="/api").body.decode()
    assert '"tryItOutEnabled": true' in body
    assert '"clientId": "me"' in body
    assert '"url": "/api/openapi.json"' in body
    assert '"oauth2RedirectUrl": "/api/docs/oauth2-redirect"' in body


def test_documentation_that_is_off_or_somebodys_own_stays_so(hold):
    from fastapi.responses import PlainTextResponse

    app = install(fastapi(openapi_url=None), hold)
    assert get(app, "/docs").status == 404
    app = fastapi(docs_url=None)

    @app.get("/docs", name="swagger_ui_html")
    def docs() -> PlainTextResponse:
        return PlainTextResponse("own")

    assert get(install(app, hold), "/docs").body == b"own"


def test_redoc_says_that_its_search_needs_a_worker(world):
    app = install(fastapi(), world.hold)
    policy = get(app, "/redoc").one("Content-Security-Policy")
    assert "; worker-src 'self' blob:;" in policy
    assert [event.action for event in world.events.rows] == ["web.loosen"]
    assert "worker-src 'self';" in get(app, "/docs").one("Content-Security-Policy")


# -- Flask


def flask():
    import flask as fl

    app = fl.Flask("own_pages")

    @app.get("/boom")
    def boom():
        message = "<script>alert(1)</script>"
        raise RuntimeError(message)

    return app


def test_debugger_of_flask_runs_under_the_nonce(hold):
    from werkzeug.debug import DebuggedApplication

    app = flask()
    app.debug = True
    install(app, hold)
    outer = DebuggedApplication(app, evalex=True)  # as `flask run --debug` does
    sent = wget(outer, "/boom")
    assert sent.status == 500
    assert_runs(sent, 2)
    assert b"RuntimeError" in sent.body
    assert b"<script>alert" not in sent.body
    assert len(Parts(sent).scripts) == 2
    secret = re.search(r'SECRET = "(\w+)"', sent.body.decode())
    command = f"/?__debugger__=yes&cmd=pinauth&pin=0&s={secret[1]}"
    assert wget(outer, command).status in (200, 400)  # the inner debugger's, which knows it
    app.debug = False
    assert wget(outer, "/boom").body != b""


def test_without_a_debugger_outside_there_is_none_inside(hold):
    app = flask()
    app.debug = True
    install(app, hold)
    sent = wget(app, "/boom")
    assert (sent.status, sent.body) == (500, b"Internal Server Error")
    sent.assert_nine()


def test_flask_in_tests_raises_what_the_program_raises(hold):
    app = flask()
    app.testing = True
    install(app, hold)
    client = app.test_client()
    with pytest.raises(RuntimeError):
        client.get("/boom")


def test_changes_of_routes_in_flask(world):
    import flask as fl
    from flask.views import MethodView

    from safehold.web import sends

    app = fl.Flask("changes")

    @app.get("/function")
    @sends(frame="SAMEORIGIN", allow_unsafe="a partner")
    def function():
        return "x"

    @sends(referrer="no-referrer")
    class View(MethodView):
        def get(self):
            return "x"

    app.add_url_rule("/class", view_func=View.as_view("v"))
    install(app, world.hold)
    assert wget(app, "/function").one("X-Frame-Options") == "SAMEORIGIN"
    assert wget(app, "/class").one("Referrer-Policy") == "no-referrer"
    assert wget(app, "/none").one("X-Frame-Options") == "DENY"
    assert len(world.events.rows) == 2  # the header and frame-ancestors


def test_changes_of_routes_in_starlette_and_litestar(world):
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Mount, Route

    from safehold.web import sends
    from tests.web.litestar_app import litestar

    @sends(referrer="no-referrer")
    async def route(request):
        return HTMLResponse("x")

    inner = Starlette(routes=[Route("/r", route)])
    app = install(Starlette(routes=[Mount("/in", inner), Route("/r", route)]), world.hold)
    assert [get(app, path).one("Referrer-Policy") for path in ("/r", "/in/r", "/x")] == [
        "no-referrer", "no-referrer", "strict-origin-when-cross-origin",
    ]  # fmt: skip
    app = install(litestar(world.hold.policy.root), world.hold)
    assert get(app, "/framed").one("X-Frame-Options") == "SAMEORIGIN"
    assert get(app, "/page").one("X-Frame-Options") == "DENY"


# -- Django


@pytest.fixture(scope="module")
def django(tmp_path_factory):
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    from tests.web import django_project

    world = make_world(tmp_path_factory.mktemp("root"))
    django_project.configure(world.hold, tmp_path_factory.mktemp("static"))
    call_command("migrate", verbosity=0)
    return get_wsgi_application()


@pytest.fixture(scope="module")
def session(django):
    """The cookies of somebody who may see the whole admin."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    name = "<script>alert(1)</script>"
    user = get_user_model().objects.create_superuser(name.encode().hex()[:20], "a@b.c", "x")
    user.first_name = name
    user.save()
    client = Client()
    client.force_login(user)
    return "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())


@pytest.mark.parametrize(
    ("path", "scripts"),
    [
        ("/admin/login/", 2),
        ("/admin/", 2),
        ("/admin/auth/user/", 8),
        ("/admin/auth/user/add/", 8),
        ("/admin/auth/user/1/change/", 8),
        ("/admin/auth/user/1/delete/", 3),
        ("/admin/auth/user/1/password/", 3),
        ("/admin/auth/user/1/history/", 2),
        ("/admin/password_change/", 2),
    ],
)
def test_admin_runs(django, session, path, scripts):
    environ = environ_of(path)
    if "login" not in path:
        environ["HTTP_COOKIE"] = session
    sent = wget(django, environ=environ)
    assert sent.status == 200, sent.body[-500:]
    assert_runs(sent, scripts)
    assert b"<script>alert" not in sent.body


def test_errors_that_django_answers_without_any_middleware_have_the_headers(django):
    from django.core.signals import request_started

    def fail(**_):
        raise ZeroDivisionError

    request_started.connect(fail)
    try:
        sent = wget(django, "/json")
    finally:
        request_started.disconnect(fail)
    assert (sent.status, sent.body) == (500, b"Internal Server Error")
    sent.assert_nine()


def test_client_of_djangos_tests_sees_the_headers_too(django):
    from django.test import Client

    for path, frame in (("/page", "DENY"), ("/framed", "SAMEORIGIN"), ("/nowhere", "DENY")):
        response = Client(headers={"host": "testserver"}).get(path)
        sent = Sent(response.status_code, list(response.items()), response.content)
        sent.assert_nine()
        assert sent.one("X-Frame-Options") == frame
        assert sent.nonce.encode() in sent.body


def test_change_of_a_view_in_django(django):
    assert wget(django, "/framed").one("X-Frame-Options") == "SAMEORIGIN"
    assert wget(django, "/page").one("X-Frame-Options") == "DENY"


# -- templates


def test_jinja_and_mako_have_the_nonce(hold):
    from jinja2 import Environment
    from mako.template import Template

    from safehold.errors import ConfigError
    from safehold.web import templates

    environment = Environment(autoescape=True)
    templates.jinja(environment)
    source = "{% macro m() %}{{ csp_nonce() }}{% endmacro %}{{ csp_nonce() }}"
    jinja = environment.from_string(source)
    mako = Template(  # noqa: S702  nothing but the nonce is in it
        "${csp_nonce(context)}", imports=["from safehold.web.templates import csp_nonce"]
    )

    for template in (jinja, mako):

        async def app(scope, receive, send, template=template):
            body = template.render(request=scope).encode()
            headers = [(b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        sent = get(SecurityHeaders(app, hold))
        assert sent.body.decode() == sent.nonce
        with pytest.raises(ConfigError, match="request=request"):
            template.render()


def test_templates_of_starlette_have_the_nonce(hold, tmp_path):
    from starlette.applications import Starlette
    from starlette.templating import Jinja2Templates

    from safehold.web import templates

    (tmp_path / "page.html").write_text("<script nonce={{ csp_nonce() }}></script>")
    pages = Jinja2Templates(directory=tmp_path)
    templates.jinja(pages.env)
    app = install(Starlette(), hold)
    app.add_route("/page", lambda request: pages.TemplateResponse(request, "page.html"))
    sent = get(app, "/page")
    assert sent.body.decode() == f"<script nonce={sent.nonce}></script>"


def test_templates_of_litestar_have_the_nonce(hold, tmp_path):
    from litestar import Litestar
    from litestar import get as route
    from litestar.plugins.jinja import JinjaTemplateEngine
    from litestar.response import Template
    from litestar.template import TemplateConfig

    from safehold.web import templates

    (tmp_path / "page.html").write_text("<script nonce={{ csp_nonce() }}></script>")
    config = TemplateConfig(
        directory=tmp_path,
        engine=JinjaTemplateEngine,
        engine_callback=lambda engine: templates.jinja(engine.engine),
    )

    def page():
        return Template("page.html")

    page.__annotations__ = {"return": Template}
    app = Litestar(
        [route("/page", sync_to_thread=False)(page)], template_config=config, openapi_config=None
    )
    sent = get(install(app, hold), "/page")
    assert sent.body.decode() == f"<script nonce={sent.nonce}></script>"
    sent.assert_nine()
