"""The hook for pre-commit: run by pre-commit itself, in a repository with hostile names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.ci.conftest import ROOT
from tests.report.samples import EVIL, UNKNOWN

pytestmark = pytest.mark.extras

GIT = shutil.which("git") or "git"
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


def git(folder, *arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    plain = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run([GIT, *who, *arguments], cwd=folder, env=plain, check=True, capture_output=True)


@pytest.fixture
def hook(checkout, commands, tmp_path):
    """Commit what is in the checkout and run the hook on all of it."""
    source = tmp_path / "source"
    source.mkdir()
    # The one change: pre-commit would install a package, and nothing is fetched in a test.
    local = [{**row, "language": "unsupported"} for row in HOOKS]
    (source / ".pre-commit-hooks.yaml").write_text(yaml.safe_dump(local))
    git(source, "init")
    git(source, "add", ".")
    git(source, "commit", "-m", "hooks")
    git(checkout, "init")

    def run(*arguments):
        git(checkout, "add", "--all")
        path = f"{commands}{os.pathsep}{os.environ['PATH']}"
        plain = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "try-repo", str(source), "safehold-scan",
             "--all-files", "--verbose", *arguments],
            cwd=checkout, capture_output=True, text=True, check=False,
            env={**plain, "PATH": path, "PRE_COMMIT_HOME": str(tmp_path / "cache")},
        )  # fmt: skip

    return run


def test_clean_files_pass(hook, checkout):
    (checkout / "unknown.pkl").unlink()

    assert hook().returncode == 0


def test_artifacts_of_any_name_and_sources_are_found(hook, checkout):
    (checkout / "notes.md").write_bytes(EVIL)
    (checkout / "app.py").write_text("import pickle\npickle.loads(b'')\n")

    done = hook()

    assert done.returncode == 1
    assert "notes.md: malicious" in done.stdout
    assert "app.py: suspicious  SH151" in done.stdout
    assert "unknown.pkl: suspicious  SH102" in done.stdout
    assert "README.txt" not in done.stdout


def test_a_file_that_is_called_like_an_option_is_scanned(hook, checkout):
    (checkout / "unknown.pkl").unlink()
    for name in ("--exclude=*", "--write-baseline=x", "--policy=y", "-h"):
        (checkout / name).write_bytes(UNKNOWN)

    done = hook()

    assert done.returncode == 1
    assert done.stdout.count(": suspicious  SH102") == 4
    assert not (checkout / "x").exists()


def test_what_is_installed_is_the_package():
    (row,) = HOOKS
    assert row["language"] == "python"
    assert row["args"][-1] == "--"
