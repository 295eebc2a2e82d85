from __future__ import annotations

import ipaddress
import re
import socket

import pytest

pytestmark = pytest.mark.extras

from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from safehold.inputs import URL, Destinations, InputRefused
from safehold.inputs.addresses import is_public
from safehold.inputs.urls import Link, parse_url, resolve

CHECKED = TypeAdapter(URL)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "http://example.com/", "https://example.com/a?b=c&d=%20#e",
        "https://xn--bcher-kva.example/", "https://a-b.c_d.example.co.uk/'--;DROP",
        "https://8.8.8.8/", "https://[2606:4700:4700::1111]/", "https://example.com./x",
        "https://1.1.1.1.example.com/", "https://example.com?x=http://127.0.0.1/",
        "https://example.com/@127.0.0.1/", "https://a.127.0.0.1.nip.io/",  # a name, looked up later
    ],
)  # fmt: skip
def test_does_nothing_to_urls_of_the_world(url):
    assert CHECKED.validate_python(url) == url
    assert re.search(CHECKED.json_schema()["pattern"], url)


def test_a_url_is_given_back_as_it_was_read():
    assert CHECKED.validate_python("HTTPS://Example.COM:443/A") == "https://example.com/A"
    assert CHECKED.validate_python("http://example.com:080/") == "http://example.com/"


LOCAL = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7f.1",
    "0177.0.0.1", "017700000001", "0177.1", "127.0.0.01", "127.0.0.1.", "00.0.0.0", "0", "0.0.0.0",  # noqa: S104
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "printer", "db.internal", "x.local",
    "metadata.google.internal", "169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.254.169.254",
    "0251.0376.0251.0376", "169.254.43518", "169.254.170.2", "100.100.100.200", "192.0.0.192",
    "168.63.129.16", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
    "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]",
    "[2001:0:7f00:1::]", "[2001:db8::1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]",
    "[fd20:ce::254]", "[ff02::1]", "[fec0::1]", "[100::1]", "[3fff::1]", "[5f00::1]",
    "[2606:4700::5efe:7f00:1]", "[2606:4700::200:5efe:a00:1]", "[127.0.0.1]", "[fe80::1%25eth0]",
    "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1%00.example.com", "0x7f.example.0x1",
    "example.com%2f@127.0.0.1", "999.1.1.1", "1.2.3.4.5", "-a.example", "a..example", "",
    "x" * 64 + ".example",
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL, ids=ascii)
@pytest.mark.parametrize("form", ["http://{}/", "https://{}", "http://{}:80/x?y#z"])
def test_hosts_inside_are_refused_in_whatever_form(host, form):
    with pytest.raises(ValidationError):
        CHECKED.validate_python(form.format(host))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "javascript:alert(1)",
        "data:text/html,x", "//example.com/", "/x", "example.com", "http:example.com",
        "http:/example.com", "http:///example.com", "http:\\\\example.com", "dict://example.com:80/",
        "jar:http://example.com!/", "http://user@example.com/", "http://user:pass@example.com/",
        "http://example.com@127.0.0.1/", "http://127.0.0.1#@example.com/",
        "http://127.0.0.1\\@example.com/", "http://example.com\\@127.0.0.1/",
        "http://example.com:80@127.0.0.1/", "http://example.com:22/", "http://example.com:0/",
        "http://example.com:99999/", "http://example.com:/", "http://example.com:8o/",
        "http://exam ple.com/", " http://example.com/", "http://example.com/ ", "http://a\nb.com/",
        "http://example.com/\r\nHost: x", "http://example.com/\0", "http://exämple.com/",
        "http://example.com/ä", "http://ex\tample.com", "http://example.com/a b", "",
        "http://[::1", "http://::1/", "http://example.com/" + "x" * 2048, "http://?x", "http://#",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(url):
    with pytest.raises(ValidationError):
        CHECKED.validate_python(url)


def test_every_special_network_is_not_public_and_its_neighbours_are():
    for text, around in (
        ("10.0.0.0/8", ("9.255.255.255", "11.0.0.0")), ("127.0.0.0/8", ("128.0.0.0",)),
        ("172.16.0.0/12", ("172.15.255.255", "172.32.0.0")), ("100.64.0.0/10", ("100.128.0.0",)),
        ("169.254.0.0/16", ("169.253.255.255", "169.255.0.0")),
        ("192.168.0.0/16", ("192.167.255.255", "192.169.0.0")),
        ("2002::/16", ("2003::",)), ("2001::/23", ("2001:200::",)), ("fc00::/7", ()),
        ("fe80::/10", ()), ("ff00::/8", ()), ("::/96", ()), ("64:ff9b:1::/48", ()),
    ):  # fmt: skip
        network = ipaddress.ip_network(text)
        assert not is_public(network[0])
        assert not is_public(network[-1])
        assert all(is_public(ipaddress.ip_address(other)) for other in around)
    assert is_public(ipaddress.ip_address("64:ff9b::808:808"))
    assert is_public(ipaddress.ip_address("::ffff:8.8.8.8"))


def test_no_address_is_public_that_python_calls_private():
    for number in range(0, 2**32, 655_379):
        address = ipaddress.IPv4Address(number)
        assert not (is_public(address) and (address.is_private or address.is_multicast))


def looked_up(monkeypatch, *addresses):
    def answer(host, port, *args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_every_address_of_a_name_has_to_be_public(monkeypatch):
    parts = parse_url("https://example.com/")
    looked_up(monkeypatch, "8.8.8.8", "2606:4700::1")
    assert list(map(str, resolve(parts))) == ["8.8.8.8", "2606:4700::1"]
    for other in ("127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1", "::ffff:10.0.0.1"):
        for order in (("8.8.8.8", other), (other, "8.8.8.8"), (other,)):
            looked_up(monkeypatch, *order)
            with pytest.raises(InputRefused) as caught:
                resolve(parts)
            assert caught.value.rule == "SH554"


def test_destinations_can_be_listed():
    inner = Destinations(
        ports=(8000,), networks=(ipaddress.ip_network("10.1.0.0/16"),), schemes=("http",)
    )
    assert parse_url("http://10.1.2.3:8000/", inner).port == 8000
    assert parse_url("http://db.internal:8000/", inner).host == "db.internal"
    assert parse_url("http://[::ffff:10.1.2.3]:8000/", inner).url.startswith("http://[::ffff")
    for url in ("http://10.2.0.1:8000/", "http://10.1.2.3/", "https://10.1.2.3:8000/"):
        with pytest.raises(InputRefused):
            parse_url(url, inner)
    listed = TypeAdapter(
        Annotated[str, Link(Destinations(hosts=("api.example.com", ".example.org")))]
    )
    for host in ("api.example.com", "API.example.com", "a.example.org"):
        assert listed.validate_python(f"https://{host}/")
    for host in ("example.com", "evil-api.example.com", "example.org", "api.example.com.evil.org"):
        with pytest.raises(ValidationError):
            listed.validate_python(f"https://{host}/")


def test_schema_and_messages():
    schema = CHECKED.json_schema()
    assert (schema["format"], schema["maxLength"]) == ("uri", 2048)
    assert not re.search(schema["pattern"], "ftp://example.com")
    with pytest.raises(ValidationError) as caught:
        CHECKED.validate_python("http://<b>.example/")
    assert "<b>" not in caught.value.errors()[0]["msg"]
