"""Starts the programs of this folder on cases that were written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.corpus.cases import Made

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def rows(made: Sequence[Made]) -> str:
    return json.dumps(
        [
            {
                "id": one.case.id,
                "path": str(one.path),
                "canary": str(one.canary),
                "loader": one.case.loader,
                "needs": one.case.needs,
                "effect": one.case.effect,
            }
            for one in made
        ]
    )


def told(program: str, made: Sequence[Made], where: Path) -> Any:
    """Run a program of this folder on the files and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / program)],
        input=rows(made),
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
        cwd=where,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def loaded(made: Sequence[Made], where: Path) -> dict[str, str]:
    """Load each file by its loader; tell for each id: ``ran``, ``dud``, or what is missing."""
    result: dict[str, str] = told("victim.py", made, where)
    return result
