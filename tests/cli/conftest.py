from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

import safehold._cli
from safehold.keys import generate_key

POLICY = """\
version = 1
[keys]
source = "env:THE_KEY"
id = "k2026"
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "json"]
[[zone]]
name = "data"
paths = ["data/**"]
codecs = ["json"]
[trail]
path = "trail"
[marks]
path = "marks"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A service's folder with a policy, a key and two plain artifacts; the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THE_KEY", generate_key())
    monkeypatch.setenv("SAFEHOLD_POLICY", "safehold.toml")
    Path("safehold.toml").write_text(POLICY)
    Path("models/deep").mkdir(parents=True)
    Path("data").mkdir()
    Path("models/m.pkl").write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    Path("models/deep/n.pickle").write_bytes(pickle.dumps([1, 2, 3]))
    Path("models/README.txt").write_text("not an artifact")
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run the command; return its exit code and what it wrote."""

    def run(*arguments):
        code = safehold._cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run
