from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.errors import DecodeError
from safehold.events import Recorder
from safehold.web import reports
from safehold.web.refusals import Rate
from safehold.web.reports import Reports, address, is_report, parse
from tests.holding import Events

pytestmark = pytest.mark.bare

OLD, NEW = "application/csp-report", "application/reports+json"


def old(**changes):
    body = {"document-uri": "https://a.example/p?q=secret#x", "violated-directive":
            "script-src-elem 'nonce-a'", "effective-directive": "script-src-elem",
            "blocked-uri": "https://evil.example/x.js?id=secret", "disposition": "enforce",
            "source-file": "https://u:secret@a.example/p", "line-number": 7,
            "script-sample": "secret", "original-policy": "secret"}  # fmt: skip
    return {"csp-report": {**body, **{k.replace("_", "-"): v for k, v in changes.items()}}}


def new(kind="csp-violation", **changes):
    body = {"documentURL": "https://a.example/p?q=secret", "effectiveDirective": "script-src-elem",
            "blockedURL": "inline", "disposition": "report", "sample": "secret",
            "sourceFile": "https://a.example/p", "lineNumber": 7, "statusCode": 200}  # fmt: skip
    return {"type": kind, "age": 1, "url": "https://a.example/p", "user_agent": "secret",
            "body": {**body, **changes}}  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def take(events, clock):
    reports = Reports(Recorder(events), Rate(30, 10, clock), clock)

    def took(data, kind=NEW, peer="p"):
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return reports.take(kind, body, peer)

    return took


def test_both_forms_tell_the_same(take, events):
    assert take(old(), OLD) == 204
    assert take([new()]) == 204
    first, second = (event.detail for event in events.rows)
    assert first == {
        "directive": "script-src-elem", "blocked": "https://evil.example/x.js",
        "document": "https://a.example/p", "source": "https://a.example/p", "line": 7,
        "disposition": "enforce",
    }  # fmt: skip
    assert second == {**first, "blocked": "inline", "disposition": "report"}
    assert "secret" not in repr(events.rows)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", OLD), (b"{", OLD), (b"[]", OLD), (b"null", OLD), ({"csp-report": []}, OLD),
        ({"csp-report": None}, OLD), (old(), NEW), ([], NEW), ([1], NEW), ([{}], NEW),
        ([{"type": 1, "body": {}}], NEW), ([{"type": "csp-violation"}], NEW),
        ([new(), {"type": "coep", "body": 1}], NEW), ([new()] * 21, NEW), ([new()], OLD),
        (old(), "application/json"), (b"\xff\xfe[\0]\0", NEW), (b"[" * 60_000, NEW),
        (b'[{"type":"csp-violation","body":{"a":' + b"[" * 9 + b"]" * 9 + b"}}]", NEW),
        (b" " * 65_537, NEW), (b'{"csp-report": {"a": "\xff"}}', OLD),
    ],
)  # fmt: skip
def test_malformed_is_400_and_no_event(take, events, data, kind):
    assert take(data, kind) == 400
    assert events.rows == []


@pytest.mark.parametrize("kind", ["deprecation", "intervention", "crash", "network-error", "x"])
def test_does_nothing_with_reports_of_other_kinds(take, events, kind):
    assert take([new(kind)]) == 204
    assert events.rows == []


@pytest.mark.parametrize(
    "place", ["chrome-extension", "moz-extension://x/y.js", "safari-web-extension://a"]
)
def test_does_nothing_with_what_an_extension_of_the_browser_did(take, events, place):
    assert take([new(blockedURL=place), new(sourceFile=place)]) == 204
    assert events.rows == []


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("inline", "inline"), ("eval", "eval"), ("https://a/b?c=d#e", "https://a/b"),
        ("https://u:p@a:8443/b", "https://a:8443/b"), ("data:text/html,secret", "data:"),
        ("blob:https://a/secret", "blob:"), ("javascript:alert(1)", "javascript:"),
        ("alert(1)", ""), ("", ""), (None, ""), (7, ""), ({}, ""), ("https://[::1", ""),
        ("https://a/\u202e", "https:"), ("https://a/\nb c", "https:"), ("//a/b", ""),
        ("https://a/" + "b" * 9000, "https://a/" + "b" * 190),
    ],
)  # fmt: skip
def test_what_is_kept_of_an_address(value, kept):
    assert address(value) == kept


def test_the_same_is_told_once_in_an_hour_and_then_how_often(take, events, clock):
    for _ in range(50):
        assert take([new()]) == 204
    assert len(events.rows) == 1
    clock.now = 3601
    assert take([new()]) == 204
    assert [event.detail.get("again") for event in events.rows] == [None, 49]


def test_one_peer_is_told_few_times_in_a_minute_and_all_of_them_some_more(take, events, clock):
    def different(start, count, peer):
        return [take([new(blockedURL=f"https://{n}")], peer=peer)
                for n in range(start, start + count)]  # fmt: skip

    assert different(0, 12, "p") == [204] * 10 + [429] * 2
    assert different(100, 12, "q")[-1] == 429
    assert different(200, 10, "r") == [204] * 10
    assert different(300, 1, "s") == [429]
    assert len(events.rows) == 30
    clock.now = 61
    assert different(400, 1, "p") == [204]
    assert sum(event.detail.get("unrecorded", 0) for event in events.rows) == 5


def test_one_body_makes_few_events(take, events):
    body = [new(blockedURL=f"https://{n}") for n in range(20)]
    assert take(body) == 429
    assert len(events.rows) == 10


def test_a_report_that_the_trail_does_not_take_is_told_again(take, events):
    events.broken = True
    assert take([new()]) == 503
    events.broken = False
    assert take([new()]) == 204
    assert len(events.rows) == 1


def test_memory_is_bounded(events, clock):
    reports = Reports(Recorder(events), Rate(10**6, 10**6, clock), clock)
    for number in range(3000):
        reports.take(NEW, json.dumps([new(blockedURL=f"https://{number}")]).encode(), str(number))
    assert len(reports._known) == 1024
    rate = Rate(10**6, 2, clock)
    for number in range(3000):
        rate.takes(str(number))
    assert len(rate._peers) <= 1025


def test_what_is_too_much_makes_nothing_forgotten_that_was_told(take, events, monkeypatch):
    monkeypatch.setattr(reports, "_MOST_KNOWN", 10)  # as many as one peer is told
    assert take([new()]) == 204
    for number in range(2000):
        take([new(blockedURL=f"https://{number}")])
    told = len(events.rows)
    assert take([new()], peer="another") == 204
    assert len(events.rows) == told


def test_type_is_read_without_its_parameters():
    assert is_report("Application/CSP-Report; charset=utf-8")
    assert not is_report("application/json")


rows = st.dictionaries(
    st.sampled_from(["documentURL", "blockedURL", "effectiveDirective", "lineNumber", "type"]),
    st.none() | st.text() | st.integers() | st.lists(st.none()),
)


@given(kind=st.sampled_from([OLD, NEW, "x"]), body=st.binary(max_size=60), row=rows)
def test_any_body_is_read_or_refused(kind, body, row):
    whole = [{"type": "csp-violation", "body": row, "url": 1}] if kind == NEW else {"csp-report":
                                                                                   row}  # fmt: skip
    for data in (body, json.dumps(whole).encode()):
        try:
            for violation in parse(kind, data):
                assert all(len(str(value)) < 250 for value in violation.key)
        except DecodeError:
            pass
