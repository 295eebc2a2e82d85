from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

import safehold
from safehold.errors import ConfigError
from safehold.web import SecurityHeaders
from safehold.web.exchange import KEY, Exchange, exchange_of, nonce
from safehold.web.wsgi import SecurityHeaders as OverWSGI
from tests.web.driving import call, get, wget

REQUESTS, AT_ONCE = 10_000, 64


async def streaming(scope, receive, send):
    """A page in pieces, whose nonce is asked for late and twice, with others in between."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(2):
        await asyncio.sleep(0)
        piece = f"<script nonce={nonce(scope)}>".encode()
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def test_ten_thousand_pages_at_once_have_their_own_nonce_in_header_and_body(hold):
    app = SecurityHeaders(streaming, hold)

    async def all_of_them():
        places = asyncio.Semaphore(AT_ONCE)

        async def one():
            async with places:
                return await call(app)

        return await asyncio.gather(*(one() for _ in range(REQUESTS)))

    seen = [(sent.nonce, sent.body) for sent in asyncio.run(all_of_them())]
    assert len({value for value, _ in seen}) == REQUESTS
    assert all(len(value) == 32 for value, _ in seen)
    assert all(body == f"<script nonce={value}>".encode() * 2 for value, body in seen)


@pytest.mark.extras
def test_threads_and_templates_of_fastapi_do_not_share_nonces(hold):
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse, StreamingResponse
    from jinja2 import Environment

    from safehold.web import install
    from safehold.web.templates import jinja

    app = FastAPI()
    environment = Environment(autoescape=True)
    jinja(environment)
    template = environment.from_string("<script nonce={{ csp_nonce() }}>" * 2)

    def thread(request):  # which runs in a pool
        return HTMLResponse(template.render(request=request))

    def stream(request):
        return StreamingResponse(template.generate(request=request), media_type="text/html")

    app.add_route("/thread", thread)
    app.add_route("/stream", stream)
    install(app, hold)

    async def all_of_them():
        places = asyncio.Semaphore(AT_ONCE)

        async def one(number):
            async with places:
                return await call(app, ("/thread", "/stream")[number % 2])

        return await asyncio.gather(*map(one, range(2000)))

    seen = asyncio.run(all_of_them())
    assert len({sent.nonce for sent in seen}) == 2000
    assert all(sent.body == f"<script nonce={sent.nonce}>".encode() * 2 for sent in seen)


def test_threads_of_a_wsgi_server_do_not_share_nonces(hold):
    def app(environ, start_response):
        def body():
            for _ in range(2):
                if random.random() < 0.1:
                    pool.submit(int)  # lets another thread run
                yield f"<script nonce={nonce(environ)}>".encode()

        start_response("200 OK", [("Content-Type", "text/html")])
        return body()

    hardened = OverWSGI(app, hold)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(pool.map(lambda _: wget(hardened), range(2000)))
    assert len({sent.nonce for sent in seen}) == 2000
    assert all(sent.body == f"<script nonce={sent.nonce}>".encode() * 2 for sent in seen)


def test_two_threads_of_one_request_get_the_same_nonce():
    with ThreadPoolExecutor(16) as pool:
        for _ in range(200):
            exchange = Exchange()
            assert len(set(pool.map(lambda _, one=exchange: one.nonce, range(16)))) == 1


def test_request_that_did_not_come_through_is_told_so():
    for request in ({}, {KEY: "forged"}, None, object()):
        with pytest.raises(ConfigError, match="install"):
            nonce(request)


def test_exchange_is_found_in_what_frameworks_call_a_request():
    exchange = Exchange()
    for name in ("scope", "environ", "META"):
        request = type("Request", (), {name: {KEY: exchange}})()
        assert exchange_of(request) is exchange


def html(*more, ask=False, length=True):
    async def app(scope, receive, send):
        body = f"<p>{nonce(scope) if ask else ''}".encode()
        headers = [(b"content-type", b"text/html"), *more]
        if length:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def test_page_that_never_asked_for_a_nonce_can_be_kept_and_runs_no_script(hold):
    sent = get(SecurityHeaders(html((b"cache-control", b"public, max-age=60")), hold))
    sent.assert_nine()
    assert "script-src 'none'" in sent.one("Content-Security-Policy")
    assert "nonce" not in sent.one("Content-Security-Policy")
    assert sent.all("Cache-Control") == ["public, max-age=60"]


def test_page_of_unknown_length_may_still_ask_and_is_not_kept(hold):
    sent = get(SecurityHeaders(html((b"cache-control", b"public"), length=False), hold))
    assert sent.nonce
    assert sent.all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("kind", [b"TEXT/HTML", b" text/html;charset=x", b"application/xhtml+xml"])
def test_every_spelling_of_a_page_is_one(hold, kind):
    async def app(scope, receive, send):
        headers = [(b"Content-TYPE", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    assert get(SecurityHeaders(app, hold)).nonce


def test_page_of_a_redirect_may_load_nothing(hold):
    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/html"), (b"location", b"/")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body"})

    sent = get(SecurityHeaders(app, hold))
    assert sent.one("Content-Security-Policy").startswith("default-src 'none'; base-uri 'none'")


def test_page_that_is_still_the_same_keeps_the_policy_that_it_was_stored_with(hold):
    async def unchanged(scope, receive, send):
        await send({"type": "http.response.start", "status": 304, "headers": []})
        await send({"type": "http.response.body"})

    first, again = get(SecurityHeaders(html(), hold)), get(SecurityHeaders(unchanged, hold))
    again.assert_nine()
    assert again.one("Content-Security-Policy") == first.one("Content-Security-Policy")


def test_no_module_holds_a_nonce(hold):
    """The nonce of a request cannot be had without the request."""
    found = []

    async def app(scope, receive, send):
        found.append(nonce(scope))
        await html(ask=True)(scope, receive, send)

    get(SecurityHeaders(app, hold))
    for module in (safehold.web, safehold.web.exchange, safehold.web.site, safehold.web.asgi):
        assert found[0] not in repr(vars(module))
