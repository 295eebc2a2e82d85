from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.extras

import httpx
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from safehold.errors import LimitExceeded
from safehold.inputs import Destinations, InputRefused, fetching, open_url
from tests.holding import world_of

LOOPBACK = (ipaddress.ip_network("127.0.0.1"),)


class Pages(BaseHTTPRequestHandler):
    """Answers by path, and keeps what was asked."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        path, _, target = self.path.partition("?to=")
        self.send_response(302 if path == "/redirect" else 200)
        if path == "/redirect":
            self.send_header("Location", target)
        body = b"x" * 5000 if path == "/long" else b"hello"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as found:
        found.asked = []
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def names(monkeypatch):
    """Return names and their addresses, one answer for each look-up; the last one stays."""
    table = {}
    real = socket.getaddrinfo

    def answer(host, port, *args, **kwargs):
        text = host.decode() if isinstance(host, bytes) else host
        if text not in table:
            return real(host, port, *args, **kwargs)
        found = table[text].pop(0) if len(table[text]) > 1 else table[text][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return table


def allowed(server, **more):
    return Destinations(ports=(server.server_port, 80, 443), networks=LOOPBACK, **more)


def with_open_url(url, where):
    answer = open_url(url, allowed=where, timeout=5)
    return answer.status, answer.body


def with_httpx(url, where):
    transport = fetching.httpx_transport(where)
    with httpx.Client(transport=transport, follow_redirects=True) as client:
        answer = client.get(url)
        return answer.status_code, answer.content


def with_async_httpx(url, where):
    async def get():
        transport = fetching.httpx_async_transport(where)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            answer = await client.get(url)
            return answer.status_code, answer.content

    return asyncio.run(get())


def with_requests(url, where):
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, fetching.requests_adapter(where))
        answer = session.get(url, timeout=5)
        return answer.status_code, answer.content


CLIENTS = [with_open_url, with_httpx, with_async_httpx, with_requests]


@pytest.mark.parametrize("get", CLIENTS)
def test_does_nothing_to_what_may_be_reached(get, server, names):
    names["app.example"] = ["127.0.0.1"]
    url = f"http://app.example:{server.server_port}/a?b=c"
    assert get(url, allowed(server)) == (200, b"hello")
    ((path, headers),) = server.asked
    assert (path, headers["Host"]) == ("/a?b=c", f"app.example:{server.server_port}")
    again = f"http://app.example:{server.server_port}/redirect?to=/there"
    assert get(again, allowed(server)) == (200, b"hello")
    assert server.asked[-1][0] == "/there"


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{}/x", "http://2130706434:{}/x", "http://[::1]:{}/x", "file:///etc/passwd",
        "http://inside.example:{}/x", "//inside.example:{}/x", "http://user@app.example:{}/x",
        "http://app.example:22/x",
    ],
)  # fmt: skip
def test_redirects_are_checked_again(get, server, names, target):
    names |= {"app.example": ["127.0.0.1"], "inside.example": ["169.254.169.254"]}
    target = target.format(server.server_port)
    with pytest.raises(
        (InputRefused, requests.exceptions.InvalidSchema, httpx.UnsupportedProtocol)
    ):
        get(f"http://app.example:{server.server_port}/redirect?to={target}", allowed(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize("get", CLIENTS)
def test_a_name_that_gets_another_address_meanwhile_is_connected_to_by_the_one_checked(
    get, server, names, monkeypatch
):
    reached = []
    real = socket.socket.connect

    def connecting(self, address):
        reached.append(address[0])
        real(self, ("127.0.0.1", server.server_port))  # stands for the address outside

    monkeypatch.setattr(socket.socket, "connect", connecting)
    loop = asyncio.selector_events.BaseSelectorEventLoop

    async def connecting_too(self, sock, address):
        reached.append(address[0])
        await real_too(self, sock, ("127.0.0.1", server.server_port))

    real_too = loop.sock_connect
    monkeypatch.setattr(loop, "sock_connect", connecting_too)
    names["rebound.example"] = ["93.184.215.14", "127.0.0.1"]
    where = Destinations(ports=(server.server_port,))
    get(f"http://rebound.example:{server.server_port}/", where)
    # asyncio's own connect is by sock_connect, and may be followed by the patched one.
    assert reached[0] == "93.184.215.14"
    assert names["rebound.example"] == ["127.0.0.1"]  # looked up once
    reached.clear()
    with pytest.raises(InputRefused):
        get(f"http://rebound.example:{server.server_port}/", where)
    assert not reached


@pytest.mark.parametrize("target", ["http://[", "http://[::1", "//[x]/", "http://a]/"])
def test_a_redirect_to_what_is_no_url_is_refused(server, names, target):
    names |= {"app.example": ["127.0.0.1"]}
    with pytest.raises(InputRefused):
        open_url(
            f"http://app.example:{server.server_port}/redirect?to={target}", allowed=allowed(server)
        )


def test_headers_do_not_go_along_to_others(server, names):
    names |= {"app.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    url = f"http://app.example:{server.server_port}/redirect?to="
    for target, kept in (("/same", True), (f"http://other.example:{server.server_port}/x", False)):
        open_url(url + target, allowed=allowed(server), headers={"Authorization": "mine"})
        assert ("Authorization" in server.asked[-1][1]) is kept


def test_answers_and_redirects_have_a_measure(server):
    base = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(LimitExceeded, match="bytes"):
        open_url(f"{base}/long", allowed=allowed(server), size=4999)
    assert len(open_url(f"{base}/long", allowed=allowed(server), size=5000).body) == 5000
    around = "/redirect?to=/redirect?to=/redirect?to=/x"
    with pytest.raises(LimitExceeded, match="redirects"):
        open_url(base + around, allowed=allowed(server), redirects=2)
    assert open_url(base + around, allowed=allowed(server), redirects=3).status == 200


def test_a_refusal_is_an_event(tmp_path):
    for world in world_of(tmp_path):
        with pytest.raises(InputRefused):
            open_url("http://169.254.169.254/latest/meta-data/", hold=world.hold)
        (event,) = world.events.refused
        assert event.rule == "SH554"
        assert "169.254" not in str(event)


def test_no_proxy_looks_names_up(monkeypatch, server):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    with requests.Session() as session:
        session.mount("http://", fetching.requests_adapter())
        with pytest.raises(InputRefused, match="proxy"):
            session.get("http://8.8.8.8/", timeout=5)
    with pytest.raises(InputRefused):
        fetching.httpx_transport(proxy="http://127.0.0.1:1")
    with pytest.raises(InputRefused):
        fetching.httpx_transport(http2=True)
    assert server.asked == []


@pytest.fixture
def encrypted(server, tmp_path):
    """Return the file of a certificate for app.example, which the server has."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("app.example")]), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, pem = tmp_path / "certificate.pem", serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *args: None  # who does not trust it hangs up
    return str(file)


def tls_with_open_url(url, where, file, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", file)
    return open_url(url, allowed=where).status


def tls_with_httpx(url, where, file, monkeypatch):
    verify = ssl.create_default_context(cafile=file)
    with httpx.Client(transport=fetching.httpx_transport(where, verify=verify)) as client:
        return client.get(url).status_code


def tls_with_requests(url, where, file, monkeypatch):
    with requests.Session() as session:
        session.trust_env, session.verify = False, file
        session.mount("https://", fetching.requests_adapter(where))
        return session.get(url, timeout=5).status_code


@pytest.mark.parametrize("get", [tls_with_open_url, tls_with_httpx, tls_with_requests])
def test_tls_is_verified_for_the_name(get, server, names, encrypted, monkeypatch):
    names |= {"app.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    where = allowed(server)
    assert get(f"https://app.example:{server.server_port}/", where, encrypted, monkeypatch) == 200
    errors = (ssl.SSLError, httpx.ConnectError, requests.exceptions.SSLError)
    with pytest.raises(errors, match=r"other\.example"):
        get(f"https://other.example:{server.server_port}/", where, encrypted, monkeypatch)
