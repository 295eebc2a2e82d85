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


@pytest.fixture
def trail(folder, call):
    call("seal", "models")
    call("verify", "models")
    return folder / "trail"


def writers(trail):
    return sorted(path for path in trail.iterdir() if path.name[0] != ".")


def test_untouched_trail_is_clean(trail, call):
    done = call("trail", "verify")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("2 writers, ")
    assert done.out.endswith(" lines verified, 0 with a problem\n")


def test_json_of_a_clean_trail(trail, call):
    document = json.loads(call("trail", "verify", "--format", "json").out)
    assert document["schema"] == 1
    assert [row["writer"] for row in document["writers"]] == [path.name for path in writers(trail)]
    for row in document["writers"]:
        assert row["problem"] is row["torn"] is None
        assert row["lines"] >= 3


def test_several_processes_verify_and_find_the_same(trail, call):
    assert call("trail", "verify", "--jobs", "2").out == call("trail", "verify").out
    file = writers(trail)[1] / "000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b"allowed", b"refused", 1))
    done = call("trail", "verify", "--jobs", "-1")
    assert (done.code, done.out) == (1, call("trail", "verify").out)


def test_changed_line_is_named(trail, call):
    file = writers(trail)[1] / "000001.jsonl"
    data = file.read_bytes()
    file.write_bytes(data.replace(b"allowed", b"refused", 1))
    done = call("trail", "verify")
    assert done.code == 1
    assert f"{file}:3: changed: " in done.out
    assert "1 with a problem" in done.out
    row = json.loads(call("trail", "verify", "--format", "json").out)["writers"][1]
    assert row["problem"]["path"] == str(file)
    assert (row["problem"]["line"], row["problem"]["kind"]) == (3, "changed")


def test_result_is_a_file_for_prometheus_too(trail, call, tmp_path):
    target = tmp_path / "trail.prom"
    assert call("trail", "verify", "--metrics", target).code == 0
    whole = target.read_text()
    assert "safehold_audit_verify_findings 0\n" in whole
    success = [line for line in whole.splitlines() if line.startswith("safehold_audit_verify_last")]
    file = writers(trail)[1] / "000001.jsonl"
    file.write_bytes(file.read_bytes().replace(b"allowed", b"refused", 1))
    assert call("trail", "verify", "--metrics", target).code == 1
    assert "safehold_audit_verify_findings 1\n" in target.read_text()
    assert success[0] in target.read_text().splitlines()


def test_result_that_cannot_be_written_is_an_error(trail, call, tmp_path):
    assert call("trail", "verify", "--metrics", tmp_path / "none" / "trail.prom").code == 2


def test_torn_line_is_named_and_clean(trail, call):
    file = writers(trail)[0] / "000001.jsonl"
    count = file.read_bytes().count(b"\n")
    with open(file, "ab") as handle:
        handle.write(b'{"v":1,"seq":%d,"t":"' % count)
    done = call("trail", "verify")
    assert done.code == 0
    assert f"{file}:{count + 1}: torn: " in done.out
    rows = json.loads(call("trail", "verify", "--format", "json").out)["writers"]
    assert rows[0]["torn"]["kind"] == "torn"


def test_hostile_names_are_printed_harmlessly(trail, call):
    odd = trail / "\x1b[31m\nred"
    odd.mkdir()
    (odd / "state").touch()
    done = call("trail", "verify")
    assert done.code == 1
    assert all(line.isprintable() for line in done.out.splitlines())
    assert len(done.out.splitlines()) == 2


def test_no_trail_yet_is_an_error_that_says_so(folder, call):
    for action in ("verify", "tail"):
        done = call("trail", action)
        assert done.code == 2
        assert "nothing was recorded under this policy yet" in done.err


def test_verify_needs_the_key_and_tail_does_not(trail, call, monkeypatch):
    monkeypatch.delenv("THE_KEY")
    assert call("trail", "verify").code == 2
    assert call("trail", "tail").code == 0


def test_tail_prints_the_newest_lines(trail, call):
    done = call("trail", "tail", "-n", "2")
    lines = done.out.splitlines()
    assert len(lines) == 2
    assert all(" verify allowed " in line for line in lines)
    assert "artifact=models/m.pkl" in done.out
    assert len(call("trail", "tail").out.splitlines()) >= 5
    assert call("trail", "tail", "-n", "0").out == ""


def test_tail_as_json_is_the_recorded_lines(trail, call):
    recorded = [(path / "000001.jsonl").read_text() for path in writers(trail)]
    rows = [json.loads(line) for text in recorded for line in text.splitlines()]
    shown = call("trail", "tail", "-n", "1000", "--format", "json").out.splitlines()
    assert [json.loads(line) for line in shown] == sorted(rows, key=lambda row: row["t"])


def test_tail_of_hostile_lines_is_harmless(trail, call):
    event = {"action": "\x1b[2J\n", "outcome": ["x"], "artifact": "\u202e\udcff"}
    with open(writers(trail)[0] / "000001.jsonl", "a") as file:
        file.write(json.dumps({"t": "9\x1b", "w": {}, "seq": "x", "e": event}) + "\n")
        file.write(json.dumps({"t": "9", "e": "\x1b"}) + "\nnull\n[]\n\x1b\n")
    for form in ("text", "json"):
        done = call("trail", "tail", "--format", form)
        assert done.code == 0
        assert all(line.isprintable() for line in done.out.splitlines())


def command(*arguments):
    return [sys.executable, "-m", "safehold", *arguments]


def test_following_prints_new_lines_until_it_is_interrupted(trail):
    with subprocess.Popen(
        command("trail", "tail", "-f", "-n", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            first = process.stdout.readline()
            subprocess.run(command("verify", "models/m.pkl"), check=True, capture_output=True)
            later = [process.stdout.readline() for _ in range(3)]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=120)
    assert b" verify allowed " in first
    assert b" trail.open done" in later[0]
    assert b" policy.load done" in later[1]
    assert b" verify allowed " in later[2]
    assert rest == (b"", b"")
    assert process.returncode == 130


def test_reader_that_leaves_ends_the_tail_quietly(trail):
    with subprocess.Popen(
        command("trail", "tail", "-f"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            subprocess.run(command("verify", "models/m.pkl"), check=True, capture_output=True)
        process.kill()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_trail_whose_files_are_links_or_fifos_does_not_hang(trail, call):
    home = writers(trail)[0]
    os.rename(home / "000001.jsonl", trail / "kept")
    os.mkfifo(home / "000001.jsonl")
    assert call("trail", "verify").code == 1
    assert call("trail", "tail").code == 0
    Path(home / "000001.jsonl").unlink()
    Path(home / "000001.jsonl").symlink_to("/dev/zero")
    assert call("trail", "verify").code == 1
    assert call("trail", "tail").code == 0


def test_a_writer_that_vanished_is_named(trail, call):
    gone = writers(trail)[0]
    shutil.rmtree(gone)
    done = call("trail", "verify")
    assert done.code == 1
    assert f"{gone}:0: vanished: " in done.out
    (row,) = json.loads(call("trail", "verify", "--format", "json").out)["manifest"]
    assert (row["kind"], row["path"]) == ("vanished", str(gone))


def test_prune_removes_what_is_old_and_the_trail_still_verifies(trail, call):
    assert call("trail", "prune", "--keep-days", "1").out == ""
    names = [path.name for path in writers(trail)]
    done = call("trail", "prune", "--keep-days", "0")
    assert (done.code, [line.split(":")[0] for line in done.out.splitlines()]) == (0, names)
    (own,) = writers(trail)  # which says what was removed
    assert own.name not in names
    assert call("trail", "verify").code == 0
    document = json.loads(call("trail", "prune", "--keep-days", "0", "--format", "json").out)
    assert document == {"schema": 1, "writers": [{"writer": own.name, "lines": 4, "kept": ""}]}


def test_prune_asks_what_to_keep(trail, call):
    done = call("trail", "prune")
    assert done.code == 2
    assert "--keep-days DAYS" in done.err


def test_a_checkpoint_elsewhere_is_compared(trail, call, tmp_path):
    kept = tmp_path / "kept"
    assert call("trail", "checkpoint").out.startswith('{"v":1,')
    assert call("trail", "checkpoint", "--to", f"file:{kept}").code == 0
    assert call("trail", "verify", "--witness", str(kept)).code == 0
    shutil.rmtree(trail)
    call("verify", "models")
    assert call("trail", "verify").code == 0
    done = call("trail", "verify", "--witness", str(kept))
    assert done.code == 1
    assert f"{kept}:1: witness: " in done.out
    assert call("trail", "verify", "--witness", str(tmp_path / "none")).code == 2
    assert call("trail", "checkpoint", "--to", "elsewhere").code == 2
