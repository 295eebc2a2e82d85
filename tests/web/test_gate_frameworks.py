"""The gate before real frameworks, whose own ways of reading bodies and failing differ."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from safehold.policy.requests import Requests
from safehold.web import install
from tests.holding import make_world
from tests.web import posting
from tests.web.driving import Sent, environ_of, scope_of, wget

pytestmark = pytest.mark.extras

APPS = {function.__name__: function for function in (*posting.ASGI, *posting.WSGI)}
ASGI = {function.__name__ for function in posting.ASGI}
MOST = 1000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    policy = Requests(hosts=("testserver",), body=MOST, depth=8)
    world = make_world(tmp_path_factory.mktemp("root"), requests=policy)
    yield world
    world.hold.close()


@pytest.fixture(scope="module", params=APPS)
def post(request, world):
    """Return a function that posts a body in pieces to one framework's application."""
    app = install(APPS[request.param](), world.hold)
    ask = asgi if request.param in ASGI else wsgi

    def posted(*pieces, path="/data", kind="application/json", **headers):
        world.events.rows.clear()
        named = {"host": "testserver", "content-type": kind, **headers}
        return ask(app, path, pieces, named)

    return posted


def asgi(app, path, pieces, named):
    sent, waiting, ended = Sent(), list(pieces), False

    async def receive():
        nonlocal ended
        if ended:
            await asyncio.sleep(3600)  # the client stays
        ended = len(waiting) < 2
        piece = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message):
        if message["type"] == "http.response.start":
            assert not sent.status, "two answers"
            sent.status = message["status"]
            sent.headers = [(a.decode(), b.decode()) for a, b in message["headers"]]
        else:
            sent.body += message.get("body", b"")

    raw = [(key.encode(), value.encode()) for key, value in named.items()]
    try:
        asyncio.run(app(scope_of(path, "POST", headers=raw), receive, send))
    except Exception as error:  # noqa: BLE001  what a server would see
        sent.raised = error
    return sent


def wsgi(app, path, pieces, named):
    environ = environ_of(path, "POST")
    body = b"".join(pieces)
    environ |= {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
    for name, value in named.items():
        key = name.upper().replace("-", "_")
        environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
    return wget(app, environ=environ)


def test_does_nothing_to_a_body_within_the_limits(post, world):
    sent = post(b'{"a": [1,', b' {"b": "[[[[[[[[["}]}')
    assert (sent.status, sent.body.strip()) == (200, b"1")
    sent.assert_nine()
    assert world.events.rows == []
    assert sent.one("Set-Cookie").lower().split("; ")[1:] == [
        "path=/", "samesite=lax", "secure", "httponly",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "rule", "pieces", "headers"),
    [
        (413, "SH423", [b'["', b"x" * MOST, b'"]'], {}),
        (413, "SH423", [b"{}"], {"content-length": str(MOST + 1)}),
        (400, "SH424", [b"[" * 9, b"]" * 9], {}),
        (400, "SH424", [b'{"a":' * 9 + b"1" + b"}" * 9], {}),
        (400, "SH424", ["[1]".encode("utf-16")], {}),
        (415, "SH424", [b"[]"], {"content-type": "application/json; charset=utf-16"}),
        (400, "SH420", [b"{}"], {"host": "evil.example"}),
        (403, "SH421", [b"{}"], {"origin": "https://evil.example"}),
        (403, "SH421", [b"{}"], {"sec-fetch-site": "cross-site"}),
    ],
)
def test_the_answer_is_the_refusal_whatever_the_framework_does(
    post, world, status, rule, pieces, headers
):
    sent = post(*pieces, **headers)
    assert sent.status == status
    assert sent.raised is None
    sent.assert_nine()
    assert [event.rule for event in world.events.rows] == [rule]
    assert b"evil" not in sent.body


def test_a_report_is_taken_before_any_route(post, world):
    report = {"csp-report": {"document-uri": "https://testserver/", "blocked-uri": "inline",
                             "effective-directive": "script-src-attr"}}  # fmt: skip
    path, kind = world.hold.policy.web.report, "application/csp-report"
    sent = post(json.dumps(report).encode(), path=path, kind=kind)
    assert sent.status == 204
    sent.assert_nine()
    assert [event.action for event in world.events.rows] == ["report"]
    assert post(b"{", path=path, kind=kind).status == 400
    assert world.events.rows == []


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def django(request, world, tmp_path_factory):
    """Return a function that posts to the project, which has its own checks behind the gate."""
    from tests.web import django_project

    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("a file")  # other tests of this process find it here, too
    django_project.configure(world.hold, folder)
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    make, ask = (
        (get_wsgi_application, wsgi) if request.param == "wsgi" else (get_asgi_application, asgi)
    )
    app = install(make(), world.hold)

    def posted(*pieces, path="/json", **headers):
        world.events.rows.clear()
        return ask(app, path, pieces, {"host": "testserver", "content-type": "text/x", **headers})

    return posted


@pytest.mark.parametrize(
    ("status", "rule", "headers"),
    [
        (200, None, {}),
        (413, "SH423", {"content-length": str(MOST + 1)}),
        (400, "SH420", {"host": "evil.example"}),
        (403, "SH421", {"origin": "https://evil.example"}),
    ],
)
def test_django_stands_behind_the_gate(django, world, status, rule, headers):
    sent = django(b"{}", **headers)
    assert sent.status == status
    sent.assert_nine()
    assert [event.rule for event in world.events.rows] == ([rule] if rule else [])
