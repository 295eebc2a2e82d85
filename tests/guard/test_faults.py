"""Whatever goes wrong in the guard's own code refuses, and leaves nothing behind that allows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from safehold.guard import native
from tests.guard.test_guard import home, start

pytestmark = pytest.mark.forking

__all__ = ["home"]

_PROGRAM = Path(__file__).with_name("faulty.py")
_LEAST = {"MemoryError": 700, "RecursionError": 700, "KeyboardInterrupt": 350, "nomemory": 1500}


@pytest.mark.parametrize("without", ["0", "1"], ids=["C", "Python"])
@pytest.mark.parametrize("fault", _LEAST)
def test_an_error_at_any_point_refuses(home: Path, without: str, fault: str) -> None:
    if without == "0" and native.native is None:
        pytest.skip("the extension is not built")
    if fault == "nomemory":
        pytest.importorskip("_testcapi")
    command = [sys.executable, "-m", "safehold", "run", "--policy", "safehold.toml", "--",
               sys.executable, str(_PROGRAM), fault]  # fmt: skip
    done = start(home, command, SAFEHOLD_NO_NATIVE=without)
    assert done.returncode == 0, done.stderr[-2000:]
    *problems, count = done.stdout.splitlines()
    assert not problems
    assert int(count) > _LEAST[fault]
    assert not (home / "MARK").exists()
