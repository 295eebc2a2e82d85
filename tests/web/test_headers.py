from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.findings import Severity
from safehold.policy.web import EMBEDDER, FRAME, OPENER, REFERRER, RESOURCE, Web
from safehold.web import csp
from safehold.web.headers import BANNERS, NINE, ROWS, Answer, build, judge, weaker
from safehold.web.rules import RULES

PAGE, NONCED, DATA = (Answer("https://x.example/", kind) for kind in ("page", "nonced", "data"))
STRICT = dict(build(Web(), "page"))
NONCE = "'nonce-0123456789abcdef0123456789abcdef'"
FULL = csp.text(csp.STRICT).replace("'nonce'", NONCE)


def judged(name, value, answer=PAGE):
    """Return the ids of findings about one header in an answer whose others are strict."""
    others = [(row, text) for row, text in STRICT.items() if row != name]
    return [one.rule.id for one in judge([*others, (name, value)], answer)]


# -- harmless

FINE = [
    ("Content-Security-Policy", FULL),
    ("Content-Security-Policy", FULL.upper().replace("NONCE-", "nonce-")),
    ("Content-Security-Policy", FULL + "; upgrade-insecure-requests"),
    ("Content-Security-Policy", FULL.replace("form-action 'self'", "form-action 'none'")),
    ("Content-Security-Policy", FULL.replace("base-uri 'none'", "base-uri 'self'")),
    # Ignored beside a nonce by every browser that knows nonces.
    ("Content-Security-Policy", FULL.replace(NONCE, f"{NONCE} 'unsafe-inline' https:", 1)),
    ("Content-Security-Policy", ("default-src 'none'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'")),
    ("Content-Security-Policy", ("script-src 'self'; object-src 'none'; base-uri 'self'; "
     "style-src 'self'; form-action 'self'; frame-ancestors 'self'")),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Strict-Transport-Security", 'Max-Age="63072000" ; INCLUDESUBDOMAINS; preload'),
    ("X-Frame-Options", "sameorigin"),
    ("X-Content-Type-Options", " NoSniff "),
    ("Referrer-Policy", "no-referrer"),
    ("Referrer-Policy", "unsafe-url, strict-origin"),  # the last known word counts
    ("Cross-Origin-Opener-Policy", 'same-origin; report-to="x"'),
    ("Cross-Origin-Embedder-Policy", "credentialless"),
    ("Cross-Origin-Resource-Policy", "same-site"),
    ("Permissions-Policy", "camera=(), geolocation=(self), microphone=(), payment=(), usb=()"),
    ("Reporting-Endpoints", 'a="https://r.example/"'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FINE)
def test_does_nothing_to_a_value_that_is_strict_in_another_way(name, value):
    assert judged(name, value) == []


@pytest.mark.parametrize("kind", ["page", "data"])
def test_does_nothing_to_what_we_send(kind):
    assert list(judge(build(Web(), kind), Answer("u", kind))) == []


def test_does_nothing_to_data_without_what_is_for_pages_alone():
    for_pages = {row.name for row in ROWS if "data" not in row.needed}
    headers = [pair for pair in build(Web(), "data") if pair[0] not in for_pages]
    assert list(judge(headers, DATA)) == []


# -- harmful

WEAK = [
    ("Content-Security-Policy", "default-src *", "SH401"),
    ("Content-Security-Policy", FULL.replace(NONCE, "'unsafe-inline'", 1), "SH401"),
    ("Content-Security-Policy", FULL.replace(NONCE, f"{NONCE} 'unsafe-eval'", 1), "SH401"),
    ("Content-Security-Policy", FULL.replace(NONCE, f"{NONCE} 'unsafe-hashes'", 1), "SH401"),
    ("Content-Security-Policy", FULL.replace(NONCE, "'nonce-abc'"), "SH401"),
    ("Content-Security-Policy", FULL.replace("'strict-dynamic'", "https:"), "SH401"),
    ("Content-Security-Policy", FULL.replace("'strict-dynamic'", "cdn.example"), "SH401"),
    ("Content-Security-Policy", FULL.replace("'strict-dynamic'", "data:"), "SH401"),
    ("Content-Security-Policy", FULL.replace("object-src 'none'", "object-src *"), "SH401"),
    ("Content-Security-Policy", FULL.replace("base-uri 'none'; ", ""), "SH401"),
    ("Content-Security-Policy", FULL.replace("frame-ancestors 'none'", "x y"), "SH401"),
    ("Content-Security-Policy", FULL.replace("frame-ancestors 'none'", "frame-ancestors *"),
     "SH401"),
    ("Content-Security-Policy", FULL.replace("form-action 'self'; ", ""), "SH401"),
    ("Content-Security-Policy", FULL.replace("form-action 'self'", "form-action https:"), "SH401"),
    ("Content-Security-Policy", FULL + "; style-src-elem 'unsafe-inline'", ""),
    ("Content-Security-Policy", FULL.replace(f"style-src 'self' {NONCE}",
     "style-src 'unsafe-inline'"), "SH401"),
    ("Content-Security-Policy", FULL.replace("img-src 'self'", "img-src http://i.example"),
     "SH401"),
    ("Content-Security-Policy", FULL + "; script-src-elem *", "SH401"),
    ("Content-Security-Policy", FULL + "; script-src-attr 'unsafe-inline'", "SH401"),
    # Of two directives of one name the first counts.
    ("Content-Security-Policy", "script-src *; " + FULL, "SH401"),
    ("Content-Security-Policy", "", "SH401"),
    ("Strict-Transport-Security", "max-age=0", "SH402"),
    ("Strict-Transport-Security", "includeSubDomains", "SH402"),
    ("Strict-Transport-Security", "max-age=86400; preload; includeSubDomains", "SH402"),
    ("Strict-Transport-Security", "max-age=31536000; preload", "SH402"),
    ("X-Frame-Options", "ALLOW-FROM https://x.example", "SH403"),
    ("X-Content-Type-Options", "sniff", "SH404"),
    ("Referrer-Policy", "unsafe-url", "SH405"),
    ("Referrer-Policy", "origin", "SH405"),
    ("Referrer-Policy", "never", "SH405"),
    ("Referrer-Policy", "", "SH405"),
    ("Cross-Origin-Opener-Policy", "unsafe-none", "SH406"),
    ("Cross-Origin-Embedder-Policy", "unsafe-none", "SH407"),
    ("Cross-Origin-Resource-Policy", "cross-origin", "SH408"),
    ("Permissions-Policy", "camera=*, geolocation=(), microphone=(), payment=(), usb=()", "SH409"),
    ("Permissions-Policy", "fullscreen=()", "SH409"),
    ("Reporting-Endpoints", "/x", "SH410"),
    ("Server", "nginx/1.2.3", "SH412"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "rule"), WEAK)
def test_weak_value_is_a_finding(name, value, rule):
    found = judged(name, value)
    assert (rule in found) if rule else set(found) <= {"SH401"}
    assert set(found) <= {rule, "SH401"}


@pytest.mark.parametrize("name", NINE)
def test_missing_header_of_a_page_is_a_finding(name):
    headers = [pair for pair in STRICT.items() if pair[0] != name]
    (finding,) = judge(headers, PAGE)
    assert finding.message == f"{name} is missing"
    assert finding.severity is finding.rule.severity
    assert finding.location.path == PAGE.url


def test_missing_header_of_data_weighs_less():
    found = list(judge([], DATA))
    assert {one.severity for one in found} == {Severity.INFO}
    assert len(found) == 4


def test_header_that_is_sent_twice_is_a_finding():
    headers = [*STRICT.items(), ("x-frame-options", "DENY")]
    assert [one.rule.id for one in judge(headers, PAGE)] == ["SH414"]


def test_page_with_a_nonce_that_may_be_stored_is_a_finding():
    headers = [*STRICT.items(), ("Cache-Control", "public")]
    assert [one.rule.id for one in judge(headers, NONCED)] == ["SH411"]
    assert [one.rule.id for one in judge(STRICT.items(), NONCED)] == ["SH411"]
    assert not list(judge([*STRICT.items(), ("cache-control", "private, no-store")], NONCED))


@pytest.mark.parametrize("name", BANNERS)
def test_banner_is_a_finding(name):
    assert judged(name.upper(), "x") == ["SH412"]


@given(st.lists(st.tuples(st.sampled_from([row.name for row in ROWS]), st.text(max_size=60))))
def test_any_value_is_judged_without_an_error(headers):
    for one in judge(headers, PAGE):
        assert one.message
        assert len(one.detail.get("value", "")) <= 200


def test_each_rule_is_one_that_is_judged_or_recorded():
    used = {row.rule.id for row in ROWS} | {"SH412", "SH413", "SH414"}
    assert {rule.id for rule in RULES} == used


# -- weaker


@pytest.mark.parametrize(
    ("key", "order"),
    [("frame", FRAME), ("referrer", REFERRER), ("opener", OPENER), ("embedder", EMBEDDER),
     ("resource", RESOURCE)],
)  # fmt: skip
def test_words_are_ordered_from_the_strictest(key, order):
    for at, base in enumerate(order):
        for other, word in enumerate(order):
            new = dataclasses.replace(Web(), **{key: word})
            was = dataclasses.replace(Web(), **{key: base})
            rows = {row.rule.id for row, _ in weaker(new, was)}
            assert bool(rows) == (other > at), (word, base)


def test_nothing_is_weaker_than_itself():
    assert list(weaker(Web(), Web())) == []


@pytest.mark.parametrize(
    ("new", "base", "expected"),
    [
        ("img-src 'self'", "default-src 'self'", ["default-src"]),
        ("default-src 'none'", "default-src 'self'", []),
        ("", "default-src 'none'", ["default-src"]),
        ("img-src *", "default-src 'none'; img-src 'self'", ["default-src", "img-src"]),
        ("default-src 'none'; frame-src x", "default-src 'none'", ["frame-src"]),
        ("default-src 'none'; child-src x", "default-src 'none'", ["child-src"]),
        ("base-uri 'self'", "base-uri 'none'", ["base-uri"]),
        ("", "require-trusted-types-for 'script'", ["require-trusted-types-for"]),
        ("require-trusted-types-for 'script'", "", []),
        ("sandbox", "sandbox", []),
        ("sandbox allow-scripts", "sandbox", ["sandbox"]),
        ("", "sandbox", ["sandbox"]),
        ("script-src 'NONE'", "script-src 'none'", []),
        ("script-src 'report-sample'", "script-src 'none'", []),
        ("trusted-types *", "trusted-types a", ["trusted-types"]),
    ],
)
def test_directives_are_weaker_when_they_allow_more(new, base, expected):
    assert csp.weaker(csp.parse(new), csp.parse(base)) == expected


def test_policy_without_a_nonce_lets_no_script_run():
    policy = csp.without_nonce(csp.STRICT)
    assert policy["script-src"] == ("'none'",)
    assert policy["style-src"] == ("'self'",)
