"""Libraries that persist objects, migrated: their own tests pass as before, and roll back.

``make bench-migrate`` fetches each library's source distribution, which carries its tests, runs
them, migrates the tree under a policy whose one zone allows every class, runs them again, and rolls
back. It ends with exit code 1 when a test that passed before does not pass after, when a file no
longer compiles, when a second run changes something, when a raw call has no diagnostic, or when
the tree is not what it was after ``--rollback``. The libraries, and what their tests import, are
installed from ``requirements/migrated.txt`` into an environment of their own.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from bench._rows import Row, left_out, value
from safehold.keys import generate_key
from safehold.policy import Policy
from safehold.source import FileAudit, audit_tree

_ROOT = Path(__file__).parent.parent
_PYTHON = _ROOT / ".venv-migrated/bin/python"
_POLICY = """version = 1

[keys]
source = "env:SAFEHOLD_SECRET_KEY"
id = "bench"

[[zone]]
name = "everything"
paths = ["**"]
trust = "internal"
codecs = ["pickle", "joblib", "json", "msgpack", "npy"]
allow = ["*"]

[memory]
codecs = ["pickle", "joblib", "json", "msgpack", "npy"]
allow = ["*"]
"""
_LONGEST = 600  # seconds for the tests of one library


@dataclass(frozen=True, slots=True)
class Library:
    """One library: where its distribution keeps code and tests, and what the tests need."""

    name: str
    version: str
    sha256: str
    code: str = "."
    tests: str = "tests"
    options: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()  # which the tests write to, and the distribution lacks
    unmet: tuple[str, ...] = ()  # tests that ask for what a seal refuses; each with a comment


def _without(*servers: str) -> tuple[str, ...]:
    return tuple(f"--ignore=tests/test_{name}_cache.py" for name in servers)


LIBRARIES = (
    Library(
        "cachelib",
        "0.17.0",
        "f3c7dc8d3c1132ab699681ffdf8a52d341d9425ac1401c538cf0b1d87b1677c8",
        code="src",
        options=_without("dynamodb", "memcached", "mongodb", "redis", "uwsgi", "valkey"),
    ),
    Library(
        "diskcache",
        "5.6.3",
        "2c3a3fa2743d8535d832ec61c2054a1641f41775aa7c556758a109941e33e4fc",
        # The distribution lacks the settings of its tests for Django, and the pages of doctests.
        options=("--ignore=tests/test_djangocache.py", "--ignore=tests/test_doctest.py"),
    ),
    Library(
        "dogpile.cache",
        "1.5.0",
        "849c5573c9a38f155cd4173103c702b637ede0361c12e864876877d0cd125eec",
        tests="tests/cache/test_dbm_backend.py",  # others need servers, or wait for minutes
    ),
    Library(
        "Jinja2",
        "3.1.6",
        "0137fb05990d35f1275a587e9aee6d56da821fc83491a0fb838183be43f66d6d",
        code="src",
        # It stores an environment, which imports extensions and compiles templates.
        unmet=("tests.test_pickle::test_environment",),
    ),
    Library(
        "persist-queue",
        "1.1.0",
        "4c042a3d39c9af4fa24497da76697fb4fff7abe6af04bcf55f099e0c23bc2c67",
        tests="persistqueue/tests",
        options=("--ignore=persistqueue/tests/test_mysqlqueue.py",),  # needs a server
        # It compares a file with the bytes of dumps; a seal is bound to its file.
        unmet=("persistqueue.tests.test_queue.TestPersist::test_protocol",),
    ),
    Library(
        "sqlitedict",
        "2.1.0",
        "03d9cfb96d602996f1d4c2db2856f1224b96a9c431bdd16e78032a72940f9e8c",
        directories=("tests/db",),
        # It asks whether the functions are those of the module pickle itself.
        unmet=(
            "tests.test_onimport.SqliteDict_cPickleImportTest::test_cpickle_fallback_to_pickle",
        ),
    ),
)


@dataclass(slots=True)
class Result:
    """What became of one library."""

    library: Library
    calls: int = 0
    rewritten: int = 0
    diagnosed: int = 0
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def lost(self) -> list[str]:
        """The tests that passed before and do not pass after, but for those that cannot be met."""
        return sorted(_passed(self.before) - _passed(self.after) - set(self.library.unmet))


def main(wanted: list[str]) -> int:
    """Print the table for the named libraries, or for all; 1 when something broke."""
    known = {library.name.lower(): library for library in LIBRARIES}
    unknown = [name for name in wanted if name.lower() not in known]
    if unknown:
        print(f"no library {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    print("| library | calls | rewritten | diagnosed | tests before | tests after |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    results = []
    for library in [known[name.lower()] for name in wanted] or LIBRARIES:
        result = migrated(library)
        results.append(result)
        print(_line(result), flush=True)
    for result in results:
        for test in result.lost:
            print(f"{result.library.name}: lost: {test} ({result.after.get(test, 'not run')})")
        for fault in result.faults:
            print(f"{result.library.name}: {fault}")
    return 1 if any(result.lost or result.faults for result in results) else 0


def rows() -> Iterator[Row]:
    """Yield for each library how many tests were lost and what else went wrong; both must be 0."""
    for library in LIBRARIES:
        label = f"{library.name} {library.version}, tests lost"
        if not _PYTHON.exists():
            yield left_out(label, "no environment; run: make bench-migrate", goal=0)
            continue
        result = migrated(library)
        note = (
            f"of {len(_passed(result.before))}; {result.calls} calls, {result.diagnosed} diagnosed"
        )
        lost = len(result.lost) + len(result.faults)
        yield value(label, lost, goal=0, unit="", note=note)


def migrated(library: Library) -> Result:
    """Test, migrate, test and roll back one library in a temporary directory."""
    result = Result(library)
    with tempfile.TemporaryDirectory(prefix="migrated-") as name:
        root = Path(os.path.realpath(name))
        (root / "safehold.toml").write_text(_POLICY)
        tree = _unpacked(library, root)
        kept = _contents(tree)
        result.before = _tests(library, tree, root, "before")
        if not _passed(result.before):
            result.faults.append("no test passes before; see that its requirements are installed")
            return result
        policy = Policy.load(root / "safehold.toml")
        result.calls = sum(len(audit.findings) for audit in _audits(tree, policy))
        written = json.loads(_safehold(root, "migrate", "--write", "--format", "json", str(tree)))
        result.rewritten = written["summary"]["edits"]
        result.faults += _problems(tree, policy, result)
        result.after = _tests(library, tree, root, "after")
        _safehold(root, "migrate", "--rollback", str(tree))
        result.faults += [f"not rolled back: {item}" for item in _differing(kept, tree)]
    return result


def _unpacked(library: Library, root: Path) -> Path:
    wanted = root / "wanted.txt"
    wanted.write_text(f"{library.name}=={library.version} --hash=sha256:{library.sha256}\n")
    command = [str(_PYTHON), "-m", "pip", "download", "--quiet", "--no-deps",
               "--no-binary=:all:", "--no-build-isolation", "--require-hashes",
               "--dest", str(root / "archive"), "--requirement", str(wanted)]  # fmt: skip
    subprocess.run(command, check=True, stderr=subprocess.PIPE)
    (archive,) = (root / "archive").iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(root / "unpacked", filter="data")
    (tree,) = (root / "unpacked").iterdir()
    return tree


def _tests(library: Library, tree: Path, root: Path, when: str) -> dict[str, str]:
    """Return the outcome of each test; they run in a copy, since they leave files behind."""
    place = root / when
    copy = shutil.copytree(tree, place / "tree", symlinks=True)
    report = place / "report.xml"
    (place / "tmp").mkdir()
    for name in library.directories:
        (copy / name).mkdir(exist_ok=True)
    command = [str(_PYTHON), "-m", "pytest", "--quiet", "-p", "no:randomly",
               "-o", "asyncio_default_fixture_loop_scope=function",
               f"--junitxml={report}",
               f"--basetemp={place / 'tmp/pytest'}", *library.options, library.tests]  # fmt: skip
    paths = [str(copy / library.code), str(_ROOT / "src")]
    env = _environment(root) | {"TMPDIR": str(place / "tmp"), "PYTHONPATH": os.pathsep.join(paths)}
    with open(place / "output", "wb") as output:
        subprocess.run(command, cwd=copy, env=env, timeout=_LONGEST, stdin=subprocess.DEVNULL,
                       stdout=output, stderr=subprocess.STDOUT, check=False)  # fmt: skip
    if (keep := os.environ.get("BENCH_MIGRATE_OUTPUT")) is not None:
        shutil.copy(place / "output", Path(keep) / f"{library.name}-{when}.txt")
    return dict(_outcomes(report)) if report.exists() else {}


def _outcomes(report: Path) -> Iterator[tuple[str, str]]:
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  (pytest's own)
        name = f"{case.get('classname')}::{case.get('name')}"
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        yield name, bad[0] if bad else "passed"


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {
        "SAFEHOLD_POLICY": str(root / "safehold.toml"),
        "SAFEHOLD_SECRET_KEY": generate_key(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _safehold(root: Path, *arguments: str) -> bytes:
    """Run the program. Raises CalledProcessError for an error; findings are none."""
    command = [sys.executable, "-m", "safehold", *arguments]
    done = subprocess.run(command, env=_environment(root), capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def _audits(tree: Path, policy: Policy) -> list[FileAudit]:
    return list(audit_tree(tree, policy=policy, migrated_alone=True))


def _problems(tree: Path, policy: Policy, result: Result) -> Iterator[str]:
    """Look at what the migration wrote."""
    for audit in _audits(tree, policy):
        data = (tree / audit.path).read_bytes()
        said = {item.line for item in audit.diagnostics}
        found = {item.location.line or 1 for item in audit.findings}
        result.diagnosed += len(audit.diagnostics)
        if audit.after is not None:
            yield f"a second run changes {audit.path}"
        try:
            raw = set(_raw_calls(ast.parse(data)))
        except SyntaxError as error:
            yield f"no longer compiles: {audit.path}: {error}"
            continue
        for line in sorted((found | raw) - said):
            yield f"a raw call without a diagnostic: {audit.path}:{line}"


_RAW = frozenset({"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve",
                  "marshal"})  # fmt: skip
_CALLS = frozenset({"load", "loads", "dump", "dumps", "Pickler", "Unpickler", "open"})


def _raw_calls(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of what is taken from a raw library; more simply than safehold looks."""
    modules: set[str] = set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {item.asname or item.name for item in node.names if item.name in _RAW}
        elif isinstance(node, ast.ImportFrom) and node.module in _RAW and node.level == 0:
            names |= {item.asname or item.name for item in node.names if item.name in _CALLS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in modules and node.attr in _CALLS:
                yield node.lineno
        elif isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
            yield node.lineno


def _contents(tree: Path) -> dict[str, str]:
    """Return the digest of each file, but for those of the journal."""
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and ".safehold" not in path.parts
    }


def _differing(kept: dict[str, str], tree: Path) -> list[str]:
    now = _contents(tree)
    return sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))


def _passed(outcomes: dict[str, str]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome == "passed"}


def _line(result: Result) -> str:
    cells: Iterable[object] = (
        f"{result.library.name} {result.library.version}",
        result.calls,
        result.rewritten,
        result.diagnosed,
        _tally(result.before),
        _tally(result.after),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _tally(outcomes: dict[str, str]) -> str:
    passed = len(_passed(outcomes))
    failed = sum(outcome in ("failure", "error") for outcome in outcomes.values())
    return f"{passed} passed" + (f", {failed} failed" if failed else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
