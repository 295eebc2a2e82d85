"""What a browser does under the headers: what is meant runs, what is injected does not."""

from __future__ import annotations

import time

import pytest

from safehold.web import nonce, wsgi
from tests.holding import make_world
from tests.web.chromium import PROGRAM, chromium
from tests.web.serving import certificate, serving

needs_chromium = pytest.mark.skipif(not PROGRAM, reason="chromium is not installed")
pytestmark = [pytest.mark.bare, needs_chromium]

# What a page says itself, and what somebody has put into it. Each part says that it ran.
PAGE = """<!doctype html><html><head><title>t</title>
<script nonce="{nonce}">window.ran = []; window.hit = name => window.ran.push(name);
hit("nonced");</script>
<base href="{other}/">
<script>hit("bare")</script>
<script nonce="wrong-wrong-wrong-wrong">hit("wrong nonce")</script>
<script nonce="">hit("empty nonce")</script>
<script src="{other}/foreign.js"></script>
<script src="/own.js"></script>
<script src="data:text/javascript,hit('data')"></script>
</head><body onload="hit('onload')">
<img src="/none.png" onerror="hit('onerror')">
<svg onload="hit('svg')"></svg>
<a id="link" href="javascript:hit('javascript')">x</a>
<iframe srcdoc="<script>parent.hit('srcdoc')</script>"></iframe>
<iframe src="javascript:parent.hit('frame')"></iframe>
<div id="sink"></div>
<form id="form" method="post" action="{other}/stolen"><input name="a" value="b"></form>
<script nonce="{nonce}" src="based.js"></script>
<script nonce="{nonce}">
for (const [name, run] of Object.entries({{
  eval: () => eval("hit('eval')"),
  function: () => new Function("hit('Function')")(),
  timeout: () => setTimeout("hit('setTimeout')", 0),
}})) try {{ run(); }} catch (error) {{ hit("caught " + name); }}
document.getElementById("sink").innerHTML =
  "<img src=/none.png onerror=hit('innerHTML')><script>hit('innerHTML script')<" + "/script>";
document.getElementById("link").click();
document.write("<script src='{own}/written.js'><" + "/script>");
const made = document.createElement("script");
made.src = "{own}/made.js";
made.onload = () => hit("loaded");
document.head.append(made);
</script></body></html>"""
# What runs: scripts that have the nonce, and one that such a script made ('strict-dynamic').
MEANT = {"nonced", "made", "loaded"}
INJECTED = {
    "bare", "wrong nonce", "empty nonce", "foreign", "own", "data", "onload", "onerror", "svg",
    "javascript", "srcdoc", "frame", "eval", "Function", "setTimeout", "innerHTML", "written",
}  # fmt: skip


class Site:
    """The page, and scripts of its own that say that they ran; `asked` has the paths."""

    def __init__(self, other, *, with_nonce):
        self.asked = []
        self.other, self.with_nonce = other, with_nonce

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        self.asked.append((environ["REQUEST_METHOD"], path))
        if path.endswith(".js"):
            kind, body = "text/javascript", f"hit('{path[1:-3]}')"
        elif path == "/":
            own = f"https://{environ['HTTP_HOST']}"
            given = nonce(environ) if self.with_nonce else "none"
            kind, body = "text/html", PAGE.format(nonce=given, other=self.other, own=own)
        else:
            kind, body = "text/html", "there"
        start_response("200 OK" if path != "/none.png" else "404 Not Found",
                       [("Content-Type", f"{kind}; charset=utf-8")])  # fmt: skip
        return [body.encode()]


def waited(condition):
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory, tls):
    with chromium(tmp_path_factory.mktemp("browser"), tls) as browser:
        yield browser


def ran(browser, url):
    browser.open(url)
    browser.wait("ran.includes('loaded')")
    browser.ask("new Promise(done => setTimeout(done, 300))")
    return set(browser.ask("ran"))


def test_without_headers_everything_runs_that_the_next_test_forbids(browser, tls):
    with (
        serving(Site("", with_nonce=False), tls) as other,
        serving(site := Site(other, with_nonce=False), tls) as url,
    ):
        assert ran(browser, url) >= MEANT | INJECTED
        browser.ask("document.getElementById('form').submit()")
        browser.wait("location.pathname === '/stolen'")
        assert ("GET", "/based.js") not in site.asked


def test_what_is_meant_runs_and_nothing_else(browser, tls, tmp_path):
    world = make_world(tmp_path)
    thief = Site("", with_nonce=False)
    with serving(thief, tls) as other:
        site = Site(other, with_nonce=True)
        with serving(wsgi.SecurityHeaders(site, world.hold), tls) as url:
            found = ran(browser, url)
            assert found & INJECTED == set()
            # The base is not taken, so what follows it is the site's own.
            assert found == MEANT | {"based", "caught eval", "caught function"}
            browser.ask("document.getElementById('form').submit()")
            browser.ask("new Promise(done => setTimeout(done, 300))")
            assert browser.ask("location.pathname") == "/"
            told = {"script-src-elem", "script-src-attr", "base-uri", "form-action", "script-src"}
            waited(lambda: told <= {
                event.detail.get("directive") for event in world.events.rows
            })  # fmt: skip
    assert thief.asked == []
    assert ("GET", "/based.js") in site.asked
    for event in world.events.rows:
        assert (event.action, event.rule) == ("report", "SH426")
        assert event.detail["document"] == f"{url}/"
    world.hold.close()
