from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.extras

from flask import Flask
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from safehold.inputs import confine
from tests.inputs.asking import Client as Asking


@pytest.fixture
def confined(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "a b").mkdir(parents=True)
    for name in ("plain.txt", "a b/é.png", "page.html", "image.svg", "none", ".env", "long.bin"):
        (root / name).write_bytes(b"inside")
    (root / "long.bin").write_bytes(b"x" * 200_000)
    os.symlink("../secret", root / "out.txt")
    os.mkfifo(root / "fifo")
    with confine(root) as found:
        yield found


@pytest.fixture(params=["asgi", "mounted", "wsgi", "dispatched"])
def get(request, confined):
    """Return what asks an application and answers status, headers and body."""

    def over_asgi(path, method="GET"):
        app = confined.asgi()
        if request.param == "mounted":
            app, path = Starlette(routes=[Mount("/files", app)]), f"/files{path}"
        answer = Asking(app).request(method, path)
        return answer.status_code, answer.headers, answer.content

    def over_wsgi(path, method="GET"):
        app = confined.wsgi()
        if request.param == "dispatched":
            app = DispatcherMiddleware(Flask(__name__), {"/files": app})
            path = f"/files{path}"
        answer = Client(app).open(path, method=method)
        found = answer.status_code, answer.headers, answer.get_data()
        answer.close()
        return found

    return over_asgi if request.param in ("asgi", "mounted") else over_wsgi


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/plain.txt", "text/plain; charset=utf-8"), ("/a%20b/%C3%A9.png", "image/png"),
        ("/none", "application/octet-stream"), ("/page.html", "text/html"),
    ],
)  # fmt: skip
def test_does_nothing_to_files(get, path, kind):
    status, headers, body = get(path)
    assert (status, body) == (200, b"inside")
    assert headers["content-type"] == kind
    assert headers["content-length"] == "6"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    shown = kind.startswith(("text/plain", "image/png"))
    assert headers["content-disposition"].startswith("inline" if shown else "attachment")


def test_a_long_file_comes_in_pieces_and_whole(get):
    assert get("/long.bin")[2] == b"x" * 200_000
    status, headers, body = get("/long.bin", "HEAD")
    assert (status, headers["content-length"], body) == (200, "200000", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/nothing", "/a%20b", "/a%20b/", "/out.txt", "/fifo", "/.env", "/../secret",
        "/%2e%2e/secret", "/..%2fsecret", "/..%5csecret", "/a%20b/%2e%2e/%2e%2e/secret", "//etc/passwd",
        "/%2fetc/passwd", "/plain.txt%00", "/plain.txt%00.png", "/%252e%252e/secret", "/%ff", "/.%2e/secret",
    ],
)  # fmt: skip
def test_everything_else_is_not_found(get, path):
    status, headers, body = get(path)
    assert status == 404
    assert body in (b"", b"Not Found")  # the router's own
    assert "content-disposition" not in headers


def test_programs_of_browsers_are_downloads(get):
    for path in ("/page.html", "/image.svg"):
        assert get(path)[1]["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_reading(get, method):
    assert get("/plain.txt", method)[0] == 405


def test_descriptors_are_closed(get):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        get("/plain.txt")
        get("/plain.txt", "HEAD")
        get("/nothing")
    assert len(os.listdir("/proc/self/fd")) <= before
