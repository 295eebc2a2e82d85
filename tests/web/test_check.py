"""`safehold check --url`, on servers of this machine."""

from __future__ import annotations

import json
import socket

import pytest

from safehold._cli import main
from safehold.web import nonce, wsgi
from safehold.web.fetching import Fetcher, Page
from tests.web.serving import certificate, serving

pytestmark = pytest.mark.bare

HTML = [("Content-Type", "text/html; charset=utf-8")]


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def check(tls, capsys):
    """Return a function that runs the verb and returns its code and what it printed."""

    def run(*urls, **options):
        words = [word for url in urls for word in ("--url", url)]
        words += ["--ca", str(options.pop("ca", tls.path))]
        words += [word for key, value in options.items() for word in (f"--{key}", str(value))]
        code = main(["check", *words])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def found(check):
    """Return a function that returns what is found, as pairs of rule and message."""

    def run(*urls, **options):
        _, out = check(*urls, format="json", **options)
        files = json.loads(out)["files"]
        return {(one["rule"], one["message"]) for file in files for one in file["findings"]}

    return run


def page(body="<p>text", headers=(), status="200 OK"):
    def app(environ, start_response):
        start_response(status, [*HTML, *headers])
        return [body.encode()]

    return app


def nonced(environ, start_response):
    start_response("200 OK", [*HTML, ("Set-Cookie", "sid=1; Path=/")])
    return [f"<script nonce={nonce(environ)}>1</script><a href=/x#y>x</a>".encode()]


def to(url, status="308 Permanent Redirect"):
    def app(environ, start_response):
        start_response(status, [("Location", url + environ["PATH_INFO"])])
        return []

    return app


def test_does_nothing_but_praise_a_hardened_site(check, hold, tls):
    with serving(wsgi.SecurityHeaders(nonced, hold), tls) as url:
        code, out = check(url)
        assert (code, out.splitlines()[-1]) == (0, "grade: A+")
        redirect = wsgi.SecurityHeaders(to(url), hold)
        with serving(redirect) as plain:
            assert check(plain)[0] == 0


def test_a_bare_site_is_explained(check, tls):
    with serving(page(), tls) as url:
        code, out = check(url)
    assert code == 1
    for rule in ("SH401", "SH402", "SH403", "SH404", "SH405", "SH406", "SH407", "SH408", "SH409"):
        assert f"{rule} " in out
    assert "Content-Security-Policy is missing" in out
    assert "  why: " in out
    assert "  remedy: " in out
    assert out.splitlines()[-1] == "grade: C"


@pytest.mark.parametrize("form", ["json", "sarif", "html"])
def test_other_formats_hold_the_findings(check, tls, form, tmp_path):
    with serving(page(), tls) as url:
        code, out = check(url, format=form)
        assert code == 1
        assert "SH401" in out
        assert check(url, format=form, output=tmp_path / "out")[0] == 1
    # No other page of that address is there, so both are of the same bytes.
    assert (tmp_path / "out").read_text("utf-8") == out


def test_a_certificate_of_nobody_is_found_and_the_page_judged(found, hold, tls, tmp_path):
    with serving(wsgi.SecurityHeaders(nonced, hold), tls) as url:
        ((rule, message),) = found(url, ca=certificate(tmp_path).path)
    assert rule == "SH427"
    assert "does not verify" in message


def test_a_certificate_of_another_name_is_found(found, hold, tmp_path):
    other = certificate(tmp_path, "other.example")
    with serving(wsgi.SecurityHeaders(nonced, hold), other) as url:
        ((rule, message),) = found(url, ca=other.path)
    assert rule == "SH427"
    assert "localhost" in message


def test_a_site_over_http_is_found(found, hold):
    with serving(wsgi.SecurityHeaders(nonced, hold)) as url:
        rules = {rule for rule, _ in found(url)}
        assert rules == {"SH422", "SH425"}  # Secure is of no use there, either


def test_a_redirect_back_to_http_is_found(found, hold, tls):
    with (
        serving(wsgi.SecurityHeaders(page(), hold)) as plain,
        serving(wsgi.SecurityHeaders(to(plain), hold), tls) as url,
    ):
        assert ("SH422", "a redirect leads from HTTPS to HTTP") in found(url)


def test_a_redirect_is_judged_too(found, hold, tls):
    with (
        serving(wsgi.SecurityHeaders(page(), hold), tls) as url,
        serving(to(url), tls) as bare,
    ):
        assert ("SH402", "Strict-Transport-Security is missing") in found(bare)


def test_cookies_are_judged(found, tls):
    with serving(page(headers=[("Set-Cookie", "sid=1")]), tls) as url:
        said = {message for rule, message in found(url) if rule == "SH425"}
    assert len(said) == 3


def test_mixed_content_is_found(found, tls):
    body = """<script src="http://a.example/x.js"></script><form action=" HTTP://a.example/"></form>
    <a href="http://a.example/"></a><img src="//a.example/x"><link rel=canonical
    href="http://a.example/"><link rel=stylesheet href="http://a.example/c.css">"""
    with serving(page(body), tls) as url:
        said = {message for rule, message in found(url) if rule == "SH428"}
    assert said == {
        "<script> of the page names http://a.example/x.js",
        "<form> of the page names HTTP://a.example/",
        "<link> of the page names http://a.example/c.css",
    }


def test_a_nonce_that_is_used_again_is_found(found, tls):
    policy = f"script-src 'nonce-{'a' * 22}' 'strict-dynamic'; object-src 'none'; base-uri 'none'"
    with serving(page(headers=[("Content-Security-Policy", policy)]), tls) as url:
        said = found(url)
    assert ("SH401", "Content-Security-Policy: two answers have the same nonce") in said


def test_pages_that_are_linked_are_judged(check, tls):
    links = "".join(f'<a href="/{n}?q">x</a><a href="/{n}?q#there">y</a>' for n in range(9))
    body = links + '<a href="https://elsewhere.example/">z</a><a href="http://[">z</a>'
    with serving(page(body), tls) as url:
        code, out = check(url, format="json", pages=4)
    assert [file["path"] for file in json.loads(out)["files"]] == [
        url, f"{url}/0?q", f"{url}/1?q", f"{url}/2?q",
    ]  # fmt: skip
    assert code == 1


def test_endless_redirects_are_an_error_after_a_few(check, tls):
    asked = []

    def app(environ, start_response):
        asked.append(environ["PATH_INFO"])
        return to("/a")(environ, start_response)

    with serving(app, tls) as url:
        code, out = check(url)
    assert code == 2
    assert "more than 10 redirects" in out
    assert out.splitlines()[-1] == "grade: -"
    assert len(asked) == 11


def test_a_redirect_to_what_is_no_url_is_told(monkeypatch):
    page = Page("https://a.example/", 302, (("location", "http://["),))
    monkeypatch.setattr(Fetcher, "once", lambda *_: page)
    found = Fetcher().fetch("https://a.example/")
    assert "ValueError" in found.problem
    assert found.hops == (page,)


def test_what_cannot_be_fetched_is_an_error(check):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, out = check(f"https://localhost:{port}")
    assert code == 2
    assert "SH429" in out
    for url in ("ftp://localhost/", "localhost", "http://", "https://localhost:x/", "http://[::1"):
        assert check(url)[0] == 2, url


def test_hostile_answers_do_not_act_on_who_reads_them(check, tls):
    headers = [("Server", "x\x1b[31m"), ("X-Powered-By", "<script>alert(1)</script>")]
    with serving(page("<a href='\x1b]0;x\x07'>", headers), tls) as url:
        assert "\x1b" not in check(url)[1]
        assert "<script>alert" not in check(url, format="html")[1]


def test_options_that_are_wrong_are_refused(check, tmp_path):
    assert check("https://localhost:1", ca=tmp_path / "none")[0] == 2
    for number in ("0", "x", "1001"):
        with pytest.raises(SystemExit):
            check("https://localhost:1", pages=number)
