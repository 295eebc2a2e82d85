from __future__ import annotations

import asyncio

import pytest

import safehold
from safehold.web import SecurityHeaders
from safehold.web.headers import NINE, Answer, judge
from tests.web.driving import PAGE, Sent, get, scope_of

JSON = [(b"content-type", b"application/json"), (b"content-length", b"2")]


def answering(headers=JSON, status=200, body=b"{}"):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def page(scope, receive, send):
    body = PAGE.format(safehold.web.nonce(scope)).encode()
    headers = [(b"Content-Type", b"text/html; charset=utf-8"), (b"Cache-Control", b"public")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_does_nothing_to_status_body_and_other_headers(hold):
    sent = get(SecurityHeaders(answering([*JSON, (b"X-Own", b"1")], 201), hold))
    assert (sent.status, sent.body) == (201, b"{}")
    assert sent.headers[:3] == [
        ("content-type", "application/json"), ("content-length", "2"), ("X-Own", "1"),
    ]  # fmt: skip


def test_does_nothing_to_lifespan_and_to_unknown_kinds(hold):
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    scope = {"type": "lifespan"}
    asyncio.run(SecurityHeaders(app, hold)(scope, 1, 2))
    assert seen == [(scope, 1, 2)]
    assert scope == {"type": "lifespan"}


def test_what_is_no_page_may_load_nothing(hold):
    sent = get(SecurityHeaders(answering(), hold))
    sent.assert_nine()
    assert sent.one("Content-Security-Policy").startswith("default-src 'none'; base-uri 'none'")


def test_page_has_the_nonce_of_its_header_and_is_not_stored(hold):
    sent = get(SecurityHeaders(page, hold))
    sent.assert_nine()
    assert len(sent.nonce) == 32
    assert f"nonce={sent.nonce}>".encode() in sent.body
    assert sent.one("Cache-Control") == "no-store"


def test_error_before_the_answer_is_a_plain_500_and_goes_on(hold):
    async def app(scope, receive, send):
        raise ZeroDivisionError

    sent = get(SecurityHeaders(app, hold))
    assert (sent.status, sent.body) == (500, b"Internal Server Error")
    assert isinstance(sent.raised, ZeroDivisionError)
    sent.assert_nine()


@pytest.mark.parametrize("kind", ["nonced", "page", "data"])
def test_own_headers_are_no_finding(hold, kind):
    from safehold.web.headers import build

    headers = build(hold.policy.web, kind)
    headers = [(name, value.replace("'nonce'", f"'nonce-{'a' * 22}'")) for name, value in headers]
    assert list(judge(headers, Answer("u", kind))) == []
    assert {name for name, _ in headers} >= set(NINE)


def test_rejected_websocket_is_an_answer_with_the_headers(hold):
    async def app(scope, receive, send):
        await send({"type": "websocket.close", "code": 1008})

    sent = Sent()

    async def send(message):
        sent.messages.append(message)

    scope = scope_of(kind="websocket", extensions={"websocket.http.response": {}})
    asyncio.run(SecurityHeaders(app, hold)(scope, None, send))
    start, body = sent.messages
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert body["type"] == "websocket.http.response.body"
    sent.headers = [(a.decode(), b.decode()) for a, b in start["headers"]]
    sent.assert_nine()
