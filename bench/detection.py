"""Detection and false alarms per family, ours and the installed peers on the same files.

``make bench-detection`` installs the peers and older releases of the libraries whose dumps are
scanned, writes both corpora (``tests/corpus``), and writes the table into
``docs/explanation/detection.md``. As a topic of ``make bench`` it prints the sums, where those
environments exist. A file counts as stopped if the tool's command line would not end with code 0:
also when it fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench._clocks import Pairs, Times, processor
from bench._rows import Row, ratio
from safehold.scan import scan_paths

_ROOT = Path(__file__).parent.parent
_PEERS = _ROOT / ".venv-peers/bin/python"
# The libraries as they are locked for development, and older ones.
_WRITERS = {
    "newest": Path(sys.executable),
    "middle": _ROOT / ".venv-middle/bin/python",
    "older": _ROOT / ".venv-older/bin/python",
}
_PAGE = _ROOT / "docs/explanation/detection.md"
_OURS = "safehold"
_SLOW = "modelaudit-picklescan"
_TEXT = """# Detection

`make bench-detection` writes this page: it generates both corpora, scans every file with safehold
and with the peers ({peers}), and counts. A file counts as stopped if the tool's command line would
not end with code 0, also because it fails on the file ({failed}). {slow} takes seconds for a file
and gets a spread of each corpus.

The corpora are ours, so what nobody here thought of is in neither. A new evasion becomes a case of
the hostile corpus before it is mended.

## Hostile files: how many are stopped

Each does something when its own loader loads it; the tests load them to prove it, where the loader
is installed.

{hostile}

## Harmless files: how many are stopped

Written by the libraries themselves: the releases that are locked for development (newest), those of
`requirements/middle.in` and of `requirements/older.in`.

{harmless}
"""
_TOOLS = ("picklescan", "picklescan strict", "modelscan", "fickling", _SLOW)
# The slow one takes seconds for a file, so it gets a spread of this many of each corpus.
_SPREAD = 60
# Of both spreads together, so many are scanned again for the processor time.
_PAIRED = 40
_SLOW_GOAL = 0.02
_BATCH = 40
_ENDS = 3600


@dataclass
class Corpus:
    """Files by family, of one kind."""

    families: dict[str, list[str]]
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Every file, family by family."""
        return [path for paths in self.families.values() for path in paths]

    def spread(self) -> list[str]:
        """Return some files from all over the corpus."""
        paths = self.paths
        return paths[:: max(1, len(paths) // _SPREAD)]

    def stopped(self, tool: str, paths: Iterable[str]) -> tuple[int, int]:
        """Return how many of these the tool stopped, and how many it was given."""
        found = [self.verdicts[tool][path] for path in paths if path in self.verdicts[tool]]
        return sum(verdict != "passed" for verdict in found), len(found)


def rows() -> Iterator[Row]:
    """Yield how many files each tool lets pass or stops wrongly, and the processor time."""
    missing = [str(path) for path in (_PEERS, *_WRITERS.values()) if not path.exists()]
    if missing:
        yield Row("detection", note="no peers here; make bench-detection installs them")
        return
    with tempfile.TemporaryDirectory() as name:
        hostile, harmless = _measured(Path(name))
        for tool in (*_TOOLS, _OURS):
            goal = 0 if tool == _OURS else None
            stopped, given = hostile.stopped(tool, hostile.paths)
            label = f"hostile files that {tool} lets pass, of {given}"
            yield Row(label, given - stopped, None, given - stopped, goal, unit="", absolute=True)
        for tool in (*_TOOLS, _OURS):
            stopped, given = harmless.stopped(tool, harmless.paths)
            goal = given // 100 if tool == _OURS else None
            label = f"harmless files that {tool} stops, of {given}"
            yield Row(label, stopped, None, stopped, goal, unit="", absolute=True)
        yield _against_slow([*hostile.spread(), *harmless.spread()])


def _against_slow(paths: list[str]) -> Row:
    """The same files in turn, by processor time without start and imports."""
    paths = paths[:: max(1, len(paths) // _PAIRED)]
    list(scan_paths(paths))
    rounds = []
    for _ in range(3):
        started = processor()
        list(scan_paths(paths))
        ours = processor() - started
        rounds.append((Times(ours, ours), Times(*2 * (_ask(_SLOW, paths)["cpu"],))))
    label = f"scan of {len(paths)} files of both corpora"
    return ratio(label, Pairs(tuple(rounds)), against=_SLOW, goal=_SLOW_GOAL)


def _measured(directory: Path) -> tuple[Corpus, Corpus]:
    corpora = _hostile(directory / "hostile"), _harmless(directory / "harmless")
    for corpus in corpora:
        paths = corpus.paths
        reports = {report.path: report for report in scan_paths(paths)}
        corpus.verdicts[_OURS] = {
            path: "passed" if path in reports and reports[path].verdict == "clean" else "stopped"
            for path in paths
        }
        for tool in _TOOLS:
            corpus.verdicts[tool], corpus.cpu[tool] = {}, 0.0
            given = corpus.spread() if tool == _SLOW else paths
            for first in range(0, len(given), _BATCH):
                _judge(corpus, tool, given[first : first + _BATCH])
    return corpora


def _judge(corpus: Corpus, tool: str, paths: list[str]) -> None:
    """Ask a peer; a batch that ends its process is asked again file by file."""
    try:
        found = _ask(tool, paths)
    except (subprocess.TimeoutExpired, ValueError):
        if len(paths) == 1:
            corpus.verdicts[tool][paths[0]] = "failed"
            return
        for path in paths:
            _judge(corpus, tool, [path])
        return
    corpus.verdicts[tool].update(found["verdicts"])
    corpus.cpu[tool] += found["cpu"]


def _ask(tool: str, paths: list[str]) -> dict[str, Any]:
    script = str(Path(__file__).parent / "_peer_verdicts.py")
    done = subprocess.run(
        [str(_PEERS), "-W", "ignore", script, tool], input=json.dumps(paths),
        capture_output=True, text=True, timeout=_ENDS, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _hostile(directory: Path) -> Corpus:
    subprocess.run(
        [sys.executable, "-m", "tests.corpus", "hostile", str(directory)],
        cwd=_ROOT, check=True, capture_output=True,
    )  # fmt: skip
    manifest = json.loads((directory / "manifest.json").read_text("utf-8"))
    families: dict[str, list[str]] = {}
    for row in manifest["files"]:
        families.setdefault(row["family"], []).append(str(directory / row["file"]))
    return Corpus(families)


def _harmless(directory: Path) -> Corpus:
    families: dict[str, list[str]] = {}
    for version, python in _WRITERS.items():
        into = directory / version
        script = str(_ROOT / "tests/corpus/harmless.py")
        subprocess.run([str(python), script, str(into)], check=True, capture_output=True)
        for path in sorted(into.iterdir()):
            family = f"{path.name.partition('-')[0]} ({version})"
            families.setdefault(family, []).append(str(path))
    return Corpus(families)


def _table(corpus: Corpus, head: str) -> Iterator[str]:
    tools = (_OURS, *_TOOLS)
    yield f"| {head} | files | {' | '.join(tools)} |"
    yield "|---|---:|" + "---:|" * len(tools)
    sums = {"all": corpus.paths}
    for family, paths in (*sorted(corpus.families.items()), *sums.items()):
        cells = [_cell(*corpus.stopped(tool, paths), len(paths)) for tool in tools]
        yield f"| {family} | {len(paths)} | {' | '.join(cells)} |"


def _cell(stopped: int, given: int, files: int) -> str:
    if given == files:
        return str(stopped)
    return f"{stopped} of {given}" if given else ""


def _versions() -> Mapping[str, str]:
    wanted = ("picklescan", "modelscan", "fickling", "modelaudit-picklescan")
    found = subprocess.run(
        [str(_PEERS), "-m", "pip", "list", "--format", "json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    known = {row["name"]: row["version"] for row in json.loads(found.stdout)}
    return {name: known[name] for name in wanted}


def page(hostile: Corpus, harmless: Corpus, versions: Mapping[str, str]) -> str:
    """Return the page of the documentation with both tables."""
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    tables = {
        "hostile": "\n".join(_table(hostile, "family")),
        "harmless": "\n".join(_table(harmless, "written by")),
    }
    return _TEXT.format(peers=peers, failed=_failed(hostile, harmless), slow=_SLOW, **tables)


def _failed(*corpora: Corpus) -> str:
    found: Counter[str] = Counter()
    for corpus in corpora:
        for tool in _TOOLS:
            found[tool] += sum(word == "failed" for word in corpus.verdicts[tool].values())
    return ", ".join(f"{tool}: {count}" for tool, count in found.items())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measured = _measured(Path(name))
        _PAGE.write_text(page(*measured, _versions()), "utf-8")
        print(f"written: {_PAGE.relative_to(_ROOT)}")
