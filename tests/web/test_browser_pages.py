"""Pages that frameworks bring along work in a browser under the headers, and break no rule."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import pytest

from safehold.policy.web import Web
from safehold.web import install
from tests.holding import make_world
from tests.web import applications
from tests.web.chromium import PROGRAM, chromium
from tests.web.serving import certificate, serving
from tests.web.test_judges import uvicorn_serving

needs_chromium = pytest.mark.skipif(not PROGRAM, reason="chromium is not installed")
pytestmark = [pytest.mark.extras, needs_chromium]

# Stands for the bundle, which is not here: what it is given to do, it has done.
SWAGGER = """window.SwaggerUIBundle = given => { document.title = "ui of " + given.url; };
SwaggerUIBundle.presets = {}; """
REDOC = """window.Redoc = {init: url => { document.title = "redoc of " + url; }};"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory, tls):
    with chromium(tmp_path_factory.mktemp("browser"), tls) as browser:
        yield browser


@pytest.fixture
def world(tmp_path):
    world = make_world(tmp_path, web=replace(Web(), docs="/static"))
    yield world
    world.hold.close()


def settled(browser, url):
    browser.open(url)
    browser.ask("new Promise(done => setTimeout(done, 200))")
    return browser.ask("violations")


def test_documentation_of_fastapi(browser, world, tls, tmp_path):
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "swagger-ui-bundle.js").write_text(SWAGGER)
    (folder / "swagger-ui.css").write_text("body { margin: 7px }")
    (folder / "redoc.standalone.js").write_text(REDOC)
    app = install(applications.fastapi(folder), world.hold)
    with uvicorn_serving(app, tls) as url:
        assert settled(browser, f"{url}/docs") == []
        assert browser.ask("document.title") == "ui of /openapi.json"
        assert browser.ask("getComputedStyle(document.body).margin") == "7px"
        assert settled(browser, f"{url}/redoc") == []
        assert browser.ask("document.title") == "redoc of /openapi.json"
        assert browser.ask("getComputedStyle(document.body).margin") == "0px"


def test_admin_of_django(browser, world, tls, tmp_path):
    from tests.web import django_project

    (tmp_path / "file.txt").write_text("a file")  # other tests of this process find it here, too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        django_project.configure(world.hold, tmp_path)
        from django.conf import settings
        from django.contrib.staticfiles.handlers import StaticFilesHandler
        from django.core.wsgi import get_wsgi_application

        settings.ALLOWED_HOSTS = ["testserver", "localhost"]
        settings.DEBUG = True  # else it serves no files
        try:
            app = install(StaticFilesHandler(get_wsgi_application()), world.hold)
            with serving(app, tls) as url:
                assert settled(browser, f"{url}/admin/login/") == []
                assert browser.ask("document.querySelector('#id_username') !== null")
                assert browser.ask("document.styleSheets.length") > 0
                assert browser.ask("typeof setTheme === 'function' || document.scripts.length > 0")
        finally:
            settings.DEBUG = False


def test_debugger_of_flask(browser, world, tls):
    from werkzeug.debug import DebuggedApplication

    bare = applications.flask(".")
    logging.getLogger("tests.web.applications").setLevel(logging.CRITICAL + 1)
    bare.debug = True  # as `flask run --debug` does
    install(bare, world.hold)
    app = DebuggedApplication(bare, evalex=True, pin_logging=False)
    with serving(app, tls) as url:
        assert settled(browser, f"{url}/boom") == ["style-src-attr inline"]  # a white background
        assert "ZeroDivisionError" in browser.ask("document.title")
        # Its script has run: it makes the frames of the traceback open.
        assert browser.ask("typeof openShell === 'function'")
