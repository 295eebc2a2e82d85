"""Start-up: ``import safehold`` and ``safehold --version`` against bare Python."""

from __future__ import annotations

import subprocess
import sys

from bench._pairs import ratio, show


def main() -> None:
    """Print the ratios of whole processes."""
    bare = [sys.executable, "-c", "pass"]
    for name, command in (
        ("import safehold", [sys.executable, "-c", "import safehold"]),
        ("safehold --version", [sys.executable, "-m", "safehold", "--version"]),
    ):
        measured = ratio(lambda command=command: _run(command), lambda: _run(bare), rounds=15)
        show(name, measured, "bare Python")
        print(f"  {(measured[1] - measured[2]) * 1e3:.1f} ms more than bare Python")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
