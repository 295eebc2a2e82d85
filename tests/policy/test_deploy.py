from __future__ import annotations

from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.policy.deploy import TOPICS, Deploy
from safehold.policy.rendering import render_policy
from safehold.policy.toml import parse_policy

PATH = Path("/srv/app/safehold.toml")
WHOLE = """version = 1
[deploy]
key_days = 90

[deploy.names]
CRYPTOSMARTTRADER_STAGE = "environment"
"app.signer" = "secret"
"""


def test_without_the_section_it_is_as_by_default():
    assert parse_policy("version = 1", PATH).deploy == Deploy()
    assert "[deploy]" not in render_policy(Policy(root=Path("/srv/app")))


def test_whole_section():
    names = (("CRYPTOSMARTTRADER_STAGE", "environment"), ("app.signer", "secret"))
    assert parse_policy(WHOLE, PATH).deploy == Deploy(names, 90)


def test_rendering_reads_back_the_same():
    policy = parse_policy(WHOLE, PATH)
    assert parse_policy(render_policy(policy), PATH).deploy == policy.deploy


@pytest.mark.parametrize(
    "wrong",
    [
        "key_days = 0",
        "key_days = true",
        "key_days = 99999",
        "names = []",
        'names = { A = "no topic" }',
        "names = { A = 1 }",
        'names = { "a\\u0007" = "secret" }',
    ],
)
def test_wrong_values_are_refused_with_what_is_allowed(wrong):
    with pytest.raises(ConfigError, match=r"deploy\.(names|key_days)"):
        parse_policy(f"version = 1\n[deploy]\n{wrong}\n", PATH)


def test_the_topics_are_named_where_one_is_unknown():
    with pytest.raises(ConfigError) as caught:
        parse_policy('version = 1\n[deploy]\nnames = { A = "x" }\n', PATH)
    assert all(topic in str(caught.value) for topic in TOPICS)
