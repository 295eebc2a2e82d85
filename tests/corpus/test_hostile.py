"""The hostile corpus: every file does what it says, and none of them gets past a scan."""

from __future__ import annotations

import collections
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from safehold._cli import main
from safehold.policy import Limits
from safehold.scan import scan_path
from safehold.scan.formats import FORMATS, PLAIN, otherwise, pickle, possible
from safehold.scan.one import Settings
from safehold.scan.visit import Source, Visit
from tests.corpus.cases import write
from tests.corpus.hostile import CASES
from tests.corpus.loaded import ROOT, loaded, told

pytestmark = pytest.mark.forking

# What other versions of Python have, so that its cases run there alone.
OTHER_VERSIONS = frozenset(
    """
    _bootsubprocess _interpreters _pyrepl _xxsubinterpreters aifc distutils.dir_util
    distutils.file_util distutils.spawn idlelib.calltip imp lib2to3.pgen2.grammar
    lib2to3.pgen2.pgen mailcap pip pipes sunau torch<2.8 torch.utils.bottleneck.__main__
    """.split()
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(CASES, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def watched(made, tmp_path_factory):
    """What one process said of all files, and what it did meanwhile."""
    return told("watched.py", made, tmp_path_factory.mktemp("elsewhere"))


def test_ids_are_unique_and_plain():
    count = collections.Counter(case.id for case in CASES)
    assert not [name for name, often in count.items() if often > 1]
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in count)


def test_files_are_the_same_each_time(made):
    for one in made:
        before = one.path.read_bytes()
        assert one.case.build(one.canary) == before, one.case.id


def test_every_file_gets_its_verdict(watched):
    wanted = {case.id: case.verdict for case in CASES}
    harmless = [row for row in watched if row["verdict"] not in {wanted[row["id"]], "malicious"}]
    assert not harmless


def test_what_a_first_byte_rules_out_would_not_have_been_read(made):
    names = Settings.of(None, None).names
    files = [(case.path.read_bytes(), case.path.name) for case in made]
    # Other bytes in front, as a polyglot has them.
    fronts = [bytes([first]) for first in range(256)]
    files += [(front + data, name) for data, name in files[::40] for front in fronts]
    files += [(b"\x80\x04" + data, name) for data, name in files]
    ruled_out = 0
    for data, name in files:
        asked = possible(data, name)
        for row in FORMATS:
            if row not in asked and (asked is not PLAIN or row is not pickle):
                visit = Visit(name, Limits(), names, possible, otherwise)
                found = row.read(Source(data, name, named=True), visit)
                assert (found, visit.findings) == (None, []), (row, name, data[:16])
                ruled_out += 1
    assert ruled_out > 10_000


def test_no_scan_touches_a_canary(watched):
    assert not [row["id"] for row in watched if row["touched"]]


def test_a_scan_imports_starts_opens_and_runs_nothing(watched):
    assert not [(row["id"], row["events"]) for row in watched if row["events"]]


def test_the_watch_sees_what_a_load_does(made, tmp_path_factory):
    """What the watch never notes shows nothing: loading one file makes it speak."""
    program = (
        "import sys; from tests.corpus.watched import Watch; watch = Watch('/nowhere')\n"
        "import pickle; sys.addaudithook(watch); watch.on = True\n"
        "try: pickle.load(open(sys.argv[1], 'rb'))\n"
        "except OSError: pass\n"  # an address longer than those of sockets may be
        "watch.on = False; print(*watch.seen, sep='\\n')"
    )
    chosen = {one.case.id: one for one in made}
    for name, event in [
        ("process-os-system", "os.system"),
        ("process-subprocess-run", "subprocess.Popen"),
        ("code-builtins-exec", "exec"),
        ("file-builtins-open", "open"),
        ("file-socket-bind", "socket."),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", program, str(chosen[name].path)],
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
        )
        chosen[name].canary.unlink(missing_ok=name.startswith("file-socket"))
        assert f"\n{event}" in f"\n{done.stdout}", name
        assert "pickle.find_class" in done.stdout


def test_the_command_fails_for_files_of_every_family(made, capsys):
    families: dict[str, list] = collections.defaultdict(list)
    for one in made:
        families[one.case.family].append(one)
    chosen = [one for members in families.values() for one in members[:: len(members) // 5 or 1]]
    passed = [one.case.id for one in chosen if main(["scan", str(one.path)]) != 1]
    capsys.readouterr()
    assert not passed


def test_every_file_of_a_directory_is_reported(made, tmp_path_factory):
    files = made[0].path.parent.parent
    found = {report.path: report.verdict for report in scan_path(files).files}
    assert not [one.case.id for one in made if found.get(str(one.path), "clean") == "clean"]


def test_every_file_does_what_it_says(tmp_path_factory):
    """Loaded by its loader in a process of its own, each file touches its canary."""
    # Files of its own, as the canaries of the others must stay untouched.
    folder = tmp_path_factory.mktemp("victim")
    result = loaded(write(CASES, folder), folder)
    assert set(result) == {case.id for case in CASES}
    assert not [name for name, how in result.items() if how == "dud"]
    # A need of the form "module:name" says by itself that versions differ.
    lacking = {how for how in result.values() if ":" not in how} - {"ran"} - OTHER_VERSIONS
    assert not [need for need in lacking if find_spec(need.partition(".")[0])]
