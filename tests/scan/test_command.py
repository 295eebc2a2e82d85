"""`safehold scan`: what it prints and the code it returns."""

from __future__ import annotations

import io
import json
import pickle
import sys
from types import SimpleNamespace

import pytest

from safehold._cli import main
from tests.bypasses.payloads import Raw, named, stream

GOOD = pickle.dumps([1])
EVIL = stream(named("posix", "system"))


@pytest.fixture
def files(tmp_path):
    for name, data in {
        "good.pkl": GOOD,
        "evil.pkl": EVIL,
        "unknown.pkl": stream(named("app", "Model")),
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good.pkl"], 0),
        (["unknown.pkl"], 1),
        (["evil.pkl", "good.pkl"], 1),
        (["missing.pkl"], 2),
        (["evil.pkl", "missing.pkl"], 2),
        ([""], 1),
    ],
)
def test_exit_code(files, capsys, names, code):
    assert main(["scan", *(str(files / name) for name in names)]) == code


def test_text(files, capsys):
    main(["scan", str(files / "evil.pkl"), str(files / "good.pkl")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"{files / 'evil.pkl'}: malicious  SH101 critical names posix.system"
    )
    assert lines[0].endswith("(@2)")
    assert lines[1] == f"{files / 'good.pkl'}: clean"
    assert lines[2] == "2 files: 1 clean, 1 malicious"


def test_json(files, capsys):
    assert main(["scan", str(files), "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["files"] == 3


@pytest.mark.parametrize(("data", "code"), [(GOOD, 0), (EVIL, 1), (b"", 1)])
def test_standard_input(monkeypatch, capsys, data, code):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["scan", "-"]) == code
    assert "<stdin>" in capsys.readouterr().out


def test_exclude(files, capsys):
    assert main(["scan", str(files), "--exclude", "evil*", "--exclude", "unknown*"]) == 0


def policy(folder, text):
    path = folder / "safehold.toml"
    path.write_text(text)
    return str(path)


def test_policy_of_the_environment_counts_as_for_the_other_verbs(files, capsys, monkeypatch):
    text = 'version = 1\n[[zone]]\nname = "m"\npaths = ["m/**"]\ntrust = "internal"\n'
    text += 'codecs = ["pickle"]\nallow = ["app.Model"]\n'
    monkeypatch.setenv("SAFEHOLD_POLICY", policy(files, text))
    assert main(["scan", str(files / "unknown.pkl")]) == 0
    monkeypatch.setenv("SAFEHOLD_POLICY", str(files / "missing.toml"))
    assert main(["scan", str(files / "unknown.pkl")]) == 2


def test_policy_names_classes_of_ones_own(files, capsys):
    text = 'version = 1\n[[zone]]\nname = "m"\npaths = ["m/**"]\ntrust = "internal"\n'
    text += 'codecs = ["pickle"]\nallow = ["app.Model"]\n'
    path = policy(files, text)
    assert main(["scan", str(files / "unknown.pkl")]) == 1
    assert main(["scan", str(files / "unknown.pkl"), "--policy", path]) == 0


def test_policy_gives_the_limits(files, capsys):
    path = policy(files, 'version = 1\n[limits]\nartifact = "3 B"\n')
    assert main(["scan", str(files / "good.pkl"), "--policy", path]) == 1
    assert "SH105" in capsys.readouterr().out


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    (tmp_path / "a\x1b[31m.pkl").write_bytes(stream(Raw(b"cm\x1b[2J\nn\n")))
    main(["scan", str(tmp_path)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["0", "-2", "x"])
def test_number_of_jobs(jobs, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["scan", "x", "--jobs", jobs])
    assert caught.value.code == 2


def test_without_joblib_jobs_name_the_extra(files, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert main(["scan", str(files), "--jobs", "2"]) == 2
    assert "safehold[joblib]" in capsys.readouterr().err
