"""No writer vanishes as a whole, but by retention, which leaves a line that says so."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import random
import shutil
import signal
import struct
import threading
from datetime import UTC, datetime, timedelta

import pytest

from safehold.errors import TrailError
from safehold.events import Event
from safehold.keys import Key, Keyring
from safehold.observe import chain, manifest
from safehold.observe.check import check_trail
from safehold.observe.check_manifest import Listed
from safehold.observe.retention import prune
from safehold.observe.trail import Trail

pytestmark = pytest.mark.bare

SECRET = hashlib.sha256(b"a key of these tests").digest()
RING = Keyring(Key("k1", SECRET))
LOAD = Event(action="load", outcome="allowed", zone="models", artifact="models/m.pkl")
SOON = datetime.now(UTC) + timedelta(days=1)


def write(directory, lines=3, ring=RING, *, close=True):
    trail = Trail(directory, ring)
    for _ in range(lines - 1):
        trail.export(LOAD)
    if close:
        trail.close()
    return trail


def problems(directory, ring=RING):
    listed = Listed(directory, ring)
    return listed.compare(list(check_trail(directory, ring)))


def kinds(directory, ring=RING):
    return [problem.kind for problem in problems(directory, ring)]


def homes(directory):
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))


@pytest.fixture
def directory(tmp_path):
    """Three writers, of which the second was killed."""
    write(tmp_path)
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            write(tmp_path, close=False)
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    os.waitpid(pid, 0)
    write(tmp_path)
    return tmp_path


def test_a_whole_trail_has_nothing_to_tell(directory):
    assert problems(directory) == []
    said = [json.loads(line) for line in (directory / ".manifest").read_bytes().splitlines()]
    assert [row["what"] for row in said] == ["began", "ended", "began", "began", "ended"]
    assert [row["n"] for row in said] == list(range(5))


def test_a_second_verifier_agrees(directory):
    """As docs/reference/trail.md says, with nothing of safehold."""
    extracted = hmac.digest(b"\x00" * 32, SECRET, hashlib.sha256)
    key = hmac.digest(extracted, b"safehold/trail/v1/manifest\x01", hashlib.sha256)
    previous, size = b"\x00" * 32, 0
    lines = (directory / ".manifest").read_bytes().splitlines(keepends=True)
    for line in lines:
        body, _, rest = line.rpartition(b',"mac":"')
        mac = hashlib.blake2b(previous + body, key=key, digest_size=32, person=b"sfh-trail-list")
        assert rest == mac.hexdigest().encode() + b'"}\n'
        previous, size = mac.digest(), size + len(line)
    data = struct.pack("<QQ32s", len(lines), size, previous)
    proof = hashlib.blake2b(data, key=key, digest_size=32, person=b"sfh-trail-head").digest()
    assert (directory / ".manifest.state").read_bytes() == data + proof


@pytest.mark.parametrize("index", range(3))
def test_a_writer_that_vanishes_is_named(directory, index):
    gone = homes(directory)[index]
    shutil.rmtree(gone)
    assert [(problem.kind, problem.path) for problem in problems(directory)] == [("vanished", gone)]


def test_all_writers_gone_are_named(directory):
    for home in homes(directory):
        shutil.rmtree(home)
    assert kinds(directory) == ["vanished"] * 3


def test_a_writer_that_is_put_back_to_an_older_copy_is_found(tmp_path):
    trail = write(tmp_path / "trail", 2, close=False)
    trail.settle()
    shutil.copytree(tmp_path / "trail", tmp_path / "old")
    trail.export(LOAD)
    trail.close()
    (home,) = homes(tmp_path / "trail")
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "old" / home.name, home)
    assert kinds(tmp_path / "trail") == ["truncated"]


@pytest.mark.parametrize("count", range(5))
def test_a_manifest_that_is_cut_is_found(directory, count):
    path = directory / ".manifest"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))
    found = kinds(directory)
    assert found
    assert found[0] == ("manifest" if not count else "truncated")
    write(directory)  # who goes on does not hide it
    assert kinds(directory)


@pytest.mark.parametrize("how", ["state", "both", "empty"])
def test_a_manifest_that_is_gone_is_found(directory, how):
    (directory / ".manifest.state").unlink()
    if how == "both":
        (directory / ".manifest").unlink()
    if how == "empty":
        (directory / ".manifest").write_bytes(b"")
    expected = ["manifest"] * (1 if how == "state" else 3)
    assert kinds(directory) == expected
    write(directory)  # who goes on does not hide it
    assert kinds(directory) == expected


def stopping(real, left):
    """Stand in for a function of os; the process ends when it was called so often."""

    def call(*arguments):
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return real(*arguments)

    return call


def test_a_kill_at_any_step_of_the_first_line_is_no_problem(tmp_path):
    statuses = []
    for step in range(60):
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                left = [step]
                for name in ("open", "pwrite", "rename"):
                    setattr(os, name, stopping(getattr(os, name), left))
                write(tmp_path / str(step))
                os._exit(0)
            os._exit(1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if (tmp_path / str(step)).exists():
            assert problems(tmp_path / str(step)) == [], step
        if not statuses[-1]:
            break
    assert len(statuses) > 8
    assert statuses == [9] * (len(statuses) - 1) + [0]


def test_any_change_of_the_manifest_is_found_in_its_line(directory):
    path = directory / ".manifest"
    data = path.read_bytes()
    rng = random.Random(3)
    for position in rng.sample(range(len(data)), 150):
        changed = bytearray(data)
        changed[position] ^= 1 << rng.randrange(7)
        path.write_bytes(changed)
        found = problems(directory)
        assert found, position
        assert found[0].line in {
            0,
            data[:position].count(b"\n") + 1,
            data[:position].count(b"\n") + 2,
        }
    path.write_bytes(data)
    assert problems(directory) == []


def test_any_change_of_the_state_is_found(directory):
    path = directory / ".manifest.state"
    data = path.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert kinds(directory) == ["manifest"], position


def test_lines_that_are_moved_or_doubled_are_found(directory):
    path = directory / ".manifest"
    lines = path.read_bytes().splitlines(keepends=True)
    for order in ([1, 0, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 2, 3, 4], [0, 1, 2, 4, 3]):
        path.write_bytes(b"".join(lines[index] for index in order))
        assert kinds(directory), order


def test_a_line_that_a_kill_tore_is_taken_back_by_the_next(directory):
    path = directory / ".manifest"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v":1,"n":5,"t":"20')
    assert problems(directory) == []
    write(directory)
    assert problems(directory) == []
    assert path.read_bytes().startswith(whole + b'{"v":1,"n":5,')


def test_a_writer_that_was_killed_before_its_line_is_no_problem(directory, monkeypatch):
    def add(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(manifest.Manifest, "add", add)
        with pytest.raises(KeyboardInterrupt):
            write(directory)
    assert len(homes(directory)) == 4
    assert problems(directory) == []


def test_a_manifest_that_cannot_be_written_refuses_the_event(directory, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:9], offset))
    with pytest.raises(TrailError):
        Trail(directory, RING).export(LOAD)
    monkeypatch.setattr(os, "pwrite", real)
    assert problems(directory) == []


def test_many_threads_and_processes_make_one_chain(tmp_path):
    def work():
        for _ in range(5):
            write(tmp_path)

    pids = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                workers = [threading.Thread(target=work) for _ in range(3)]
                [worker.start() for worker in workers]
                [worker.join() for worker in workers]
                os._exit(0)
            os._exit(1)
        pids.append(pid)
    assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in pids)
    assert problems(tmp_path) == []
    assert (tmp_path / ".manifest").read_bytes().count(b"\n") == 90


def test_a_link_in_the_place_of_the_manifest_is_not_followed(tmp_path):
    (tmp_path / "trail").mkdir()
    (tmp_path / "trail" / ".manifest").symlink_to(tmp_path / "other")
    with pytest.raises(TrailError):
        Trail(tmp_path / "trail", RING).export(LOAD)
    assert not (tmp_path / "other").exists()


# --- lent keys


def test_a_writer_with_a_lent_key_is_listed(directory):
    write(directory, ring=chain.LentKey(chain.lend(RING.local)))
    assert problems(directory) == []
    lent = next(home for home in homes(directory) if home.name.count("-") == 3)
    shutil.rmtree(lent)
    assert kinds(directory) == ["vanished"]


def test_what_a_lent_key_adds_is_covered_by_the_next_writer_with_the_root_key(directory):
    path = directory / ".manifest"
    before = path.read_bytes()
    write(directory, ring=chain.LentKey(chain.lend(RING.local)))
    write(directory)
    assert problems(directory) == []
    path.write_bytes(before)
    assert kinds(directory)[0] == "truncated"


def test_who_has_a_lent_key_cannot_shorten_the_manifest(directory):
    path = directory / ".manifest"
    lent = chain.LentKey(chain.lend(RING.local))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    shutil.rmtree(homes(directory)[-1])
    for _ in range(4):
        write(directory, ring=lent)
    assert kinds(directory)


def test_what_was_written_under_a_revoked_key_says_nothing(directory):
    newer = Keyring(Key("k2", hashlib.sha256(b"the next key").digest()), RING.signing)
    write(directory, ring=newer)
    revoking = newer.revoking(["k1"])
    assert problems(directory, revoking) == []
    for home in homes(directory)[:3]:
        shutil.rmtree(home)
    assert "vanished" in kinds(directory, newer)
    path = directory / ".manifest"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    assert kinds(directory, revoking) == ["order"]


def test_a_line_of_an_unknown_key_is_named(directory):
    assert kinds(directory, Keyring(Key("k9", hashlib.sha256(b"another").digest()))) == ["key"]


# --- retention


def test_what_is_older_is_removed_and_the_manifest_says_so(directory):
    names = [home.name for home in homes(directory)]
    removed = list(prune(directory, RING, SOON))
    assert sorted(result.writer for result in removed if not result.kept) == names
    assert homes(directory) == []
    assert problems(directory) == []
    assert list(prune(directory, RING, SOON)) == []


def test_what_is_younger_stays(directory):
    assert list(prune(directory, RING, datetime.now(UTC) - timedelta(hours=1))) == []
    assert len(homes(directory)) == 3


def test_what_does_not_verify_or_is_still_written_stays(directory):
    trail = Trail(directory, RING)
    trail.export(LOAD)
    bad = next(home for home in homes(directory) if home.name != trail._writer.name)
    with open(bad / "000001.jsonl", "ab") as file:
        file.write(b"x\n")
    results = {result.writer: result.kept for result in prune(directory, RING, SOON)}
    assert "does not verify" in results[bad.name]
    assert "still there" in results[trail._writer.name]
    assert len(homes(directory)) == 2


def test_nothing_is_removed_under_a_manifest_that_does_not_hold(directory):
    (directory / ".manifest.state").unlink()
    (result,) = prune(directory, RING, SOON)
    assert "nothing is removed" in result.kept
    assert len(homes(directory)) == 3


def test_a_kill_between_the_line_and_the_files_is_made_good(directory, monkeypatch):
    def rmtree(path):
        raise KeyboardInterrupt

    real = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt):
        list(prune(directory, RING, SOON))
    assert problems(directory) == []
    monkeypatch.setattr(shutil, "rmtree", real)
    assert len(list(prune(directory, RING, SOON))) == 3
    assert homes(directory) == []
    assert problems(directory) == []
