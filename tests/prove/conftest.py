from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safehold.prove import Plan, prove
from safehold.prove.hints import Hints

PROGRAM = Path(__file__).with_name("service.py")
HINTS = Hints(renew="python service.py renew", body=4 * 2**20, seconds=20)


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """The service with its models."""
    root = tmp_path_factory.mktemp("service") / "tree"
    root.mkdir()
    shutil.copy(PROGRAM, root)
    (root / "files").mkdir()
    subprocess.run([sys.executable, "service.py", "renew"], cwd=root, check=True)
    return root


@pytest.fixture(scope="session")
def proving(tree, tmp_path_factory):
    """Prove the service in a mode; options of the plan by name."""

    def run(mode, *, environ=None, root=tree, hints=HINTS, place=None, **options):
        given = {"against": f"python service.py {{port}} {mode}", "browser": ""} | options
        plan = Plan(root, hints, given.pop("against"), **given)
        usual = {name: text for name, text in os.environ.items() if name[:8] != "SAFEHOLD"}
        place = place or tmp_path_factory.mktemp("run")
        place.mkdir(exist_ok=True)
        return prove(plan, place, usual | (environ or {}))

    return run


@pytest.fixture(scope="session")
def weak(proving):
    return proving("weak")


@pytest.fixture(scope="session")
def strong(proving):
    return proving("strong", environ={"SERVICE_SECRET": os.urandom(24).hex()})
