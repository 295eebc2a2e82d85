"""The progress line of `safehold scan`: what it says, and where there is none."""

from __future__ import annotations

import os
import pickle
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest

from safehold._cli import _progress
from safehold._cli._progress import Gauge, Line, bytes_text, time_text
from tests.bypasses.payloads import named, stream

pytestmark = pytest.mark.extras

EVIL = stream(named("posix", "system"))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    (tmp_path / "m").mkdir()
    for number in range(5):
        (tmp_path / "m" / f"{number}.pkl").write_bytes(pickle.dumps([number]))
    (tmp_path / "m" / "evil.pkl").write_bytes(EVIL)
    (tmp_path / "m" / "notes.txt").write_text("text")
    (tmp_path / "m" / "a.py").write_text("import json\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shown(monkeypatch, capsys):
    """The texts of the line, which shows every one at once."""
    texts: list[str] = []
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(_progress, "sys", SimpleNamespace(stderr=terminal))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", -1.0)
    monkeypatch.setattr(_progress, "_STEP_SECONDS", -1.0)
    monkeypatch.setattr(Line, "show", lambda _self, text: texts.append(text))
    return texts


@pytest.mark.parametrize(
    "options", [[], ["--jobs", "2"], ["--jobs", "2", "--backend", "threading"]]
)
def test_files_are_counted_first_and_then_told_with_rate_and_time(tree, shown, call, options):
    assert call("scan", "m", *options).code == 1
    assert "counting: 8 files" in shown
    told = [text for text in shown if text.startswith("artifacts: ")]
    assert [text.split(",")[0] for text in told] == [
        f"artifacts: {number} of 8 files" for number in range(1, 9)
    ]
    size = sum(entry.stat().st_size for entry in os.scandir("m"))
    assert f"{size} B of {size} B" in told[-1]
    assert all("/s, " in text and " left  m/" in text for text in told)
    assert " 0:00 left" in told[-1]
    assert any(text.startswith("sources: 1 of 1 files, 12 B of 12 B") for text in shown)


def test_of_files_that_are_left_out_the_count_goes_on(tree, shown, call):
    call("scan", "m", "m/evil.pkl", "m/0.pkl")
    told = [text for text in shown if text.startswith("artifacts: ")]
    # Two of them are found twice, read once and counted twice: the sum is that of all paths.
    assert told[-1].startswith("artifacts: 10 of 10 files")


def test_of_urls_nobody_knows_how_many_there_are(tree, shown, call):
    call("scan", f"file://{tree}/m")
    told = [text for text in shown if text.startswith("artifacts: ")]
    assert told[-1].startswith("artifacts: 8 files, ")
    assert "left" not in told[-1]


def test_a_large_file_is_named_before_it_is_read(tree, shown, call, monkeypatch):
    monkeypatch.setattr(_progress, "_LARGE", 10)
    monkeypatch.setattr(_progress, "_QUIET_SECONDS", 1e9)
    call("scan", "m/evil.pkl")
    assert [text.split(",")[0] for text in shown] == ["artifacts: 0 of 1 files"]


@pytest.mark.parametrize("options", [["--quiet"], ["--quiet", "--format", "json"]])
def test_quiet_shows_none(tree, shown, call, options):
    assert call("scan", "m", *options).code == 1
    assert shown == []


def test_a_terminal_that_cannot_move_has_none(tree, shown, call, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    call("scan", "m")
    assert shown == []


def test_without_rich_there_is_none(tree, shown, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert call("scan", "m").code == 1
    assert shown == []


def test_names_are_harmless(shown):
    gauge = Gauge(Line())
    gauge.begin("artifacts", None)
    gauge.done("\x1b[2J\n::error::", 1)
    assert shown[-1].isprintable()


def test_the_time_left_follows_bytes_and_files(shown):
    gauge = Gauge(Line())
    clock = SimpleNamespace(now=0.0)
    gauge._clock = lambda: clock.now
    gauge._told = 0.0
    gauge.begin("artifacts", (100, 0))
    clock.now = 10.0
    for _ in range(50):
        gauge.done("x", 0)
    assert " 0:10 left" in shown[-1]
    gauge.begin("artifacts", (2, 3 * 2**30))
    clock.now = 3620.0
    gauge.done("x", 2**30)
    assert "1 of 2 files, 1.0 GiB of 3.0 GiB, 290 KiB/s, 2:00:20 left" in shown[-1]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (2**20, "1.0 MiB"), (5 * 2**42, "20.0 TiB")],
)
def test_bytes(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_time(seconds, text):
    assert time_text(seconds) == text


PROGRAM = """
import sys
from safehold._cli import _progress, main
_progress._QUIET_SECONDS = _progress._STEP_SECONDS = -1.0
sys.exit(main(["scan", "m"]))
"""


@pytest.mark.parametrize("both", [True, False], ids=["both streams", "standard error alone"])
def test_on_a_terminal_the_line_is_gone_before_anything_else_is_printed(tree, both):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "NO_COLOR": "1"}
    done = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=theirs if both else subprocess.PIPE,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    written = bytearray()
    while chunk := read(ours):
        written += chunk
    out = done.communicate()[0]
    assert done.returncode == 1
    lines = screen(written.decode())
    told = "SH101 critical names posix.system, which starts programs (@2)"
    plain = out.decode().splitlines() if out is not None else lines
    assert [line for line in plain if "malicious  " in line] == [f"m/evil.pkl: malicious  {told}"]
    # Where a person looks on, the last line says where to read on.
    assert (plain[-1] == "what it means and what to do: safehold rules SH101") == both
    assert plain[-2 if both else -1].startswith("7 files: ")
    assert [line for line in lines if " left" in line or "counting" in line] == []
    assert b"artifacts: 1 of 8 files" in written
    assert written.endswith(b"\x1b[?25h") or b"\x1b[?25h" in written[written.rindex(b"\x1b[?25l") :]


def read(handle: int) -> bytes:
    try:
        return os.read(handle, 2**16)
    except OSError:
        return b""


def screen(text: str) -> list[str]:
    """Return the lines that are left on a screen wide enough, as escapes move and clear them."""
    lines, row, column = [""], 0, 0
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\x1b":
            end = at + 2
            while not text[end].isalpha():
                end += 1
            code, number = text[end], text[at + 2 : end]
            if code == "A":
                row -= int(number or 1)
            elif code == "K":
                lines[row] = "" if number == "2" else lines[row][:column]
            at = end + 1
            continue
        if char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + char + line[column + 1 :]
            column += 1
        at += 1
    return [line.rstrip() for line in lines if line.strip()]
