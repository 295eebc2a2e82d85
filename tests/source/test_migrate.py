"""The `migrate` verb, run as its users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from safehold._cli import main

UNSAFE = b"import pickle\n\npickle.loads(b'')\n"


@pytest.fixture
def service(tmp_path):
    root = tmp_path / "service"
    root.mkdir()
    (root / "app.py").write_bytes(UNSAFE)
    (root / "clean.py").write_bytes(b"x = 1\n")
    return root


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_shows_a_diff_and_changes_nothing(service, capsys):
    before = contents(service)
    assert main(["migrate", str(service)]) == 1
    out = capsys.readouterr().out
    assert "--- a/app.py\n+++ b/app.py\n" in out
    assert "-import pickle\n+import safehold.compat.pickle as pickle\n" in out
    assert "2 files: 1 to migrate" in out
    assert contents(service) == before


def patched(before: list[str], hunks: list[str]) -> list[str]:
    """Apply the hunks of a unified diff, as strictly as `patch --fuzz=0`."""
    result, position = [], 0
    for line in hunks:
        if match := re.fullmatch(r"@@ -(\d+),(\d+) \+(\d+),\2 @@", line):
            start = int(match[1]) - 1
            result += before[position:start]
            position = start
            assert len(result) == int(match[3]) - 1
        elif line.startswith("+"):
            result.append(line[1:])
        else:
            assert before[position] == line[1:]
            position += 1
            if line.startswith(" "):
                result.append(line[1:])
    return result + before[position:]


def test_the_diff_gives_what_write_writes(service, capsys):
    source = b"x = 1\n" * 9 + UNSAFE + b"y = 2\n" * 9 + UNSAFE + b"z = 3\n" * 2 + UNSAFE
    (service / "app.py").write_bytes(source)
    main(["migrate", str(service)])
    out = capsys.readouterr().out.splitlines()
    hunks = out[out.index("+++ b/app.py") + 1 : -1]
    assert sum(line.startswith("@@") for line in hunks) == 2
    assert main(["migrate", str(service), "--write"]) == 0
    written = (service / "app.py").read_text().splitlines()
    assert patched(source.decode().splitlines(), hunks) == written


def test_writes_and_rolls_back(service, capsys):
    before = contents(service)
    assert main(["migrate", str(service), "--write"]) == 0
    assert b"safehold.compat.pickle" in (service / "app.py").read_bytes()
    assert "migrated: app.py" in capsys.readouterr().out
    assert main(["migrate", str(service)]) == 0
    assert main(["migrate", str(service), "--rollback"]) == 0
    assert contents(service) == before
    assert main(["migrate", str(service), "--rollback"]) == 0
    assert "nothing to roll back" in capsys.readouterr().out


def test_a_clean_tree_gets_no_journal(service):
    (service / "app.py").write_bytes(b"x = 1\n")
    assert main(["migrate", str(service), "--write"]) == 0
    assert not (service / ".safehold").exists()


def test_json_has_the_documented_shape(service, capsys):
    (service / "left.py").write_bytes(b"import pickle\npickle._loads(b'')\n")
    assert main(["migrate", str(service), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    app, _, left = document["files"]
    assert app == {
        "path": "app.py",
        "outcome": "migrated",
        "edits": [
            {
                "line": 1,
                "rule": "SH151",
                "before": "import pickle",
                "after": "import safehold.compat.pickle as pickle",
            }
        ],
        "diagnostics": [],
    }
    assert left["outcome"] == "diagnosed"
    assert set(left["diagnostics"][0]) == {"line", "rule", "message", "remedy"}
    summary = document["summary"]
    assert (summary["files"], summary["migrated"], summary["diagnosed"]) == (3, 1, 1)
    assert (summary["unchanged"], summary["written"]) == (1, False)


def test_what_is_left_by_hand_keeps_the_exit_code_at_one(service, capsys):
    (service / "left.py").write_bytes(b"import pickle\npickle._loads(b'')\n")
    assert main(["migrate", str(service), "--write"]) == 1
    out = capsys.readouterr().out
    assert "left.py:2: SH158 pickle._loads is not migrated" in out
    assert "    Import the facade by hand" in out


def test_a_read_only_file_is_reported_and_the_others_are_migrated(service, capsys):
    (service / "fixed.py").write_bytes(UNSAFE)
    (service / "fixed.py").chmod(0o444)
    assert main(["migrate", str(service), "--write"]) == 1
    assert "fixed.py:1: SH151 the file is read-only" in capsys.readouterr().out
    assert (service / "fixed.py").read_bytes() == UNSAFE
    assert b"compat" in (service / "app.py").read_bytes()


def test_a_single_file(service, capsys):
    (service / "other.py").write_bytes(UNSAFE)
    assert main(["migrate", str(service / "app.py"), "--write"]) == 0
    assert (service / "other.py").read_bytes() == UNSAFE
    assert b"compat" in (service / "app.py").read_bytes()
    assert main(["migrate", str(service / "app.py"), "--rollback"]) == 0
    assert (service / "app.py").read_bytes() == UNSAFE


def test_the_trees_own_policy_is_used_unless_another_is_named(service, tmp_path, capsys):
    (service / "app.py").write_bytes(b"import pickle\npickle.dump({}, open('data/a', 'wb'))\n")
    main(["migrate", str(service)])
    assert "compat.data" in capsys.readouterr().out
    zone = '[[zone]]\nname = "d"\npaths = ["data/**"]\ntrust = "internal"\ncodecs = ["pickle"]\n'
    (service / "safehold.toml").write_text("version = 1\n" + zone)
    main(["migrate", str(service)])
    assert "compat.pickle" in capsys.readouterr().out
    other = tmp_path / "other.toml"
    other.write_text("version = 1\n")
    main(["migrate", str(service), "--policy", str(other)])
    assert "compat.data" in capsys.readouterr().out


def test_excluded_files_are_left_alone(service):
    assert main(["migrate", str(service), "--write", "--exclude", "app.*"]) == 0
    assert (service / "app.py").read_bytes() == UNSAFE


def test_errors_have_exit_code_two(service, capsys):
    assert main(["migrate", str(service / "missing")]) == 2
    assert "missing" in capsys.readouterr().err
    (service / "safehold.toml").write_text("nonsense")
    assert main(["migrate", str(service)]) == 2


def test_after_a_cut_off_run_the_message_names_the_command(service, capsys):
    code = (
        "import os, signal, sys\nfrom safehold.source import Journal\n"
        "j = Journal.begin(sys.argv[1])\nj.replace(sys.argv[1] + '/app.py', b'half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, service], check=False)
    assert main(["migrate", str(service), "--write"]) == 0  # nothing unsafe in b'half'
    (service / "clean.py").write_bytes(UNSAFE)
    assert main(["migrate", str(service), "--write"]) == 2
    assert f"safehold migrate {os.path.realpath(service)} --rollback" in capsys.readouterr().err
    assert main(["migrate", str(service), "--rollback", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["restored"] == ["app.py"]
    assert (service / "app.py").read_bytes() == UNSAFE


def test_control_characters_of_a_source_do_not_reach_the_terminal(service, capsys):
    (service / "app.py").write_bytes(b"# \x1b[2J\x07\n" + UNSAFE)
    main(["migrate", str(service)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("output", ["sarif", "html"])
def test_documents_for_code_scanning_and_for_people(service, capsys, output):
    assert main(["migrate", str(service), "--format", output]) == 1
    assert "import safehold.compat.pickle as pickle" in capsys.readouterr().out
    assert main(["migrate", str(service), "--format", output, "--write"]) == 0
    assert "import safehold.compat.pickle as pickle" in capsys.readouterr().out
    assert b"compat" in (service / "app.py").read_bytes()
    assert main(["migrate", str(service), "--rollback", "--format", output]) == 2
    assert "text or json" in capsys.readouterr().err
    assert main(["migrate", str(service), "--rollback"]) == 0


def test_a_file_of_which_something_is_left_counts_as_migrated_in_part(service, capsys):
    (service / "both.py").write_bytes(b"import pickle\npickle.loads(b'')\nimport marshal\n"
                                      b"marshal.loads(b'')\n")  # fmt: skip
    assert main(["migrate", str(service), "--format", "json"]) == 1
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["migrated"], summary["partly"], summary["diagnosed"]) == (2, 1, 0)
    assert main(["migrate", str(service), "--write"]) == 1
    out = capsys.readouterr().out
    assert "migrated, 1 left: both.py\n" in out
    assert "migrated: app.py\n" in out
    assert "2 migrated, 1 of them in part, " in out
