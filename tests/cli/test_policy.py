from __future__ import annotations

import json
from pathlib import Path

import pytest


def rows(done):
    return {row["key"]: row for row in json.loads(done.out)["values"]}


def test_shows_every_value_with_its_origin(folder, call):
    done = call("policy", "show")
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    shown = {line.split()[0]: line for line in lines}
    assert shown["zone[0].paths"].endswith("[models/**]  # safehold.toml:7")
    assert shown["zone[1].name"].endswith("data  # safehold.toml:11")
    assert shown["zone[1].allow"].endswith("[]  # default")
    assert shown["zone[1].mmap"].endswith("false  # default")
    assert shown["zone[1].sidecar"].endswith("false  # default")
    assert shown["keys.source"].endswith("env:THE_KEY  # safehold.toml:3")
    assert shown["limits.depth"].endswith("64  # default")
    assert shown["mode"].endswith("enforce  # default")
    assert shown["code.trusted"].endswith("(every caller)  # default")
    assert shown["root"].endswith(f"{folder}  # default")


def test_json_has_the_same_values(folder, call):
    done = call("policy", "show", "--format", "json")
    values = rows(done)
    assert json.loads(done.out)["schema"] == 1
    assert json.loads(done.out)["findings"] == []
    assert values["zone[0].codecs"] == {
        "key": "zone[0].codecs",
        "value": ["pickle", "json"],
        "origin": "safehold.toml:9",
    }
    assert values["limits.artifact"]["value"] == 4 * 2**30
    assert values["code.trusted"]["value"] is None
    text = call("policy", "show").out
    assert [line.split()[0] for line in text.splitlines()] == list(values)


def test_every_origin_is_the_line_of_that_key(folder, call):
    lines = Path("safehold.toml").read_text().splitlines()
    for key, row in rows(call("policy", "show", "--format", "json")).items():
        if row["origin"] != "default":
            number = int(row["origin"].rpartition(":")[2])
            assert lines[number - 1].startswith(key.rpartition(".")[2] + " =")


def test_every_schema_key_is_shown(folder, call):
    from safehold.policy.toml import _TABLES

    with open("safehold.toml", "a") as file:
        file.write('[[keys.previous]]\nsource = "env:B"\nid = "old"\n')
        file.write('[keys.local]\nsource = "env:C"\nid = "own"\n')
        file.write('[[alerts.channel]]\nname = "chat"\nkind = "slack"\nsecret = "env:D"\n')
        file.write('[[requests.cookie]]\nname = "lang"\nscripts = true\nallow_unsafe = "menu"\n')
    shown = set(rows(call("policy", "show", "--format", "json")))
    listed = ("keys.previous", "zone", "alerts.channel", "requests.cookie")
    names = {table: f"{table}[0]" for table in listed}
    for table, keys in _TABLES.items():
        for key in keys:
            full = f"{names.get(table, table)}.{key}" if table else key
            if full not in _TABLES and full != "version":
                assert full in shown


def test_zone_that_allows_every_type_is_a_finding(folder, call):
    with open("safehold.toml", "a") as file:
        file.write('[memory]\nallow = ["*"]\n')
    done = call("policy", "show")
    assert done.code == 1
    assert "SH115 zone 'memory' allows every type: List the presets" in done.out
    document = json.loads(call("policy", "show", "--format", "json").out)
    assert [item["rule"] for item in document["findings"]] == ["SH115"]


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_policy_the_hint_says_how_to_get_one(folder, call, monkeypatch, value):
    monkeypatch.delenv("SAFEHOLD_POLICY")
    if value is not None:
        monkeypatch.setenv("SAFEHOLD_POLICY", value)
    done = call("policy", "show")
    assert done.code == 2
    assert done.out == ""
    for words in ("no policy: give --policy", "SAFEHOLD_POLICY", "safehold harden PATH --write"):
        assert words in done.err


def test_argument_wins_over_the_variable(folder, call, monkeypatch):
    monkeypatch.setenv("SAFEHOLD_POLICY", "no-such-file")
    assert call("policy", "show", "--policy", "safehold.toml").code == 0


def test_policy_is_not_searched_for(folder, call, monkeypatch):
    monkeypatch.delenv("SAFEHOLD_POLICY")
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    assert call("policy", "show").code == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("version = 2", "safehold.toml:1: version is 2"),
        ("version = 1\nmodus = 1", "safehold.toml:2: modus is not a policy key; allowed: version"),
        ("version = ", "not valid TOML"),
        ("version = 1\nmode = '\\'\n'\x1b'", "not valid TOML"),
    ],
)
def test_bad_policy_is_one_line_and_code_2(folder, call, change, message):
    Path("safehold.toml").write_text(change)
    done = call("policy", "show")
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.strip().isprintable()


def test_hostile_values_and_names_are_printed_harmlessly(folder, call):
    name = "evil\x1b[2J\n.toml"
    text = 'version = 1\n[trail]\npath = "a\\u001b[31m\\n\\u202eb"\n'
    Path(name).write_text(text)
    done = call("policy", "show", "--policy", name)
    assert done.code == 0
    assert all(line.isprintable() for line in done.out.splitlines())
    assert "a\\x1b[31m\\x0a\\u202eb" in done.out
    Path(name).write_text("version = 3")
    done = call("policy", "show", "--policy", name)
    assert done.code == 2
    assert done.err.strip().isprintable()
    document = call("policy", "show", "--policy", "\x1b\n\udcff").err
    assert document.strip().isprintable()


def test_key_in_place_of_its_source_is_not_shown(folder, call):
    key = "9c1d5e27f0a8b3466e72c49b10fd85a3e9d6174b8820c5fe3a917f5d06b4e2c8"
    Path("safehold.toml").write_text(f'version = 1\n[keys]\nsource = "{key}"\n')
    done = call("policy", "show")
    assert done.code == 2
    assert key not in done.out + done.err


def test_show_needs_no_key(folder, call, monkeypatch):
    monkeypatch.delenv("THE_KEY")
    assert call("policy", "show").code == 0
