"""`safehold secrets scan`: trees, history, ages, baselines, and that nothing shows a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.errors import ConfigError
from safehold.secrets import history
from safehold.secrets.history import scan_history

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
OTHER = "glpat-" + "Zz9Yy8Xx7Ww6Vv5Uu4Tt"


def git(folder: Path, *arguments: str, when: str = "2025-01-02T00:00:00Z") -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    command = ["git", *identity, "-C", str(folder), *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **dates}
    )
    return done.stdout.strip()


def commit(folder: Path, when: str = "2025-01-02T00:00:00Z") -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "m", when=when)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    top = tmp_path / "top"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    (top / "a.yaml").write_text("x: 1\n")
    commit(top)
    monkeypatch.chdir(top)
    return top


def run(capsys, *arguments: str) -> tuple[int, str]:
    code = main(["secrets", "scan", *arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


def rows(capsys, *arguments: str) -> tuple[int, list[tuple[str, str, int, str]]]:
    code = main(["secrets", "scan", *arguments, "--format", "json"])
    files = json.loads(capsys.readouterr().out)["files"]
    return code, [
        (
            file["path"],
            found["rule"],
            found["location"]["line"],
            found["location"]["member"],
        )
        for file in files
        for found in file["findings"]
    ]


def test_does_nothing_to_a_tree_without_secrets(tree, capsys):
    code, said = run(capsys, ".", "--history")
    assert code == 0
    assert "SH34" not in said


def test_a_secret_in_a_file_is_found_and_not_shown(tree, capsys):
    (tree / "b.env").write_text(f"A=1\nGITHUB_TOKEN={TOKEN}\n")
    for form in ("text", "json", "sarif", "html", "cyclonedx", "codequality"):
        code, said = run(capsys, ".", "--format", form)
        assert code == 1
        assert "SH340" in said
        assert TOKEN[4:16] not in said


def test_bytes_are_left_out_and_a_missing_file_is_an_error(tree, capsys):
    (tree / "b.bin").write_bytes(b"\0" + TOKEN.encode())
    assert run(capsys, ".")[0] == 0
    assert run(capsys, "nothing")[0] == 2


def test_a_secret_that_a_commit_took_away_is_in_the_history(tree, capsys):
    (tree / "b.env").write_text(f"\nT={TOKEN}\n")
    first = commit(tree, "2025-03-04T00:00:00Z")
    (tree / "b.env").unlink()
    commit(tree)
    assert rows(capsys, ".") == (0, [])
    assert rows(capsys, ".", "--history") == (1, [("b.env", "SH341", 2, first[:12])])


def test_a_secret_is_told_once_at_its_first_commit(tree, capsys):
    (tree / "b.env").write_text(f"T={TOKEN}\n")
    first = commit(tree)
    for number in range(3):
        (tree / "b.env").write_text("x\n" * number + f"T={TOKEN}  # {number}\n")
        commit(tree)
    assert rows(capsys, "a.yaml", "--history") == (0, [])
    assert [row[3] for row in rows(capsys, ".", "--history")[1] if row[3]] == [first[:12]]


def test_branches_and_merges_are_looked_at(tree, capsys):
    git(tree, "checkout", "-q", "-b", "side")
    (tree / "side.yaml").write_text("y: 1\n")
    commit(tree)
    git(tree, "checkout", "-q", "main")
    (tree / "a.yaml").write_text("x: 2\n")
    commit(tree)
    git(tree, "merge", "-q", "--no-commit", "side")
    (tree / "a.yaml").write_text(f"x: 3\ntoken: {TOKEN}\n")
    commit(tree)
    git(tree, "checkout", "-q", "side")
    (tree / "more.yaml").write_text(f"t: {OTHER}\n")
    commit(tree)
    assert {row[0] for row in rows(capsys, ".", "--history")[1] if row[1] == "SH341"} == {
        "a.yaml",
        "more.yaml",
    }


def test_names_and_lines_that_look_like_a_diff_mislead_nobody(tree, capsys):
    odd = 'b ö"\t\\.yaml'
    (tree / odd).write_text(f"++ b/other\n++ /dev/null\n@@ -1 +9 @@\ndiff --git a b\nt: {TOKEN}\n")
    commit(tree)
    found = [row for row in rows(capsys, ".", "--history")[1] if row[1] == "SH341"]
    assert [(os.path.basename(path), line) for path, _, line, _ in found] == [(odd, 5)]


def test_since_leaves_out_what_the_revision_has(tree, capsys):
    (tree / "old.yaml").write_text(f"t: {OTHER}\n")
    base = commit(tree)
    (tree / "new.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree)
    found = rows(capsys, ".", "--history", "--since", base)[1]
    assert {(os.path.normpath(path), rule) for path, rule, _, _ in found} == {
        ("new.yaml", "SH340"),
        ("new.yaml", "SH341"),
    }
    assert run(capsys, ".", "--since", "nothing")[0] == 2


def test_a_secret_that_is_old_is_due(tree):
    (tree / "b.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree, "2025-01-02T00:00:00Z")

    def rules(today: date, most: int | None) -> list[str]:
        reports = scan_history(".", today=today, max_age=most)
        return [found.rule.id for report in reports for found in report.findings]

    assert rules(date(2025, 4, 3), 90) == ["SH341", "SH342"]
    assert rules(date(2025, 4, 2), 90) == ["SH341"]
    assert rules(date(2026, 4, 2), None) == ["SH341"]


def test_max_age_needs_the_history(tree, capsys):
    assert run(capsys, ".", "--max-age", "3")[0] == 2


def test_a_baseline_knows_a_secret_and_not_another_in_its_place(tree, capsys):
    (tree / "b.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree)
    arguments = (".", "--history")
    assert run(capsys, *arguments, "--write-baseline", "known.json")[0] == 0
    assert TOKEN not in Path("known.json").read_text()
    assert run(capsys, *arguments, "--baseline", "known.json")[0] == 0
    (tree / "b.yaml").write_text(f"moved: 1\nt: {TOKEN}\n")
    assert run(capsys, *arguments, "--baseline", "known.json")[0] == 0
    (tree / "b.yaml").write_text(f"t: {TOKEN[:-1]}x\n")
    assert run(capsys, *arguments, "--baseline", "known.json")[0] == 1


def test_a_history_that_is_too_large_is_not_clean(tree):
    (tree / "b.yaml").write_text("x: 1\n" * 1000 + "t: 1\n" * 60_000 + f"t: {TOKEN}\n")
    commit(tree)
    reports = list(scan_history(".", most_bytes=1000))
    assert [str(report.verdict) for report in reports] == ["error"]
    reports = list(scan_history(".", most_seconds=-1))
    assert [str(report.verdict) for report in reports] == ["error"]


def test_files_of_one_commit_are_told_apart(tree):
    (tree / "b.yaml").write_text(f"t: {TOKEN}\n")
    (tree / "c.yaml").write_text(f"\nt: {OTHER}\n")
    (tree / "d.yaml").write_text("x: 1\n")
    commit(tree)
    found = [(r.path, f.location.line) for r in scan_history(".") for f in r.findings]
    assert found == [("b.yaml", 1), ("c.yaml", 2)]


def test_a_directory_whose_name_is_a_pattern_is_that_directory(tree):
    for name in ("*", "a"):
        (tree / name).mkdir()
        (tree / name / "x.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree)
    assert [report.path for report in scan_history("*")] == ["*/x.yaml"]


def test_excluded_directories_are_left_out_of_the_history_too(tree, capsys):
    (tree / "sub" / "deep").mkdir(parents=True)
    (tree / "sub" / "deep" / "x.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree)
    for glob in ("deep", "sub/deep", "x.*"):
        assert rows(capsys, ".", "--history", "--exclude", glob) == (0, [])
    assert rows(capsys, "sub", "--history", "--exclude", "sub")[0] == 1


def test_a_checkout_without_commits_has_a_clean_history(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    assert list(scan_history(".")) == []


def test_a_line_that_is_too_long_hides_nothing_after_it(tree, monkeypatch):
    monkeypatch.setattr(history, "_LONGEST_LINE", 64)
    (tree / "b.yaml").write_text("x" * 1000 + f"\nt: {TOKEN}\n")
    commit(tree)
    assert [f.location.line for r in scan_history(".") for f in r.findings] == [2]


def test_no_program_of_the_checkout_runs(tree):
    mark = tree.parent / "ran"
    program = tree.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    for name in (
        "diff.external",
        "diff.x.textconv",
        "diff.x.command",
        "core.fsmonitor",
        "core.pager",
        "gpg.program",
    ):
        git(tree, "config", name, str(program))
    git(tree, "config", "log.showSignature", "true")
    (tree / ".gitattributes").write_text("* diff=x\n")
    (tree / "b.yaml").write_text(f"t: {TOKEN}\n")
    commit(tree)
    mark.unlink(missing_ok=True)
    assert len(list(scan_history("."))) == 1
    assert not mark.exists()


def test_a_directory_without_a_checkout_has_no_history(tmp_path):
    with pytest.raises(ConfigError, match="no checkout"):
        list(scan_history(str(tmp_path)))


def test_dependencies_without_pip_audit_name_the_extra(tree, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pip_audit", None)
    assert main(["scan", "--deps", "."]) == 2
    assert "safehold[deps]" in capsys.readouterr().err
