from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "prove" / "service.py"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "files").mkdir(parents=True)
    shutil.copy(PROGRAM, root)
    subprocess.run([sys.executable, "service.py", "renew"], cwd=root, check=True)
    (root / "prove.toml").write_text('[prove]\nstart = "python service.py {port} strong"\n')
    return root


def test_ends_with_0_and_says_what_was_not_tried(call, tree, tmp_path):
    output = tmp_path / "proof.json"
    words = ("--only", "sql-injection", "--only", "replayed-artifact", "--output", str(output))
    done = call("prove", str(tree), *words)
    assert done.code == 0
    assert "\nheld       sql-injection (SH201): " in "\n" + done.out
    assert "\nnot tried  replayed-artifact (SH113): " in "\n" + done.out
    assert "why not: no command that writes a newer version is known" in done.out
    assert "2 probes in" in done.out
    assert "0 got in, 1 held, 1 not tried" in done.out
    document = json.loads(output.read_text())
    assert document["summary"] == {"got-in": 0, "held": 1, "not-tried": 1}
    assert f"tree: {document['tree']}" in done.out


def test_ends_with_1_if_something_got_in(call, tree):
    words = ("--against", "python service.py {port} weak", "--format", "json")
    done = call("prove", str(tree), "--only", "sql-injection", *words)
    (probe,) = json.loads(done.out)["probes"]
    assert (done.code, probe["outcome"], probe["rule"]) == (1, "got-in", "SH201")
    assert "73*8191" in json.dumps(probe["tried"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--against", "http://192.0.2.1/"), "is not on this machine"),
        (("--against", "false"), "does not run, before any attack"),
        (("--against", "no-such-program"), "cannot be started"),
        (("--only", "nothing"), "no probe is called nothing; there are planted-pickle"),
        (("--hints", "none.toml"), "none.toml"),
    ],
)
def test_ends_with_2_if_nothing_could_be_tried(words, says, call, tree):
    done = call("prove", str(tree), *words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_ends_with_2_without_a_command(call, tree):
    (tree / "prove.toml").unlink()
    done = call("prove", str(tree))
    assert done.code == 2
    assert "how is the service started? Give --against 'COMMAND {port}'" in done.err


def test_keeps_copy_and_log_where_it_is_told_to(call, tree, tmp_path):
    place = tmp_path / "kept"
    assert call("prove", str(tree), "--only", "headers", "--keep", str(place)).code == 0
    assert (place / "tree" / "service.py").is_file()
    again = call("prove", str(tree), "--only", "headers", "--keep", str(place))
    assert (again.code, "is not empty" in again.err) == (2, True)


def test_ends_the_service_when_it_is_ended(tree, tmp_path):
    started = tmp_path / "started"
    (tree / "idle.py").write_text(
        "import os, time\n"
        "with open(os.environ['STARTED'] + '.new', 'w') as file:\n"
        "    file.write(str(os.getpid()))\n"
        "os.rename(os.environ['STARTED'] + '.new', os.environ['STARTED'])\n"
        "time.sleep(99)\n"
    )
    words = (sys.executable, "-m", "safehold", "prove", str(tree), "--against", "python idle.py")
    with subprocess.Popen(words, env={**os.environ, "STARTED": str(started)}) as process:
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    state = Path(f"/proc/{started.read_text()}/stat")
    ends = time.monotonic() + 20
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < ends
        time.sleep(0.01)
