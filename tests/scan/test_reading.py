"""Files that are not what they say, or that change while they are read."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import signal
import threading
from contextlib import contextmanager

import pytest

from safehold.policy import Limits
from safehold.scan import entries, isolated, one, reading, scan_file, scan_path, scan_paths
from safehold.scan.inert.process import PROCESSES
from tests.bypasses.payloads import named, stream

pytestmark = pytest.mark.bare

EVIL = stream(named("os", "system"))
GOOD = pickle.dumps([1])
LARGE = pickle.dumps(bytes(20 * 2**20))


@contextmanager
def another_thread():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def verdict(path, **options):
    [report] = scan_path(path, **options).files
    return str(report.verdict), [finding.message for finding in report.findings]


def meanwhile(monkeypatch, act):
    """Let something happen between the opening of a file and its reading."""
    real = one.scan_data

    def scan_data(*arguments, **options):
        act()
        return real(*arguments, **options)

    monkeypatch.setattr(one, "scan_data", scan_data)


@pytest.fixture
def alone(monkeypatch):
    """As if no other thread or child were there; those that other tests left behind are idle."""
    PROCESSES.close()
    monkeypatch.setattr(one, "is_possible", lambda: True)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(LARGE)
    return path


def test_a_mapped_file_that_is_cut_does_not_end_the_scan(large, tmp_path, monkeypatch, alone):
    (tmp_path / "n.pkl").write_bytes(EVIL)
    meanwhile(monkeypatch, lambda: os.truncate(large, 0))
    found = {one.path: one for one in scan_path(tmp_path).files}
    assert found[str(large)].verdict == "error"
    assert "cut while it was read" in found[str(large)].findings[0].message
    assert found[str(tmp_path / "n.pkl")].verdict == "malicious"


def test_a_file_that_is_cut_between_open_and_mapping(large, monkeypatch, alone):
    real = reading.Opened.mapped

    def mapped(self):
        os.truncate(large, 100)
        return real(self)

    monkeypatch.setattr(reading.Opened, "mapped", mapped)
    assert verdict(large)[0] == "error"


def test_beside_other_threads_a_copy_is_read(large, monkeypatch):
    meanwhile(monkeypatch, lambda: os.truncate(large, 0))
    with another_thread():
        assert not isolated.is_possible()
        assert verdict(large) == ("error", ["changed while it was read"])


def test_a_large_file_reads_the_same_in_a_child_and_from_a_copy(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(LARGE[:-1] + b"0" + EVIL[2:])
    with another_thread():
        from_copy = scan_path(path)
    monkeypatch.setattr(one, "is_possible", lambda: True)
    in_child = scan_path(path)
    assert in_child == from_copy
    assert in_child.files[0].verdict == "malicious"


@pytest.mark.parametrize("data", [GOOD, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("change", [b"x", b""], ids=["grows", "same size"])
def test_a_file_that_is_written_meanwhile_is_no_longer_known(
    tmp_path, monkeypatch, data, change, alone
):
    path = tmp_path / "m.pkl"
    path.write_bytes(data)
    os.utime(path, (1, 1))

    def write():
        with open(path, "r+b") as file:
            file.write(data[:1])
            file.seek(0, os.SEEK_END)
            file.write(change)

    meanwhile(monkeypatch, write)
    assert verdict(path) == ("error", ["changed while it was read"])


def test_what_changed_meanwhile_has_no_digest(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(GOOD)
    os.utime(path, (1, 1))
    (before,) = scan_paths([path], digests=True)
    meanwhile(monkeypatch, lambda: path.write_bytes(GOOD))

    (changed,) = scan_paths([path], digests=True)

    assert before.digest == hashlib.sha256(GOOD).hexdigest()
    assert changed.digest == ""


def test_what_was_found_before_the_change_stays_found(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(EVIL)
    meanwhile(monkeypatch, lambda: path.write_bytes(GOOD))
    assert verdict(path)[0] == "malicious"


def test_a_short_read_is_not_the_end(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(stream(named("posix", "system")) * 3)
    real = os.read
    monkeypatch.setattr(os, "read", lambda handle, size: real(handle, min(size, 3)))
    assert verdict(path)[0] == "malicious"


def test_a_file_that_ends_before_its_size(tmp_path, monkeypatch):
    path = tmp_path / "m.pkl"
    path.write_bytes(GOOD)
    real = os.open

    def cut_after_open(name, *arguments, **options):
        handle = real(name, *arguments, **options)
        if str(name) == str(path):
            monkeypatch.setattr(os, "fstat", with_size_of(os.fstat(handle), len(GOOD) + 5))
        return handle

    def with_size_of(status, size):
        values = list(status)
        values[6] = size
        return lambda handle: os.stat_result(values)

    monkeypatch.setattr(os, "open", cut_after_open)
    result = verdict(path)
    assert result[0] == "error"
    assert f"ends after {len(GOOD)} of {len(GOOD) + 5} bytes" in result[1][0]


def test_a_file_of_proc_is_read_to_its_end():
    with open("/proc/self/smaps", "rb") as file:
        length = len(file.read())
    opened = reading.open_regular("/proc/self/smaps")
    with opened:
        assert opened.size == 0
        assert length // 2 < len(opened.read(2**24)) < 2 * length


def test_a_file_that_says_it_is_empty_is_held_to_the_limit():
    [report] = scan_path("/proc/self/smaps", Limits(artifact=100)).files
    assert [finding.rule.id for finding in report.findings] == ["SH105"]


def test_a_file_that_would_wait_is_an_error(tmp_path, monkeypatch):
    """As /proc/kmsg, which is a regular file that has nothing to say."""
    path = tmp_path / "m.pkl"
    path.write_bytes(GOOD)

    def read(handle, size):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "read", read)
    assert verdict(path)[0] == "error"


def test_a_terabyte_of_holes_is_not_read(tmp_path):
    path = tmp_path / "m.pkl"
    with open(path, "wb") as file:
        file.truncate(2**40)
    assert [one.rule.id for one in scan_path(path).findings] == ["SH105"]


@pytest.fixture
def children(monkeypatch):
    """Collect the ids of what is forked."""
    seen = []
    real = os.fork

    def fork():
        seen.append(real())
        return seen[-1]

    monkeypatch.setattr(os, "fork", fork)
    return seen


def test_the_child_leaves_no_process_and_no_handle_behind(large, alone, children):
    before = len(os.listdir("/proc/self/fd"))
    assert verdict(large)[0] == "clean"
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(children.pop(), os.WNOHANG)


def test_a_child_that_is_killed_is_named_with_the_signal(large, monkeypatch, alone):
    meanwhile(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert "SIGKILL" in verdict(large)[1][0]


def test_an_interrupt_ends_the_child_too(large, monkeypatch, alone, children):
    parent = os.getpid()

    def interrupt():
        os.kill(parent, signal.SIGINT)
        threading.Event().wait(60)

    meanwhile(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        scan_path(large)
    with pytest.raises(ChildProcessError):
        os.waitpid(children.pop(), os.WNOHANG)


def test_a_long_directory_is_listed_in_parts_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(entries, "_AT_ONCE", 3)
    names = [f"{number}.pkl" for number in range(9)] + ["sub"]
    for name in names[:-1]:
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "z.pkl").write_bytes(GOOD)
    found = [os.path.relpath(one.path, tmp_path) for one in scan_path(tmp_path).files]
    assert found == [*names[:-1], "sub/z.pkl"]


class Slow(io.RawIOBase):
    """A pipe that gives little at a time, cannot seek, and may fail at its end."""

    def __init__(self, data, error=None):
        self.rest = data
        self.error = error

    def read(self, size=-1):
        if not self.rest and self.error:
            raise self.error
        part, self.rest = self.rest[: min(size, 7)], self.rest[min(size, 7) :]
        return part


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (io.BytesIO(GOOD), "clean"),
        (Slow(GOOD), "clean"),
        (Slow(EVIL), "malicious"),
        (Slow(b""), "suspicious"),
        (Slow(GOOD, OSError(5, "Input/output error")), "error"),
        (Slow(GOOD, ValueError("closed")), "error"),
        (io.StringIO("text"), "error"),
        (io.BytesIO(LARGE), "clean"),
    ],
)
def test_open_file(file, expected):
    assert scan_file(file, "x").verdict == expected


def test_an_open_file_that_would_wait_is_not_at_its_end():
    reading_end, writing_end = os.pipe()
    os.set_blocking(reading_end, False)
    os.write(writing_end, GOOD)
    with open(reading_end, "rb", buffering=0) as file, open(writing_end, "wb"):
        assert scan_file(file).verdict == "error"


def test_an_open_file_is_read_from_where_it_stands_and_no_further_than_the_limit():
    file = io.BytesIO(EVIL + GOOD)
    file.seek(len(EVIL))
    assert scan_file(file).verdict == "clean"
    endless = open("/dev/zero", "rb")  # noqa: SIM115
    with endless:
        report = scan_file(endless, "zeros", Limits(artifact=2**20))
    assert [finding.rule.id for finding in report.findings] == ["SH105"]
