"""The harness of crash tests finds what it is there to find, in both of its ways."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from safehold.errors import Tampered
from tests import tracing
from tests.tracing import Run, every_system_call

pytestmark = pytest.mark.bare

OLD, NEW = b"old" * 100, b"new" * 100


@pytest.fixture(params=["ptrace", "replaced"])
def way(request, monkeypatch) -> str:
    if request.param == "replaced":
        monkeypatch.setattr(tracing, "_TRACED", False)
    elif not tracing._TRACED:
        pytest.skip(tracing.WAY)
    return request.param


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a"


def put_back(path: Path) -> None:
    path.write_bytes(OLD)
    path.with_name("b").unlink(missing_ok=True)


def renamed(path: Path, pieces: tuple[bytes, ...]) -> None:
    """A writer that is right but for power failures."""
    beside = path.with_name("b")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
    os.close(fd)
    os.rename(beside, path)


def overwritten(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, NEW)
    os.close(fd)


def written_once(path: Path) -> None:
    beside = path.with_name("b")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT)
    os.write(fd, NEW)
    os.close(fd)
    os.rename(beside, path)


def undecided(path: Path) -> None:
    path.with_name("b").write_bytes(NEW)
    os.unlink(path)
    os.rename(path.with_name("b"), path)


def swallowed(path: Path) -> None:
    try:
        renamed(path, (NEW,))
    except OSError:
        path.write_bytes(b"")


def whole(path: Path, run: Run) -> None:
    content = path.read_bytes()
    assert content in (OLD, NEW)
    if not run.raised:
        assert content == NEW


def test_a_right_writer_comes_through(way, path):
    trace = every_system_call(
        lambda: renamed(path, (NEW[:50], NEW[50:])),
        lambda run: whole(path, run),
        prepare=lambda: put_back(path),
    )
    assert [name for name in trace.calls if name == "write"] == ["write"] * 2
    assert {"write", "close"} < set(trace.reached)
    assert {name for name in trace.calls if name.startswith("rename")} <= set(trace.reached)
    assert trace.runs == sum(trace.reached.values()) > 20


@pytest.mark.parametrize("writer", [overwritten, written_once, undecided, swallowed])
def test_a_wrong_writer_is_found(writer, way, path):
    with pytest.raises((AssertionError, FileNotFoundError)) as caught:
        every_system_call(
            lambda: writer(path), lambda run: whole(path, run), prepare=lambda: put_back(path)
        )
    assert "at call" in caught.value.__notes__[0]


def test_each_fault_is_what_the_action_sees(way, path):
    seen = set()

    def check(run: Run) -> None:
        seen.add((run.fault.what, run.fault.code, run.raised))

    every_system_call(lambda: renamed(path, (NEW,)), check, prepare=lambda: put_back(path))
    assert ("kill", 0, "killed") in seen
    assert ("kill after", 0, "killed") in seen
    assert ("short", 0, "") in seen
    for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS):
        assert ("fail", code, "OSError") in seen
    assert ("fail", errno.EINTR, "") in seen  # the interpreter repeats the call


def test_a_typed_refusal_is_an_answer_and_another_error_a_defect(way, path):
    def refuse(kind: type[Exception]) -> None:
        try:
            os.stat(path)
        except OSError as error:
            raise kind("x") from error

    seen = []
    put_back(path)
    every_system_call(lambda: refuse(Tampered), lambda run: seen.append(run.raised))
    assert {"killed", "Tampered"} <= set(seen)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        every_system_call(lambda: refuse(ZeroDivisionError), lambda run: None)


def test_an_action_without_a_system_call_is_an_error_of_the_test(way):
    with pytest.raises(AssertionError, match="no system call"):
        every_system_call(lambda: None, lambda run: None)
