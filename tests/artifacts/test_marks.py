"""High-water marks: authentic, crash-safe, one per artifact."""

from __future__ import annotations

import fcntl
import os
import threading

import pytest

from safehold.artifacts.marks import Mark, Marks
from safehold.errors import Tampered, UnknownKey
from safehold.keys import Key, Keyring
from tests.holding import OTHER_SECRET, SECRET

KEYS = Keyring(Key("k1", SECRET))
MARK = Mark(7, bytes(range(16)))


@pytest.fixture
def marks(tmp_path):
    return Marks(tmp_path / "marks", KEYS)


def put(marks: Marks, zone: str = "models", name: str = "a", mark: Mark = MARK) -> None:
    with marks.lock(zone, name):
        marks.write(zone, name, mark)


def only_file(tmp_path):
    (path,) = (tmp_path / "marks").glob("*.mark")
    return path


def test_what_was_never_seen_has_no_mark(marks, tmp_path):
    assert marks.read("models", "a") is None
    assert not (tmp_path / "marks").exists()


def test_a_mark_comes_back_also_in_another_process(marks, tmp_path):
    put(marks)
    assert marks.read("models", "a") == MARK
    assert Marks(tmp_path / "marks", KEYS).read("models", "a") == MARK
    assert marks.read("models", "b") is None
    assert marks.read("second", "a") is None


@pytest.mark.parametrize("seen_before", [False, True])
def test_every_changed_byte_is_refused(marks, tmp_path, seen_before):
    put(marks)
    path = only_file(tmp_path)
    good = path.read_bytes()
    for index in range(len(good)):
        data = bytearray(good)
        data[index] ^= 1
        path.write_bytes(data)
        reader = marks if seen_before else Marks(tmp_path / "marks", KEYS)
        with pytest.raises((Tampered, UnknownKey)):
            reader.read("models", "a")


def test_every_other_length_is_refused(marks, tmp_path):
    put(marks)
    path = only_file(tmp_path)
    good = path.read_bytes()
    for data in (*(good[:length] for length in range(len(good))), good + b"\0", good + good):
        path.write_bytes(data)
        with pytest.raises(Tampered, match="restore-a-model"):
            marks.read("models", "a")


def test_the_mark_of_another_artifact_is_refused(marks, tmp_path):
    put(marks, name="a")
    path = only_file(tmp_path)
    data = path.read_bytes()
    for zone, name in (("models", "b"), ("second", "a")):
        put(marks, zone, name, Mark(1, bytes(16)))
        for other in (tmp_path / "marks").glob("*.mark"):
            if other != path:
                other.write_bytes(data)
        with pytest.raises(Tampered, match="was changed"):
            marks.read(zone, name)


def test_zone_and_name_cannot_run_into_each_other(marks):
    put(marks, "models", "second/a")
    assert marks.read("models/second", "a") is None
    assert marks.read("model", "ssecond/a") is None


def test_a_mark_of_an_unlisted_key_is_refused_and_of_an_older_key_is_not(marks, tmp_path):
    put(marks)
    with pytest.raises(UnknownKey, match="k2"):
        Marks(tmp_path / "marks", Keyring(Key("k2", OTHER_SECRET))).read("models", "a")
    both = Marks(tmp_path / "marks", Keyring(Key("k2", OTHER_SECRET), Key("k1", SECRET)))
    assert both.read("models", "a") == MARK


def test_a_link_in_the_place_of_a_mark_is_not_followed(marks, tmp_path):
    put(marks)
    path = only_file(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        marks.read("models", "a")


def test_names_that_differ_have_marks_that_differ(marks):
    names = ["a", "A", "a ", "a\n", "ä", "a\\udcff", "x" * 4000]
    for number, name in enumerate(names):
        put(marks, name=name, mark=Mark(number + 1, bytes(16)))
    assert [marks.read("models", name).generation for name in names] == list(range(1, 8))


def test_the_lock_is_one_between_threads_and_processes(marks, tmp_path):
    order: list[str] = []
    inside = threading.Event()

    def other() -> None:
        with Marks(tmp_path / "marks", KEYS).lock("models", "a"):
            order.append("second")

    with marks.lock("models", "a"):
        thread = threading.Thread(target=other)
        thread.start()
        with marks.lock("models", "b"):  # another artifact does not wait
            inside.set()
        assert not order
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_process_that_dies_with_the_lock_lets_it_go(marks):
    pid = os.fork()
    if pid == 0:
        marks.lock("models", "a").__enter__()
        os._exit(0)
    os.waitpid(pid, 0)
    with marks.lock("models", "a"):
        pass


def test_marks_are_private_to_the_service(marks, tmp_path):
    before = os.umask(0)
    try:
        put(marks)
    finally:
        os.umask(before)
    assert (tmp_path / "marks").stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "marks").iterdir()} == {0o640}


def test_a_mark_is_overwritten_in_place_and_made_anew_where_that_cannot_be(marks, tmp_path):
    put(marks)
    path = only_file(tmp_path)
    first = path.stat().st_ino
    put(marks, mark=Mark(8, MARK.artifact))
    assert path.stat().st_ino == first
    path.write_bytes(path.read_bytes()[:-1])
    put(marks, mark=Mark(9, MARK.artifact))
    assert path.stat().st_ino != first
    assert Marks(tmp_path / "marks", KEYS).read("models", "a") == Mark(9, MARK.artifact)


def test_a_reader_waits_for_the_writer_of_half_a_mark(marks, tmp_path):
    put(marks)
    path = only_file(tmp_path)
    old = path.read_bytes()
    put(marks, mark=Mark(8, MARK.artifact))
    new = path.read_bytes()
    found = []
    with path.open("r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(new[:20] + old[20:])
        reader = threading.Thread(
            target=lambda: found.append(Marks(tmp_path / "marks", KEYS).read("models", "a"))
        )
        reader.start()
        reader.join(0.1)
        assert not found
        file.seek(0)
        file.write(new)
        fcntl.flock(file, fcntl.LOCK_UN)
        reader.join(10)
    assert found == [Mark(8, MARK.artifact)]
