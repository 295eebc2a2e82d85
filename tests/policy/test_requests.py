from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.policy.rendering import render_policy
from safehold.policy.requests import CookieException, Requests
from safehold.policy.toml import parse_policy

pytestmark = pytest.mark.bare

WHOLE = """version = 1
[requests]
hosts = ["app.example.org", "*.example.org", "localhost:8000", "[::1]:80"]
origins = ["https://front.example.org", "http://localhost:3000"]
proxies = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"]
https = true
isolation = false
allow_unsafe = "an old front end"
shared = ["/static/public"]
inputs = false
body = "1 MiB"
depth = 20

[requests.bodies]
"/upload" = "1 GiB"

[[requests.cookie]]
name = "csrftoken"
allow_unsafe = "a script sends it back"
scripts = true
"""
PATH = Path("/srv/app/safehold.toml")


def parsed(text):
    return parse_policy(text, PATH).requests


def test_whole_section():
    assert parsed(WHOLE) == Requests(
        ("app.example.org", "*.example.org", "localhost:8000", "[::1]:80"),
        ("https://front.example.org", "http://localhost:3000"),
        ("10.0.0.0/8", "fd00::/8", "192.0.2.1"),
        https=True, isolation=False, shared=("/static/public",), inputs=False, body=2**20,
        bodies=(("/upload", 2**30),), depth=20,
        cookies=(CookieException("csrftoken", "a script sends it back", scripts=True),),
        allow_unsafe="an old front end",
    )  # fmt: skip


def test_without_the_section_it_is_as_by_default():
    assert parsed("version = 1") == Requests()
    assert "[requests]" not in render_policy(Policy(root=Path("/srv/app")))


def test_rendering_reads_back_the_same():
    policy = parse_policy(WHOLE, PATH)
    assert parse_policy(render_policy(policy), PATH).requests == policy.requests
    only = replace(policy, requests=Requests(bodies=(("/a", 7),)))
    assert parse_policy(render_policy(only), PATH).requests == only.requests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https = true", "requests.https needs hosts"),
        ("isolation = false", "requests.isolation can be false only with a reason"),
        ("isolation = 0", "must be true or false"),
        ("allow_unsafe = ' '", "must be a printable reason"),
        ("hosts = 'a'", "must be a list of strings"),
        ("hosts = ['https://a']", "a host is as"),
        ("hosts = ['A.example']", "a host is as"),
        ("hosts = ['*']", "a host is as"),
        ("hosts = ['a.*.b']", "a host is as"),
        ("origins = ['example.org']", "an origin is as"),
        ("origins = ['https://example.org/']", "an origin is as"),
        ("origins = ['*']", "an origin is as"),
        ("origins = ['null']", "an origin is as"),
        ("proxies = ['10.0.0.1/8']", "a proxy is"),
        ("proxies = ['proxy']", "a proxy is"),
        ("shared = ['static']", "a path begins with /"),
        ("body = 0", "must be a positive number"),
        ("body = '1 XiB'", "must be a positive number"),
        ("bodies = {'upload' = 1}", "must be a table of paths"),
        ("bodies = {'/upload' = -1}", "must be a table of paths"),
        ("depth = 501", "1 to 500"),
        ("depth = true", "1 to 500"),
        ("cookie = 1", "must be an array of tables"),
        ("cookie = [{name = 'a'}]", "requests.cookie[0].allow_unsafe must be a printable reason"),
        ("cookie = [{name = 'a b', allow_unsafe = 'r'}]", "must be the name of a cookie"),
        ("cookie = [{name = 'a', allow_unsafe = 'r', plain = 1}]", "must be true or false"),
        ("cookie = [{name = 'a', allow_unsafe = 'r'}, {name = 'a', allow_unsafe = 'r'}]",
         "is that of another exception"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_named(text, said):
    with pytest.raises(ConfigError) as error:
        parsed(f"version = 1\n[requests]\n{text}")
    assert str(error.value).startswith(f"{PATH}:3: requests.")
    assert said in str(error.value)
