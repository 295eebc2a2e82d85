from __future__ import annotations

import sys
from wsgiref.util import FileWrapper

import pytest

from safehold.web.exchange import nonce
from safehold.web.wsgi import SecurityHeaders
from tests.web.driving import environ_of, wget

TEXT = [("Content-Type", "text/plain")]


def test_does_nothing_to_status_headers_and_body(hold):
    def app(environ, start_response):
        start_response("201 Made", [*TEXT, ("X-Own", "1"), ("Set-Cookie", "a=b")])
        return [b"one", b"two"]

    sent = wget(SecurityHeaders(app, hold))
    assert (sent.status, sent.body) == (201, b"onetwo")
    assert sent.headers[:2] == [*TEXT, ("X-Own", "1")]


def test_does_nothing_to_a_file_that_the_server_sends_by_itself(hold, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    seen = []
    environ = {**environ_of(), "wsgi.file_wrapper": FileWrapper}

    def server(environ, start_response):
        body = SecurityHeaders(app, hold)(environ, start_response)
        seen.append(type(body))
        return body

    assert wget(server, environ=environ).body == b"content"
    assert seen == [FileWrapper]


def test_second_start_takes_the_place_of_the_first(hold):
    def app(environ, start_response):
        start_response("200 OK", [*TEXT, ("Content-Security-Policy", "default-src *")])
        try:
            raise KeyError
        except KeyError:
            page = f"<script nonce={nonce(environ)}>".encode()
            start_response("503 Broken", [("Content-Type", "text/html")], sys.exc_info())
        return [page]

    sent = wget(SecurityHeaders(app, hold))
    assert sent.status == 503
    sent.assert_nine()
    assert sent.body == f"<script nonce={sent.nonce}>".encode()


@pytest.mark.parametrize("start", [True, False])
def test_error_before_the_first_byte_is_a_plain_500(hold, start):
    def app(environ, start_response):
        if start:
            start_response("200 OK", TEXT)
        message = "secret of the program"
        raise RuntimeError(message)

    environ = environ_of()
    sent = wget(SecurityHeaders(app, hold), environ=environ)
    assert (sent.status, sent.body, sent.raised) == (500, b"Internal Server Error", None)
    sent.assert_nine()
    assert "RuntimeError: secret of the program" in environ["wsgi.errors"].getvalue()


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("empty", [0, 2])
def test_error_of_a_generator_before_its_first_byte_is_a_plain_500(hold, start, empty):
    def app(environ, start_response):
        if start or empty:
            start_response("200 OK", TEXT)
        yield from [b""] * empty
        raise RuntimeError

    sent = wget(SecurityHeaders(app, hold))
    assert (sent.status, sent.body, sent.raised) == (500, b"Internal Server Error", None)
    sent.assert_nine()


def test_error_after_the_first_byte_goes_to_the_server_which_ends_the_connection(hold):
    def app(environ, start_response):
        start_response("200 OK", TEXT)
        yield b"half"
        raise RuntimeError

    sent = wget(SecurityHeaders(app, hold))
    assert (sent.status, sent.body) == (200, b"half")
    assert isinstance(sent.raised, RuntimeError)
    sent.assert_nine()


def test_answer_that_has_begun_is_not_begun_anew_for_a_server_that_lets_it(hold):
    started = []

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        yield b"half"
        raise RuntimeError

    body = SecurityHeaders(app, hold)(environ_of(), lambda *more: started.append(more))
    parts = iter(body)
    assert next(parts) == b"half"
    with pytest.raises(RuntimeError):
        next(parts)
    assert len(started) == 1


def test_application_that_starts_no_answer_is_a_plain_500(hold):
    sent = wget(SecurityHeaders(lambda environ, start_response: [], hold))
    assert (sent.status, sent.body) == (500, b"Internal Server Error")
    sent.assert_nine()


def test_what_is_written_counts_as_sent(hold):
    def app(environ, start_response):
        start_response("200 OK", TEXT)(b"half")
        raise RuntimeError

    sent = wget(SecurityHeaders(app, hold))
    assert sent.body == b"half"
    assert isinstance(sent.raised, RuntimeError)


def test_body_is_closed_once(hold):
    class Body:
        closed = 0

        def __iter__(self):
            return iter([b"a"])

        def close(self):
            self.closed += 1

    body = Body()

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        return body

    assert wget(SecurityHeaders(app, hold)).body == b"a"
    assert body.closed == 1


def test_layer_within_a_layer_adds_nothing(hold):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [nonce(environ).encode()]

    sent = wget(SecurityHeaders(SecurityHeaders(app, hold), hold))
    sent.assert_nine()
    assert sent.body == sent.nonce.encode()


def test_attributes_are_the_applications(hold):
    def app(environ, start_response):
        return []

    app.config = {"a": 1}
    assert SecurityHeaders(app, hold).config == {"a": 1}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("X-Name", "a\r\n\r\n<script>")]),
        ("200 OK", [("X-A\nX", "a")]),
        ("200 OK\r\nX: y", []),
    ],
)
def test_a_header_or_status_that_would_end_the_headers_is_a_plain_500(hold, status, headers):
    def app(environ, start_response):
        start_response(status, headers)
        return [b"body"]

    driven = wget(SecurityHeaders(app, hold))
    assert (driven.status, driven.body) == (500, b"Internal Server Error")
    driven.assert_nine()
