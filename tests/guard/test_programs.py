"""Ordinary programs run unchanged under the guard."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import safehold
from tests.guard.applications import APPLICATIONS
from tests.guard.programs import PROGRAMS, Program

pytestmark = pytest.mark.extras

_POLICY = """
version = 1
[keys]
source = "env:SAFEHOLD_SECRET_KEY"
id = "k1"
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "joblib", "json", "msgpack", "npy"]
allow = ["sklearn", "pandas"]
"""
_PATIENCE = 600  # seconds after which a program hangs
_LEAST = 80
_ALL = [*PROGRAMS, *APPLICATIONS]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


@pytest.mark.parametrize("program", _ALL, ids=lambda program: program.name)
def test_program(program: Program, tmp_path: Path) -> None:
    missing = [module for module in program.needs if not _is_there(module)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    (tmp_path / "models").mkdir()
    (tmp_path / "safehold.toml").write_text(_POLICY)
    (tmp_path / "program.py").write_text(program.text)
    source = str(Path(safehold.__file__).parent.parent)
    command = [sys.executable, "-m", "safehold", "run", "--policy", "safehold.toml", "--",
               sys.executable, "program.py"]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": source,
            "SAFEHOLD_SECRET_KEY": _KEY,
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    assert "Blocked" not in done.stderr


_KEY = "Zq3_8vK1p-Rw5tY7uJ9mN2bX4cD6fG0hLsAeQiOzVyk"


def test_programs_are_many() -> None:
    assert len({program.name for program in _ALL}) == len(_ALL) >= _LEAST
