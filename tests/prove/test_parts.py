"""Addresses, hints, endpoints, environments, signatures and planted bytes, each by itself."""

from __future__ import annotations

import base64
import hmac
import json
import pickle
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.prove import Proof, Result, Tried
from safehold.prove.asking import Answer, Asker
from safehold.prove.endpoints import discovered
from safehold.prove.hints import Endpoint, Hints, parse_hints
from safehold.prove.probes import PROBES
from safehold.prove.probes.planted import planted
from safehold.prove.probes.secrets import is_signed_with
from safehold.prove.target import environment_for


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost/x", "https://[::1]:1"])
def test_asks_this_machine(url):
    assert Asker(url).url.startswith(url[:7])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org", "http://10.0.0.1", "http://127.0.0.1.example.org", "http://0.0.0.0",
        "http://127.0.0.1@example.org", "http://localhost.example.org", "ftp://127.0.0.1",
        "http://[::ffff:192.0.2.1]", "http://2130706433", "http://127.1", "http://127.0.0.1:x",
        "http://", "//127.0.0.1",
    ],
)  # fmt: skip
def test_asks_nobody_else(url):
    with pytest.raises(ConfigError, match="is not on this machine"):
        Asker(url)


class Telling(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response_only(302)
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()
        self.wfile.write(json.dumps(self.headers.items()).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


def test_sends_the_headers_of_the_hints_and_follows_no_redirect():
    with HTTPServer(("127.0.0.1", 0), Telling) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        asker = Asker(url, {"Host": "shop.example", "X-Forwarded-Proto": "https"})
        endpoint = Endpoint("/x", "POST", into="a")
        answers = [
            asker.get("/"), asker.at(endpoint, "b"), asker.send_large(endpoint, 99, chunked=False)
        ]  # fmt: skip
        server.shutdown()
        thread.join()
    for answer in answers:
        sent = [tuple(pair) for pair in json.loads(answer.body)]
        assert answer.status == 302
        assert [value for name, value in sent if name == "Host"] == ["shop.example"]
        assert ("X-Forwarded-Proto", "https") in sent


def test_reads_every_hint():
    table = {
        "start": "serve {port}", "ready": "/up", "artifacts": ["m/*.pkl"], "renew": "train",
        "warm": ["/a"], "seconds": 5, "body": 10, "environment": {"A": "b"},
        "headers": {"Host": "h"},
        "endpoint": [{"path": "/x?q={}", "value": "1"}],
        "login": {"path": "/login", "method": "POST", "fields": {"user": "demo"}},
    }  # fmt: skip
    hints = parse_hints({"prove": table}, "it")
    assert (hints.start, hints.ready, hints.artifacts) == ("serve {port}", "/up", ("m/*.pkl",))
    assert hints.endpoints == (Endpoint("/x?q={}", value="1"),)
    assert hints.login == Endpoint("/login", "POST", fields={"user": "demo"})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"begin": "x"}, "prove.begin is not known; there are start, ready"),
        ({"start": 1}, "prove.start is a text"),
        ({"warm": "x"}, "prove.warm is a list"),
        ({"warm": [1]}, "prove.warm is a text"),
        ({"seconds": 0}, "prove.seconds is a number, 1 to 600"),
        ({"body": True}, "prove.body is a number"),
        ({"environment": {"A": 1}}, "prove.environment.A is a text"),
        ({"headers": ["x"]}, "prove.headers is a table"),
        ({"endpoint": [{"path": "x"}]}, "prove.endpoint.path begins with /"),
        ({"endpoint": [{"url": "/"}]}, "prove.endpoint: url is not known"),
    ],
)
def test_refuses_other_hints(table, says):
    with pytest.raises(ConfigError) as found:
        parse_hints({"prove": table}, "it")
    assert says in str(found.value)


class Documented:
    def __init__(self, body):
        self.body = body

    def get(self, path):
        return Answer(200, (), self.body) if path == "/openapi.json" else Answer(404)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"paths": 1}', b'{"paths": {"/": 1}}', b"[" * 9999])
def test_finds_nothing_in_what_is_no_document(body):
    assert discovered(Documented(body), ("GET",)) == ()


def test_finds_texts_of_paths_queries_and_bodies():
    text, number = {"type": "string"}, {"type": "integer"}
    rows = [
        {"name": "id", "in": "path", "schema": number},
        {"name": "q", "in": "query", "schema": text},
        {"name": "n", "in": "query", "schema": number, "required": True},
        {"name": "X-Token", "in": "header", "schema": text},
    ]
    body = {"content": {"application/json": {"schema": {"properties": {"a": text, "b": number}}}}}
    document = {"paths": {"/x/{id}": {
        "get": {"parameters": rows}, "delete": {"parameters": rows},
        "post": {"parameters": rows[:1], "requestBody": body},
    }}}  # fmt: skip
    found = discovered(Documented(json.dumps(document).encode()), ("GET", "POST"))
    assert found == (
        Endpoint("/x/1?q={}&n=1"),
        Endpoint("/x/1", "POST", fields={"a": "1", "b": 1}, into="a"),
    )


def test_nothing_in_the_environment_leads_to_the_original():
    given = {
        "DB": "sqlite:////srv/app/data.db", "HOME": "/srv/app", "OTHER": "/srv/app2/x",
        "BOTH": "/srv/app/a:/srv/app/b", "HTTPS_PROXY": "http://proxy",
    }  # fmt: skip
    made = environment_for(Path("/srv/app"), Path("/t/tree"), Hints(environment={"X": "y"}), given)
    assert made["DB"] == "sqlite:////t/tree/data.db"
    assert (made["HOME"], made["OTHER"]) == ("/t/tree", "/srv/app2/x")
    assert (made["BOTH"], made["X"]) == ("/t/tree/a:/t/tree/b", "y")
    assert "HTTPS_PROXY" not in made


def test_knows_a_signed_value_and_a_jwt_by_their_keys():
    for sign in (
        lambda value: hmac.new(b"the-key", value, "sha256").hexdigest().encode(),
        lambda value: base64.urlsafe_b64encode(hmac.digest(b"the-key", value, "sha512")).rstrip(
            b"="
        ),
    ):
        token = (b"header.payload." + sign(b"header.payload")).decode()
        assert is_signed_with(token, b"the-key")
        assert not is_signed_with(token, b"the-kez")
        assert not is_signed_with("x" + token, b"the-key")
    assert not is_signed_with("header.payload.", b"the-key")


@pytest.mark.extras
def test_knows_the_cookies_of_flask_and_starlette():
    itsdangerous = pytest.importorskip("itsdangerous")
    import hashlib

    flask = itsdangerous.URLSafeTimedSerializer(
        "the-key", salt="cookie-session",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    ).dumps({"user": "demo"})  # fmt: skip
    starlette = itsdangerous.TimestampSigner("the-key").sign("data").decode()
    for token in (flask, starlette):
        assert is_signed_with(token, b"the-key")
        assert not is_signed_with(token, b"another-key")


def test_a_planted_pickle_touches_the_marker_and_gives_its_object(tmp_path):
    victim, file = pickle.dumps({"a": 1}), tmp_path / "victim"
    file.write_bytes(planted(victim, tmp_path / "a marker"))
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')))"
    done = subprocess.run(
        [sys.executable, "-c", program, file], capture_output=True, check=True, text=True
    )
    assert done.stdout == "{'a': 1}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a marker", "victim"]


@pytest.mark.extras
def test_every_probe_proves_a_rule():
    from scripts import reference

    rules = {rule.id for rule in reference.rules()}
    assert {probe.rule for probe in PROBES} <= rules
    assert len({probe.id for probe in PROBES}) == len(PROBES)


def test_every_probe_is_documented():
    page = (Path(__file__).parents[2] / "docs/how-to/prove.md").read_text("utf-8")
    for probe in PROBES:
        assert f"\n| `{probe.id}` | " in page, probe.id


def test_the_page_shows_hints_that_are_read():
    page = (Path(__file__).parents[2] / "docs/how-to/prove.md").read_text("utf-8")
    (block,) = [part.partition("```")[0] for part in page.split("```toml\n")[1:]]
    hints = parse_hints(tomllib.loads(block), "the page")
    assert hints.body == Hints().body
    assert hints.endpoints[1].into == "text"
    assert hints.login is not None


def test_the_page_shows_the_keys_of_the_document(tmp_path):
    page = (Path(__file__).parents[2] / "docs/how-to/prove.md").read_text("utf-8")
    shown = json.loads(page.split("```json\n")[1].partition("```")[0])
    row = Tried("it", "held", "so", ({},))
    document = Proof("t", "", (Result(PROBES[0], (row,)),)).as_json()
    assert shown.keys() == document.keys()
    assert shown["probes"][0].keys() == document["probes"][0].keys()
    assert shown["probes"][0]["tried"][0].keys() == row.as_json().keys()
    assert shown["summary"].keys() == document["summary"].keys()
