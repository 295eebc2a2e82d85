from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.policy import Policy
from safehold.policy.alerts import Alerts, Channel
from safehold.policy.rendering import render_policy
from safehold.policy.toml import parse_policy

WHOLE = """version = 1
[alerts]
severity = "medium"
repeat = 60
group = 0
rate = 5
verify = 3600
spool = "alerts"

[[alerts.channel]]
name = "am"
kind = "alertmanager"
url = "https://alerts.internal:9093/prefix"
secret = "env:TOKEN"
ca = "ca.pem"

[[alerts.channel]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:8080/hook"
secret = "file:/run/secrets/hook"

[[alerts.channel]]
name = "chat"
kind = "slack"
secret = "env:SLACK_URL"

[[alerts.channel]]
name = "mail"
kind = "email"
url = "smtps://robot@mail.example.org"
secret = "env:MAIL"
from = "robot@example.org"
to = ["ops@example.org", "sec@example.org"]
"""
PATH = Path("/srv/app/safehold.toml")


def parsed(text):
    return parse_policy(text, PATH).alerts


def test_whole_section():
    alerts = parsed(WHOLE)
    assert (alerts.severity, alerts.repeat, alerts.group, alerts.rate) == ("medium", 60, 0, 5)
    assert [channel.kind for channel in alerts.channels] == [
        "alertmanager", "webhook", "slack", "email",
    ]  # fmt: skip
    assert alerts.channels[3] == Channel(
        "mail", "email", "smtps://robot@mail.example.org", "env:MAIL", "", "robot@example.org",
        ("ops@example.org", "sec@example.org"),
    )  # fmt: skip


def test_without_the_section_nothing_is_told():
    assert parsed("version = 1") == Alerts()
    assert "[alerts]" not in render_policy(Policy(root=Path("/srv/app")))


def test_rendering_reads_back_the_same():
    policy = parse_policy(WHOLE, PATH)
    assert parse_policy(render_policy(policy), PATH).alerts == policy.alerts
    only = replace(policy, alerts=Alerts(rate=7))
    assert parse_policy(render_policy(only), PATH).alerts == only.alerts


def channel(**changes):
    row = {"name": '"x"', "kind": '"webhook"', "url": '"https://h/x"', "secret": '"env:X"'}
    row |= changes
    lines = [f"{key} = {value}" for key, value in row.items() if value is not None]
    return "version = 1\n[[alerts.channel]]\n" + "\n".join(lines)


def test_the_channel_that_the_next_test_breaks_is_valid():
    assert parsed(channel()).channels[0].url == "https://h/x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 1\n[alerts]\nnoise = 1", "alerts.noise is not a policy key"),
        ("version = 1\nalerts = 3", "alerts must be a table"),
        ("version = 1\n[alerts]\nseverity = 'loud'", "alerts.severity must be one of"),
        ("version = 1\n[alerts]\nrepeat = 0", "alerts.repeat must be a whole number"),
        ("version = 1\n[alerts]\nrate = true", "alerts.rate must be a whole number"),
        ("version = 1\n[alerts]\nchannel = 3", "must be an array of tables"),
        (channel(kind='"pigeon"'), "must be one of alertmanager"),
        (channel(name='"../x"'), "name must be up to 32"),
        (channel(url=None), "url is missing"),
        (channel(secret=None), "secret is missing"),
        (channel(secret='"hunter2hunter2"'), "secret must name a place"),
        (channel(secret='"cmd:cat x"'), "secret must name a place"),
        (channel(url='"http://h/x"'), "must begin with https://"),
        (channel(url='"ftp://h/x"'), "must begin with https://"),
        (channel(url='"https://"'), "must begin with https:// and name a host"),
        (channel(url='"https://u:p@h/x"'), "must hold no password"),
        (channel(url='"https://h/ x"'), "without spaces"),
        (channel(url='"https://h:99999/"'), "is no URL"),
        (channel(to='["a@b.c"]'), "to has no meaning"),
        (channel(kind='"email"', url='"smtps://h"', to='["a@b.c"]'), "from is missing"),
        (channel(kind='"email"', url='"smtps://h"', to="[]", **{"from": '"a@b.c"'}), "to must be"),
        (channel(kind='"email"', url='"smtps://h"', to='["a\\nb"]', **{"from": '"a@b.c"'}),
         "to must be addresses"),
        (channel() + "\n" + channel().split("\n", 1)[1], "is the name of another channel"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_named(text, said):
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
