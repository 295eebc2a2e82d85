from __future__ import annotations

import re
from dataclasses import replace

import pytest

from safehold.errors import ConfigError
from safehold.policy.web import Web
from safehold.web import SecurityHeaders, nonce, sends
from tests.holding import make_world
from tests.web.driving import get


def served(world, route, web=None):
    """Return an application whose router says that `route` answers."""

    async def app(scope, receive, send):
        scope["endpoint"] = route
        await route(scope, receive, send)

    return SecurityHeaders(app, world.hold if web is None else world.again(web=web).hold)


async def page(scope, receive, send):
    body = nonce(scope).encode()
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def decorated(**changes):
    async def route(scope, receive, send):
        await page(scope, receive, send)

    return sends(**changes)(route)


def test_route_without_a_mark_sends_what_the_policy_says(world):
    assert get(served(world, page)).one("X-Frame-Options") == "DENY"
    assert world.events.rows == []


@pytest.mark.parametrize(
    ("changes", "header", "part"),
    [
        ({"referrer": "no-referrer"}, "Referrer-Policy", "no-referrer"),
        ({"csp": {"connect-src": []}}, "Content-Security-Policy", "; connect-src 'none';"),
        ({"csp": {"img-src": ["'self'"]}}, "Content-Security-Policy", "; img-src 'self';"),
        (
            {"trusted_types": True}, "Content-Security-Policy",
            "; require-trusted-types-for 'script'",
        ),
        ({"csp": {"sandbox": ["allow-scripts"]}}, "Content-Security-Policy", "; sandbox allow-sc"),
        ({"hsts": 10 * 365 * 86400}, "Strict-Transport-Security", "max-age=315360000;"),
    ],
)  # fmt: skip
def test_tightening_needs_no_reason(world, changes, header, part):
    sent = get(served(world, decorated(**changes)))
    sent.assert_nine()
    assert part in sent.one(header)
    assert world.events.rows == []


LOOSER = [
    ({"frame": "SAMEORIGIN"}, "X-Frame-Options", "SAMEORIGIN"),
    ({"referrer": "unsafe-url"}, "Referrer-Policy", "unsafe-url"),
    ({"opener": "unsafe-none"}, "Cross-Origin-Opener-Policy", "unsafe-none"),
    ({"embedder": "credentialless"}, "Cross-Origin-Embedder-Policy", "credentialless"),
    ({"resource": "cross-origin"}, "Cross-Origin-Resource-Policy", "cross-origin"),
    ({"permissions": ["camera"]}, "Permissions-Policy", "camera=(self)"),
    ({"hsts": 60}, "Strict-Transport-Security", "max-age=60;"),
    ({"preload": False}, "Strict-Transport-Security", "includeSubDomains"),
    ({"csp": {"img-src": ["*"]}}, "Content-Security-Policy", "img-src *"),
    ({"csp": {"connect-src": ["'self'", "https://api.example"]}}, "Content-Security-Policy",
     "connect-src 'self' https://api.example"),
    ({"csp": {"script-src": ["'unsafe-inline'"]}}, "Content-Security-Policy", "'unsafe-inline'"),
    ({"csp": {"script-src-elem": ["*"]}}, "Content-Security-Policy", "script-src-elem *"),
    ({"csp": {"frame-src": ["https://maps.example"]}}, "Content-Security-Policy", "frame-src"),
    ({"scripts": ["sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]},
     "Content-Security-Policy", "'sha256-47DEQ"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "header", "part"), LOOSER)
def test_loosening_without_a_reason_is_refused_where_it_stands(changes, header, part):
    with pytest.raises(ConfigError, match=re.escape(header)):
        decorated(**changes)


@pytest.mark.parametrize(("changes", "header", "part"), LOOSER)
def test_loosening_with_a_reason_is_sent_and_recorded_once(world, changes, header, part):
    app = served(world, decorated(**changes, allow_unsafe="a partner"))
    for _ in range(3):
        sent = get(app)
        sent.assert_nine()
        assert part in sent.one(header)
    events = [event for event in world.events.rows if event.detail["header"] == header]
    assert len(events) == 1
    (event,) = events
    assert (event.action, event.outcome, event.rule) == ("web.loosen", "allowed", "SH413")
    assert (event.reason, event.caller) == ("a partner", f"{__name__}.decorated.<locals>.route")
    findings = [one for one in app._site.findings if one.detail["header"] == header]
    assert [one.rule.id for one in findings] == ["SH413"]


def test_loosening_that_cannot_be_recorded_is_not_sent(world):
    world.events.broken = True
    sent = get(served(world, decorated(frame="SAMEORIGIN", allow_unsafe="a partner")))
    assert sent.status == 500
    sent.assert_nine()
    assert sent.one("X-Frame-Options") == "DENY"


def test_route_weaker_than_a_stricter_policy_needs_the_reason_too(tmp_path):
    world = make_world(tmp_path, web=Web(referrer="no-referrer"))
    route = decorated(referrer="same-origin")
    sent = get(served(world, route))
    assert sent.status == 500
    assert isinstance(sent.raised, ConfigError)
    assert sent.one("Referrer-Policy") == "no-referrer"


def test_policy_weaker_than_the_default_needs_a_reason(tmp_path):
    world = make_world(tmp_path, web=Web(frame="SAMEORIGIN"))
    with pytest.raises(ConfigError, match=r"\[web\] would be weaker in Content-Security-Policy"):
        SecurityHeaders(page, world.hold)
    world = make_world(tmp_path, web=replace(Web(frame="SAMEORIGIN"), allow_unsafe="an old page"))
    app = SecurityHeaders(page, world.hold)
    assert get(app).one("X-Frame-Options") == "SAMEORIGIN"
    assert {event.reason for event in world.events.rows} == {"an old page"}


def test_policy_with_a_second_one_that_is_only_reported(tmp_path):
    web = Web(report_only=(("require-trusted-types-for", ("'script'",)), ("img-src", ())))
    sent = get(SecurityHeaders(page, make_world(tmp_path, web=web).hold))
    sent.assert_nine()
    both = [sent.one(f"Content-Security-Policy{more}") for more in ("", "-Report-Only")]
    assert [value.count(f"'nonce-{sent.nonce}'") for value in both] == [2, 2]
    assert "require-trusted-types-for" not in both[0]
    assert "require-trusted-types-for 'script'" in both[1]
    assert "img-src 'none'" in both[1]


def test_route_without_a_nonce_can_be_kept(world):
    sent = get(served(world, decorated(nonce=False)))
    assert "script-src 'none'" in sent.one("Content-Security-Policy")
    assert not sent.all("Cache-Control")


def test_hashes_without_a_nonce_keep_strict_dynamic(tmp_path):
    digest = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    world = make_world(tmp_path, web=Web(scripts=(digest,), allow_unsafe="a static page"))
    policy = get(served(world, decorated(nonce=False))).one("Content-Security-Policy")
    assert f"script-src '{digest}' 'strict-dynamic';" in policy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": "DENY"}, "cannot send 'frames'"),
        ({"report": "/x"}, "cannot send 'report'"),
        ({"frame": "ALLOW"}, "frame must be one of"),
        ({"csp": {"img-src": ["a\r\nX: y"]}}, "csp must give img-src sources"),
        ({"csp": {"img": ["a"]}}, "csp has no directive"),
    ],
)
def test_change_that_is_no_header_is_refused(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        decorated(**changes, allow_unsafe="why not")


def test_mark_that_is_not_ours_is_nothing(world):
    async def route(scope, receive, send):
        await page(scope, receive, send)

    route.__safehold_web__ = {"frame": "SAMEORIGIN"}
    assert get(served(world, route)).one("X-Frame-Options") == "DENY"


def test_route_that_takes_no_mark_is_told_where_to_put_it():
    with pytest.raises(ConfigError, match=re.escape("below the decorator")):
        sends(referrer="no-referrer")(object())
