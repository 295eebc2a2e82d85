"""What is taken from a cache is what a scan would say, and only where nothing but bytes decides."""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import pickle
import sys
import warnings
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from safehold.allow import AllowList
from safehold.errors import ConfigError
from safehold.findings import Finding, Location
from safehold.policy import Limits
from safehold.scan import cache as caches
from safehold.scan import cache_rules, rules, scan_bytes, scan_file, scan_path, scan_paths
from safehold.scan import inert as second
from safehold.scan.cache import Cache
from safehold.scan.cache_entries import decode, encode
from safehold.scan.configuration import check_text
from safehold.scan.entries import Found
from safehold.scan.formats import otherwise, possible
from safehold.scan.inert.answers import Answer, Reading
from safehold.scan.inert.process import PROCESSES, Unavailable
from safehold.scan.judge import GlobalUse
from safehold.scan.one import Settings, scan_data, scan_found
from safehold.scan.reading import READ_WHOLE
from safehold.scan.report import FileReport, Scan, Verdict
from safehold.scan.visit import Source, Visit
from tests.bypasses.payloads import named, stream
from tests.corpus import harmless
from tests.corpus.cases import write
from tests.corpus.hostile import CASES
from tests.scan.formats.protos import message

SCANNER = Path(caches.__file__).parent
EVIL = stream(named("posix", "system"))
UNKNOWN = stream(named("app.models", "Model"))
GOOD = pickle.dumps([1])
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
def cache(tmp_path) -> Cache:
    found = Cache(tmp_path / "cache")
    assert found.problem == ""
    return found


def entries(cache: Cache) -> list[Path]:
    return sorted(path for path in Path(cache.path).glob("??/*") if path.is_file())


def again(data: bytes, cache: Cache, name: str = "a.pkl", **options) -> tuple[bool, bool]:
    """Scan twice and say which of both was taken from the cache; both are as without one."""
    first, then = (scan_bytes(data, name, cache=cache, **options) for _ in range(2))
    assert first == then == scan_bytes(data, name, **options)
    return first.cached, then.cached


def test_second_scan_of_a_file_is_taken_from_the_cache(tmp_path, cache):
    (tmp_path / "a.pkl").write_bytes(EVIL)
    first = scan_path(tmp_path / "a.pkl", cache=cache)
    then = scan_path(tmp_path / "a.pkl", cache=cache)
    assert [first.files[0].cached, then.files[0].cached] == [False, True]
    assert then.as_json() == first.as_json()
    assert then.files[0].verdict is Verdict.MALICIOUS
    assert len(entries(cache)) == 1


@pytest.mark.parametrize("data", [GOOD, EVIL, UNKNOWN], ids=["clean", "malicious", "suspicious"])
def test_every_way_to_scan_has_it(data, tmp_path, cache):
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    name = str(path)
    plain = scan_bytes(data, name)
    assert not scan_bytes(data, name, cache=cache).cached
    for made in (
        lambda **options: scan_bytes(data, name, **options),
        lambda **options: scan_file(io.BytesIO(data), name, **options),
        lambda **options: scan_path(path, **options).files[0],
        lambda **options: next(iter(scan_paths([path], **options))),
        lambda **options: scan_found(Found(name, named=True), Settings.of(None, None, **options)),
    ):
        report = made(cache=cache)
        assert report.cached
        assert report == made() == plain


def test_a_directory_will_do_for_a_cache(tmp_path):
    for wanted in (False, True):
        report = scan_bytes(GOOD, "a.pkl", cache=tmp_path / "new" / "cache")
        assert report.cached is wanted


def test_what_is_no_artifact_is_not_read_again(tmp_path, cache, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "note.txt").write_text("hello")
    assert scan_path(tmp_path / "files", cache=cache).files == ()
    monkeypatch.setattr("safehold.scan.one._read", None)
    assert scan_path(tmp_path / "files", cache=cache).files == ()


@pytest.mark.parametrize("digests", [True, False])
def test_digests_are_in_the_report_if_they_are_asked_for(digests, tmp_path, cache):
    (tmp_path / "a.pkl").write_bytes(EVIL)
    options = {"digests": digests}
    [plain] = scan_paths([tmp_path / "a.pkl"], **options)
    assert bool(plain.digest) is digests
    for other in (not digests, digests):
        [report] = scan_paths([tmp_path / "a.pkl"], cache=cache, digests=other)
    assert report.cached
    assert report == plain


# ---- the same question


def allowed(*names):
    return {"allow": AllowList.of(names)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"limits": Limits(depth=63)}),
        ({}, {"limits": Limits(artifact=2**20)}),
        ({}, {"limits": Limits(expansion=999)}),
        ({}, {"limits": Limits(members=9)}),
        ({}, {"paranoid": True}),
        ({}, {"own": frozenset({"app.models.Model"})}),
        ({"own": frozenset({"a.B", "c.D"})}, {"own": frozenset({"a.B"})}),
        ({}, allowed("numpy")),
        (allowed("numpy"), allowed("numpy", "app.models.Model")),
        (allowed("a.B"), {"own": frozenset({"a.B"}), **allowed()}),
        ({"name": "a.pkl"}, {"name": "b.pkl"}),
        ({"name": "a.pkl"}, {"name": "./a.pkl"}),
        ({"name": "e\u0301.pkl"}, {"name": "\xe9.pkl"}),
        ({"name": "\udcff.pkl"}, {"name": "\ufffd.pkl"}),
        ({"name": os.fsdecode(b"\xfe.pkl")}, {"name": os.fsdecode(b"\xfd.pkl")}),
    ],
)
def test_another_question_is_another_entry(before, after, cache):
    for data in (GOOD, UNKNOWN):
        kept = {"name": "a.pkl", **before}
        asked = {"name": "a.pkl", **after}
        assert again(data, cache, **kept) == (False, True)
        assert again(data, cache, **asked) == (False, True)
        assert scan_bytes(data, cache=cache, **kept).cached


def test_the_order_in_which_names_are_given_does_not_matter(cache):
    assert again(UNKNOWN, cache, **allowed("c.D", "a.B")) == (False, True)
    assert again(UNKNOWN, cache, **allowed("a.B", "c.D")) == (True, True)


def test_a_file_given_by_name_and_one_that_was_found_are_asked_for_apart(tmp_path, cache):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.ipynb").write_text('{"cells": []}')
    for _ in range(2):
        assert scan_path(folder, cache=cache).files == scan_path(folder).files == ()
        [report] = scan_path(folder / "a.ipynb", cache=cache).files
        assert report == scan_path(folder / "a.ipynb").files[0]


def test_other_bytes_are_another_entry(cache):
    assert scan_bytes(GOOD, "a.pkl", cache=cache).verdict is Verdict.CLEAN
    report = scan_bytes(EVIL, "a.pkl", cache=cache)
    assert (report.cached, report.verdict) == (False, Verdict.MALICIOUS)


@pytest.mark.parametrize("what", ["rules", "digits"])
def test_other_rules_and_another_python_are_another_entry(what, tmp_path, monkeypatch):
    assert not scan_bytes(EVIL, "a.pkl", cache=tmp_path / "c").cached
    if what == "rules":
        monkeypatch.setattr(caches, "rules_digest", lambda: bytes(32))
    else:
        monkeypatch.setattr(sys, "get_int_max_str_digits", lambda: 640)
    assert not scan_bytes(EVIL, "a.pkl", cache=tmp_path / "c").cached
    assert scan_bytes(EVIL, "a.pkl", cache=tmp_path / "c").cached


# ---- the rules


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A program of which the digest is taken."""
    monkeypatch.setattr(cache_rules, "_PACKAGE", str(tmp_path / "package"))
    monkeypatch.setattr(cache_rules, "_LOADED", 2**63)
    (tmp_path / "package" / "allow").mkdir(parents=True)
    for name in ("a.py", "b.py", "allow/numpy.json"):
        (tmp_path / "package" / name).write_text(name)
    return tmp_path / "package"


def digest() -> bytes:
    cache_rules.rules_digest.cache_clear()
    try:
        return cache_rules.rules_digest()
    finally:
        cache_rules.rules_digest.cache_clear()


@pytest.mark.parametrize(
    "change",
    [
        lambda package: (package / "allow" / "numpy.json").write_text("allow/numpy.JSON"),
        lambda package: (package / "c.py").write_text(""),
        lambda package: (package / "b.py").rename(package / "c.py"),
        lambda package: (package / "b.py").unlink(),
    ],
    ids=["content", "more", "name", "less"],
)
def test_any_change_of_the_program_changes_the_rules(change, package):
    before = digest()
    change(package)
    assert digest() != before


def test_what_the_interpreter_writes_changes_nothing(package):
    before = digest()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    assert digest() == before


@pytest.mark.parametrize("name", cache_rules.OPTIONAL)
def test_a_library_that_unpacks_more_changes_the_rules(name, package, monkeypatch):
    found = []
    for there in (True, False):
        spec = object() if there else None
        monkeypatch.setattr(
            cache_rules, "find_spec", lambda one, s=spec: s if one == name else None
        )
        found.append(digest())
    assert found[0] != found[1]


def test_another_python_changes_the_rules(package, monkeypatch):
    before = digest()
    monkeypatch.setattr(sys, "version", f"{sys.version}+")
    assert digest() != before


def _imported_by_name(tree: ast.AST) -> set[str]:
    """Return the texts that are given to import_module, also those of a loop around it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and "import_module(" in ast.unparse(node):
            found |= {one.value for one in node.iter.elts}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {one.value for one in node.args if isinstance(one, ast.Constant)}
    return found


def test_every_library_that_may_be_missing_is_one_of_the_rules():
    """Those that fetch or share out work are not asked for a verdict."""
    known = sys.stdlib_module_names | {"safehold", "msgspec"}
    by_name = set()
    for path in SCANNER.rglob("*.py"):
        if path.name in {"remote.py", "parallel.py"} or "child" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        by_name |= _imported_by_name(tree)
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            assert {name.split(".")[0] for name in names} <= known, path
    assert by_name == set(cache_rules.OPTIONAL)


def test_a_program_that_was_changed_after_it_was_loaded_has_no_cache(
    package, monkeypatch, tmp_path
):
    monkeypatch.setattr(cache_rules, "_LOADED", (package / "a.py").stat().st_ctime_ns - 1)
    cache_rules.rules_digest.cache_clear()
    cache = Cache(tmp_path / "cache")
    assert "start it again" in cache.problem
    assert again(EVIL, cache) == (False, False)
    cache_rules.rules_digest.cache_clear()


def test_a_program_whose_files_are_not_there_has_no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(cache_rules, "_PACKAGE", str(tmp_path / "archive.zip"))
    cache_rules.rules_digest.cache_clear()
    assert "not there" in Cache(tmp_path / "cache").problem
    cache_rules.rules_digest.cache_clear()


# ---- what is not kept


def onnx_with_data(path: Path) -> None:
    entry = [message((1, key), (2, value)) for key, value in (("location", "w"), ("length", "8"))]
    tensor = message(
        (1, 2), (2, 1), (8, "w"), *((13, one) for one in entry), (14, 1), (9, bytes(8))
    )
    graph = message((5, tensor))
    path.write_bytes(message((1, 8), (2, "writer"), (7, graph), (8, message((2, 17)))))


def test_a_model_whose_weights_stand_beside_it_is_always_looked_at(tmp_path, cache):
    path = tmp_path / "a.onnx"
    onnx_with_data(path)
    (tmp_path / "w").write_bytes(bytes(8))
    for _ in range(2):
        [report] = scan_path(path, cache=cache).files
        assert (report.verdict, report.cached) == (Verdict.CLEAN, False)
    (tmp_path / "w").unlink()
    (tmp_path / "w").symlink_to("/etc/hostname")
    assert scan_path(path, cache=cache).files[0].verdict is Verdict.MALICIOUS


def test_a_model_that_was_no_file_then_is_looked_at_when_it_is_one(tmp_path, cache):
    path = tmp_path / "a.onnx"
    onnx_with_data(path)
    data = path.read_bytes()
    path.unlink()
    assert scan_bytes(data, str(path), cache=cache).verdict is Verdict.CLEAN
    path.write_bytes(data)
    assert scan_path(path, cache=cache).files[0].verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    ("data", "name", "rule"),
    [
        (b"hello", "hello", "SH106"),
        (EVIL[:-1], "a.pkl", "SH103"),
        (gzip.compress(bytes(2**22)), "a.pkl.gz", "SH105"),
        (gzip.compress(gzip.compress(gzip.compress(GOOD))), "a.pkl.gz", "SH105"),
        (b"", "a.pkl", "SH103"),
    ],
)
def test_what_was_not_read_to_its_end_is_not_kept(data, name, rule, cache):
    limits = Limits(artifact=2**20, depth=2)
    assert again(data, cache, name, limits=limits) == (False, False)
    assert rule in {one.rule.id for one in scan_bytes(data, name, limits).findings}
    assert entries(cache) == []


def test_a_reader_that_fails_is_not_kept(cache, monkeypatch):
    def fail(*_):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("safehold.scan.formats.pickle.read_first", fail)
        assert scan_bytes(EVIL, "a.pkl", cache=cache).verdict is Verdict.ERROR
    assert again(EVIL, cache) == (False, True)


def test_what_the_second_reader_could_not_read_is_not_kept(cache, monkeypatch):
    def fail(*_):
        raise Unavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(PROCESSES, "ask", fail)
        report = scan_bytes(EVIL, "a.pkl", cache=cache)
        assert "SH103" in {one.rule.id for one in report.findings}
    assert again(EVIL, cache) == (False, True)


@pytest.mark.parametrize(
    ("how", "missing", "kept"),
    [("broken", (), 1), ("limit", (), 0), ("broken", ("filter",), 0)],
    ids=["read", "limit", "missing"],
)
def test_what_the_second_reader_had_no_time_or_no_cage_for_is_not_kept(
    how, missing, kept, cache, monkeypatch
):
    """Of bytes that are no pickle, its end is not even a finding."""
    answer = Answer([Reading("c", 0, how=how)], missing)
    monkeypatch.setattr(second, "_ask", lambda *_: answer)
    settings = Settings.of(None, None, paranoid=True, cache=cache)
    assert scan_data(b"no pickle, but text", "a.txt", settings, named=False) is None
    assert len(entries(cache)) == kept


def test_a_limit_is_not_kept(cache, monkeypatch):
    """As with objects of other threads, which count as well."""
    data = b"\x89PNG" + bytes(2000)
    assert again(data, cache, "a.txt") == (False, False)  # no format: an error
    found = Settings.of(None, None, cache=cache)
    assert scan_data(data, "a.txt", found, named=False) is None
    monkeypatch.setattr("safehold.scan.budget.STRIDE", 1)
    many = b"N0]0" * 100 + b"\xff"
    assert scan_data(many, "b.txt", found, named=False) is None
    assert len(entries(cache)) == 2
    monkeypatch.setattr("safehold.scan.sizes.MAX_KEPT", -(2**40))
    report = scan_data(many, "c.txt", found, named=False)
    assert (report.format, report.verdict) == ("pickle", "suspicious")
    assert len(entries(cache)) == 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"py/object": ' + DEEP + b"}", "a.json"),
        (b'{"class_name": "x", "config": ' + DEEP + b"}", "a.json"),
        (b'{"cells": ' + DEEP + b"}", "a.ipynb"),
        (len(DEEP + b'{"a":}').to_bytes(8, "little") + b'{"a":' + DEEP + b"}", "a.bin.txt"),
    ],
)
def test_what_is_nested_deeper_than_the_stack_is_not_kept(data, name, cache):
    for _ in range(2):
        report = scan_data(data, name, Settings.of(None, None, cache=cache), named=False)
        assert report is None or not report.cached
    assert entries(cache) == []


def test_a_configuration_deeper_than_the_stack_is_not_kept():
    settings = Settings.of(None, None)
    visit = Visit("a", settings.limits, settings.names, possible, otherwise)
    check_text(Source(b"", "a"), visit, b"[")
    assert visit.settled
    check_text(Source(b"", "a"), visit, DEEP)
    assert not visit.settled
    assert visit.findings == []


def _catches(handler: ast.ExceptHandler, *names: str) -> bool:
    kinds = [] if handler.type is None else list(ast.walk(handler.type))
    return any(isinstance(one, ast.Name) and one.id in names for one in kinds)


# Their callers make a finding of it that is never kept.
TOLD = {"isolated.py", "npy.py", "tar.py"}


def test_nothing_is_kept_that_this_process_had_no_room_for():
    """Whoever catches the want of memory or stack notes it, says so, or is known here."""
    seen = 0
    for path in SCANNER.rglob("*.py"):
        if "child" in path.parts or path.name in {"process.py", "remote.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ExceptHandler):
                continue
            if not _catches(node, "RecursionError", "MemoryError"):
                continue
            seen += 1
            text = ast.unparse(node)
            said = any(word in text for word in ("visit.depends()", "visit.note(", "raise"))
            assert said or path.name in TOLD, (path, text)
    assert seen >= 8


def test_no_format_looks_at_anything_but_bytes():
    """What stands beside a file is looked at in one module, which says that it was."""
    outside = {
        "os",
        "pathlib",
        "glob",
        "shutil",
        "socket",
        "subprocess",
        "tempfile",
        "urllib",
        "time",
    }
    for path in (SCANNER / "formats").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not outside & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in outside, path
            elif isinstance(node, ast.Attribute):
                assert ast.unparse(node) != "visit.path", path
    tree = ast.parse((SCANNER / "references.py").read_text("utf-8"))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and "os.path" in ast.unparse(function):
            text = ast.unparse(function)
            assert "visit.depends()" in text or "_beside(visit" in text, function.name


def archive(text: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("a.py", text)
        file.writestr("a.pkl", GOOD)
    return held.getvalue()


class Check:
    """Stands in for the look at sources, as a policy has it."""

    def is_worth(self, name, data):
        return b"loads" in data

    def findings(self, name, data):
        return ()


def test_sources_in_an_archive_are_looked_at_each_time(cache, tmp_path):
    plain = Settings.of(None, None, cache=cache)
    looks = Settings.of(None, None, cache=cache, sources=Check())
    for text, kept in ((b"x = 1", True), (b"pickle.loads(x)", False)):
        data = archive(text)
        for settings, wanted in ((plain, True), (looks, kept)):
            found = [scan_data(data, "a.zip", settings, named=True) for _ in range(2)]
            assert [one.cached for one in found] == [False, wanted]


@pytest.mark.parametrize("kind", ["memoryview", "bytearray", "mapped"])
def test_bytes_that_others_can_change_are_not_asked_about(kind, tmp_path, cache):
    """Hashed as one thing and scanned as another, they would stand for the first from then on."""
    if kind == "mapped":
        path = tmp_path / "large.pkl"
        path.write_bytes(pickle.dumps(bytes(17 * 2**20)))
        for _ in range(2):
            assert not scan_path(path, cache=cache).files[0].cached
    elif kind == "memoryview":
        own = bytearray(EVIL)
        assert again(memoryview(own), cache) == (False, False)
    else:  # of which a copy is taken
        assert again(bytearray(EVIL), cache) == (False, True)
        return
    assert entries(cache) == []


def test_more_bytes_than_are_read_at_once_are_not_asked_about(cache):
    """To hash them takes longer than to scan most of them."""
    data = pickle.dumps(bytes(READ_WHOLE - 100))
    assert again(data, cache) == (False, True)
    assert again(data + b"N." * 100, cache) == (False, False)
    assert len(entries(cache)) == 1


def test_a_file_that_changes_while_it_is_read_is_told_every_time(tmp_path, cache, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(GOOD)
    scan_path(path, cache=cache)
    monkeypatch.setattr("safehold.scan.reading.Opened.has_changed", lambda _: True)
    assert scan_path(path, cache=cache).files[0].verdict is Verdict.ERROR
    monkeypatch.undo()
    [report] = scan_path(path, cache=cache).files
    assert (report.cached, report.verdict) == (True, Verdict.CLEAN)


# ---- entries are reports


def test_hostile_files_have_the_same_report(tmp_path, cache):
    chosen = [case for case in CASES if case.effect == "runs"][::12]
    made = write(chosen, tmp_path / "corpus")
    assert len(made) > 50
    paths = [one.path for one in made]
    plain = Scan(tuple(scan_paths(paths, digests=True)))
    kept = [Scan(tuple(scan_paths(paths, digests=True, cache=cache))) for _ in range(2)]
    assert kept[0] == kept[1] == plain
    assert json.dumps(kept[1].as_json()) == json.dumps(plain.as_json())
    assert [repr(one.findings) for one in kept[1].files] == [
        repr(one.findings) for one in plain.files
    ]
    cached = sum(one.cached for one in kept[1].files)
    settled = [one for one in plain.files if not _is_unsettled(one)]
    assert cached >= 0.95 * len(settled) > 40
    assert not any(one.cached for one in kept[1].files if _is_unsettled(one))


def _is_unsettled(report):
    return any(one.rule.id in {"SH103", "SH105", "SH106"} for one in report.findings)


def test_harmless_files_have_the_same_report(cache):
    count = 0
    families = [harmless.FAMILIES["plain"]]
    if find_spec("numpy"):
        families += [make for name, make in harmless.FAMILIES.items() if name.startswith("numpy")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is old, but is still stored
        objects = [pair for make in families for pair in make()]
    for name, made in objects:
        for protocol in (0, 2, 4, 5):
            data = pickle.dumps(made, protocol)
            assert again(data, cache, f"{name}{protocol}.pkl") == (False, True)
            count += 1
    assert count > 40


@pytest.mark.parametrize(
    "detail",
    [{"a": (1, 2)}, {"a": 2**70}, {"a": "\udc80"}, {"a": float("nan")}, {1: "a"}, {"a": {1, 2}}],
    ids=repr,
)
def test_a_report_that_would_not_come_back_as_it_is_is_not_kept(detail):
    finding = Finding.of(rules.UNKNOWN_GLOBAL, "x", Location("a"), detail=detail)
    report = FileReport("a", "pickle", Verdict.SUSPICIOUS, (finding,))
    assert encode(report) is None


def test_everything_in_a_report_comes_back():
    detail = {"a": [1, "x", None, True, 1.5, {"b": -(2**63)}], "z": {}}
    where = Location("a", line=1, column=2, offset=3, member="m")
    finding = Finding.of(rules.UNKNOWN_GLOBAL, "x", where, detail=detail, remedy="mend it")
    uses = (GlobalUse("a.b", "called"),)
    known = (("numpy", "2.1.0"),)
    report = FileReport(
        "a", "pickle", Verdict.SUSPICIOUS, (finding,), uses, plain=True, digest="d", versions=known
    )
    content = encode(report)
    assert content is not None
    assert decode(content, "a", "d") == report
    other = decode(content, "b", "")
    assert other.path == other.findings[0].location.path == "b"


@pytest.mark.parametrize("where", ["a", "another"])
def test_a_finding_about_another_path_is_not_kept(where, cache):
    finding = Finding.of(rules.UNKNOWN_GLOBAL, "x", Location(where))
    report = FileReport("a", "pickle", Verdict.SUSPICIOUS, (finding,))
    assert (encode(report) is not None) is (where == "a")


# ---- where it is used


def test_several_workers_use_it(tmp_path, cache):
    pytest.importorskip("joblib")
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(30):
        data = EVIL if number % 3 == 0 else pickle.dumps(number)
        (folder / f"{number:03}.pkl").write_bytes(data)
    plain = scan_path(folder).files
    for backend in ("loky", "threading"):
        first = tuple(scan_paths([folder], jobs=2, backend=backend, cache=cache))
        then = tuple(scan_paths([folder], jobs=2, backend=backend, cache=cache))
        assert first == then == plain
        assert all(one.cached for one in then)
        assert not any(one.cached for one in first) or backend == "threading"


def test_settings_of_a_worker_open_the_directory_once(cache, tmp_path):
    settings = pickle.dumps(Settings.of(None, None, cache=cache))
    one, two = pickle.loads(settings), pickle.loads(settings)
    assert one.cache is two.cache is not cache
    assert one.cache.identity == cache.identity
    assert cache._files._key not in settings  # each process reads it for itself
    os.rename(cache.path, tmp_path / "old")
    new = pickle.loads(pickle.dumps(Settings.of(None, None, cache=Cache(cache.path))))
    assert new.cache.identity != one.cache.identity


@pytest.mark.parametrize("given", ["tree", "tree/sub", "tree/sub/cache", "link", "file:tree"])
def test_a_cache_in_what_is_scanned_is_refused(given, tmp_path):
    """Whoever made that tree could have brought a cache that calls it clean."""
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("tree/sub")
    (tmp_path / "tree" / "a.pkl").write_bytes(EVIL)
    scheme, _, name = given.rpartition(":")
    path = f"file://{tmp_path / name}" if scheme else tmp_path / name
    with pytest.raises(ConfigError, match="lies in"):
        scan_path(path, cache=tmp_path / "tree" / "sub" / "cache")
    with pytest.raises(ConfigError, match="lies in"):
        next(
            iter(scan_paths([tmp_path / "tree" / "a.pkl", path], cache=tmp_path / "tree/sub/cache"))
        )


def test_a_cache_that_a_link_leads_to_is_where_it_leads(tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("tree/sub")
    with pytest.raises(ConfigError, match="lies in"):
        scan_path(tmp_path / "tree", cache=tmp_path / "link" / "cache")


@pytest.mark.parametrize("given", ["tree/sub", "tree/a.pkl", "tree/subcache"])
def test_a_cache_beside_what_is_scanned_is_used(given, tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "subcache").mkdir()
    for name in ("a.pkl", "sub/a.pkl", "subcache/a.pkl"):
        (tmp_path / "tree" / name).write_bytes(EVIL)
    for wanted in (False, True):
        [report] = scan_path(tmp_path / given, cache=tmp_path / "tree" / "subcache2").files
        assert report.cached is wanted


def test_a_wrong_directory_is_refused(tmp_path):
    (tmp_path / "a.pkl").write_bytes(GOOD)
    for wrong in (tmp_path, tmp_path / "a.pkl"):
        with pytest.raises(ConfigError):
            scan_path(tmp_path, cache=wrong)
