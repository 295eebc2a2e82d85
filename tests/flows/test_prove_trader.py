"""`safehold prove` on the example service: as it is, and after hardening."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.extras, pytest.mark.forking]

from examples import demo  # noqa: E402  (the marker of extras comes first)

TRADER = Path(__file__).resolve().parents[2] / "examples" / "trader"
HINTS = """\
[prove]
start = "uvicorn {app}:app --port {port} --no-server-header"
ready = "/health"
artifacts = ["models/*.joblib"]
renew = "python -m trader.train --only direction --seed 8"
"""
FALLS = {
    "planted-pickle", "tampered-artifact", "swapped-artifacts", "replayed-artifact",
    "sql-injection", "headers", "default-secret",
}  # fmt: skip
NOT_TRIED = {"oversize-body"}  # none of its endpoints takes a body


def run(root, variables, *words, codes=(0,)):
    usual = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAFEHOLD_", "TRADER_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=usual | variables, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def prove(root, variables, app, code, *words):
    (root / "prove.toml").write_text(HINTS.replace("{app}", app))
    out = run(root, variables, "-m", "safehold", "prove", ".", "--format", "json", *words,
              codes=(code,))  # fmt: skip
    return json.loads(out)


def outcomes(document):
    return {row["id"]: row["outcome"] for row in document["probes"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained") / "trader"
    left_behind = shutil.ignore_patterns("__pycache__", "models", "data", "configs", "attacks")
    shutil.copytree(TRADER, root, ignore=left_behind)
    run(root, {}, "-m", "trader.train")
    return root


def test_the_plain_service_falls(trained):
    document = prove(trained, {}, "trader.app", 1)
    found = outcomes(document)
    assert {name for name, outcome in found.items() if outcome == "got-in"} == FALLS, document
    assert {name for name, outcome in found.items() if outcome == "not-tried"} == NOT_TRIED


def test_the_hardened_service_holds_and_its_trail_has_every_attempt(trained, tmp_path):
    root, kept = tmp_path / "trader", tmp_path / "kept"
    shutil.copytree(trained, root)
    keys = {
        name: run(root, {}, "-m", "safehold", "keygen").strip()
        for name in ("SAFEHOLD_SECRET_KEY", "TRADER_SECRET_KEY")
    }
    run(root, keys, "-m", "safehold", "harden", ".", "--write", codes=(0, 1))
    # What `harden` leaves to the operator: docs/how-to/web.md and guard-statements.md say how.
    demo.guard(root)
    variables = keys | {"SAFEHOLD_POLICY": str(root / "safehold.toml")}
    document = prove(root, variables, "trader.app", 0, "--keep", str(kept))

    found = outcomes(document)
    assert {name for name, outcome in found.items() if outcome == "not-tried"} == NOT_TRIED
    assert {outcome for name, outcome in found.items() if name not in NOT_TRIED} == {"held"}

    # The seals of that trail verify, and it names each attempt that is claimed, and no other.
    copied = keys | {"SAFEHOLD_POLICY": str(kept / "tree" / "safehold.toml")}
    lines = run(kept / "tree", copied, "-m", "safehold", "trail", "export", "--format", "jsonl")
    events = [json.loads(line)["e"] for line in lines.splitlines()]
    announced = [row["detail"] for row in events if row["action"] == "prove"]
    tried = [
        {"probe": row["id"], "what": one["what"]}
        for row in document["probes"]
        for one in row["tried"]
    ]
    assert announced == tried

    # Of each attack on a file the service itself recorded its refusal.
    for row in document["probes"]:
        if row["rule"] in ("SH151", "SH113"):
            for one in row["tried"]:
                refused = [seen for seen in one["noticed"] if seen["outcome"] == "refused"]
                assert [seen["action"] for seen in refused] == ["load"], one
