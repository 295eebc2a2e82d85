from __future__ import annotations

import pytest

from safehold.policy.requests import Requests
from safehold.web.origins import Origins, Request

pytestmark = pytest.mark.bare

HOST = "app.example.org"
OWN = f"https://{HOST}"


def request(method="GET", scheme="https", path="/", peer="198.51.100.7", twice=(), **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"host": HOST, **named}
    named = {name: value for name, value in named.items() if value is not None}
    return Request(method, scheme, path, "", peer, named, frozenset(twice))


def checked(found, **policy):
    refusal = Origins(Requests(**policy)).check(found)
    return None if refusal is None else (refusal.status, refusal.rule.id)


REFUSED_HOST = (400, "SH420")
REFUSED_SITE = (403, "SH421")


@pytest.mark.parametrize(
    "found",
    [
        request(),
        request("POST"),
        request("POST", origin=OWN),
        request("POST", origin=OWN + ":443"),
        request("DELETE", origin=OWN, sec_fetch_site="same-origin"),
        request("POST", "http", origin=OWN),  # a proxy took the encryption off
        request("POST", host="localhost:8000", scheme="http", origin="http://localhost:8000"),
        request("POST", host="[::1]:8000", scheme="http", origin="http://[::1]:8000"),
        request(sec_fetch_site="none", sec_fetch_mode="navigate", sec_fetch_dest="document"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document"),
        request("POST", origin="null", sec_fetch_site="same-origin"),
        request(scheme="wss", origin=OWN),
        request(scheme="wss"),
        request("OPTIONS", path="*"),
        request(host=HOST + "."),
        request(host=HOST.upper()),
    ],
)
def test_does_nothing_to_requests_of_programs_and_of_its_own_pages(found):
    assert checked(found) is None


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("app.example.org", ("app.example.org",)),
        ("app.example.org:8443", ("app.example.org",)),
        ("a.b.example.org", ("*.example.org",)),
        ("localhost:8000", ("localhost:8000",)),
        ("[::1]:8000", ("[::1]",)),
    ],
)
def test_a_host_of_the_list_is_answered(host, hosts):
    assert checked(request(host=host), hosts=hosts) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "app.example.org.evil.example", "xapp.example.org", "example.org",
        "app.example.org@evil.example", "evil.example#app.example.org", "app.example.org:80@evil",
        "evil.example/app.example.org", "app.example.org/", "app.example.org\\evil",
        "app.example.org, evil.example", "app.example.org evil.example", " app.example.org",
        "app.example.org\t", "app.example.org\0", "app.example.org:", "app.example.org:99999",
        "app.example.org:x", "app.example.org:80:80", "app..example.org", ".app.example.org",
        "app.example.org..", "", "app%2eexample.org", "äpp.example.org", "[::1", "::1",
        "app.example.org\r\nx: y", "http://app.example.org", "-app.example.org",
    ],
)  # fmt: skip
def test_another_host_is_refused(host):
    assert checked(request(host=host), hosts=("app.example.org",)) == REFUSED_HOST


@pytest.mark.parametrize("host", ["example.org", "evilexample.org", ".example.org"])
def test_a_wildcard_stands_for_what_is_below(host):
    assert checked(request(host=host), hosts=("*.example.org",)) == REFUSED_HOST


@pytest.mark.parametrize(
    "found",
    [
        request(host="a@b"),
        request(host=None),
        request(twice=["host"]),
        request(twice=["origin"]),
        request(twice=["content-length"]),
        request(path="http://evil.example/"),
        request("POST", content_length="5", transfer_encoding="chunked"),
    ],
)
def test_forms_that_two_servers_read_differently_are_refused_without_a_list(found):
    assert checked(found) == REFUSED_HOST


@pytest.mark.parametrize(
    "found",
    [
        request("POST", origin="https://evil.example"),
        request("POST", origin="https://app.example.org.evil.example"),
        request("POST", origin="https://app.example.org@evil.example"),
        request("POST", origin="http://app.example.org"),
        request("POST", origin="https://app.example.org:8443"),
        request("POST", origin="null"),
        request("POST", origin="null", sec_fetch_site="cross-site"),
        request("POST", origin=""),
        request("POST", origin="file://"),
        request("PUT", origin="https://evil.example", sec_fetch_site="same-origin"),
        request("POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate",
                sec_fetch_dest="document"),
        request("POST", sec_fetch_site="same-site"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="script"),
        request(sec_fetch_site="same-site", sec_fetch_mode="cors", sec_fetch_dest="empty"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="object"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe"),
        request(sec_fetch_site="nonsense"),
        request("OPTIONS", origin="https://evil.example", sec_fetch_site="cross-site",
                sec_fetch_mode="cors", sec_fetch_dest="empty"),
        request(scheme="wss", origin="https://evil.example"),
        request(scheme="wss", origin="http://app.example.org"),
        request(scheme="wss", origin="null"),
        request(scheme="ws", origin="https://evil.example"),
    ],
)  # fmt: skip
def test_requests_of_other_sites_are_refused(found):
    assert checked(found) == REFUSED_SITE
    assert checked(found, isolation=False) is None


def test_an_origin_of_the_list_may_use_the_service():
    policy = {"origins": ("https://front.example",)}
    cors = {"origin": "https://front.example", "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}  # fmt: skip
    for found in (request("POST", **cors), request(**cors), request("OPTIONS", **cors),
                  request(scheme="wss", origin="https://front.example")):  # fmt: skip
        assert checked(found, **policy) is None
    assert checked(request("POST", **{**cors, "origin": "https://x.example"}), **policy)


def test_any_site_may_load_what_is_shared():
    image = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}
    policy = {"shared": ("/static/public",)}
    assert checked(request(path="/static/public/logo.png", **image), **policy) is None
    assert checked(request(path="/static/public", **image), **policy) is None
    assert checked(request(path="/static/publicity.png", **image), **policy) == REFUSED_SITE
    assert checked(request("POST", path="/static/public/x", **image), **policy) == REFUSED_SITE
    for path in (
        "/static/public/../x",
        "/static/public/./x",
        "/static/public/..",
        "/static/public/..\\x",
    ):
        assert checked(request(path=path, **image), **policy) == REFUSED_SITE


# -- HTTPS

SECURED = {"https": True, "hosts": (HOST,)}


def location(found, **policy):
    refusal = Origins(Requests(**{**SECURED, **policy})).check(found)
    return None if refusal is None else (refusal.status, refusal.location)


def test_does_nothing_to_a_request_over_https():
    assert location(request()) is None
    assert location(request(scheme="wss", origin=OWN)) is None


def test_a_request_over_http_is_sent_to_https():
    found = Request("GET", "http", "/ä b//?", "q=1&r=\r\nx", "", {"host": f"{HOST}:8080"})
    status, to = location(found)
    assert (status, to) == (308, "https://app.example.org/%C3%A4%20b//%3F?q=1&r=%0D%0Ax")


def test_it_is_not_sent_to_a_host_that_is_not_listed():
    assert location(request(scheme="http", host="evil.example")) == (400, "")


def test_what_was_sent_in_the_clear_already_is_not_sent_again():
    assert location(request("POST", "http")) == (403, "")
    assert location(request(scheme="ws", origin=OWN)) == (403, "")


@pytest.mark.parametrize(
    ("peer", "proto", "passes"),
    [
        ("10.1.2.3", "https", True),
        ("::ffff:10.1.2.3", "https", True),
        ("10.1.2.3", "http, https", True),
        ("10.1.2.3", "https, http", False),
        ("10.1.2.3", "nonsense", False),
        ("198.51.100.7", "https", False),
        ("", "https", False),
        ("/run/x.sock", "https", False),
    ],
)
def test_what_a_proxy_forwards_counts_only_of_a_named_one(peer, proto, passes):
    found = request(scheme="http", peer=peer, x_forwarded_proto=proto)
    assert (location(found, proxies=("10.0.0.0/8",)) is None) == passes


def test_the_forwarded_host_of_a_named_proxy_is_the_one_that_is_checked():
    hosts = {"hosts": (HOST,), "proxies": ("10.0.0.0/8",)}
    forwarded = request(peer="10.0.0.1", host="inner:8000", x_forwarded_host=HOST)
    assert checked(forwarded, **hosts) is None
    twice = request(peer="10.0.0.1", host="inner", x_forwarded_host=f"{HOST}, evil.example")
    assert checked(twice, **hosts) == REFUSED_HOST
    stranger = request(peer="198.51.100.7", host="inner", x_forwarded_host=HOST)
    assert checked(stranger, **hosts) == REFUSED_HOST


def test_a_proxy_without_the_header_leaves_the_scheme_as_it_is():
    assert location(request(scheme="http", peer="10.0.0.1"), proxies=("10.0.0.0/8",))[0] == 308


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        ("10.0.0.1", "192.0.2.1, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "1," * 10_000, "10.0.0.1"),
    ],
)
def test_the_client_is_whom_the_first_named_proxy_saw(peer, forwarded, client):
    origins = Origins(Requests(proxies=("10.0.0.0/8",)))
    assert origins.client(request(peer=peer, x_forwarded_for=forwarded)) == client
