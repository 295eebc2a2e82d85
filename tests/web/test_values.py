"""What a request brings is there for the checks of statements, through both interfaces."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from types import SimpleNamespace

import pytest

from safehold.errors import LimitExceeded
from safehold.inputs.requests import MOST, Inputs, current, hold_inputs
from safehold.policy.requests import Requests
from safehold.web import SecurityHeaders, asgi_gate, wsgi, wsgi_gate
from safehold.web.django import SecurityHeadersMiddleware
from safehold.web.exchange import KEY, Exchange
from safehold.web.limits import Meter
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


LONG = ATTACK + "y" * 70_000


def form(boundary="B", end="\r\n", value=b"x' OR 1=1 --", more=""):
    head = f'--{boundary}{end}Content-Disposition: form-data; name="a"{more}{end}{end}'
    return head.encode() + value + f"{end}--{boundary}--{end}".encode()


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
    "parts, with line feeds": ("multipart/form-data; boundary=B", form(end="\n")),
    "parts, with carriage returns": ("multipart/form-data; boundary=B", form(end="\r")),
    "parts, the last boundary": ("multipart/form-data; boundary=C; boundary=B", form()),
    "parts, the first boundary": ("multipart/form-data; boundary=B; boundary=C", form()),
    "parts, a boundary in quotes": ('multipart/form-data; x="boundary=C"; boundary=B', form()),
    "parts, another parameter": ("multipart/form-data; xboundary=C; boundary=B", form()),
    "parts, an extended boundary": ("multipart/form-data; boundary*=utf-8''B", form()),
    "parts, a boundary with a comma": ('multipart/form-data; boundary="a,B"', form("a,B")),
    "parts, a boundary with a backslash": (r'multipart/form-data; boundary="a\B"', form("aB")),
    "parts, a boundary after a space": ("multipart/form-data; boundary = B", form()),
    "parts, no boundary": ("multipart/form-data", form()),
    "parts, UTF-7": (
        "multipart/form-data; boundary=B; charset=utf-7",
        form(value=b"x+ACc- OR 1+AD0-1 --"),
    ),
    "parts, UTF-16": (
        "multipart/form-data; boundary=B; charset=utf-16-le",
        form(value=ATTACK.encode("utf-16-le")),
    ),
    "parts, EBCDIC": (
        "multipart/form-data; boundary=B; charset=cp037",
        form(value=ATTACK.encode("cp037")),
    ),
    "parts, base64": (
        "multipart/form-data; boundary=B",
        form(value=b"eCcg!T1Ig MT0xIC0t", more="\r\nContent-Transfer-Encoding: Base64"),
    ),
    "parts, a name with a backslash": (
        PARTS,
        part(r'name="a"; filename="' + ATTACK + r'\"b"', b"1"),
        f'{ATTACK}"b',
    ),
    "parts, a name in a list of bytes": (
        PARTS,
        part("name=a; filename*=utf-8''x%27%20OR%201=1%20--", b"1"),
    ),
    "parts, no file": (PARTS, part('name="a"; x="; filename=b"', LONG.encode()), LONG),
    "parts, a file without a name": (PARTS, part('name="a"; filename=""', LONG.encode()), LONG),
    "parts, a file by another line": (
        PARTS,
        part('name="a"\r\nX: a; filename=b', LONG.encode()),
        LONG,
    ),
    "form, called parts as well": (f"{FORM}; x=multipart; boundary=Z", b"a=x%27+OR+1%3D1+--"),
    "form, UTF-7": (f"{FORM}; charset=utf-7", b"a=x%2BACc-+OR+1%3D1+--"),
    "json, called a form": (FORM, json.dumps([ATTACK]).encode("utf-16")),
    "json, called parts": ("multipart/form-data; boundary=B", json.dumps([ATTACK]).encode()),
    "json, after a mark": ("text/plain", b"\xef\xbb\xbf" + json.dumps([ATTACK]).encode()),
    "json, after spaces": ("text/plain", b" " * 70_000 + json.dumps([ATTACK]).encode()),
    "markup, a section": ("application/xml", f"<a><![CDATA[{ATTACK}]]></a>".encode()),
    "markup": ("application/xml", f"<a><b>{ATTACK}</b></a>".encode()),
    "markup, an attribute": ("text/xml", f'<a b="{ATTACK}"/>'.encode()),
    "table": ("text/csv", f"a,b\n1,{ATTACK}\n".encode()),
    "text": ("text/plain", ATTACK.encode()),
}


@pytest.mark.parametrize("name", BODIES)
def test_texts_of_a_body_are_found(name):
    kind, body, *text = BODIES[name]
    assert (text or [ATTACK])[0] in list(body_values(kind, body))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data" + "".join(f"; boundary={one}" for one in "ABCDEFGHIJ"), form()),
        ("multipart/form-data; boundary=B", b"--B" * 20_000),
    ],
)
def test_a_form_of_more_parts_or_boundaries_than_any_is_an_error(kind, body):
    with pytest.raises(LimitExceeded):
        list(body_values(kind, body))


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


HEADERS = {
    b"cookie": (
        rb'a="x\047 OR 1=1 --"', b"a=\xc3\xa9' OR 1=1", rb'a="\303\251\047 OR 1=2"', rb'a="\"two'
    ),
    b"authorization": (b"Basic " + base64.b64encode(b"ann' OR 1=1:word' OR 1=2"),),
    b"x-forwarded-for": (b"192.0.2.1, x' OR 1=3",),
    b"x-name": (b"\xc3\xa9' OR 1=4",),
}  # fmt: skip
TEXTS = (
    ATTACK, "é' OR 1=1", "é' OR 1=2", '"two', "ann' OR 1=1", "word' OR 1=2", " x' OR 1=3",
    "é' OR 1=4",
)  # fmt: skip


def test_headers_count_in_each_way_that_an_application_may_read_them(hold):
    more = [(name, value) for name, values in HEADERS.items() for value in values]
    inputs = asked_asgi(hold, [], "", seen=[], method="GET", more=more)
    assert [text for text in TEXTS if text not in inputs.texts] == []


def test_headers_of_wsgi_too(hold):
    for name, values in HEADERS.items():
        key = "HTTP_" + name.decode().upper().replace("-", "_")
        texts = set()
        for value in values:
            texts |= set(wsgi_gate._parts({key: value.decode("latin-1")}))
        assert len(texts.intersection(TEXTS)) >= len(values), name


def test_a_query_counts_in_the_encoding_of_the_body(hold):
    query = b"q=x%2BACc-+OR+1%3D1+--"
    for kind in ("text/plain; charset=utf-7", 'a/b;CHARSET="UTF7"'):
        assert ATTACK in asked_asgi(hold, [], kind, seen=[], method="GET", query=query).texts
    assert ATTACK in set(wsgi_gate._parts({"CONTENT_TYPE": kind, "QUERY_STRING": query.decode()}))
    for kind in (
        "a/b; charset=none",
        "a/b; charset=rot13",
        "a/b; charset=hex",
        "a/b; charset=idna",
    ):
        assert asked_asgi(hold, [], kind, seen=[], method="GET", query=query).texts


def test_what_a_router_took_from_a_path_is_an_input(hold):
    scope = {"path": "/user-x' OR 1=1 --.json", "headers": [], "path_params": {"a": ATTACK, "b": 1}}
    assert {ATTACK, "1"} <= set(asgi_gate._parts(scope))
    request = SimpleNamespace(view_args={"a": ATTACK})
    assert ATTACK in set(wsgi_gate._parts({"werkzeug.request": request}))


def test_what_django_took_from_a_path_is_an_input(hold):
    inputs = Inputs()
    hold_inputs(inputs)
    request = SimpleNamespace(META={KEY: Exchange()})
    put = SecurityHeadersMiddleware.process_view
    put(
        None,
        request,
        test_nothing_is_kept_where_the_policy_says_so,
        ("one",),
        {"a": ATTACK, "b": 1},
    )
    hold_inputs(None)
    assert inputs.texts == ("one", ATTACK, "1")
    put(None, request, len, (), {"a": ATTACK})


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
        for name in ("peek", "getvalue", "getbuffer", "raw", "detach", "fileno", "readall"):
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


class Endless:
    """A body of one line, of which nobody knows how long it is."""

    def __init__(self):
        self.most = 0

    def read(self, size=-1):
        assert size >= 0
        self.most = max(self.most, size)
        return b"x" * size

    readline = read


@pytest.mark.parametrize(
    "read",
    [
        lambda stream: stream.read(10**9),
        lambda stream: stream.read(),
        lambda stream: stream.read1(10**9),
        lambda stream: stream.readinto(bytearray(10**6)),
        lambda stream: stream.readline(),
        lambda stream: stream.readline(10**9),
        lambda stream: stream.readlines(),
        list,
    ],
)
def test_a_body_that_is_too_large_is_not_read_first_and_measured_then(read):
    endless = Endless()
    stream = wsgi_gate.MeasuredInput(endless, Meter(1000, 32))
    stream.read(10)
    with pytest.raises(LimitExceeded):
        read(stream)
    assert endless.most <= 64 * 1024  # the step of reading a whole


def test_lines_of_a_body_are_those_of_the_server():
    body = b"a\nbc\n\nd"
    for read in (list, lambda stream: stream.readlines(), lambda stream: stream.readlines(None)):
        assert read(wsgi_gate.MeasuredInput(io.BytesIO(body), Meter(8, 32))) == [
            b"a\n", b"bc\n", b"\n", b"d"
        ]  # fmt: skip
    stream = wsgi_gate.MeasuredInput(io.BytesIO(body), Meter(8, 32))
    assert stream.readlines(3) == [b"a\n", b"bc\n"]


def test_what_goes_on_after_a_refusal_is_not_sent(tmp_path):
    hold = make_world(tmp_path, requests=Requests(body=4)).hold

    def app(environ, start):
        with contextlib.suppress(LimitExceeded):
            environ["wsgi.input"].read()
        start("200 OK", [])
        yield b"secret"

    started = []
    environ = environ_of("/") | {
        "REQUEST_METHOD": "POST", "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": io.BytesIO(b"too large"),
    }  # fmt: skip
    body = wsgi.SecurityHeaders(app, hold)(environ, lambda *given: started.append(given))
    assert b"secret" not in b"".join(body)
    ((status, headers),) = started
    assert status.startswith("500 ")
    assert "Content-Security-Policy" in dict(headers)
