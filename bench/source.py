"""Source scan of site-packages: ``audit_tree`` against ruff's S rules, as whole processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, ratio, value

_WANTED = ("sklearn", "joblib", "pandas", "numpy", "scipy")
_OURS = """
import sys
from safehold.policy import default_policy
from safehold.source import audit_tree
root = sys.argv[1]
found = [audit for audit in audit_tree(root, policy=default_policy(root))]
print(len(found), sum(len(audit.findings) for audit in found))
"""


def rows() -> Iterator[Row]:
    """Yield the ratios for a tree of at least 1,500 files, and what was found."""
    packages = Path(sysconfig.get_paths()["purelib"])
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        for package in _WANTED:
            shutil.copytree(
                packages / package,
                tree / package,
                ignore=lambda directory, names: [
                    item
                    for item in names
                    if not item.endswith(".py") and not (Path(directory) / item).is_dir()
                ],
            )
        count = sum(1 for _ in tree.rglob("*.py"))
        ours = [sys.executable, "-c", _OURS, str(tree)]
        theirs = [ruff, "check", "--isolated", "--no-cache", "--quiet", "--exit-zero",
                  "--select", "S301,S302,S403,S506,S608", str(tree)]  # fmt: skip
        pairs = in_turn(lambda: _run(ours), lambda: _run(theirs), rounds=5)
        label, peer = f"source scan of {count} files", "ruff S rules (two threads, native code)"
        yield ratio(label, pairs, against=peer)
        yield ratio(label, pairs, "wall", against=peer)
        files, findings = map(int, _run(ours).split())
        yield value("files read", files, unit="")
        yield value("findings", findings, unit="")


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
