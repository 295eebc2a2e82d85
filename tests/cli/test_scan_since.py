"""`safehold scan --since`: which files are scanned, and that no program of the checkout runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.secrets import git as asked

GOOD = pickle.dumps([1])
OTHER = pickle.dumps([2])
EVIL = b"cos\nsystem\n(S'true'\ntR."
UNSAFE = "import pickle\nx = pickle.load(open('a', 'rb'))\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", *identity, "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "m")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    top = tmp_path / "top"
    (top / "m").mkdir(parents=True)
    git(top, "init", "-q", "-b", "main")
    fill(top)
    monkeypatch.chdir(top)
    return top


def fill(top: Path) -> None:
    for name in ("same", "changed", "gone", "moved"):
        (top / "m" / f"{name}.pkl").write_bytes(GOOD)
    (top / "old.py").write_text(UNSAFE)
    (top / "new.py").write_text("")
    commit(top)


def scanned(capsys, *arguments: str, since: str = "HEAD") -> tuple[int, dict[str, str]]:
    code = main(["scan", "--since", since, *arguments, "--format", "json"])
    files = json.loads(capsys.readouterr().out)["files"]
    return code, {os.path.normpath(file["path"]): file["verdict"] for file in files}


def refused(capsys, *arguments: str) -> str:
    assert main(["scan", "--since", *arguments]) == 2
    return capsys.readouterr().err


def change(top: Path) -> None:
    (top / "m" / "changed.pkl").write_bytes(EVIL)
    (top / "m" / "gone.pkl").unlink()
    (top / "m" / "moved.pkl").rename(top / "m" / "to.pkl")
    (top / "new.py").write_text(UNSAFE)
    (top / ".gitignore").write_text("ignored*\n")
    (top / "ignored.pkl").write_bytes(GOOD)
    (top / "m" / "line\nbreak.pkl").write_bytes(GOOD)


CHANGED = {
    "m/changed.pkl": "malicious",
    "m/to.pkl": "clean",
    "m/line\nbreak.pkl": "clean",
    "ignored.pkl": "clean",
    "new.py": "suspicious",
}


def test_nothing_is_scanned_where_nothing_changed(tree, capsys):
    assert scanned(capsys) == (0, {})


def test_what_differs_from_the_revision_is_scanned_and_nothing_else(tree, capsys):
    change(tree)

    assert scanned(capsys) == (1, CHANGED)


def test_what_was_committed_after_the_revision_is_scanned(tree, capsys):
    change(tree)
    (tree / ".gitignore").unlink()
    commit(tree)

    assert scanned(capsys) == (0, {})
    assert scanned(capsys, since="HEAD~1") == (1, CHANGED)


def test_names_with_a_line_break_can_be_unchanged(tree, capsys):
    change(tree)
    (tree / ".gitignore").unlink()
    commit(tree)

    assert scanned(capsys, "m") == (0, {})


def test_a_repository_with_sha256_names_works_the_same(tmp_path, tree, monkeypatch, capsys):
    other = tmp_path / "other"
    (other / "m").mkdir(parents=True)
    git(other, "init", "-q", "-b", "main", "--object-format=sha256")
    fill(other)
    monkeypatch.chdir(other)

    assert scanned(capsys) == (0, {})
    change(other)
    assert scanned(capsys) == (1, CHANGED)


def test_paths_limit_the_result(tree, capsys):
    change(tree)

    assert scanned(capsys, "new.py", "m/same.pkl")[1] == {"new.py": "suspicious"}
    assert set(scanned(capsys, "m")[1]) == {name for name in CHANGED if name.startswith("m/")}
    assert scanned(capsys, "old.py")[1] == {}


def test_without_a_path_all_of_the_checkout_counts(tree, monkeypatch, capsys):
    change(tree)
    monkeypatch.chdir(tree / "m")

    assert set(scanned(capsys)[1]) == {os.path.join("..", name) for name in CHANGED}


def test_a_deleted_path_is_left_out_and_one_that_never_was_is_an_error(tree, capsys):
    change(tree)

    assert scanned(capsys, "m/gone.pkl") == (0, {})
    assert scanned(capsys, "m/never.pkl") == (2, {"m/never.pkl": "error"})


def test_links_are_always_followed(tree, tmp_path, capsys):
    (tmp_path / "outside").write_bytes(GOOD)
    (tree / "link.pkl").symlink_to(tmp_path / "outside")
    commit(tree)
    (tmp_path / "outside").write_bytes(EVIL)

    assert scanned(capsys) == (1, {"link.pkl": "malicious"})


def test_a_file_that_became_a_link_to_the_same_bytes_is_scanned(tree, tmp_path, capsys):
    (tree / "m" / "same.pkl").rename(tmp_path / "outside")
    (tree / "m" / "same.pkl").symlink_to(tmp_path / "outside")

    assert scanned(capsys) == (0, {"m/same.pkl": "clean"})


def test_an_index_that_claims_no_change_is_not_believed(tree, capsys):
    git(tree, "update-index", "--assume-unchanged", "m/changed.pkl")
    git(tree, "update-index", "--skip-worktree", "m/same.pkl")
    for name in ("changed", "same"):
        facts = (tree / "m" / f"{name}.pkl").stat()
        (tree / "m" / f"{name}.pkl").write_bytes(OTHER)
        os.utime(tree / "m" / f"{name}.pkl", ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert set(scanned(capsys)[1]) == {"m/changed.pkl", "m/same.pkl"}


def test_a_replaced_object_is_not_taken_for_the_revision(tree, capsys):
    old = git(tree, "rev-parse", "HEAD")
    (tree / "m" / "changed.pkl").write_bytes(EVIL)
    new = commit(tree)
    git(tree, "replace", old, new)

    assert scanned(capsys, since=old) == (1, {"m/changed.pkl": "malicious"})


def test_changed_files_of_a_submodule_are_scanned(tree, tmp_path, capsys):
    part = tmp_path / "part"
    part.mkdir()
    git(part, "init", "-q", "-b", "main")
    (part / "a.pkl").write_bytes(GOOD)
    (part / "b.pkl").write_bytes(GOOD)
    commit(part)
    git(tree, "submodule", "--quiet", "add", str(part), "sub")
    commit(tree)

    assert scanned(capsys) == (0, {})
    (tree / "sub" / "a.pkl").write_bytes(EVIL)
    assert scanned(capsys) == (1, {"sub/a.pkl": "malicious"})
    # Without the commit nothing is known of its files.
    (tree / "sub" / ".git").write_text("gitdir: nowhere\n")
    assert set(scanned(capsys)[1]) == {"sub/a.pkl", "sub/b.pkl"}


def test_a_repository_in_a_scanned_directory_is_not_asked(tree, capsys):
    (tree / "in").mkdir()
    git(tree / "in", "init", "-q", "-b", "main")
    (tree / "in" / "a.pkl").write_bytes(EVIL)
    commit(tree / "in")

    assert scanned(capsys, "in") == (1, {"in/a.pkl": "malicious"})


def test_variables_of_a_hook_do_not_name_the_repository(tree, tmp_path, monkeypatch, capsys):
    (tree / "m" / "changed.pkl").write_bytes(EVIL)
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))

    assert scanned(capsys) == (1, {"m/changed.pkl": "malicious"})


@pytest.mark.parametrize("path", ["..", "../other.pkl"])
def test_a_path_outside_the_checkout_is_an_error(tree, capsys, path):
    assert "outside the checkout" in refused(capsys, "HEAD", path)


@pytest.mark.parametrize("path", ["-", "https://example.org/a.pkl"])
def test_what_is_no_file_cannot_be_compared(tree, capsys, path):
    assert "leave out URLs" in refused(capsys, "HEAD", path)


def test_a_revision_that_is_not_there_is_an_error_that_says_what_to_do(tree, capsys):
    assert "git fetch --unshallow" in refused(capsys, "nothing")
    assert "is not a revision" in refused(capsys, "")
    assert main(["scan", "--since=--all"]) == 2
    assert "is not a revision" in capsys.readouterr().err


def test_a_directory_in_no_checkout_is_an_error(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert "in no checkout of git" in refused(capsys, "HEAD", ".")


@pytest.mark.parametrize("path", ["empty", "."])
def test_without_git_or_with_one_of_the_checkout_it_is_an_error(tree, monkeypatch, capsys, path):
    program = tree / "git"
    program.write_text("#!/bin/sh\ntouch canary\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", path)

    assert "install it" in refused(capsys, "HEAD")
    assert not (tree / "canary").exists()


def test_a_checkout_that_git_does_not_trust_is_an_error(tree, monkeypatch, capsys):
    stranger = {**asked.ENVIRONMENT, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    monkeypatch.setattr(asked, "ENVIRONMENT", stranger)

    error = refused(capsys, "HEAD")

    assert "does not trust" in error
    assert f"git config --global --add safe.directory {tree}" in error


def test_no_program_of_the_configuration_runs(tree, tmp_path, capsys):
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho x >>{canary}\ncat\n")
    program.chmod(0o755)
    (tree / ".gitattributes").write_text("* filter=f diff=d\n")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(program, hooks / name)
    base = commit(tree)
    for setting in (
        "filter.f.clean",
        "filter.f.smudge",
        "filter.f.process",
        "diff.d.textconv",
        "diff.d.command",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "credential.helper",
        "alias.ls-tree",
        "alias.rev-parse",
    ):
        prefix = "!" if setting.startswith(("alias", "credential")) else ""
        git(tree, "config", setting, f"{prefix}{program}")
    git(tree, "config", "core.hooksPath", str(hooks))
    (tree / "m" / "changed.pkl").write_bytes(EVIL)
    os.utime(tree / "m" / "same.pkl", (1, 1))

    assert scanned(capsys, since=base) == (1, {"m/changed.pkl": "malicious"})
    assert not canary.exists()
    command = ["git", "status"]
    subprocess.run(command, check=False, capture_output=True, cwd=tree)
    assert canary.exists()  # the trap works


def test_what_a_partial_clone_lacks_is_not_fetched(tree, tmp_path, capsys):
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\nexit 1\n")
    program.chmod(0o755)
    root = git(tree, "rev-parse", "HEAD^{tree}")
    (tree / ".git" / "objects" / root[:2] / root[2:]).unlink()
    git(tree, "config", "core.repositoryFormatVersion", "1")
    git(tree, "config", "extensions.partialClone", "origin")
    git(tree, "config", "remote.origin.url", "ssh://example.org/x")
    git(tree, "config", "remote.origin.promisor", "true")
    git(tree, "config", "core.sshCommand", str(program))

    assert "fetch it first" in refused(capsys, "HEAD")
    assert not canary.exists()
    command = ["git", "ls-tree", "-r", "HEAD"]
    subprocess.run(command, check=False, capture_output=True, cwd=tree)
    assert canary.exists()  # the trap works
