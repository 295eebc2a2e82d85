"""The examples of docs/how-to/scan.md run, and return the codes that stand beside them."""

from __future__ import annotations

import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from safehold._cli import build_parser
from safehold.scan import scan_path
from tests.bypasses.payloads import named, stream

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "scan.md").read_text("utf-8")
EVIL = stream(named("posix", "system"))
# What needs a network, a cluster or a checkout is only looked at, what needs an extra run apart.
ELSEWHERE = ("s3://", "https://", "--since", "--jobs")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


LINES = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory with what the page talks of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAFEHOLD_POLICY", raising=False)
    snapshot = Path("hub/models--org--name/snapshots/abc")
    for directory in ("models", "downloads", "own", snapshot):
        Path(directory).mkdir(parents=True)
    for name in ("models/a.pkl", "models/b.pkl"):
        Path(name).write_bytes(pickle.dumps([1]))
    Path("downloads/model.pkl").write_bytes(EVIL)
    (snapshot / "model.pkl").write_bytes(EVIL)
    Path("own/m.pkl").write_bytes(b"\x80\x02capp.models\nModel\n)\x81}b.")
    Path("service.py").write_text("import pickle\n\n\ndef read(data):\n    pickle.loads(data)\n")
    [policy] = [block for block in blocks("toml") if "allow" in block]
    Path("safehold.toml").write_text(policy)
    return tmp_path


def run(line: str) -> subprocess.CompletedProcess[str]:
    program = f'safehold() {{ "{sys.executable}" -m safehold "$@"; }}; {line}'
    return subprocess.run(["/bin/sh", "-c", program], capture_output=True, text=True, check=False)


def test_commands(here):
    tried = [line for line in LINES if not any(word in line for word in ELSEWHERE)]
    assert len(tried) >= 10
    for line in tried:
        code = re.search(r"# .*exit code (\d)", line)
        done = run(line)
        assert done.stderr == "" or "--write-baseline" in line, line
        # What --write-baseline has just written is known.
        assert done.returncode == (int(code[1]) if code else 0), (line, done.stdout, done.stderr)
    for name in ("safehold.sarif", "safehold.html", "bom.json", "known.json"):
        assert Path(name).stat().st_size


@pytest.mark.extras
@pytest.mark.parametrize("line", [line for line in LINES if "--jobs" in line])
def test_commands_with_several_jobs(here, line):
    pytest.importorskip("joblib")
    assert run(line).returncode == 0


@pytest.mark.parametrize("line", LINES)
def test_options_exist(line):
    words = shlex.split(line.rpartition("|")[2], comments=True)
    assert words[:2] == ["safehold", "scan"]
    build_parser({"scan"}).parse_args(words[1:])


def test_python(here, capsys):
    exec("\n".join(blocks("python")), {})  # noqa: S102  the page is ours
    out = capsys.readouterr().out.splitlines()
    assert out[0] == str(scan_path("models").summary)
    assert f"print(scan.summary)  # {out[0]}" in PAGE
    assert "downloads/model.pkl malicious SH101" in out[1]


def test_what_the_first_command_prints(here):
    text = blocks("text")[0]
    done = run("safehold scan downloads/model.pkl")
    assert re.sub(r"@\d+", "@28", done.stdout) == text


def test_the_class_is_accepted_by_its_exact_name_alone(here):
    policy = Path("safehold.toml")
    policy.write_text(policy.read_text().replace("app.models.Model", "app.models.Other"))
    assert run("safehold scan own/ --policy safehold.toml").returncode == 1
