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


def test_first_event_of_a_stream_is_not_held_back(hold):
    order = []

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        order.append("started")
        for number in range(3):
            message = {"type": "http.response.body", "body": b"%d" % number, "more_body": True}
            await send(message)
            order.append(message)

    async def send(message):
        order.append(message["type"] if "status" in message else message)

    asyncio.run(SecurityHeaders(app, hold)(scope_of(), None, send))
    assert order[:2] == ["http.response.start", "started"]
    # Each was the server's before the next was made, and was not another object.
    assert [order[at] is order[at + 1] for at in (2, 4, 6)] == [True] * 3


def test_message_that_is_sent_to_everybody_stays_as_it_is(hold):
    headers = [(b"content-type", b"text/html")]
    start = {"type": "http.response.start", "status": 200, "headers": headers}

    async def app(scope, receive, send):
        await send(start)
        await send({"type": "http.response.body", "body": safehold.web.nonce(scope).encode()})

    hardened = SecurityHeaders(app, hold)
    first, second = get(hardened), get(hardened)
    assert start["headers"] is headers
    assert len(headers) == 1
    assert (first.body.decode(), second.body.decode()) == (first.nonce, second.nonce)
    assert first.nonce != second.nonce


def test_own_headers_of_the_application_give_way_however_they_are_written(hold):
    own = [
        (name.encode(), b"weak")
        for row in NINE
        for name in (row, row.lower(), row.upper())
    ]  # fmt: skip
    sent = get(SecurityHeaders(answering([*JSON, *own, (b"SERVER", b"x/1")]), hold))
    sent.assert_nine()
    assert "weak" not in [value for _, value in sent.headers]


def test_error_after_the_start_adds_no_second_answer(hold):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": JSON})
        raise ZeroDivisionError

    sent = get(SecurityHeaders(app, hold))
    assert [message["type"] for message in sent.messages] == ["http.response.start"]
    assert isinstance(sent.raised, ZeroDivisionError)
    sent.assert_nine()


def test_error_of_a_client_that_has_gone_does_not_hide_the_programs(hold):
    async def app(scope, receive, send):
        raise ZeroDivisionError

    async def send(message):
        raise OSError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(SecurityHeaders(app, hold)(scope_of(), None, send))


def test_cancelled_request_is_answered_by_nobody(hold):
    async def app(scope, receive, send):
        raise asyncio.CancelledError

    messages = []

    async def send(message):
        messages.append(message)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(SecurityHeaders(app, hold)(scope_of(), None, send))
    assert messages == []


def test_application_that_answers_nothing_is_a_plain_500(hold):
    async def app(scope, receive, send):
        pass

    sent = get(SecurityHeaders(app, hold))
    assert sent.status == 500
    sent.assert_nine()


def test_malformed_headers_are_a_plain_500(hold):
    for headers in ([(b"x",)], [None], [(b"a", b"b", b"c")], None):
        sent = get(SecurityHeaders(answering(headers), hold))
        assert (sent.status, sent.body) == (500, b"Internal Server Error")
        sent.assert_nine()


def test_layer_within_a_layer_adds_nothing(hold):
    sent = get(SecurityHeaders(SecurityHeaders(page, hold), hold))
    sent.assert_nine()
    assert sent.nonce.encode() in sent.body


def test_attributes_are_the_applications(hold):
    class App:
        title = "old"

        async def __call__(self, scope, receive, send):
            raise AssertionError

    app = App()
    hardened = SecurityHeaders(app, hold)
    hardened.title = "new"
    assert (hardened.title, app.title) == ("new", "new")
    with pytest.raises(AttributeError):
        hardened.nothing  # noqa: B018  the look-up is the test


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("accept", [True, False])
def test_websocket(hold, answers, accept):
    async def app(scope, receive, send):
        if accept:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})

    messages = []

    async def send(message):
        messages.append(message)

    extensions = {"websocket.http.response": {}} if answers else {}
    scope = scope_of(kind="websocket", extensions=extensions)
    asyncio.run(SecurityHeaders(app, hold)(scope, None, send))
    kinds = [message["type"] for message in messages]
    if accept:
        assert kinds == ["websocket.accept", "websocket.send", "websocket.close"]
    elif answers:
        assert kinds == ["websocket.http.response.start", "websocket.http.response.body"]
    else:
        assert kinds == ["websocket.close"]


def test_error_of_a_websocket_before_it_is_accepted_is_a_500_with_the_headers(hold):
    async def app(scope, receive, send):
        raise ZeroDivisionError

    messages = []

    async def send(message):
        messages.append(message)

    scope = scope_of(kind="websocket", extensions={"websocket.http.response": {}})
    with pytest.raises(ZeroDivisionError):
        asyncio.run(SecurityHeaders(app, hold)(scope, None, send))
    sent = Sent(messages[0]["status"])
    sent.headers = [(a.decode(), b.decode()) for a, b in messages[0]["headers"]]
    assert sent.status == 500
    sent.assert_nine()


def test_denial_that_the_application_makes_itself_has_the_headers(hold):
    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/html"), (b"server", b"x")]
        start = {"type": "websocket.http.response.start", "status": 401, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b""})

    messages = []

    async def send(message):
        messages.append(message)

    scope = scope_of(kind="websocket", extensions={"websocket.http.response": {}})
    asyncio.run(SecurityHeaders(app, hold)(scope, None, send))
    sent = Sent(headers=[(a.decode(), b.decode()) for a, b in messages[0]["headers"]])
    assert [message["type"] for message in messages] == [
        "websocket.http.response.start", "websocket.http.response.body",
    ]  # fmt: skip
    sent.assert_nine()


SPLIT = [
    (b"X-Name", b"a\r\n\r\n<script>"),
    (b"Location", b"/\nX: y"),
    (b"X-A\rX: y", b"b"),
    (b"X", b"\r"),
]


@pytest.mark.parametrize("header", SPLIT)
def test_a_header_that_would_end_the_headers_is_a_plain_500(hold, header):
    driven = get(SecurityHeaders(answering([*JSON, header]), hold))
    assert driven.status == 500
    assert isinstance(driven.raised, ValueError)
    assert header not in driven.headers
    driven.assert_nine()


def test_a_cookie_that_would_end_the_headers_is_left_out(hold):
    driven = get(SecurityHeaders(answering([*JSON, (b"Set-Cookie", b"a=b\r\nX: y")]), hold))
    assert driven.status == 200
    assert not driven.all("set-cookie")


def test_a_websocket_is_not_accepted_with_such_a_header(hold):
    async def app(scope, receive, send):
        await send({"type": "websocket.accept", "headers": [(b"x", b"y\r\nz: 1")]})

    sent = []

    async def send(message):
        sent.append(message)

    scope = scope_of("/", kind="websocket") | {"scheme": "ws"}
    with pytest.raises(ValueError, match="end of a line"):
        asyncio.run(SecurityHeaders(app, hold)(scope, None, send))
    assert not [message for message in sent if message["type"] == "websocket.accept"]
