"""What two judges of headers say about every page of the services: Observatory, csp_evaluator."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from safehold.policy.web import Web
from safehold.web import install, wsgi
from tests.holding import make_world
from tests.web import applications
from tests.web.litestar_app import litestar
from tests.web.serving import certificate, serving

pytestmark = pytest.mark.extras

NODE = shutil.which("node") or ""
FOLDER = Path(__file__).parent / "browser"
PAGES = {
    "fastapi": ("/page", "/docs", "/redoc", "/docs/oauth2-redirect", "/json", "/mounted/page"),
    "starlette": ("/page", "/json", "/redirect"),
    "litestar": ("/page", "/json"),
    "raw_asgi": ("/page", "/json"),
    "flask": ("/mounted/page", "/json"),
    "raw_wsgi": ("/page", "/json"),
    "django": ("/page", "/admin/login/", "/json"),
}
ASGI = ("fastapi", "starlette", "litestar", "raw_asgi")


def missing():
    if not NODE:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "csp_evaluator").is_dir():
        return f"the judges are not installed: npm ci --ignore-scripts in {FOLDER}"
    return ""


needs_judges = pytest.mark.skipif(bool(missing()), reason=missing() or "they are there")


@contextlib.contextmanager
def uvicorn_serving(app, tls):
    import uvicorn

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", server_header=False, lifespan="off",
        ssl_certfile=tls.path, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"https://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()


def redirecting(world, port):
    def app(environ, start_response):
        to = f"https://localhost:{port}{environ['PATH_INFO']}"
        start_response("308 Permanent Redirect", [("Location", to)])
        return []

    return wsgi.SecurityHeaders(app, world.hold)


def judged(rows, tls):
    done = subprocess.run(
        [NODE, "--no-warnings", str(FOLDER / "judge.mjs")],
        input=json.dumps(rows), capture_output=True, text=True, timeout=120, check=False,
        cwd=FOLDER,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(tls.path), "NO_PROXY": "localhost"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = make_world(tmp_path_factory.mktemp("root"), web=replace(Web(), docs="/static/docs"))
    yield world
    world.hold.close()


@pytest.fixture(scope="module")
def built(world, tmp_path_factory):
    """Every application, hardened."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("a file")  # other tests of this process find it here, too
    from tests.web import django_project

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frameworks, about one another
        names = ("fastapi", "starlette", "raw_asgi", "flask", "raw_wsgi")
        apps = {name: install(getattr(applications, name)(folder), world.hold) for name in names}
        apps["litestar"] = install(litestar(folder), world.hold)
        django_project.configure(world.hold, folder)
        from django.conf import settings
        from django.core.wsgi import get_wsgi_application

        settings.ALLOWED_HOSTS = ["testserver", "localhost"]
        apps["django"] = get_wsgi_application()
    return apps


def rows_for(stack, world, tls, app, paths, *, is_asgi):
    serve = uvicorn_serving if is_asgi else serving
    address = urlsplit(stack.enter_context(serve(app, tls)))
    plain = urlsplit(stack.enter_context(serving(redirecting(world, address.port))))
    return [
        {"host": "localhost", "http": plain.port, "https": address.port, "path": path}
        for path in paths
    ]


@needs_judges
def test_the_judges_see_a_bare_page(world, tls):
    """Else a judge that sees nothing would praise everything."""

    def bare(environ, start_response):
        policy = "script-src 'unsafe-inline' https:"
        start_response("200 OK", [("Content-Type", "text/html"),
                                  ("Content-Security-Policy", policy)])  # fmt: skip
        return [b"<p>"]

    with contextlib.ExitStack() as stack:
        (found,) = judged(rows_for(stack, world, tls, bare, ["/"], is_asgi=False), tls)
    assert found["score"] < 70
    assert found["findings"]


@needs_judges
def test_every_page_gets_a_plus_and_no_finding(built, world, tls):
    with contextlib.ExitStack() as stack:
        rows, names = [], []
        for name, paths in PAGES.items():
            found = rows_for(stack, world, tls, built[name], paths, is_asgi=name in ASGI)
            rows += found
            names += [(name, path) for path in paths]
        results = dict(zip(names, judged(rows, tls), strict=True))
    assert len(results) == sum(map(len, PAGES.values()))
    low = {name: (row["score"], row["failed"]) for name, row in results.items()
           if row["score"] < 130}  # fmt: skip
    assert low == {}
    assert {name: row["findings"] for name, row in results.items() if row["findings"]} == {}
    assert all(len(row["policies"]) == 1 for row in results.values())
    assert {row["status"] for row in results.values()} == {200}
