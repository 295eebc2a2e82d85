from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.report.samples import EVIL, GOOD, UNKNOWN

ROOT = Path(__file__).resolve().parent.parent.parent
# What an input would do if it ever became a part of a script, an option or a command of the runner.
INJECTIONS = (
    "$(touch owned)",
    "`touch owned`",
    '"; touch owned; "',
    "'; touch owned; '",
    "END\ntouch owned\n",
    "x ${HOME} $HOME",
)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A directory as a job finds it: a clean and an unknown artifact, a file called an option."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "good.pkl").write_bytes(GOOD)
    (folder / "unknown.pkl").write_bytes(UNKNOWN)
    (folder / "README.txt").write_text("text")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def evil(checkout):
    (checkout / "--output=x.pkl").write_bytes(EVIL)
    return checkout


@pytest.fixture
def commands(tmp_path):
    """A directory with `safehold`, which is this checkout's."""
    folder = tmp_path / "safehold" / "bin"
    folder.mkdir(parents=True)
    program(folder / "safehold", f'exec "{sys.executable}" -m safehold "$@"')
    return folder


@pytest.fixture
def recorder(commands, tmp_path):
    """Put a program in the place of `safehold` that keeps its arguments; return those."""
    file = tmp_path / "arguments"
    program(commands / "safehold", f'printf "%s\\0" "$@" > "{file}"; echo > safehold.sarif')

    return lambda: file.read_text().split("\0")[:-1] if file.exists() else []


def commit_all(folder: Path) -> None:
    """Make a repository of a directory, with one commit."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    plain = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "m"]):
        command = [shutil.which("git") or "git", *who, *words]
        subprocess.run(command, cwd=folder, env=plain, check=True)


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shell(checkout, tmp_path) -> Run:
    """Run a script as a runner does, with these variables."""

    def run(script: str, variables: Mapping[str, str], *, program: str = "bash", **options):
        file = tmp_path / "script"
        file.write_text(script)
        plain = {name: value for name, value in os.environ.items() if "GIT" not in name}
        return subprocess.run(
            [program, file],
            env={**plain, **variables},
            cwd=options.get("cwd", checkout),
            capture_output=True,
            text=True,
            check=False,
        )

    return run
