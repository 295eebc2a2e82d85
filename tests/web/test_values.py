"""What a request brings is there for the checks of statements, through both interfaces."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import pytest

from safehold.errors import LimitExceeded
from safehold.inputs.requests import MOST, Inputs, current, hold_inputs
from safehold.policy.requests import Requests
from safehold.web import SecurityHeaders, wsgi
from safehold.web.values import RequestInputs, body_values
from tests.holding import make_world
from tests.web.driving import environ_of, scope_of

ATTACK = "x' OR 1=1 --"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=BoundarY"


def part(head, content):
    return (
        f"--BoundarY\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
    )


BODIES = {
    "form": (FORM, b"a=1&name=x%27+OR+1%3D1+--"),
    "form, Latin-1": (FORM, b"a=%E9&name=x%27+OR+1%3D1+--"),
    "form without a type": ("", b"name=x%27+OR+1%3D1+--"),
    "json": ("application/json", json.dumps({"a": [1, {"name": ATTACK}]}).encode()),
    "json, a name": ("application/json", json.dumps({ATTACK: 1}).encode()),
    "json, escaped": ("application/json", b'{"name": "x\\u0027 OR 1=1 --"}'),
    "json, a name twice": ("application/json", b'{"a": "x\' OR 1=1 --", "a": "b"}'),
    "json, cut": ("application/json", b'{"name": "x\' OR 1=1 --", "b": '),
    "json, of two bytes": ("application/json", json.dumps([ATTACK]).encode("utf-16")),
    "json, called something else": ("image/png", json.dumps([ATTACK]).encode()),
    "parts": (PARTS, part('name="a"', ATTACK.encode()) + b"--BoundarY--"),
    "parts, a name": (PARTS, part(f'name="{ATTACK}"', b"1") + b"--BoundarY--"),
    "parts, a file's name": (PARTS, part(f'name="a"; filename="{ATTACK}"', b"\0" * 9)),
    "parts, a small file": (PARTS, part('name="a"; filename="b"', ATTACK.encode())),
    "markup": ("application/xml", f"<a><b>{ATTACK}</b></a>".encode()),
    "markup, an attribute": ("text/xml", f'<a b="{ATTACK}"/>'.encode()),
    "table": ("text/csv", f"a,b\n1,{ATTACK}\n".encode()),
    "text": ("text/plain", ATTACK.encode()),
}


@pytest.mark.parametrize("name", BODIES)
def test_texts_of_a_body_are_found(name):
    kind, body = BODIES[name]
    assert ATTACK in list(body_values(kind, body))


def test_a_form_counts_in_each_encoding_that_an_application_may_take_it_for():
    assert f"é{ATTACK}" in list(body_values(FORM, b"name=%E9x%27+OR+1%3D1+--"))
    assert f"é{ATTACK}" in list(body_values(FORM, b"name=%C3%A9x%27+OR+1%3D1+--"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("image/png", b"\x89PNG\0\0" + b'"text"' * 99),
        ("application/json", json.dumps([1, 2.5, None, True] * 99).encode()),
        (PARTS, part('name="a"; filename="b"', b"x" * 100_000)),
    ],
)
def test_does_nothing_to_what_is_no_text(kind, body):
    assert "text" not in list(body_values(kind, body))
    assert all(len(text) < 2_000 for text in body_values(kind, body))


def test_a_body_counts_as_far_as_it_was_read():
    inputs = RequestInputs(lambda: ["path"], "application/json")
    assert inputs.texts == ("path",)
    inputs.feed(b'["first", "sec')
    assert "first" in inputs.texts
    inputs.feed(b'ond"]')
    assert "second" in inputs.texts


def test_nothing_is_worked_out_until_somebody_asks():
    inputs = RequestInputs(lambda: pytest.fail("asked"), "")
    inputs.feed(b"{}" * 10)


def test_too_many_inputs_are_an_error_each_time():
    inputs = Inputs()
    inputs.later(lambda: map(str, range(MOST + 1)))
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            _ = inputs.texts
        with pytest.raises(LimitExceeded):
            _ = inputs.needles


# --- through the gate ---------------------------------------------------------------------------


@pytest.fixture
def hold(tmp_path):
    hold_inputs(None)
    return make_world(tmp_path).hold


def asked_asgi(hold, pieces, kind, *, seen, method="POST", query=b"", path="/", more=()):
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            seen.append(len(pieces))
        seen.append(current())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    scope = scope_of(path) | {"method": method, "query_string": query}
    scope["headers"] = [*scope["headers"], (b"content-type", kind.encode()), *more]
    if pieces:
        scope["headers"].append((b"transfer-encoding", b"chunked"))

    async def receive():
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        pass

    async def main():
        await SecurityHeaders(app, hold)(scope, receive, send)
        seen.append(current())

    asyncio.run(main())
    return seen[-2]


def test_pieces_of_a_body_reach_the_application_as_they_come(hold):
    seen = []
    pieces = [b'{"name": ', json.dumps(ATTACK).encode(), b"}"]
    inputs = asked_asgi(hold, pieces, "application/json", seen=seen)
    assert seen[:-2] == [2, 1]  # nothing was read before it was asked for
    assert ATTACK in inputs.texts
    assert seen[-1] is None


def test_address_headers_and_cookies_are_inputs(hold):
    basic = base64.b64encode(b"ann:x' OR 1=1 --")
    more = (
        (b"user-agent", b"agent 'x"),
        (b"cookie", b"a=1; b=two'"),
        (b"authorization", b"Basic " + basic),
    )
    inputs = asked_asgi(
        hold, [], "", seen=[], method="GET", query=b"q=thr%27ee", path="/users/o'brien", more=more
    )
    for text in ("agent 'x", "two'", "thr'ee", "o'brien"):
        assert text in inputs.texts, text
    assert "ann:x' or 1=1 --" in inputs.needles.others


def test_nothing_is_kept_where_the_policy_says_so(tmp_path):
    hold = make_world(tmp_path, requests=Requests(inputs=False)).hold
    assert asked_asgi(hold, [b"[]"], "application/json", seen=[]) is None


def test_wsgi_has_them_too(hold):
    seen = []

    def app(environ, start):
        environ["wsgi.input"].read()
        seen.append(current())
        start("200 OK", [])
        return [b""]

    body = b"name=x%27+OR+1%3D1+--"
    environ = environ_of("/users/o'brien") | {
        "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": FORM,
        "wsgi.input": io.BytesIO(body), "HTTP_USER_AGENT": "agent 'x", "HTTP_COOKIE": "b=two'",
        "QUERY_STRING": "q=thr%27ee",
    }  # fmt: skip
    hold_inputs(None)
    list(wsgi.SecurityHeaders(app, hold)(environ, lambda *_: lambda _: None))
    for text in (ATTACK, "agent 'x", "two'", "thr'ee", "o'brien"):
        assert text in seen[0].texts, text
    assert current() is None


def test_a_body_that_is_made_while_it_is_sent_has_them_until_it_is_closed(hold):
    def app(environ, start):
        start("200 OK", [])
        yield current().texts[0].encode()

    body = wsgi.SecurityHeaders(app, hold)(environ_of("/a"), lambda *_: lambda _: None)
    assert list(body) == [b"/a"]
    body.close()
    assert current() is None


def test_a_message_of_a_socket_is_the_input_of_what_comes_after_it(hold):
    seen = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await receive()
            seen.append(current().texts)

    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": json.dumps({"a": ATTACK})},
        {"type": "websocket.receive", "bytes": b"other"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    scope = scope_of("/") | {"type": "websocket", "scheme": "ws"}
    asyncio.run(SecurityHeaders(app, hold)(scope, receive, send))
    assert ATTACK in seen[0]
    assert "other" in seen[1]
    assert ATTACK not in seen[1]


def test_no_way_to_read_a_body_goes_past_the_gate(hold):
    seen = []

    def app(environ, start):
        stream = environ["wsgi.input"]
        stream.readinto(bytearray(4))
        stream.readinto1(bytearray(4))
        stream.read1(4)
        stream.readline()
        stream.readlines()
        for name in ("peek", "getvalue", "getbuffer", "raw", "detach", "fileno"):
            assert not hasattr(stream, name)
        seen.append(b"".join(current()._pieces))
        start("200 OK", [])
        return [b""]

    body = b"0123456789ab\ncd\nef"
    environ = environ_of("/") | {
        "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    list(wsgi.SecurityHeaders(app, hold)(environ, lambda *_: lambda _: None))
    assert seen == [body]
