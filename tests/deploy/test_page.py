"""The examples of docs/how-to/check-settings.md are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import safehold
from safehold.deploy import CHECKS, check
from safehold.errors import ConfigError
from safehold.keys import generate_key
from safehold.policy.toml import parse_policy

PAGE = (Path(__file__).parents[2] / "docs/how-to/check-settings.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def blocks(kind):
    return [text for name, text in BLOCKS if name == kind]


def test_start_up_stops_for_a_critical_finding(tmp_path, monkeypatch):
    (tmp_path / "safehold.toml").write_text("version = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    monkeypatch.setenv("APP_SECRET_KEY", "changeme")
    program = next(text for text in blocks("python") if "require" in text)
    with pytest.raises(ConfigError, match="SH310 APP_SECRET_KEY"):
        exec(program, {})  # noqa: S102
    safehold.use(None)


def test_check_prints_what_it_found(capsys):
    program = next(text for text in blocks("python") if "print" in text)
    exec(program, {})  # noqa: S102
    assert capsys.readouterr().out.split("\n")[0].startswith("SH310 SECRET_KEY is weak")


def test_policy_of_the_page(tmp_path):
    (text,) = blocks("toml")
    policy = parse_policy("version = 1\n" + text, tmp_path / "safehold.toml")
    found = check({"TRADER_SIGNER": "x", "PYNOMALY_STAGE_NAME": "dev"}, policy=policy)
    assert {one.rule.id for one in found} == {"SH310", "SH332"}


def test_every_rule_is_linked():
    assert all(f"#{row.rule.id.lower()}" in PAGE for row in CHECKS)
