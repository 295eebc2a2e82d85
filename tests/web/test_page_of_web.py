"""The examples of docs/how-to/web.md run, and answer what the page says."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from safehold.keys import generate_key
from safehold.policy.toml import parse_policy
from safehold.policy.web import Web
from safehold.web import SecurityHeaders
from safehold.web.headers import ROWS
from tests.holding import make_world
from tests.web.driving import get

pytestmark = pytest.mark.extras

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "web.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_programs_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    Path("safehold.toml").write_text("version = 1\n")
    names = {"__name__": "page"}
    for block in blocks("python"):
        exec(compile(block, "web.md", "exec"), names)  # noqa: S102  the page's own
    app = names["app"]
    hello, report, widget = (get(app, path) for path in ("/hello", "/report", "/widget"))
    for sent in (hello, report, widget, get(app, "/docs"), get(app, "/nowhere")):
        sent.assert_nine()
    assert f'<script nonce="{hello.nonce}">' in hello.body.decode()
    assert report.one("Referrer-Policy") == "no-referrer"
    assert widget.one("X-Frame-Options") == "SAMEORIGIN"
    module, _, name = names["MIDDLEWARE"][0].rpartition(".")
    assert getattr(import_module(module), name)
    names["hold"].close()


def test_policy_of_the_page(tmp_path):
    (block,) = blocks("toml")
    web = parse_policy(block, tmp_path / "safehold.toml").web
    assert web.embedder == "credentialless"
    assert web != Web()
    app = SecurityHeaders(lambda *_: None, make_world(tmp_path, web=web).hold)
    assert {one.rule.id for one in app._site.findings} == {"SH413"}


def test_every_header_stands_on_the_page():
    table = PAGE.partition("| header | default |")[2].partition("\n\n")[0]
    for row in ROWS:
        last = row.name.removeprefix("Cross-Origin-").removesuffix("-Policy")
        assert row.name.endswith("Report-Only") or last in table
