"""The directory of a cache: who may write it, what counts in it, and what stays in it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safehold import replacing
from safehold.errors import ConfigError
from safehold.scan import cache_files, scan_bytes, scan_path, scan_paths
from safehold.scan.cache import Cache
from safehold.scan.cache_entries import decode
from safehold.scan.cache_files import CacheFiles, DamagedError, UnusableError
from safehold.scan.report import Verdict
from tests.bypasses.payloads import named, stream

EVIL = stream(named("posix", "system"))
UNKNOWN = stream(named("app.models", "Model"))
NAME = bytes(range(32))
OTHER = bytes(range(1, 33))


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def files(home) -> CacheFiles:
    return CacheFiles(str(home), 2**20)


def place(home: Path, name: bytes = NAME) -> Path:
    return home / name.hex()[:2] / name.hex()[2:]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_what_is_written_is_read(files, home):
    assert files.read(NAME) is None
    for content in (b"", b"x" * 1000, b"another"):
        files.write(NAME, content)
        assert files.read(NAME) == content
    assert CacheFiles(str(home), 2**20).read(NAME) == b"another"
    assert files.read(OTHER) is None
    files.remove(NAME)
    files.remove(NAME)
    assert files.read(NAME) is None


def test_it_is_its_owners_alone(home):
    before = os.umask(0)
    try:
        CacheFiles(str(home), 2**20).write(NAME, b"x")
    finally:
        os.umask(before)
    assert mode(home) == mode(place(home).parent) == 0o700
    assert mode(place(home)) == mode(home / "CACHEDIR.TAG") == 0o600
    assert mode(home / "key") == 0o400
    assert (home / "key").stat().st_size == 32
    assert (
        (home / "CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_two_have_two_keys(tmp_path):
    for name in "ab":
        CacheFiles(str(tmp_path / name), 2**20)
    assert (tmp_path / "a" / "key").read_bytes() != (tmp_path / "b" / "key").read_bytes()


# ---- whose directory it is


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o720, 0o702])
def test_a_directory_that_others_may_write_is_refused(bits, files, home):
    home.chmod(bits)
    with pytest.raises(UnusableError, match="chmod"):
        CacheFiles(str(home), 2**20)


@pytest.mark.parametrize("bits", [0o440, 0o404, 0o420, 0o402, 0o600, 0o700, 0o500, 0o644])
def test_a_key_of_another_mode_is_refused(bits, files, home):
    """Others could read it, or it came with a checkout."""
    (home / "key").chmod(bits)
    with pytest.raises(UnusableError, match=r"mode 400|chmod"):
        CacheFiles(str(home), 2**20)


@pytest.mark.parametrize("umask", [0, 0o22, 0o77, 0o177])
def test_a_cache_that_somebody_has_committed_is_not_used(umask, home, tmp_path):
    scan_bytes(b"\x80\x04N.", "a.pkl", cache=home)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, str(home), *words], check=True)
    command = ["git", "clone", "-q", str(home), str(tmp_path / "clone")]
    subprocess.run(command, check=True, umask=umask)
    assert (tmp_path / "clone" / "key").read_bytes() == (home / "key").read_bytes()
    cache = Cache(tmp_path / "clone")
    assert cache.problem
    assert not scan_bytes(b"\x80\x04N.", "a.pkl", cache=cache).cached


@pytest.mark.parametrize("what", ["directory", "key"])
def test_what_belongs_to_another_user_is_refused(what, files, home, monkeypatch):
    real = os.fstat

    def fstat(handle):
        found = real(handle)
        is_one = stat.S_ISDIR(found.st_mode) if what == "directory" else found.st_size == 32
        return os.stat_result((*found[:4], found.st_uid + 1, *found[5:])) if is_one else found

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(UnusableError, match="belongs to another user"):
        CacheFiles(str(home), 2**20)


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33, None, "link", "pipe"])
def test_what_is_no_key_is_refused(key, files, home):
    (home / "key").unlink()
    if key is None:
        (home / "key").mkdir(mode=0o700)
    elif key == "link":
        (home / "other").write_bytes(bytes(32))
        (home / "key").symlink_to("other")
    elif key == "pipe":
        os.mkfifo(home / "key", 0o600)
    else:
        (home / "key").write_bytes(key)
        (home / "key").chmod(0o400)
    with pytest.raises(UnusableError):
        CacheFiles(str(home), 2**20)


@pytest.mark.parametrize("end", ["", "/", "/."])
def test_a_link_is_not_followed(end, files, home, tmp_path):
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(ConfigError, match="link"):
        Cache(f"{tmp_path / 'link'}{end}")


def test_a_link_to_nothing_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(ConfigError, match="link"):
        Cache(tmp_path / "link")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("tag", [None, b"", b"Signature: 8a477f597d28d172789f06886806bc55\n"])
def test_a_directory_with_something_else_is_refused_and_stays(tag, tmp_path):
    """Who writes `--cache models` may have meant to have it scanned."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.pkl").write_bytes(EVIL)
    if tag is not None:
        (tmp_path / "models" / "CACHEDIR.TAG").write_bytes(tag)
    before = sorted(os.listdir(tmp_path / "models"))
    with pytest.raises(ConfigError, match="something else"):
        Cache(tmp_path / "models")
    assert sorted(os.listdir(tmp_path / "models")) == before


def test_an_empty_directory_becomes_a_cache(home):
    home.mkdir(mode=0o700)
    assert Cache(home).problem == ""


# ---- entries that do not count


def flip(index):
    def change(home):
        data = bytearray(place(home).read_bytes())
        data[index] ^= 1
        place(home).write_bytes(data)

    return change


def cut(home):
    os.truncate(place(home), place(home).stat().st_size - 1)


def swap_key(home):
    (home / "key").unlink()
    (home / "key").write_bytes(bytes(32))
    (home / "key").chmod(0o400)


def from_another(home):
    """An entry for the same question by another key."""
    other = home.parent / "other"
    CacheFiles(str(other), 2**20).write(NAME, b"content")
    shutil.copy(place(other), place(home))


def rename(home):
    """A true entry, but the answer to another question."""
    CacheFiles(str(home), 2**20).write(OTHER, b"clean")
    os.replace(place(home, OTHER), place(home))


def symlink(home):
    os.rename(place(home), home / "moved")
    place(home).symlink_to(home / "moved")


def symlink_shelf(home):
    os.rename(place(home).parent, home / "moved")
    place(home).parent.symlink_to("moved")


def directory(home):
    place(home).unlink()
    place(home).mkdir()


def shelf_is_a_file(home):
    shutil.rmtree(place(home).parent)
    place(home).parent.write_bytes(b"")


def pipe(home):
    place(home).unlink()
    os.mkfifo(place(home), 0o600)


DAMAGE = {
    "first": flip(0),
    "mac": flip(30),
    "content": flip(-1),
    "end": cut,
    "half": lambda home: os.truncate(place(home), 40),
    "empty": lambda home: os.truncate(place(home), 0),
    "longer": lambda home: place(home).write_bytes(place(home).read_bytes() + b"x"),
    "large": lambda home: os.truncate(place(home), 2**30),
    "key": swap_key,
    "another": from_another,
    "renamed": rename,
    "group": lambda home: place(home).chmod(0o620),
    "world": lambda home: place(home).chmod(0o602),
    "link": symlink,
    "shelf": symlink_shelf,
    "directory": directory,
    "file": shelf_is_a_file,
    "pipe": pipe,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_an_entry_that_was_tampered_with_does_not_count(damage, files, home):
    files.write(NAME, b"content")
    damage(home)
    with pytest.raises(DamagedError):
        CacheFiles(str(home), 2**20).read(NAME)


def test_no_more_of_an_entry_is_read_than_one_can_have(files, home, monkeypatch):
    files.write(NAME, b"content")
    os.truncate(place(home), 2**40)
    monkeypatch.setattr(os, "read", None)
    with pytest.raises(DamagedError, match="no entry"):
        files.read(NAME)


def test_an_entry_of_another_user_does_not_count(files, home, monkeypatch):
    files.write(NAME, b"content")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(DamagedError):
        files.read(NAME)


def test_the_longest_entry_is_read_and_a_longer_one_is_not_written(files, home):
    most = cache_files._LARGEST - cache_files._HEAD
    files.write(NAME, bytes(most))
    assert files.read(NAME) == bytes(most)
    files.write(OTHER, bytes(most + 1))
    assert files.read(OTHER) is None


def only(home: Path) -> Path:
    [path] = home.glob("??/*")
    return path


@pytest.mark.parametrize("how", ["flip", "content", "swap", "pipe"])
def test_a_poisoned_entry_is_scanned_anew_and_replaced(how, home):
    """What it would say is that a malicious file is clean."""
    scan_bytes(EVIL, "a.pkl", cache=home)
    path = only(home)
    if how == "flip":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    elif how == "content":
        # With the right key, but nothing that an entry can be.
        name = bytes.fromhex(path.parent.name + path.name)
        CacheFiles(str(home), 2**20).write(name, b"\x95\xa6pickle\xc2\x90")
    else:
        clean = home.parent / "other"
        scan_bytes(b"\x80\x04N.", "a.pkl", cache=clean)
        os.replace(clean / "key", home / "key")
        shutil.copy(only(clean), path)
    cache = Cache(home)
    first, then = (scan_bytes(EVIL, "a.pkl", cache=cache) for _ in range(2))
    assert first.verdict is then.verdict is Verdict.MALICIOUS
    assert [first.cached, then.cached] == [False, True]
    assert "damaged" in cache.problem
    assert "damaged" in first.cache_problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\x94\xa6pickle\xc2\x90\x90",
        b"\x96\xa6pickle\xc2\x90\x90\x90\x00",
        b"\x95\xa6pickle\x00\x90\x90\x90",
        b"\x95\x01\xc2\x90\x90\x90",
        b"\x95\xa6pickle\xc2\x90\x90\x90\x00",
        b"\x95\xa6pickle\xc2\x91\x9a\xa5SH999\xa1x\xc0\xc0\xc0\xc0\x01\x01\x80\xa0\x90\x90",
        b"\x95\xa6pickle\xc2\x91\x9a\xa5SH101\xa1x\xc0\xc0\xc0\xc0\x09\x01\x80\xa0\x90\x90",
    ],
)
def test_content_of_another_shape_does_not_count(content, home):
    assert decode(b"\x95\xa6pickle\xc2\x90\x90\x90", "a", "").verdict is Verdict.CLEAN
    scan_bytes(EVIL, "a.pkl", cache=home)
    name = bytes.fromhex(only(home).parent.name + only(home).name)
    CacheFiles(str(home), 2**20).write(name, content)
    report = scan_bytes(EVIL, "a.pkl", cache=home)
    assert (report.cached, report.verdict) == (False, Verdict.MALICIOUS)


# ---- a cache never fails a scan


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE])
def test_a_directory_that_cannot_be_written_is_of_use_for_what_is_in_it(code, home, monkeypatch):
    scan_bytes(EVIL, "a.pkl", cache=home)
    calls = []

    def fail(*_, **__):
        calls.append(1)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(replacing, "replace_file", fail)
    cache = Cache(home)
    assert scan_bytes(EVIL, "a.pkl", cache=cache).cached
    assert cache.problem == ""
    for name in "bcd":
        report = scan_bytes(EVIL, f"{name}.pkl", cache=cache)
        assert report.verdict is Verdict.MALICIOUS
    assert os.strerror(code) in cache.problem
    assert os.strerror(code) in report.cache_problem
    assert len(calls) == 1  # the next would fail as well


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_directory_that_cannot_be_made_fails_nothing(code, home, monkeypatch):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "makedirs", fail)
    cache = Cache(home)
    report = scan_bytes(EVIL, "a.pkl", cache=cache)
    assert report.verdict is Verdict.MALICIOUS
    assert os.strerror(code) in cache.problem
    assert report.cache_problem == cache.problem


def test_a_directory_that_is_removed_meanwhile_fails_nothing(home):
    cache = Cache(home)
    scan_bytes(EVIL, "a.pkl", cache=cache)
    shutil.rmtree(home)
    for name in "ab":
        assert scan_bytes(EVIL, f"{name}.pkl", cache=cache).verdict is Verdict.MALICIOUS
    assert cache.problem


def test_an_unsafe_directory_is_not_used(home):
    scan_bytes(EVIL, "a.pkl", cache=home)
    home.chmod(0o777)
    cache = Cache(home)
    report = scan_bytes(EVIL, "a.pkl", cache=cache)
    assert (report.cached, report.verdict) == (False, Verdict.MALICIOUS)
    assert "chmod" in report.cache_problem


def test_workers_say_what_is_wrong_with_theirs(home, tmp_path):
    pytest.importorskip("joblib")
    (tmp_path / "files").mkdir()
    for number in range(6):
        (tmp_path / "files" / f"{number}.pkl").write_bytes(EVIL)
    cache = Cache(home)
    for number in range(256):
        (home / f"{number:02x}").write_bytes(b"")  # where a directory should be
    found = list(scan_paths([tmp_path / "files"], jobs=2, cache=cache))
    assert {one.verdict for one in found} == {Verdict.MALICIOUS}
    assert any(one.cache_problem for one in found)
    assert found == list(scan_path(tmp_path / "files").files)


_RACE = """
import os, sys
from safehold.scan import scan_path
sys.stdin.readline()
found = scan_path(sys.argv[1], cache=sys.argv[2]).files
print([*{one.cache_problem for one in found}], [*{str(one.verdict) for one in found}])
"""


def test_processes_that_begin_at_once_do_not_disturb_each_other(home, tmp_path):
    (tmp_path / "files").mkdir()
    for number in range(40):
        (tmp_path / "files" / f"{number}.pkl").write_bytes(EVIL[:-1] + b"0" * number + b"N.")
    command = [sys.executable, "-c", _RACE, str(tmp_path / "files"), str(home)]
    pipe = subprocess.PIPE
    racing = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(5)]
    for one in racing:
        one.stdin.write("\n")
        one.stdin.flush()
    said = {one.communicate()[0] for one in racing}
    assert said == {"[''] ['malicious']\n"}
    found = scan_path(tmp_path / "files", cache=home).files
    assert all(one.cached for one in found if not {"SH103"} & {f.rule.id for f in one.findings})
    assert any(one.cached for one in found)
    assert not list(home.rglob("*.sfh-tmp"))


def test_the_key_of_a_process_that_was_quicker_is_taken(home, monkeypatch):
    files = CacheFiles(str(home), 2**20)
    files.write(NAME, b"content")
    key = (home / "key").read_bytes()
    (home / "key").unlink()
    real = replacing.replace_file

    def quicker(directory, name, chunks, **options):
        (home / name).write_bytes(key)
        (home / name).chmod(0o400)
        real(directory, name, chunks, **options)

    monkeypatch.setattr(replacing, "replace_file", quicker)
    assert CacheFiles(str(home), 2**20).read(NAME) == b"content"
    assert (home / "key").read_bytes() == key


# ---- what stays


@pytest.fixture
def tidy(monkeypatch):
    """Every write looks after its shelf."""
    monkeypatch.setattr(cache_files, "_TIDIED", 1)


def on_one_shelf(number: int) -> bytes:
    return b"\x07" + number.to_bytes(31, "big")


def aged(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_what_was_not_used_for_30_days_goes(tidy, home):
    files = CacheFiles(str(home), 2**28)
    for number in range(6):
        files.write(on_one_shelf(number), b"x")
    for number, days in enumerate((0, 10, 29, 31, 400, -30)):
        aged(place(home, on_one_shelf(number)), days)
    files.write(on_one_shelf(99), b"x")
    left = [number for number in range(6) if place(home, on_one_shelf(number)).exists()]
    assert left == [0, 1, 2]


def test_the_longest_unused_go_beyond_the_share_of_a_shelf(tidy, home):
    files = CacheFiles(str(home), 256 * 40 * 4096)
    for number in range(100):
        files.write(on_one_shelf(number), b"x" * 3000)
        aged(place(home, on_one_shelf(number)), 20 - number / 10)
    files.write(on_one_shelf(100), b"x" * 3000)
    left = [number for number in range(101) if place(home, on_one_shelf(number)).exists()]
    assert left == list(range(101 - len(left), 101))
    assert 20 <= len(left) <= 40
    assert sum(path.stat().st_blocks for path in home.glob("07/*")) * 512 <= 40 * 4096


def test_what_is_used_stays(files, home):
    files.write(NAME, b"x")
    aged(place(home), 20)
    assert files.read(NAME) == b"x"
    assert abs(place(home).stat().st_mtime - time.time()) < 86400
    aged(place(home), 0.5)
    before = place(home).stat().st_mtime_ns
    files.read(NAME)
    assert place(home).stat().st_mtime_ns == before  # not written for each use


def test_what_a_killed_writer_left_goes_too(tidy, files, home):
    files.write(NAME, b"x")
    left = place(home).with_name(".abc.0123.sfh-tmp")
    left.write_bytes(b"")
    aged(left, 31)
    files.write(NAME, b"y")
    assert not left.exists()


def test_of_many_writes_a_few_look_after_the_directory(files, monkeypatch):
    looked = []
    monkeypatch.setattr(CacheFiles, "_tidy", lambda *_: looked.append(1))
    for number in range(4 * cache_files._TIDIED):
        files.write(number.to_bytes(32, "big"), b"x")
    assert len(looked) == 4


def test_entries_are_not_flushed_one_by_one(files, monkeypatch):
    """Thousands of them would take minutes; a broken one is only scanned anew."""
    monkeypatch.setattr(os, "fsync", None)
    files.write(NAME, b"x")
    assert files.read(NAME) == b"x"
