from __future__ import annotations

import warnings

import pytest

from safehold.context import Context
from safehold.web import install
from tests.holding import make_world
from tests.web import applications
from tests.web.applications import REQUESTS
from tests.web.driving import get, wget
from tests.web.litestar_app import litestar

pytestmark = pytest.mark.extras

ASGI = ("fastapi", "starlette", "litestar", "raw_asgi", "django_asgi")
WSGI = ("flask", "raw_wsgi", "django")
# What a framework has no such answer for.
OTHERWISE = {
    ("starlette", "not valid"): 404, ("django", "not valid"): 404,
    ("django_asgi", "not valid"): 404, ("litestar", "options"): 204,
    ("flask", "background"): 404,
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Every application, hardened."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("a file")
    world = make_world(tmp_path_factory.mktemp("root"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frameworks, about one another
        apps = {
            name: install(getattr(applications, name)(folder), world.hold)
            for name in ("fastapi", "starlette", "raw_asgi", "flask", "raw_wsgi")
        }
        apps["litestar"] = install(litestar(folder), world.hold)
        apps |= django(world.hold, folder)
    yield apps
    world.hold.close()


def django(hold: Context, folder):
    from tests.web import django_project

    django_project.configure(hold, folder)
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    return {"django": get_wsgi_application(), "django_asgi": get_asgi_application()}


def answer(built, name, path, method="GET"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django: a synchronous iterator in a stream
        return (get if name in ASGI else wget)(built[name], path, method)


@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("name", [*ASGI, *WSGI])
def test_every_answer_has_each_header_once(built, name, case):
    method, path, status = REQUESTS[case]
    sent = answer(built, name, path, method)
    assert sent.status == OTHERWISE.get((name, case), status)
    sent.assert_nine()
    if path.endswith("/page") and method == "GET":
        assert f"nonce={sent.nonce}>".encode() in sent.body
        assert len(sent.nonce) == 32
        assert sent.one("Cache-Control") == "no-store"
