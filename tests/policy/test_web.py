from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.policy.rendering import render_policy
from safehold.policy.toml import parse_policy
from safehold.policy.web import Web

PATH = Path("/srv/app/safehold.toml")
WHOLE = """version = 1
[web]
hsts = 31536000
subdomains = false
preload = false
frame = "SAMEORIGIN"
referrer = "no-referrer"
opener = "unsafe-none"
embedder = "credentialless"
resource = "same-site"
permissions = ["camera", "geolocation"]
trusted_types = true
scripts = ["sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
report = ""
docs = "/static/docs"
allow_unsafe = "an old partner's frame"

[web.csp]
img-src = ["'self'", "https://images.example"]
connect-src = []

[web.report_only]
style-src = ["'nonce'"]
"""


def parsed(text):
    return parse_policy(text, PATH).web


def test_no_section_is_the_default():
    assert parsed("version = 1") == Web()
    assert "[web" not in render_policy(Policy(root=Path("/srv/app")))


def test_whole_section():
    web = parsed(WHOLE)
    assert (web.hsts, web.frame, web.permissions) == (
        31536000, "SAMEORIGIN", ("camera", "geolocation"),
    )  # fmt: skip
    assert dict(web.csp) == {"img-src": ("'self'", "https://images.example"), "connect-src": ()}
    assert web.report_only == (("style-src", ("'nonce'",)),)


def test_what_is_written_is_read_back():
    policy = parse_policy(WHOLE, PATH)
    assert parse_policy(render_policy(policy), PATH).web == policy.web
    only = replace(policy, web=Web(csp=policy.web.csp))
    assert parse_policy(render_policy(only), PATH).web == only.web
    assert hash(policy.web) == hash(only.web) or policy.web != only.web


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hsts = -1", "web.hsts must be a whole number of seconds"),
        ("hsts = true", "web.hsts must be a whole number of seconds"),
        ("preload = 1", "web.preload must be true or false"),
        ('frame = "ALLOWALL"', "web.frame must be one of DENY, SAMEORIGIN"),
        ("frame = []", "web.frame must be one of DENY, SAMEORIGIN"),
        ('permissions = ["cameras"]', "web.permissions must be of accelerometer,"),
        ('permissions = "camera"', "web.permissions must be a list of strings"),
        ('scripts = ["sha1-abc"]', "web.scripts must be hashes"),
        ('report = "//evil.example/r"', "web.report must be a path on this site"),
        ('report = "https://evil.example/r"', "web.report must be a path on this site"),
        ('report = "/a b"', "web.report must be a path on this site"),
        ("allow_unsafe = true", "web.allow_unsafe must be a string"),
        ('allow_unsafe = " "', "web.allow_unsafe must be a reason"),
        ("csp = 3", "web.csp must be a table of directives"),
        ('csp = { script = ["a"] }', "web.csp has no directive of the list: default-src,"),
        ('csp = { img-src = "a" }', "web.csp must give img-src a list of sources"),
        ('csp = { img-src = ["a; script-src *"] }', "web.csp must give img-src sources of print"),
        ('csp = { img-src = ["a,b"] }', "web.csp must give img-src sources of print"),
        ('csp = { img-src = ["a\\r\\nX: y"] }', "web.csp must give img-src sources of print"),
        ("report_only = { img-src = [3] }", "web.report_only must give img-src sources of print"),
    ],
)  # fmt: skip
def test_value_that_is_no_header_is_refused_with_its_line(line, message):
    with pytest.raises(ConfigError) as caught:
        parsed(f"version = 1\n[web]\n{line}\n")
    assert f"safehold.toml:3: {message}" in str(caught.value)
