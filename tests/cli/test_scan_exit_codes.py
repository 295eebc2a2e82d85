"""The exit code of `safehold scan` for each kind of input; the table in the docs says the same."""

from __future__ import annotations

import io
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import safehold._cli
from safehold.keys import generate_key
from tests.bypasses.payloads import named, stream

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "scan.md"
GOOD = pickle.dumps([1])
EVIL = stream(named("posix", "system"))
UNKNOWN = stream(named("app.models", "Model"))
NOBODY = 65534


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in {"good.pkl": GOOD, "evil.pkl": EVIL, "unknown.pkl": UNKNOWN}.items():
        Path(name).write_bytes(data)
    return tmp_path


def scan(*arguments):
    """Return the exit code, also that of a usage error."""
    try:
        return safehold._cli.main(["scan", *arguments])
    except SystemExit as stop:
        return stop.code


def write(name: str, data: bytes):
    def make():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(data)
        return [name]

    return make


def link(name: str, target: str):
    def make():
        Path(name).symlink_to(target)
        return [name]

    return make


def fifo():
    os.mkfifo("pipe.pkl")
    return ["pipe.pkl"]


def unix_socket():
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.pkl")
    return ["socket.pkl"]


def directory(name: str, **files: bytes):
    def make():
        Path(name).mkdir()
        for inner, data in files.items():
            Path(name, inner).write_bytes(data)
        return [name]

    return make


def looped_directory():
    Path("tree/below").mkdir(parents=True)
    Path("tree/m.pkl").write_bytes(GOOD)
    Path("tree/below/up").symlink_to("..")
    return ["tree"]


def linked_outside():
    Path("tree").mkdir()
    Path("other").mkdir()
    Path("tree/out").symlink_to("../other")
    return ["tree"]


def policy(text: str):
    def make():
        Path("p.toml").write_text(text)
        return ["good.pkl", "--policy", "p.toml"]

    return make


def no_trail():
    """A policy with a key, under which a file stands where the trail should be."""
    Path("key").write_text(generate_key())
    Path("key").chmod(0o600)
    Path("trail").write_text("no directory")
    policy('version = 1\n[keys]\nsource = "file:key"\nid = "k1"\n[trail]\npath = "trail"\n')()
    return ["evil.pkl", "--policy", "p.toml"]


def baseline(text: str):
    def make():
        Path("b.json").write_text(text)
        return ["good.pkl", "--baseline", "b.json"]

    return make


def options(*arguments: str):
    return lambda: ["good.pkl", *arguments]


# The rows of the table in docs/how-to/scan.md, each with what stands for it.
MATRIX = {
    "all files clean": [lambda: ["good.pkl"]],
    "a suspicious file": [lambda: ["unknown.pkl", "good.pkl"]],
    "a malicious file": [lambda: ["evil.pkl", "good.pkl"]],
    "a source that loads unsafely": [write("a.py", b"import pickle\npickle.load(open(p, 'rb'))\n")],
    "an empty file": [write("empty.pkl", b""), write("empty", b"")],
    "a file that is cut off": [write("cut.pkl", pickle.dumps("text" * 99, protocol=4)[:-9])],
    "an artifact's name, no known format": [write("a.pkl", b"hello world")],
    "another name, no known format": [write("a.txt", b"hello world")],
    "the same, below a directory or with `--skip-others`": [
        directory("notes", **{"a.txt": b"hello world"}),
        lambda: [*write("a.txt", b"hello world")(), "--skip-others"],
    ],
    "an empty directory": [directory("nothing")],
    "a path that is not there": [lambda: ["none"], lambda: [""], lambda: ["n" * 5000]],
    "a FIFO, socket or device": [fifo, unix_socket, lambda: [os.devnull]],
    "a link that leads nowhere, or to itself": [
        link("nowhere.pkl", "none"),
        link("loop.pkl", "loop.pkl"),
    ],
    "a link to a directory above it": [looped_directory],
    "a link to a directory outside": [linked_outside],
    "a malicious file and one that cannot be read": [lambda: ["evil.pkl", "none"]],
    "findings that the baseline knows": [
        lambda: ["unknown.pkl", "--baseline", "known.json"],
    ],
    "a policy or baseline that is missing or broken": [
        options("--policy", "none.toml"),
        policy("nonsense = ["),
        policy("version = 1\nunheard_of = 3\n"),
        options("--baseline", "none.json"),
        baseline("{"),
        baseline("[]"),
    ],
    "findings under a policy whose trail cannot be written": [no_trail],
    "an unknown option or value, nothing to scan": [
        options("--unheard-of"),
        options("--jobs", "0"),
        options("--jobs", "many"),
        options("--format", "pdf"),
        options("--also", "json"),
        options("--also", "json=-"),
        options("--timestamp", "soon"),
        options("--expires", "soon"),
        options("--reason", "without --write-baseline"),
        list,
    ],
    "a URL of an unknown kind, or one that a server refuses": [
        lambda: ["no-such-kind://x/m.pkl"],
        lambda: ["http://127.0.0.1:9/m.pkl"],
    ],
    "no such revision for `--since`, no checkout, no git": [
        options("--since", "none"),
    ],
    "an output that cannot be written": [
        options("--output", "none/out.json", "--format", "json"),
        options("--also", "json=none/out.json"),
        options("--output", ".", "--format", "json"),
    ],
}


def documented() -> dict[str, int]:
    """The rows under the heading "Exit codes": what is scanned, and the code."""
    text = PAGE.read_text("utf-8").partition("\n## Exit codes")[2].partition("\n## ")[0]
    return {
        row: int(code)
        for row, code in re.findall(r"^\| (.+?) \|.*\| (\d+) \|$", text, re.MULTILINE)
    }


def test_every_row_of_the_docs_is_tried_and_every_try_documented():
    apart = {"no permission to read", "a missing extra", "the reader of the output leaves"}
    assert set(documented()) == {*MATRIX, *apart}


@pytest.mark.parametrize(
    ("row", "number"),
    [(row, number) for row, makers in MATRIX.items() for number in range(len(makers))],
)
def test_the_code_is_the_documented_one(here, capsys, row, number):
    if "baseline knows" in row:
        scan("unknown.pkl", "--write-baseline", "known.json")
    assert scan(*MATRIX[row][number]()) == documented()[row]
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert "_jobs" not in err  # no name of the implementation
    assert "_time" not in err
    assert "_date" not in err


@pytest.mark.parametrize(
    "more", [["--quiet"], ["--format", "json"], ["--quiet", "--format", "html"]]
)
@pytest.mark.parametrize(("name", "code"), [("good.pkl", 0), ("evil.pkl", 1), ("none", 2)])
def test_how_it_is_told_changes_no_code(here, capsys, name, code, more):
    assert scan(name, *more) == code


def test_what_may_not_be_read_is_an_error_and_hides_nothing_else(here, capsys):
    Path("shut").mkdir()
    for name in ("shut/m.pkl", "shut.pkl", "shut.py"):
        Path(name).write_bytes(GOOD)
    here.chmod(0o755)
    scan("evil.pkl", ".")  # what is imported late is read by whoever may
    capsys.readouterr()
    for name in ("shut", "shut.pkl", "shut.py"):
        Path(name).chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        code = scan("shut.pkl", "shut/m.pkl", ".")
    finally:
        if root:
            os.seteuid(0)
        Path("shut").chmod(0o700)
    out = capsys.readouterr().out
    assert code == documented()["no permission to read"]
    for name in ("shut.pkl", "shut/m.pkl", "./shut", "./shut.py"):
        assert re.search(rf"^{re.escape(name)}: error .*Permission denied", out, re.MULTILINE), name
    assert "./evil.pkl: malicious" in out


def test_an_extra_that_is_missing(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert scan("memory://box/a.pkl") == documented()["a missing extra"]
    assert "safehold[remote]" in "".join(capsys.readouterr())
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert scan("good.pkl", "--backend", "dask") == 2
    assert "safehold[dask]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\nb.pkl", "a\\x0ab.pkl"),
        (b"\x1b[31mred.pkl", "\\x1b[31mred.pkl"),
        (b"\xff\xfe.pkl", "\\udcff\\udcfe.pkl"),
        (b"-rf.pkl", "-rf.pkl"),
        (b"x" * 250 + b".pkl", "x" * 250 + ".pkl"),
    ],
    ids=["newline", "escape", "not UTF-8", "dash", "long"],
)
def test_odd_names(here, capsys, name, shown):
    Path(os.fsdecode(name)).write_bytes(EVIL)
    assert scan("--", os.fsdecode(name)) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{shown}: malicious")
    assert last == "1 file: 1 malicious"
    assert scan(".") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith(f"./{shown}: malicious  SH101")]) == 1


def test_a_name_with_a_dash_is_an_option_without_two_dashes(here, capsys):
    Path("-rf.pkl").write_bytes(GOOD)
    assert scan("-rf.pkl") == 2
    assert scan("./-rf.pkl") == 0


def test_standard_input_without_a_byte(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO()))
    assert scan("-") == 1


def shell(line: str) -> SimpleNamespace:
    program = f'safehold() {{ "{sys.executable}" -m safehold "$@"; }}; {line}'
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, check=False)
    return SimpleNamespace(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def test_a_reader_that_leaves(here):
    done = shell("{ safehold scan evil.pkl; echo $? >&2; } | true")
    assert done.err == f"{documented()['the reader of the output leaves']}\n"


@pytest.mark.parametrize(("name", "code"), [("good.pkl", 0), ("evil.pkl", 1), ("none", 2)])
def test_closed_streams_change_no_code(here, name, code):
    done = shell(f"safehold scan {name} <&- >&- 2>&-")
    assert (done.code, done.out, done.err) == (code, "", "")


def test_closed_standard_error_leaves_the_document_alone(here):
    shell("safehold scan unknown.pkl --write-baseline known.json")
    done = shell("safehold scan good.pkl --baseline known.json --format json 2>&-")
    assert done.code == 0
    assert done.out.startswith("{")


def test_closed_standard_input_is_no_traceback(here):
    done = shell("safehold scan - <&-")
    assert done.code == 1
    assert "the file is empty" in done.out
    assert done.err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
def test_a_full_disk_is_no_finding(here):
    done = shell("safehold scan evil.pkl >/dev/full")
    assert done.code == 2
    assert "No space left on device" in done.err


def test_a_baseline_that_is_missing_is_called_one(here, capsys):
    assert scan("good.pkl", "--baseline", "none.json") == 2
    err = capsys.readouterr().err
    assert "the baseline none.json cannot be used: No such file" in err
    assert "--write-baseline" in err
