"""Source scan of site-packages: ``audit_tree`` against ruff's S rules, as whole processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from bench._pairs import ratio, show

_WANTED = ("sklearn", "joblib", "pandas", "numpy", "scipy")
_OURS = """
import sys
from safehold.policy import default_policy
from safehold.source import audit_tree
root = sys.argv[1]
found = [audit for audit in audit_tree(root, policy=default_policy(root))]
print(len(found), sum(len(audit.findings) for audit in found))
"""


def main() -> None:
    """Print the ratio of wall time for a tree of at least 1,500 files."""
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
        measured = ratio(lambda: _run(ours), lambda: _run(theirs), rounds=3)
        show(f"source scan of {count} files", measured, "ruff S rules (two threads, native code)")
        print(f"  files, findings here: {_run(ours).strip()}")


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
