"""What `seal`, `unseal`, `verify` and `rotate` say of each file, for programs."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from safehold.keys import generate_key


@pytest.fixture
def lines(call):
    """Run a command with `--format json`; return its exit code and what each line says."""

    def run(*arguments):
        done = call(*arguments, "--format", "json")
        assert done.err == ""
        assert done.out.isascii()
        return done.code, [
            json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines()
        ]

    return run


def shown(call, path):
    """Return what `inspect` says."""
    row = json.loads(call("inspect", path, "--format", "json").out)
    return {name: value for name, value in row.items() if name != "schema"}


def test_seal_verify_and_unseal_say_the_same_as_inspect(folder, call, lines):
    paths = ["models/deep/n.pickle", "models/m.pkl"]
    code, rows = lines("seal", "models")
    assert (code, [row["path"] for row in rows]) == (0, sorted(paths, reverse=True))
    for row in rows:
        artifact = shown(call, row["path"])
        assert row == {"schema": 1, "path": row["path"], "outcome": "sealed", "artifact": artifact}
    assert lines("verify", *paths) == (
        0, [{"schema": 1, "path": path, "outcome": "ok"} for path in paths]
    )  # fmt: skip
    assert lines("unseal", *paths) == (
        0, [{"schema": 1, "path": path, "outcome": "unsealed"} for path in paths]
    )  # fmt: skip
    assert pickle.loads(Path("models/m.pkl").read_bytes()) == {"weights": [1, 2, 3]}


def test_rotate_says_which_key_a_file_has(folder, call, lines, monkeypatch):
    call("seal", "models/m.pkl")
    policy = Path("safehold.toml")
    monkeypatch.setenv("NEW_KEY", generate_key())
    new = '[keys]\nsource = "env:NEW_KEY"\nid = "k2027"\n'
    old = '[[keys.previous]]\nsource = "env:THE_KEY"\nid = "k2026"\n'
    policy.write_text(
        policy.read_text().replace('[keys]\nsource = "env:THE_KEY"\nid = "k2026"\n', new + old)
    )
    for outcome in ("rotated", "rotated"):
        code, [row] = lines("rotate", "k2026", "k2027", "models/m.pkl")
        assert (code, row["outcome"], row["artifact"]["key"]) == (0, outcome, "k2027")
        assert row["artifact"] == shown(call, "models/m.pkl")


def test_a_refusal_and_an_error_are_lines_as_well(folder, call, lines):
    Path("models/evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    code, rows = lines("seal", "models/evil.pkl", "models/missing.pkl", "models/m.pkl")
    assert code == 2
    assert [(row["path"], row["outcome"], row.get("error")) for row in rows] == [
        ("models/evil.pkl", "refused", "TypeNotAllowed"),
        ("models/missing.pkl", "error", "FileNotFoundError"),
        ("models/m.pkl", "sealed", None),
    ]
    assert "SH101" in rows[0]["message"]
    data = bytearray(Path("models/m.pkl").read_bytes())
    data[-100] ^= 1
    Path("models/m.pkl").write_bytes(data)
    assert [
        (code, row["outcome"], row["error"]) for code, [row] in [lines("verify", "models/m.pkl")]
    ] == [(1, "refused", "Tampered")]


def test_one_line_whatever_a_name_holds(folder, lines):
    name = os.fsdecode(b"models/a\n\x1b[2J\xff.pkl")
    Path(name).write_bytes(pickle.dumps(1))
    code, rows = lines("verify", name)
    assert (code, len(rows), rows[0]["path"], rows[0]["outcome"]) == (1, 1, name, "refused")
    assert rows[0]["error"] == "NotSealed"
