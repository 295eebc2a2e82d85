"""`safehold migrate --data` when it is killed or the disk is full: reported, and nothing lost."""

from __future__ import annotations

import errno
import os
import pickle
import shelve
import signal
from pathlib import Path

import pytest

from safehold._cli import main
from safehold.keys import generate_key
from safehold.source import Journal, runs
from tests.cli.migrating import snapshot

pytestmark = pytest.mark.forking

POLICY = """\
version = 1
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "msgpack"]
[[zone]]
name = "data"
paths = ["data/**"]
codecs = ["msgpack"]
"""
SOURCE = (
    b"import pickle, shelve\npickle.load(open('models/m.pkl', 'rb'))\nshelve.open('models/s')\n"
)
# What the journal and every writer of files end their steps with.
CALLS = ("fsync", "rename", "replace", "link", "unlink")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    root = tmp_path / "service"
    for name in ("models", "data"):
        (root / name).mkdir(parents=True)
    (root / "safehold.toml").write_text(POLICY)
    (root / "app.py").write_bytes(SOURCE)
    (root / "models/m.pkl").write_bytes(pickle.dumps({"model": 1.5}))
    (root / "data/d.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    with shelve.open(str(root / "models/s")) as found:
        found["one"] = {"a": 1}
    return root


def write(root: Path) -> int:
    places = ["--data", str(root / "models"), str(root / "data")]
    return main(["migrate", str(root), "--write", *places])


def at_each_call(patch: pytest.MonkeyPatch, step) -> None:
    """Call `step` before each step of the journal and each of the system calls above."""
    begin = Journal.begin.__func__
    patch.setattr(Journal, "begin", classmethod(lambda cls, root: begin(cls, root, step=step)))
    for name in CALLS:
        real = getattr(os, name)

        def call(*args, _real=real, _name=name, **options):
            step(_name)
            return _real(*args, **options)

        patch.setattr(os, name, call)


def killed_at(number: int, monkeypatch: pytest.MonkeyPatch, action) -> int:
    """Return how a child ended that is killed at that step: its exit code, or a signal."""
    steps = iter(range(number))

    def step(_: str) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        code = 99
        try:
            with monkeypatch.context() as patch:
                at_each_call(patch, step)
                code = action()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_no_loss(root: Path, before: dict[str, tuple[bytes, int, int]], number: int) -> None:
    """Each original is there under one of its two names, and no file is half of anything."""
    now = snapshot(root)
    for name in ("models/m.pkl", "data/d.pkl"):
        contents = [now[key][0] for key in (name, f"{name}.unsealed") if key in now]
        assert before[name][0] in contents, (number, name)
        assert now[name][0] == before[name][0] or now[name][0].startswith(b"SFH1"), (number, name)


def test_killed_at_any_step_it_is_rolled_back_and_done_again(root, monkeypatch):
    before = snapshot(root)
    number = 0
    while (code := killed_at(number, monkeypatch, lambda: write(root))) == -signal.SIGKILL:
        check_no_loss(root, before, number)
        assert main(["migrate", str(root), "--rollback"]) == 0
        assert snapshot(root) == before, f"step {number}"
        number += 1
    assert code == 0
    assert number > 60
    assert main(["migrate", str(root), "--rollback"]) == 0
    assert snapshot(root) == before
    assert write(root) == 0


def test_a_cut_off_run_is_not_continued_or_made_final(root, monkeypatch, capfd):
    before = snapshot(root)
    assert killed_at(60, monkeypatch, lambda: write(root)) == -signal.SIGKILL
    assert write(root) == 2
    assert main(["migrate", str(root), "--finalize"]) == 2
    assert capfd.readouterr().err.count("--rollback") == 2
    assert main(["migrate", str(root), "--rollback"]) == 0
    assert snapshot(root) == before


def test_killed_while_it_is_made_final_it_goes_on(root, monkeypatch, capfd):
    write(root)
    converted = snapshot(root)
    number, marked = 0, 0
    code = -signal.SIGKILL
    while code == -signal.SIGKILL:
        if not runs(root):
            write_again(root)
        code = killed_at(number, monkeypatch, lambda: main(["migrate", str(root), "--finalize"]))
        now = snapshot(root)
        assert all(now[name] == was for name, was in converted.items() if "unsealed" not in name)
        if any(run.is_final for run in runs(root)):
            marked += 1
            assert main(["migrate", str(root), "--rollback"]) == 2
            assert write(root) in (0, 2)  # nothing to do, or the end has to come first
        assert main(["migrate", str(root), "--finalize"]) == 0
        assert not list(root.rglob("*.unsealed"))
        assert not (root / ".safehold").exists()
        number += 1
    assert marked > 3


def write_again(root: Path) -> None:
    """Make a run with an original, on a file that was sealed before."""
    (root / "data/again.pkl").unlink(missing_ok=True)
    (root / "data/again.pkl").write_bytes(pickle.dumps([1]))
    assert write(root) == 0
    assert (root / "data/again.pkl.unsealed").exists()


def test_a_disk_that_is_full_at_any_step_loses_nothing(root, monkeypatch, capsys):
    before = snapshot(root)
    number, failed, ends = 0, True, set()
    while failed:
        failed = False
        steps = iter(range(number))

        def step(name: str, steps=steps) -> None:
            nonlocal failed
            if next(steps, None) is None and name not in ("unlink", "rename", "replace"):
                failed = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            at_each_call(patch, step)
            code = write(root)
        said = capsys.readouterr()
        if failed:
            ends.add(code)
            assert "No space left" in said.out + said.err, number
            check_no_loss(root, before, number)
        assert main(["migrate", str(root), "--rollback"]) == 0
        assert snapshot(root) == before, f"step {number}"
        number += 1
    assert ends <= {1, 2}
    assert number > 60
