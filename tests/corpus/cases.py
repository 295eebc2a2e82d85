"""What a case of the corpus is, and how a list of them becomes files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One file: ``build`` gives its bytes for a canary, ``loader`` says how it is loaded.

    ``effect`` is what loading does: ``runs`` touches the canary, ``exhausts`` takes the memory or
    the time of the process. ``needs`` are modules without which that cannot be shown, ``verdict``
    the least that a scan must say.
    """

    id: str
    family: str
    build: Callable[[Path], bytes]
    loader: str = "pickle"
    suffix: str = ".pkl"
    needs: tuple[str, ...] = ()
    effect: str = "runs"
    verdict: str = "malicious"

    def make(self, directory: Path, canary: Path) -> Path:
        """Write the file; what it needs beside it lies beside the canary."""
        path = directory / f"{self.id}{self.suffix}"
        path.write_bytes(self.build(canary))
        return path


@dataclass(frozen=True)
class Made:
    """A case that was written."""

    case: Case
    path: Path
    canary: Path


def write(cases: Iterable[Case], directory: Path) -> list[Made]:
    """Write the cases to ``files``; canaries, and what payloads need, belong into ``side``."""
    files, side = directory / "files", directory / "side"
    made = []
    for case in cases:
        folder = files / case.family
        folder.mkdir(parents=True, exist_ok=True)
        own = side / case.id
        own.mkdir(parents=True, exist_ok=True)
        canary = own / "canary"
        made.append(Made(case, case.make(folder, canary), canary))
    return made


def manifest(made: Iterable[Made], directory: Path) -> str:
    """Return what was written as JSON, paths relative to the directory."""
    rows = [
        {
            "id": one.case.id,
            "family": one.case.family,
            "file": str(one.path.relative_to(directory)),
            "canary": str(one.canary.relative_to(directory)),
            "loader": one.case.loader,
            "needs": list(one.case.needs),
            "effect": one.case.effect,
            "verdict": one.case.verdict,
        }
        for one in made
    ]
    return json.dumps({"schema": 1, "files": rows}, indent=1) + "\n"
