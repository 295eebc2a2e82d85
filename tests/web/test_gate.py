"""The gate in its place, before applications of both interfaces."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from wsgiref.util import is_hop_by_hop

import pytest

from safehold.policy.requests import CookieException, Requests
from safehold.web import SecurityHeaders, wsgi
from tests.holding import make_world
from tests.web.driving import Sent, environ_of, scope_of, wget

REPORT = "/.well-known/safehold/report"
SECRET = "the body of an answer"


class Asgi:
    """Drives an ASGI application; `read` is what it got of the body."""

    def __init__(self, hold, *, cookies=(), before=False, failing=False):
        self.read = []
        self.called = 0
        self.cookies, self.before, self.failing = cookies, before, failing
        self.app = SecurityHeaders(self._app, hold)

    async def _app(self, scope, receive, send):
        self.called += 1
        start = {"type": "http.response.start", "status": 200,
                 "headers": [(b"content-type", b"text/plain"),
                             *((b"set-cookie", one) for one in self.cookies)]}  # fmt: skip
        if self.before:
            await send(start)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                if self.failing:
                    raise ConnectionError
                break
            self.read.append(message["body"])
            if not message.get("more_body"):
                break
        if not self.before:
            await send(start)
        await send({"type": "http.response.body", "body": SECRET.encode()})

    def ask(self, method="GET", path="/", body=(), **headers):
        named = {"host": "testserver", **{k.replace("_", "-"): v for k, v in headers.items()}}
        sent, pieces = Sent(), list(body)

        async def receive():
            piece = pieces.pop(0) if pieces else b""
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message):
            sent.messages.append(message)
            if message["type"] == "http.response.start":
                assert not sent.status, "two answers"
                sent.status = message["status"]
                sent.headers = [(a.decode(), b.decode()) for a, b in message["headers"]]
            else:
                sent.body += message.get("body", b"")

        raw = [(k.encode(), v.encode()) for k, v in named.items()]
        path, _, query = path.partition("?")
        scope = scope_of(path, method, headers=raw, query_string=query.encode())
        try:
            asyncio.run(self.app(scope, receive, send))
        except Exception as error:  # noqa: BLE001  what a server would see
            sent.raised = error
        return sent


class Pieces(io.RawIOBase):
    """A body that comes in pieces, as a chunked one does."""

    def __init__(self, pieces):
        self.pieces = list(pieces)

    def read(self, size=-1):
        piece = self.pieces.pop(0) if self.pieces else b""
        if 0 <= size < len(piece):
            self.pieces.insert(0, piece[size:])
            piece = piece[:size]
        return piece


class Wsgi:
    def __init__(self, hold, *, cookies=(), before=False, failing=False):
        self.read = []
        self.called = 0
        self.cookies, self.before, self.failing = cookies, before, failing
        self.app = wsgi.SecurityHeaders(self._app, hold)

    def _app(self, environ, start_response):
        self.called += 1
        headers = [("Content-Type", "text/plain"), *(("Set-Cookie", one.decode())
                                                     for one in self.cookies)]  # fmt: skip
        if self.before:
            start_response("200 OK", headers)
        try:
            while piece := environ["wsgi.input"].read(7):
                self.read.append(piece)
        except ValueError:
            if self.failing:
                raise ConnectionError from None
        except Exception:
            if self.failing:
                raise
        if not self.before:
            start_response("200 OK", headers)
        return [SECRET.encode()]

    def ask(self, method="GET", path="/", body=(), **headers):
        environ = environ_of(path, method)
        environ.pop("HTTP_HOST")
        for name, value in {"host": "testserver", **headers}.items():
            key = name.upper()
            key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
            environ[key] = value
        environ |= {"wsgi.input": Pieces(body), "wsgi.input_terminated": True,
                    "REMOTE_ADDR": "127.0.0.1"}  # fmt: skip
        return wget(self.app, environ=environ)


@pytest.fixture(params=[Asgi, Wsgi])
def kind(request):
    return request.param


@pytest.fixture
def world_with(tmp_path):
    worlds = []

    def make(**requests):
        worlds.append(make_world(tmp_path, requests=replace(Requests(), **requests)))
        return worlds[-1]

    yield make
    for world in worlds:
        world.hold.close()


@pytest.fixture
def asked(kind, world_with):
    """Return a function that makes an application, asks it, and returns all."""

    def ask(*args, policy=(), cookies=(), before=False, failing=False, **more):
        world = world_with(**dict(policy))
        driven = kind(world.hold, cookies=cookies, before=before, failing=failing)
        return driven.ask(*args, **more), driven, world.events.rows

    return ask


def test_does_nothing_to_requests_that_are_allowed(asked):
    sent, driven, events = asked(
        "POST", body=[b'{"a": [1,', b"2]}"], content_type="application/json", content_length="13"
    )
    assert (sent.status, sent.body, driven.called) == (200, SECRET.encode(), 1)
    assert b"".join(driven.read) == b'{"a": [1,2]}'
    assert events == []
    sent.assert_nine()


def refused(found, status, rule):
    sent, driven, events = found
    # Neither WSGI nor HTTP/2 takes such headers of an application.
    assert not any(is_hop_by_hop(name) for name, _ in sent.headers)
    assert sent.status == status
    assert SECRET.encode() not in sent.body
    assert sent.raised is None
    sent.assert_nine()
    (event,) = events
    assert (event.action, event.outcome, event.rule) == ("request", "refused", rule)
    return driven, event


def test_a_refused_host_never_reaches_the_application(asked):
    driven, event = refused(asked(host="evil", policy={"hosts": ("testserver",)}), 400, "SH420")
    assert driven.called == 0
    assert event.detail == {
        "method": "GET", "path": "/", "peer": "127.0.0.1", "host": "evil",
    }  # fmt: skip


def test_another_sites_request_never_reaches_the_application(asked):
    driven, _ = refused(asked("POST", origin="https://evil.example"), 403, "SH421")
    assert driven.called == 0


def test_a_request_over_http_is_sent_on_and_no_event(asked):
    policy = {"https": True, "hosts": ("testserver",)}
    sent, driven, events = asked(path="/a?b=c", policy=policy)
    assert (sent.status, driven.called, events) == (308, 0, [])
    assert sent.one("Location") == "https://testserver/a?b=c"
    sent.assert_nine()


def test_a_declared_body_is_refused_unread(asked):
    driven, _ = refused(asked("POST", content_length="11", policy={"body": 10}), 413, "SH423")
    assert driven.called == 0


@pytest.mark.parametrize("failing", [True, False])
def test_a_streamed_body_is_refused_where_it_becomes_too_large(asked, failing):
    found = asked("POST", body=[b"12345"] * 5, policy={"body": 10}, failing=failing)
    driven, _ = refused(found, 413, "SH423")
    assert len(b"".join(driven.read)) <= 10


@pytest.mark.parametrize("failing", [True, False])
def test_deep_json_is_refused_before_the_application_has_it(asked, failing):
    body = [b'{"a":', b"[" * 64, b"]" * 64, b"}"]
    found = asked("POST", body=body, content_type="application/json", failing=failing)
    driven, _ = refused(found, 400, "SH424")
    assert b"]" not in b"".join(driven.read)


def test_begun_answer_goes_on_and_the_body_ends(world_with):
    world = world_with(body=10)
    driven = Asgi(world.hold, before=True)
    sent = driven.ask("POST", body=[b"12345"] * 5)
    assert sent.status == 200
    assert len(b"".join(driven.read)) == 10
    assert [event.rule for event in world.events.rows] == ["SH423"]


def test_cookies_leave_with_their_flags(asked):
    exception = CookieException("seen", "a script reads it", scripts=True)
    sent, _, _ = asked(cookies=[b"sid=1", b"seen=1", b"bad"], policy={"cookies": (exception,)})
    assert sent.all("Set-Cookie") == [
        "sid=1; SameSite=Lax; Secure; HttpOnly", "seen=1; SameSite=Lax; Secure",
    ]  # fmt: skip


def test_an_exception_is_a_finding_and_an_event(world_with):
    rows = (CookieException("a", "one reason", scripts=True, plain=True),)
    world = world_with(isolation=False, allow_unsafe="another", cookies=rows)
    site = SecurityHeaders(None, world.hold)._site
    said = [
        "isolation allows requests of other sites: another",
        "cookie a allows scripts to read it: one reason",
        "cookie a allows HTTP to carry it: one reason",
    ]
    assert [finding.message for finding in site.findings] == said
    assert {finding.rule.id for finding in site.findings} == {"SH430"}
    assert [(event.action, event.outcome) for event in world.events.rows] == [
        ("web.loosen", "allowed")
    ] * 3


def test_a_refusal_stands_when_the_trail_is_full(kind, world_with):
    world = world_with(hosts=("testserver",))
    world.events.broken = True
    driven = kind(world.hold)
    assert driven.ask(host="evil").status == 400
    assert driven.called == 0


def test_refusals_do_not_fill_the_trail(kind, world_with):
    world = world_with(hosts=("testserver",))
    driven = kind(world.hold)
    for _ in range(200):
        assert driven.ask(host="evil").status == 400
    assert len(world.events.rows) == 60


# -- WebSockets


def connect(hold, extensions=(), **headers):
    sent = []
    received = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"set-cookie", b"a=1")]})

    async def receive():
        received.append(1)
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    raw = [(b"host", b"testserver"), *((k.encode(), v.encode()) for k, v in headers.items())]
    scope = scope_of(kind="websocket", headers=raw, extensions={key: {} for key in extensions})
    asyncio.run(SecurityHeaders(app, hold)(scope, receive, send))
    assert received == [1]
    return sent


def test_does_nothing_to_a_socket_of_its_own_page_but_to_its_cookies(world_with):
    (accept,) = connect(world_with().hold, origin="http://testserver")
    assert accept["headers"] == [(b"set-cookie", b"a=1; SameSite=Lax; Secure; HttpOnly")]


def test_a_socket_of_another_site_is_refused(world_with):
    world = world_with()
    assert [m["type"] for m in connect(world.hold, origin="https://evil.example")] == [
        "websocket.close"
    ]
    start, _ = connect(world.hold, ["websocket.http.response"], origin="https://evil.example")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert {event.rule for event in world.events.rows} == {"SH421"}


# -- reports

OLD = {
    "csp-report": {
        "document-uri": "https://testserver/a?token=x", "blocked-uri": "inline",
        "effective-directive": "script-src-elem", "script-sample": "alert(1)",
    }
}  # fmt: skip


def test_a_report_is_taken(asked):
    body = json.dumps(OLD).encode()
    sent, driven, events = asked(
        "POST", REPORT, body=[body[:20], body[20:]], content_type="application/csp-report",
        content_length=str(len(body)), origin="null", sec_fetch_site="cross-site",
    )  # fmt: skip
    assert (sent.status, sent.body, driven.called) == (204, b"", 0)
    sent.assert_nine()
    (event,) = events
    assert (event.action, event.rule, event.reason) == ("report", "SH426", "csp-violation")
    assert event.detail == {
        "directive": "script-src-elem", "blocked": "inline", "document": "https://testserver/a",
        "disposition": "enforce",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (400, {"body": [b"{}"], "content_type": "application/csp-report"}),
        (400, {"body": [b"{}"], "content_type": "text/plain"}),
        (400, {"body": []}),
        (413, {"content_length": "65537", "content_type": "application/csp-report"}),
        (413, {"body": [b" " * 40_000] * 2, "content_type": "application/csp-report"}),
        (400, {"host": "a@b"}),
    ],
)
def test_a_malformed_report_gets_a_status_and_nothing_else(asked, status, more):
    sent, driven, events = asked("POST", REPORT, **more)
    assert (sent.status, driven.called, events) == (status, 0, [])
    sent.assert_nine()


def test_only_post_is_answered_there(asked):
    sent, driven, _ = asked("GET", REPORT)
    assert (sent.status, driven.called) == (405, 0)
