"""`safehold scan`: formats, files, baseline; what goes where, and the exit code."""

from __future__ import annotations

import errno
import json
import os
import pty
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import safehold._cli
from safehold._cli import _output
from safehold.report.formats import FORMATS
from tests.report.samples import EVIL, GOOD, UNKNOWN, tree

SHA = "1" * 40


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "unknown.pkl").write_bytes(UNKNOWN)
    (tmp_path / "m" / "good.pkl").write_bytes(GOOD)
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_command_line_knows_every_format():
    assert tuple(FORMATS) == _output.FORMATS


@pytest.mark.parametrize("form", ["json", "sarif", "cyclonedx", "html", "codequality"])
def test_a_document_on_standard_output(files, call, form):
    done = call("scan", "m", "--format", form)

    assert done.code == 1
    assert "SH102" in done.out
    assert done.err == ""
    if form != "html":
        json.loads(done.out)


def test_output_goes_to_the_file_alone(files, call):
    done = call("scan", "m", "--format", "sarif", "--output", "a.sarif")

    assert (done.code, done.out, done.err) == (1, "", "")
    assert json.loads(Path("a.sarif").read_text())["version"] == "2.1.0"


def test_several_formats_in_one_run(files, call):
    done = call("scan", "m", "--also", "sarif=a.sarif", "--also", "html=a=b.html")

    assert "m/unknown.pkl: suspicious" in done.out
    assert Path("a.sarif").exists()
    assert Path("a=b.html").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--also", "sarif"], ["--also", "sarif="], ["--also", "x=a"], ["--format", "x"],
        ["--timestamp", "soon"], ["--expires", "soon"],
        ["--baseline", "a", "--write-baseline", "b"],
    ],
)  # fmt: skip
def test_usage(files, call, options, capsys):
    with pytest.raises(SystemExit) as caught:
        call("scan", "m", *options)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--output", "a", "--also", "html=./a"], "same file"),
        (["--also", "html=b", "--write-baseline", "b"], "same file"),
        (["--reason", "x"], "--write-baseline"),
        (["--expires", "2027-01-01"], "--write-baseline"),
        (["--baseline", "missing.json"], "missing.json"),
    ],
)
def test_options_that_contradict_each_other(files, call, options, told):
    done = call("scan", "m", *options)

    assert done.code == 2
    assert told in done.err
    assert not Path("a").exists()


def test_a_directory_that_is_not_there_is_told_before_the_scan(files, call, monkeypatch):
    monkeypatch.setattr("safehold._cli._scanning.scan_paths", None)

    done = call("scan", "m", "--output", "no/such/a.sarif")

    assert done.code == 2
    assert "no/such" in done.err


def test_a_write_that_fails_leaves_the_old_file(files, call, monkeypatch):
    Path("a.json").write_text("old")
    real = os.fsync

    def full(fd):
        if os.fstat(fd).st_size and not os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.ENOSPC, "no space")
        real(fd)

    monkeypatch.setattr(os, "fsync", full)
    done = call("scan", "m", "--format", "json", "--output", "a.json")

    assert done.code == 2
    assert Path("a.json").read_text() == "old"
    assert sorted(os.listdir()) == ["a.json", "m"]


def test_a_device_is_not_replaced(files, call):
    assert call("scan", "m", "--output", "/dev/full").code == 2


@pytest.mark.parametrize(
    ("path", "error"),
    [("m", "Is a directory"), ("m/", "Is a directory"), ("s", "not a file that can be written")],
)
@pytest.mark.parametrize("option", ["--output", "--also", "--write-baseline"])
def test_what_cannot_be_written_is_told_before_the_scan(
    files, call, monkeypatch, path, error, option
):
    monkeypatch.setattr("safehold._cli._scanning.scan_paths", None)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
    done = call("scan", "m", option, f"json={path}" if option == "--also" else path)

    assert done.code == 2
    assert error in done.err


def test_a_directory_that_takes_no_files_is_told_before_the_scan(files, call, monkeypatch):
    monkeypatch.setattr("safehold._cli._scanning.scan_paths", None)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "out" not in path and real(path, mode))
    (files / "out").mkdir()

    done = call("scan", "m", "--output", "out/a.json")

    assert done.code == 2
    assert "nothing can be written there" in done.err


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_by_its_name(files, call, name):
    plain = call("scan", "m", "--format", "json")
    named = call("scan", "m", "--format", "json", "--output", name)

    assert (named.code, named.out) == (plain.code, plain.out)
    assert os.path.islink("/dev/stdout")


def test_a_document_may_go_nowhere(files, call):
    nowhere = ["--output", "/dev/null", "--also", "json=/dev/null"]
    done = call("scan", "m", *nowhere, "--also", "html=h")

    assert (done.code, done.out, done.err) == (1, "", "")
    assert Path("h").exists()
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_document_may_go_to_a_pipe(files):
    """As a shell makes one of >(...)."""
    command = [sys.executable, "-m", "safehold", "scan", "m", "--also", "json=/dev/stderr"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.returncode == 1
    assert json.loads(done.stderr)["summary"]["files"] == 2
    assert "m/good.pkl: clean" in done.stdout
    reads, writes = os.pipe()
    command[-1] = f"json=/dev/fd/{writes}"
    done = subprocess.run(command, capture_output=True, check=False, pass_fds=[writes])
    os.close(writes)
    with open(reads) as pipe:
        assert json.load(pipe)["summary"]["files"] == 2
    assert (done.returncode, done.stderr) == (1, b"")


def test_quiet_prints_findings_that_count_and_nothing_else(files, call):
    loud = call("scan", "m").out.splitlines()
    done = call("scan", "m", "--quiet")

    assert done.code == 1
    assert done.out.splitlines() == [line for line in loud if "suspicious  SH102" in line]
    assert len(loud) > len(done.out.splitlines()) == 1
    assert call("scan", "m/good.pkl", "--quiet").out == ""


def test_quiet_leaves_documents_as_they_are(files, call):
    for form in ("json", "sarif", "html"):
        assert (
            call("scan", "m", "--format", form, "--quiet").out
            == call("scan", "m", "--format", form).out
        )
    call("scan", "m", "--quiet", "--output", "quiet.txt")
    call("scan", "m", "--output", "loud.txt")
    assert Path("quiet.txt").read_text() == Path("loud.txt").read_text() != ""


def test_quiet_says_nothing_of_what_is_known(files, call):
    assert call("scan", "m", "--write-baseline", "known.json", "--quiet").out == ""
    (files / "m" / "unknown.pkl").write_bytes(GOOD)
    loud = call("scan", "m", "--baseline", "known.json")
    done = call("scan", "m", "--baseline", "known.json", "--quiet")
    assert "no longer found" in loud.err
    assert (done.code, done.out, done.err) == (0, "", "")


def test_without_a_time_two_runs_give_the_same_bytes(files, call):
    for form in _output.FORMATS:
        assert call("scan", "m", "--format", form).out == call("scan", "m", "--format", form).out


@pytest.mark.parametrize("time", ["2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00"])
def test_a_time_that_is_given(files, call, time):
    for form in ("sarif", "cyclonedx"):
        assert (
            "2026-01-02T03:04:05Z" in call("scan", "m", "--format", form, "--timestamp", time).out
        )
    assert (
        "2026-01-02 03:04:05 UTC" in call("scan", "m", "--format", "html", "--timestamp", time).out
    )
    assert call("scan", "m", "--timestamp", "now").code == 1


def test_baseline(files, call):
    done = call("scan", "m", "--write-baseline", "known.json")
    assert done.code == 0
    assert "[in the baseline]" in done.out

    done = call("scan", "m", "--baseline", "known.json")
    assert done.code == 0
    assert "unknown.pkl: suspicious  SH102" in done.out

    Path("m/evil.pkl").write_bytes(EVIL)
    assert call("scan", "m", "--baseline", "known.json").code == 1


def test_what_the_baseline_leaves_out_is_told(files, call):
    Path("m/evil.pkl").write_bytes(EVIL)

    done = call("scan", "m", "--write-baseline", "known.json")
    assert done.code == 1
    assert "findings left out: 1" in done.err
    assert "--reason" in done.err

    done = call("scan", "m", "--write-baseline", "known.json", "--reason", "planted by a test")
    assert (done.code, done.err) == (0, "")


def test_stale_entries_are_told_and_do_not_change_the_code(files, call):
    call("scan", "m", "--write-baseline", "known.json")
    Path("m/unknown.pkl").unlink()

    done = call("scan", "m", "--baseline", "known.json")
    assert done.code == 0
    assert "no longer found: SH102 m/unknown.pkl" in done.err
    assert call("scan", "m/good.pkl", "--baseline", "known.json").err == ""
    assert call("scan", "m", "--exclude", "u*", "--baseline", "known.json").err == ""


@pytest.mark.parametrize(
    "text", ["", "{}", '{"safehold": "baseline", "version": 9, "findings": []}']
)
def test_a_broken_baseline_is_an_error_and_stays(files, call, text):
    Path("known.json").write_text(text)

    for option in ("--baseline", "--write-baseline"):
        done = call("scan", "m", option, "known.json")
        assert done.code == 2
        assert "known.json" in done.err
    assert Path("known.json").read_text() == text


def test_a_clean_scan_with_a_baseline_is_clean(files, call):
    call("scan", "m/good.pkl", "--write-baseline", "known.json")

    assert call("scan", "m/good.pkl", "--baseline", "known.json").code == 0


def provenance(call):
    (run,) = json.loads(call("scan", "m", "--format", "sarif").out)["runs"]
    return run.get("versionControlProvenance")


def test_a_runner_says_which_revision_it_is(files, call, monkeypatch):
    assert provenance(call) is None
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "team/models",
        "GITHUB_SHA": SHA,
        "GITHUB_REF_NAME": "main",
        "GITHUB_WORKSPACE": str(files),
    }.items():
        monkeypatch.setenv(name, value)

    (row,) = provenance(call)

    assert row["repositoryUri"] == "https://git.example/team/models"
    assert (row["revisionId"], row["branch"]) == (SHA, "main")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CI_PROJECT_URL", "javascript:alert(1)"),
        ("CI_PROJECT_URL", "https://user:secret@git.example/x"),
        ("CI_COMMIT_SHA", "main"),
        ("CI_PROJECT_DIR", "/elsewhere"),
        ("CI_PROJECT_DIR", ""),
        ("GITLAB_CI", ""),
    ],
)
def test_what_no_runner_says_is_left_out(files, call, monkeypatch, name, value):
    good = {
        "GITLAB_CI": "true",
        "CI_PROJECT_URL": "https://git.example/team/models",
        "CI_COMMIT_SHA": SHA,
        "CI_PROJECT_DIR": str(files),
    }
    for key, text in good.items():
        monkeypatch.setenv(key, text)
    assert provenance(call) is not None
    monkeypatch.setenv(name, value)

    assert provenance(call) is None


def on_a_terminal(*arguments, **environment):
    """Run the command with a terminal as standard output and return what it shows."""
    leader, follower = pty.openpty()
    try:
        done = subprocess.Popen(
            [sys.executable, "-m", "safehold", *arguments],
            stdout=follower,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        os.close(follower)
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # how a terminal on Linux ends
                break
            if not chunk:
                break
            shown += chunk
        done.wait()
    finally:
        os.close(leader)
    return shown.decode()


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_on_a_terminal_alone(files, environment, coloured):
    assert ("\x1b[33msuspicious\x1b[0m" in on_a_terminal("scan", "m", **environment)) is coloured


def test_no_colour_elsewhere(files, call):
    assert "\x1b" not in call("scan", "m").out


@pytest.mark.parametrize("form", _output.FORMATS)
def test_nothing_on_standard_output_acts(tmp_path, monkeypatch, capsys, form):
    tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = sorted(os.listdir())

    assert safehold._cli.main(["scan", "--format", form, *names]) == 2

    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert not any(mark in line for line in lines for mark in ("##[", "##vso[", "##teamcity["))
    assert all(line.isprintable() for line in lines)


def test_named_files_that_are_neither_artifact_nor_source_can_be_left_out(files, call):
    Path("notes.txt").write_text("text")
    Path("hidden.txt").write_bytes(EVIL)

    assert call("scan", "notes.txt", "m/good.pkl").code == 2
    done = call("scan", "--skip-others", "notes.txt", "m/good.pkl")
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 file: 1 clean")
    assert call("scan", "--skip-others", "notes.txt", "hidden.txt").code == 1
    assert call("scan", "--skip-others", "missing.pkl").code == 2
    assert call("scan", "--skip-others", "missing").code == 2
    assert call("scan", "--skip-others", "file:///missing").code == 2
    assert call("scan", "--skip-others", "m").code == 1
