"""Refusals as clients of a real server see them."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

import pytest

from safehold.policy.requests import Requests
from safehold.web import install
from safehold.web.headers import NINE
from tests.holding import make_world
from tests.web.posting import fastapi
from tests.web.serving import certificate
from tests.web.test_judges import uvicorn_serving

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    policy = Requests(hosts=("localhost",), body=100_000)
    world = make_world(tmp_path_factory.mktemp("root"), requests=policy)
    yield world
    world.hold.close()


@pytest.fixture(scope="module")
def address(world, tls):
    from starlette.routing import WebSocketRoute

    app = fastapi()

    async def socket(socket):
        await socket.accept(headers=[(b"set-cookie", b"a=1")])
        await socket.send_text("hello")
        await socket.close()

    app.router.routes.append(WebSocketRoute("/socket", socket))
    with uvicorn_serving(install(app, world.hold), tls) as url:
        yield urlsplit(url)


@pytest.fixture
def context(tls):
    return ssl.create_default_context(cafile=tls.path)


def assert_nine(headers):
    for name in NINE:
        assert len(headers.get_all(name)) == 1, name


def pieces(size, count):
    for _ in range(count):
        yield b"[" + b"1," * (size // 2) + b"1]"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (pieces(20_000, 10), {}, 413),
        (b"1" * 100_001, {}, 413),
        (pieces(20_000, 1), {}, 200),
        (b"[" * 70 + b"]" * 70, {}, 400),
        (b"{}", {"Origin": "https://evil.example"}, 403),
        (b"{}", {"Host": "evil.example"}, 400),
        (b"{}", {}, 200),
    ],
)
def test_an_answer_comes_with_its_headers(address, context, body, headers, status):
    connection = http.client.HTTPSConnection("localhost", address.port, timeout=30, context=context)
    named = {"Content-Type": "application/json", **headers}
    if not isinstance(body, bytes):
        named["Transfer-Encoding"] = "chunked"
    try:
        connection.request("POST", "/data", body, named, encode_chunked=True)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        assert status == 413  # what is not read need not be taken
    answer = connection.getresponse()
    assert answer.status == status
    assert_nine(answer.headers)
    answer.read()
    connection.close()


def test_a_socket_is_for_pages_of_its_own(address, context, world):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url = f"wss://localhost:{address.port}/socket"
    with connect(url, ssl=context, origin=f"https://localhost:{address.port}") as socket:
        assert socket.recv() == "hello"
        assert socket.response.headers["set-cookie"] == "a=1; SameSite=Lax; Secure; HttpOnly"
    with pytest.raises(InvalidStatus) as error:
        connect(url, ssl=context, origin="https://evil.example")
    assert error.value.response.status_code == 403
    for name in NINE:
        assert len(error.value.response.headers.get_all(name)) == 1
    assert world.events.rows[-1].rule == "SH421"
