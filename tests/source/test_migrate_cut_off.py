"""`safehold migrate --write` when it is killed or the disk is full: reported, and nothing lost."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys

import pytest

from safehold._cli import main
from safehold.source import Journal, runs

SOURCES = {
    "app.py": (b"import pickle\r\npickle.loads(b'')\r\n", 0o640),
    "pkg/load.py": (b"from joblib import load\nload('models/m.joblib')\n", 0o755),
    "pkg/clean.py": (b"x = 1\n", 0o600),
    "fixed.py": (b"import pickle\npickle.loads(b'')\n", 0o444),
    "long.py": (b"import pickle\n" + b"# words\n" * 200 + b"pickle.loads(b'')\n", 0o604),
}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "service"
    for number, (name, (content, mode)) in enumerate(SOURCES.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(10**18 + number, 10**18 + number))
    (root / "loop.py").symlink_to("loop.py")
    return root


def snapshot(root):
    """Return content, mode and time of every file but the journal's, and all names."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content: object = stat.S_IFMT(status.st_mode)
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = (file.read(), status.st_mtime_ns)
            found[os.path.relpath(path, root)] = (content, stat.S_IMODE(status.st_mode))
    return found


def with_steps(monkeypatch, step) -> None:
    begin = Journal.begin.__func__
    monkeypatch.setattr(
        Journal, "begin", classmethod(lambda cls, root: begin(cls, root, step=step))
    )


def in_child(action) -> int:
    """Return how a child ended that does something: its exit code, or a signal as a negative."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = action()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(number: int, monkeypatch, arguments: list[str]) -> int:
    steps = iter(range(number))

    def step(_: str) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        with_steps(patch, step)
        return in_child(lambda: main(arguments))


@pytest.mark.forking
@pytest.mark.parametrize("more", [[], ["--comment", "see docs/policy.md"]])
def test_killed_at_any_step_it_is_rolled_back_to_the_byte(root, monkeypatch, more, capfd):
    before = snapshot(root)
    arguments = ["migrate", str(root), "--write", *more]
    number = 0
    while (code := killed_at(number, monkeypatch, arguments)) == -signal.SIGKILL:
        now = snapshot(root)
        for name, (content, mode) in SOURCES.items():
            whole = (content, now[name][0][0])  # of each file all is old or all is new
            assert now[name][0][0] == content or b"safehold.compat" in whole[1], (number, name)
            assert now[name][1] == mode, (number, name)
        assert main(["migrate", str(root), "--rollback"]) == 0
        assert snapshot(root) == before, f"step {number}"
        number += 1
    assert code == 1  # the read-only file is left
    assert number > 20
    assert main(["migrate", str(root), "--rollback"]) == 0
    assert snapshot(root) == before


def test_a_disk_that_is_full_at_any_step_is_reported_and_nothing_is_lost(root, monkeypatch, capsys):
    before = snapshot(root)
    number, failed, ends = 0, True, set()
    while failed:
        failed = False
        steps = iter(range(number))

        def step(_: str, steps=steps) -> None:
            nonlocal failed
            if next(steps, None) is None:  # from here on, nothing can be written
                failed = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            with_steps(patch, step)
            code = main(["migrate", str(root), "--write"])
        said = capsys.readouterr()
        if failed:
            assert "No space left" in said.out + said.err, number
            ends.add(code)
            for name, (content, _) in SOURCES.items():
                data = (root / name).read_bytes()
                assert data == content or b"safehold.compat" in data
        assert main(["migrate", str(root), "--rollback"]) == 0
        assert snapshot(root) == before, f"step {number}"
        number += 1
    assert ends == {2}  # the end of the run cannot be noted either
    assert number > 20


def test_with_a_limit_on_the_size_of_files_what_fits_is_migrated(root):
    before = snapshot(root)
    code = (
        "import resource, runpy, sys\nmost = int(sys.argv.pop(1))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "runpy.run_module('safehold', run_name='__main__')\n"
    )
    ended = {}
    for most in (0, 1_500, 100_000):
        words = [sys.executable, "-B", "-c", code, str(most), "migrate", str(root), "--write"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        ended[most] = done.returncode, b"compat" in (root / "app.py").read_bytes()
        if most < 100_000:
            assert "File too large" in done.stdout + done.stderr, most
            assert (root / "long.py").read_bytes() == SOURCES["long.py"][0]
        assert main(["migrate", str(root), "--rollback"]) == 0
        assert snapshot(root) == before, most
    assert ended == {0: (2, False), 1_500: (1, True), 100_000: (1, True)}


def test_files_that_vanish_or_cannot_be_written_keep_nobody_from_the_others(
    root, monkeypatch, capsys
):
    with_steps(monkeypatch, lambda _: (root / "pkg/load.py").unlink(missing_ok=True))
    assert main(["migrate", str(root), "--write"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"pkg/load\.py:1: SH\d+ not written: No such file", out)
    assert "fixed.py:1: SH151 the file is read-only" in out
    assert "loop.py" in out
    assert b"compat" in (root / "app.py").read_bytes()
    assert runs(root)[0].is_finished
