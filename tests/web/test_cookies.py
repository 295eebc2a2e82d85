from __future__ import annotations

import pytest

from safehold.policy.requests import CookieException
from safehold.web.cookies import harden, judge, parse

pytestmark = pytest.mark.bare

NONE = {}
WHOLE = "sid=1; Path=/; SameSite=Lax; Secure; HttpOnly"


def flags(value):
    return {part.strip().lower() for part in value.split(";")[1:]}


@pytest.mark.parametrize(
    "value",
    [
        WHOLE,
        "__Host-sid=a=b==; Path=/; SameSite=Strict; Secure; HttpOnly",
        "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Lax; Secure; HttpOnly",
        'a="quoted, value"; Domain=example.org; Partitioned; SameSite=Lax; Secure; HttpOnly',
    ],
)
def test_does_nothing_to_a_cookie_that_has_its_flags(value):
    assert harden(value, NONE) == value
    assert not list(judge([value.replace("Domain=example.org; ", "")], "https://a.example/"))


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ("a=1", "secure"),
        ("a=1", "httponly"),
        ("a=1", "samesite=lax"),
        ("a=1; SameSite=Strict", "samesite=strict"),
        ("a=1; samesite=lax; SAMESITE=strict", "samesite=strict"),
        ("a=1; SameSite=None; Secure", "samesite=lax"),
        ("a=1; SameSite=None; SameSite=nonsense", "samesite=lax"),
        ("a=1; SameSite", "samesite=lax"),
        ("__Host-a=1; Path=/app; Domain=example.org", "path=/"),
        ("__HOST-a=1", "path=/"),
        ("__Host-Http-a=1", "path=/"),
        ("__Secure-a=1", "secure"),
        ("__Http-a=1", "httponly"),
    ],
)
def test_flags_are_added(value, flag):
    hardened = harden(value, NONE)
    assert flag in flags(hardened)
    assert {"secure", "httponly"} <= flags(hardened)
    assert harden(hardened, NONE) == hardened


def test_host_cookie_loses_its_domain():
    assert "domain" not in harden("__Host-a=1; Domain=example.org; Path=/x", NONE).lower()


@pytest.mark.parametrize("value", ["a=v%41%00; x", "a= b ;Path=/", 'a="x;y"'])
def test_the_pair_is_not_encoded_anew(value):
    content = value.partition(";")[0].partition("=")[2].strip()
    assert harden(value, NONE).startswith(f"a={content};")


@pytest.mark.parametrize(
    "value", ["a=1\r\nSet-Cookie: b=2", "a=1\nx", "a=1; Path=/\0", "noname", "=value", "", " ; a=1",
              "=__Host-sid=1", "a\x7f=1"],
)  # fmt: skip
def test_what_browsers_read_in_two_ways_is_not_sent(value):
    assert parse(value) is None
    assert harden(value, NONE) is None
    (finding,) = judge([value], "https://a.example/")
    assert finding.rule.id == "SH425"


@pytest.mark.parametrize(
    ("flag", "value", "left"),
    [
        ("scripts", "a=1", {"secure", "samesite=lax"}),
        ("cross_site", "a=1; SameSite=None", {"secure", "httponly", "samesite=none"}),
        ("cross_site", "a=1", {"secure", "httponly", "samesite=lax"}),
        ("plain", "a=1", {"httponly", "samesite=lax"}),
        ("scripts", "a=1; HttpOnly", {"secure", "httponly", "samesite=lax"}),
        ("plain", "a=1; Secure", {"secure", "httponly", "samesite=lax"}),
    ],
)
def test_an_exception_leaves_one_flag_to_the_application(flag, value, left):
    exceptions = {"a": CookieException("a", "a reason", **{flag: True})}
    assert flags(harden(value, exceptions)) == left
    other = value.replace("a=1", "b=1")
    assert {"secure", "httponly"} <= flags(harden(other, exceptions))
    assert "samesite=none" not in flags(harden(other, exceptions))


@pytest.mark.parametrize("name", ["__Host-a", "__secure-a", "__HOST-HTTP-a"])
def test_no_exception_takes_away_what_a_prefix_stands_for(name):
    exceptions = {name: CookieException(name, "r", scripts=True, plain=True)}
    assert "secure" in flags(harden(f"{name}=1", exceptions))
    assert ("httponly" in flags(harden(f"{name}=1", exceptions))) == ("HTTP" in name)


def test_cross_site_cookie_is_always_encrypted():
    exceptions = {"a": CookieException("a", "r", cross_site=True, plain=True)}
    assert {"secure", "samesite=none"} <= flags(harden("a=1; SameSite=None", exceptions))


@pytest.mark.parametrize(
    ("value", "said", "severity"),
    [
        ("sessionid=1; HttpOnly; SameSite=Lax", "no Secure", "medium"),
        ("theme=1; HttpOnly; SameSite=Lax", "no Secure", "low"),
        ("sid=1; Secure; SameSite=Lax", "no HttpOnly", "medium"),
        ("sid=1; Secure; HttpOnly", "no SameSite", "medium"),
        ("sid=1; Secure; HttpOnly; SameSite=None", "SameSite=None", "medium"),
        ("__Host-a=1; Secure; HttpOnly; SameSite=Lax", "browsers refuse", "low"),
        ("sid=1; Secure; HttpOnly; SameSite=Lax; Domain=a.org", "every host below", "medium"),
    ],
)
def test_a_weak_cookie_is_a_finding(value, said, severity):
    (finding,) = judge([value], "https://a.example/")
    assert said in finding.message
    assert (finding.rule.id, finding.severity.label) == ("SH425", severity)
    assert "1" not in finding.detail["cookie"]


def test_a_csrf_token_may_be_read_by_scripts():
    assert not list(judge(["csrftoken=1; Secure; SameSite=Lax"], "https://a.example/"))


def test_a_hardened_cookie_is_no_finding():
    for value in ("a=1", "sid=1; SameSite=None", "__Host-x=1; Domain=a"):
        assert not list(judge([harden(value, NONE)], "https://a.example/"))
