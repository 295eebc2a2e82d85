"""Looking at sources and migrating them: processor time against ruff and bandit, and memory.

Whole processes are measured, with what their start costs; ruff works in several threads, so it is
the processor time of all that counts. bandit looks at every eighth file, since it takes minutes
for all; so does ours where it is compared with it.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench._clocks import Pairs, in_turn
from bench._rows import Row, left_out, ratio, value

_WANTED: Final = ("sklearn", "joblib", "pandas", "numpy")
_COPIED: Final = "sklearn"
_COPIES: Final = 4
_COMMAND: Final = "import sys; from safehold._cli import main; sys.exit(main())"
_VERB: Final = [sys.executable, "-c", _COMMAND]
_BANDIT: Final = Path(__file__).parent.parent / ".venv-peers/bin/bandit"
_OURS: Final = """
import sys
from safehold.policy import default_policy
from safehold.source import audit_tree
files = findings = 0
for audit in audit_tree(sys.argv[1], policy=default_policy(sys.argv[1]), plans=False):
    files += 1
    findings += len(audit.findings)
print(files, findings)
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def rows() -> Iterator[Row]:
    """Yield the ratios for a tree of 1,500 to 3,000 files, the memory, and what was found."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tree = root / "tree"
        for package in _WANTED:
            _copy(package, tree / package)
        yield from _against_ruff(tree)
        yield from _against_bandit(tree, root / "part")
        yield from _migrated(tree, root / "copy")
        yield from _linear(root)
        files, findings, peak = map(int, _run(_audit(tree)).split())
        yield value("peak of the process", peak * 1024, goal=64 * 2**20, unit="B")
        yield value("files read", files, unit="")
        yield value("findings", findings, unit="")


def _against_ruff(tree: Path) -> Iterator[Row]:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    theirs = [ruff, "check", "--isolated", "--no-cache", "--quiet", "--exit-zero", "--select", "S"]
    pairs = in_turn(lambda: _run(_audit(tree)), lambda: _run([*theirs, str(tree)]), rounds=3)
    label = f"source scan of {_count(tree)} files"
    yield ratio(label, pairs, against="ruff --select S", goal=4.0)
    yield ratio(label, pairs, "wall", against="ruff --select S, all cores")


def _against_bandit(tree: Path, part: Path) -> Iterator[Row]:
    for path in sorted(tree.rglob("*.py"))[::8]:
        copy = part / path.relative_to(tree)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    label = f"source scan of {_count(part)} files"
    bandit = str(_BANDIT) if _BANDIT.exists() else shutil.which("bandit")
    if bandit is None:
        yield left_out(label, "no bandit; make .venv-peers/.locked installs it", goal=0.1)
        return
    theirs = [bandit, "-q", "--exit-zero", "-f", "json", "-r", str(part)]
    pairs = in_turn(lambda: _run(_audit(part)), lambda: _run(theirs), rounds=3)
    yield ratio(label, pairs, against="bandit", goal=0.1)


def _migrated(tree: Path, copy: Path) -> Iterator[Row]:
    label = f"migration of {_count(tree)} files"
    shown = [*_VERB, "migrate", str(tree)]
    pairs = in_turn(lambda: _run(shown, (0, 1)), lambda: _run(_audit(tree)), rounds=3)
    yield ratio(f"{label}, shown", pairs, against="source scan", goal=2.0)
    written = statistics.median(_written(tree, copy) for _ in range(3))
    scanned, _ = Pairs(tuple((other, ours) for ours, other in pairs.rounds)).medians("cpu")
    result = written / scanned
    yield Row(f"{label}, written, cpu", written, scanned, result, 2.0, "source scan")


def _written(tree: Path, copy: Path) -> float:
    """Return the processor seconds of a migration that writes, in a new copy."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tree, copy)
    before = _children()
    _run([*_VERB, "migrate", str(copy), "--write"], (0, 1))
    return _children() - before


def _linear(root: Path) -> Iterator[Row]:
    one, many, none = root / "one", root / "many", root / "none"
    none.mkdir()
    _copy(_COPIED, one / "0")
    for number in range(_COPIES):
        _copy(_COPIED, many / str(number))
    pairs = in_turn(lambda: _run(_audit(many)), lambda: _run(_audit(one)), rounds=3)
    started = in_turn(lambda: _run(_audit(none)), lambda: None, rounds=3).medians("cpu")[0]
    more, less = (seconds - started for seconds in pairs.medians("cpu"))
    label = f"a file's share of {_count(many)} files, cpu"
    shares = more / _count(many), less / _count(one)
    yield Row(label, *shares, shares[0] / shares[1], 1.25, f"of {_count(one)} files")


def _copy(package: str, target: Path) -> None:
    def others(directory: str, names: list[str]) -> list[str]:
        paths = [(name, Path(directory) / name) for name in names]
        return [name for name, path in paths if not (path.is_dir() or name.endswith(".py"))]

    shutil.copytree(Path(sysconfig.get_paths()["purelib"]) / package, target, ignore=others)


def _count(tree: Path) -> int:
    return sum(1 for _ in tree.rglob("*.py"))


def _audit(tree: Path) -> list[str]:
    return [sys.executable, "-c", _OURS, str(tree)]


def _children() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _run(command: list[str], codes: tuple[int, ...] = (0,)) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "SAFEHOLD_POLICY"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode not in codes:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
