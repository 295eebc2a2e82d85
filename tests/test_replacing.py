"""Files that are replaced in one step, in each way that a file system may allow."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from safehold import replacing
from safehold.replacing import has_temporary, remove_temporary, replace_file, temporary_stem
from tests.tracing import Run, every_system_call

pytestmark = [pytest.mark.bare, pytest.mark.forking]


def no_link(fd: int, directory: int, name: str) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)


@pytest.fixture(params=["unnamed", "temporary", "unlinkable"])
def way(request, monkeypatch) -> str:
    """With unnamed files, without them, and where they can have no name."""
    if request.param == "temporary":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif request.param == "unlinkable":
        monkeypatch.setattr(replacing, "_link", no_link)
    return request.param


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "a"


@pytest.fixture
def directory(path) -> Iterator[int]:
    fd = os.open(path.parent, os.O_RDONLY)
    yield fd
    os.close(fd)


def litter(path: Path) -> set[str]:
    return set(os.listdir(path.parent)) - {path.name}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- content, mode, owner ------------------------------------------------------------------


def test_a_file_is_made_and_replaced(way, path, directory):
    for content in (b"first", b"", b"x" * 2**20):
        replace_file(directory, "a", [content[:3], bytearray(content[3:])])
        assert path.read_bytes() == content
        assert not litter(path)


def test_an_unnamed_file_is_used_where_there_are_any(path, directory):
    names = []

    def chunks() -> Iterator[bytes]:
        names.extend(os.listdir(directory))
        yield b"x"

    try:
        os.close(os.open(path.parent, os.O_TMPFILE | os.O_RDWR))
    except (AttributeError, OSError):
        pytest.skip("no unnamed files here")
    replace_file(directory, "a", chunks())
    assert names == []
    replace_file(directory, "a", chunks())
    assert names == ["a"]


def test_a_new_file_replaces_nothing_also_what_is_made_meanwhile(way, path, directory):
    def chunks() -> Iterator[bytes]:
        yield b"mine"
        path.write_bytes(b"somebody's")

    for make in (chunks, lambda: [b"mine"]):
        with pytest.raises(FileExistsError):
            replace_file(directory, "a", make(), new=True)
        assert path.read_bytes() == b"somebody's"
        assert not litter(path)
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        replace_file(directory, "a", [b"mine"], new=True)
    path.unlink()
    replace_file(directory, "a", [b"mine"], new=True)
    assert path.read_bytes() == b"mine"
    assert not litter(path)
    assert path.stat().st_nlink == 1


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
def test_a_file_system_without_unnamed_files_has_temporary_ones(code, path, directory, monkeypatch):
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("no unnamed files here")
    real = os.open

    def refuse(name: str, flags: int, *args: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(code, os.strerror(code))
        return real(name, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    replace_file(directory, "a", [b"x"])
    assert path.read_bytes() == b"x"


def test_a_new_file_gets_the_mode_that_the_umask_leaves(way, path, directory):
    before = os.umask(0o027)
    try:
        replace_file(directory, "a", [b"x"])
        replace_file(directory, "b", [b"x"], mode=0o600)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o640
    assert mode_of(path.with_name("b")) == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_the_mode_stays(mode, way, path, directory):
    path.write_bytes(b"old")
    path.chmod(mode)
    replace_file(directory, "a", [b"new"])
    assert mode_of(path) == mode
    assert path.read_bytes() == b"new"


def test_special_bits_do_not_pass_to_new_content(way, path, directory):
    path.write_bytes(b"old")
    path.chmod(0o4755)
    replace_file(directory, "a", [b"new"])
    assert mode_of(path) == 0o755


@pytest.mark.parametrize("mode", [None, 0o600])
def test_a_private_file_is_private_while_it_is_written(mode, path, directory, monkeypatch):
    """As it is written under a temporary name, and in the copy of what cannot be linked."""
    modes = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        modes.extend(mode_of(path.with_name(name)) for name in litter(path))
        return real(fd, data)

    if mode is None:
        path.write_bytes(b"old")
        path.chmod(0o600)
    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "write", write)
        monkeypatch.delattr(os, "copy_file_range", raising=False)
        monkeypatch.setattr(replacing, "_link", no_link)
        replace_file(directory, "a", [b"secret", b"more"], mode=mode)
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
        replace_file(directory, "a", [b"secret", b"more"], mode=mode)
    finally:
        os.umask(before)
    assert len(modes) >= 3
    assert set(modes) == {0o600}


def test_the_owner_stays_where_that_is_permitted(way, path, directory):
    path.write_bytes(b"old")
    if os.getuid() == 0:
        os.chown(path, 4321, 4322)
    before = path.stat()
    replace_file(directory, "a", [b"new"])
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_a_short_write_goes_on(way, path, directory, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:3])))
    replace_file(directory, "a", [b"0123456789"])
    monkeypatch.undo()
    assert path.read_bytes() == b"0123456789"


def test_what_takes_the_name_meanwhile_is_replaced_if_it_is_a_file(way, path, directory):
    replace_file(directory, "a", [b"ours"], before_rename=lambda: path.write_bytes(b"theirs"))
    assert path.read_bytes() == b"ours"
    path.unlink()
    path.with_name("b").write_bytes(b"other")
    replace_file(directory, "a", [b"ours"], before_rename=lambda: path.symlink_to("b"))
    assert path.read_bytes() == b"ours"
    assert not path.is_symlink()
    assert path.with_name("b").read_bytes() == b"other"
    path.unlink()
    with pytest.raises(IsADirectoryError):
        replace_file(directory, "a", [b"ours"], before_rename=path.mkdir)
    assert litter(path) == {"b"}


def test_a_pipe_that_takes_the_name_meanwhile_stays(path, directory):
    with pytest.raises(OSError, match="not a regular file"):
        replace_file(directory, "a", [b"ours"], before_rename=lambda: os.mkfifo(path))
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert not litter(path)


# --- errors and crashes --------------------------------------------------------------------


@pytest.mark.parametrize("step", ["write", "fsync", "rename", "fchmod", "chunks", "before"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_step_leaves_the_old_file_and_no_litter(
    step, code, way, path, directory, monkeypatch
):
    path.write_bytes(b"old")

    def fail(*args: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    def chunks() -> Iterator[bytes]:
        yield b"ne"
        if step == "chunks":
            fail()
        yield b"w"

    if step not in ("chunks", "before"):
        monkeypatch.setattr(os, step, fail)
    before = fail if step == "before" else None
    with pytest.raises(OSError, match=os.strerror(code)):
        replace_file(directory, "a", chunks(), before_rename=before)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert not litter(path)


def test_a_full_disk_leaves_the_old_file(path):
    path.write_bytes(b"old")
    code = f"""
import os, resource, signal, sys
from safehold.replacing import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace_file(os.open({str(path.parent)!r}, os.O_RDONLY), "a", [b"x" * 600, b"y" * 600])
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert not litter(path)


@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "replaced"])
def test_whatever_happens_at_a_system_call_one_of_both_is_there(old, way, path, directory):
    new = [b"new ", b"content" * 1000]

    def prepare() -> None:
        for name in os.listdir(directory):
            os.unlink(name, dir_fd=directory)
        if old is not None:
            path.write_bytes(old)
            path.chmod(0o640)

    def check(run: Run) -> None:
        found = path.read_bytes() if path.exists() else None
        assert found in (old, b"".join(new))
        if not run.raised:
            assert found == b"".join(new)
        if old is not None:
            assert mode_of(path) == 0o640
        if run.raised != "killed" and run.call not in ("unlink", "unlinkat"):
            assert not litter(path)
        replace_file(directory, "a", [b"later"], locked=True)
        assert path.read_bytes() == b"later"
        assert not litter(path)

    trace = every_system_call(
        lambda: replace_file(directory, "a", new, locked=True), check, prepare=prepare
    )
    assert {"write", "fsync"} < set(trace.reached)
    assert trace.runs >= 40


def test_the_order_of_a_save_is_write_sync_name_sync(way, path, directory, monkeypatch):
    calls: list[str] = []
    for name in ("write", "fsync", "link", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda *a, _real=real, _name=name, **k: (calls.append(_name), _real(*a, **k))[1],
        )
    replace_file(directory, "a", [b"x"], before_rename=lambda: calls.append("before"))
    first = calls[:]
    calls.clear()
    replace_file(directory, "a", [b"x"], before_rename=lambda: calls.append("before"))
    if way == "unnamed" and "link" in first:
        assert first == ["write", "fsync", "before", "link", "fsync"]
        assert calls == ["write", "fsync", "link", "before", "rename", "fsync"]
    elif way == "temporary":
        assert first == calls == ["write", "fsync", "before", "rename", "fsync"]
    else:
        # The bytes of the copy are flushed before it gets the name, too.
        assert first[-3:] == calls[-3:] or calls[-3:] == ["before", "rename", "fsync"]
        assert first.count("fsync") == calls.count("fsync") == 3
        assert first[-2:] == calls[-2:] == ["rename", "fsync"]


def test_a_directory_without_write_permission_is_the_error_of_the_system():
    code = """
import os
from safehold.replacing import replace_file
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    replace_file(os.open("/usr", os.O_RDONLY), "safehold-test", [b"x"])
except OSError as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout in {"PermissionError\n", "OSError\n"}


# --- what a killed writer left --------------------------------------------------------------

NAMES = [
    "a",
    "n" * 255,
    "模" * 85,
    "ab" + "模" * 84,
    os.fsdecode(b"\xff" * 255),
    "line\nbreak",
    ".",
]


def temporary(name: str) -> str:
    return f".{temporary_stem(name)}.000000000001.sfh-tmp"


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_temporary_name_fits_and_says_whose_it_is(name):
    stem = temporary_stem(name)
    assert len(os.fsencode(temporary(name))) <= 255
    assert stem[:60] == name[:60]
    assert (stem == name) == (len(os.fsencode(name)) <= 200)


def test_no_two_names_share_a_temporary_one():
    long = ["n" * 255, "n" * 254, "n" * 254 + "m", "n" * 201, "n" * 200, "模" * 85, "模" * 84]
    names = long + [temporary_stem(name) for name in long] + ["a", "a.", ".a", "a.000000000001"]
    names = list(dict.fromkeys(names))
    # What stands for a long name is longer than each name that stands for itself, and is not
    # the name of what stands for another.
    assert len({temporary(name) for name in names}) == len(names)


def test_only_the_writer_under_the_lock_removes_and_only_what_is_of_this_name(path, directory):
    own = path.with_name(temporary("a"))
    others = [".a.123456789abc.sfh-tmp", ".b.000000000001.sfh-tmp", ".a.b.000000000001.sfh-tmp"]
    for name in (own.name, *others, ".a.000000000001.sfh-tmp~"):
        path.with_name(name).write_bytes(b"left")
    before = litter(path)
    replace_file(directory, "a", [b"x"])
    assert litter(path) == before
    assert has_temporary(directory, "a")
    replace_file(directory, "a", [b"x"], locked=True)
    assert litter(path) == before - {own.name}
    assert not has_temporary(directory, "a")
    assert has_temporary(directory, "b")


def test_what_is_no_file_is_not_removed_and_no_obstacle(way, path, directory):
    own = path.with_name(temporary("a"))
    own.with_name("target").write_bytes(b"precious")
    for make in (own.mkdir, lambda: own.symlink_to("target"), lambda: os.mkfifo(own)):
        make()
        for _ in range(2):
            replace_file(directory, "a", [b"x"], locked=True)
        assert own.with_name("target").read_bytes() == b"precious"
        assert litter(path) == {own.name, "target"}
        if own.is_dir() and not own.is_symlink():
            own.rmdir()
        else:
            own.unlink()


def test_what_may_not_be_removed_is_no_obstacle(path, directory, monkeypatch):
    own = path.with_name(temporary("a"))
    own.write_bytes(b"left")
    real = os.unlink

    def unlink(name: str, **options: int) -> None:
        if name == own.name:
            raise PermissionError(errno.EPERM, "not permitted")
        real(name, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    remove_temporary(directory, "a")
    replace_file(directory, "a", [b"x"], locked=True)
    assert path.read_bytes() == b"x"
    assert litter(path) == {own.name}
