"""Where a path really leads, and writes that survive a crash."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from safehold import paths
from safehold.errors import ConfigError
from safehold.paths import Root, replace_file


@pytest.fixture(params=["openat2", "walking"])
def root(request, tmp_path, monkeypatch) -> Iterator[Root]:
    """A root in either way of opening; both must behave alike."""
    if request.param == "walking":
        monkeypatch.setattr(paths, "_openat2_works", lambda: False)
    elif not paths._openat2_works():
        pytest.skip("this kernel has no openat2")
    for name in ("models/deep", "evil"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root_evil").mkdir()
    opened = Root(tmp_path / "root")
    yield opened
    opened.close()


@pytest.fixture
def top(root) -> Path:
    return root.path


def relative(root: Root, path: object) -> str | None:
    fd, _, place = root.open_file(path)
    os.close(fd)
    return place.relative


def target(root: Root, path: object) -> str | None:
    with root.open_parent(path) as (_, name, place):
        assert os.path.basename(place.real) == name
        return place.relative


# --- reading -------------------------------------------------------------------------------


def test_a_plain_file_is_named_below_the_root(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")
    assert relative(root, top / "models" / "a.pkl") == "models/a.pkl"
    assert relative(root, str(top / "models" / "a.pkl")) == "models/a.pkl"


def test_a_relative_path_starts_at_the_working_directory(root, top, monkeypatch):
    (top / "models" / "a.pkl").write_bytes(b"x")
    monkeypatch.chdir(top / "models")
    assert relative(root, "a.pkl") == "models/a.pkl"
    monkeypatch.chdir(top / "evil")
    assert relative(root, "../models/a.pkl") == "models/a.pkl"
    with pytest.raises(FileNotFoundError):
        relative(root, "a.pkl")


@pytest.mark.parametrize(
    "path",
    [
        "models/../models/a.pkl",
        "models/./a.pkl",
        "models//a.pkl",
        "/models/a.pkl",
        "models/deep/../a.pkl",
        "../root/models/a.pkl",
        "evil/../../root/models/a.pkl",
    ],
)
def test_other_spellings_lead_to_the_same_place(path, root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")
    assert relative(root, f"{top}/{path}") == "models/a.pkl"


def test_a_link_counts_as_what_it_points_to(root, top):
    outside = top.parent / "outside" / "a.pkl"
    outside.write_bytes(b"x")
    (top / "models" / "absolute.pkl").symlink_to(outside)
    (top / "models" / "relative.pkl").symlink_to("../../outside/a.pkl")
    (top / "models" / "elsewhere").symlink_to(top.parent / "outside")
    for path in ("absolute.pkl", "relative.pkl", "elsewhere/a.pkl"):
        assert relative(root, top / "models" / path) is None
    (top / "evil" / "b.pkl").write_bytes(b"x")
    (top / "models" / "b.pkl").symlink_to("../evil/b.pkl")
    (top / "models" / "evil").symlink_to("../evil")
    assert relative(root, top / "models" / "b.pkl") == "evil/b.pkl"
    assert relative(root, top / "models" / "evil" / "b.pkl") == "evil/b.pkl"


def test_a_way_out_and_in_again_is_followed_to_its_end(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")
    (top.parent / "outside" / "in").symlink_to(top / "models")
    assert relative(root, top.parent / "outside" / "in" / "a.pkl") == "models/a.pkl"
    assert relative(root, top / ".." / "outside" / "in" / "a.pkl") == "models/a.pkl"


def test_a_directory_whose_name_begins_like_the_root_is_outside(root, top):
    sibling = top.parent / "root_evil" / "a.pkl"
    sibling.write_bytes(b"x")
    assert relative(root, sibling) is None
    assert relative(root, f"{top}/../root_evil/a.pkl") is None
    assert target(root, sibling) is None


def test_the_name_that_a_hard_link_was_opened_by_counts(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")
    os.link(top / "models" / "a.pkl", top / "evil" / "a.pkl")
    assert relative(root, top / "evil" / "a.pkl") == "evil/a.pkl"
    os.unlink(top / "models" / "a.pkl")
    assert relative(root, top / "evil" / "a.pkl") == "evil/a.pkl"


def test_links_in_a_circle_are_an_error(root, top):
    (top / "models" / "a").symlink_to("b")
    (top / "models" / "b").symlink_to("a")
    for action in (relative, target):
        with pytest.raises(OSError, match="symbolic links") as caught:
            action(root, top / "models" / "a")
        assert caught.value.errno == errno.ELOOP


def test_links_of_the_kernel_to_open_files_lead_where_the_file_is(root, top):
    secret = top.parent / "outside" / "a.pkl"
    secret.write_bytes(b"x")
    with secret.open("rb") as file:
        (top / "models" / "magic.pkl").symlink_to(f"/proc/self/fd/{file.fileno()}")
        assert relative(root, top / "models" / "magic.pkl") is None


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "socket"])
def test_what_is_not_a_regular_file_is_refused_without_waiting(kind, root, top):
    path = top / "models" / "special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            os.chdir(path.parent)  # the address has room for a short path only
            server.bind("special")
    with pytest.raises(OSError, match=r"special|zero"):
        relative(root, path)


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
def test_what_is_not_a_regular_file_is_never_replaced(kind, root, top):
    path = top / "models" / "special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    before = os.stat(path)
    with (
        pytest.raises(OSError, match=r"special|null"),
        root.open_parent(path) as (directory, name, _),
    ):
        replace_file(directory, name, [b"x"])
    assert os.path.samestat(before, os.stat(path))
    assert not list((top / "models").glob("*.sfh-tmp"))


@pytest.fixture
def _back_to_the_directory() -> Iterator[None]:
    before = os.getcwd()
    yield
    os.chdir(before)


pytestmark = pytest.mark.usefixtures("_back_to_the_directory")


@pytest.mark.parametrize(
    "name",
    [
        "line\nbreak.pkl",
        "ünïcode-模型.pkl",
        "back\\slash.pkl",
        "tail (deleted)",
        " blank ",
        "模" * 85,
        "n" * 255,
        os.fsdecode(b"\xff\xfe.pkl"),
        "-rf",
        "*?[x]",
    ],
    ids=range(10),
)
def test_any_name_can_be_written_and_read(name, root, top):
    with root.open_parent(top / "models" / name) as (directory, last, place):
        assert (last, place.relative) == (name, f"models/{name}")
        replace_file(directory, last, [b"bytes"])
    assert relative(root, top / "models" / name) == f"models/{name}"
    assert os.listdir(top / "models").count(name) == 1


def test_a_null_byte_never_shortens_a_name(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")
    for action in (relative, target):
        with pytest.raises(ValueError, match="null byte"):
            action(root, f"{top}/models/a.pkl\0.json")


def test_a_path_may_be_bytes_in_disguise(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")

    class Disguise:
        def __fspath__(self) -> bytes:
            return os.fsencode(top / "models" / "a.pkl")

    assert relative(root, Disguise()) == "models/a.pkl"


def test_a_path_that_changes_its_answer_is_asked_once(root, top):
    (top / "models" / "a.pkl").write_bytes(b"x")

    class Liar:
        asked = 0

        def __fspath__(self) -> str:
            self.asked += 1
            return str(top / ("models" if self.asked == 1 else "evil") / "a.pkl")

    for action in (relative, target):
        liar = Liar()
        assert action(root, liar) == "models/a.pkl"
        assert liar.asked == 1


@pytest.mark.parametrize("path", ["models/none.pkl", "none/a.pkl", "models/file/below"])
def test_what_is_missing_is_the_error_of_open(path, root, top):
    (top / "models" / "file").write_bytes(b"x")
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as ours:
        relative(root, top / path)
    with pytest.raises(OSError, match=r"none|file") as plain:
        (top / path).read_bytes()
    assert ours.value.errno == plain.value.errno


def test_a_directory_that_may_be_passed_but_not_listed_is_no_obstacle(tmp_path):
    """The usual mode of a home directory; needs another user than root to show."""
    (tmp_path / "home" / "root" / "models").mkdir(parents=True)
    (tmp_path / "home" / "root" / "models" / "a.pkl").write_bytes(b"x")
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    (tmp_path / "home").chmod(0o711)
    code = f"""
import os
from safehold import paths
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
paths._openat2_works = lambda: False
os.chdir("/")
root = paths.Root({str(tmp_path / "home" / "root")!r})
print(root.open_file({str(tmp_path / "home" / "root" / "models" / "a.pkl")!r})[2].relative)
"""
    ancestors = [path for path in tmp_path.parents if path != Path("/")]
    modes = [(path, stat.S_IMODE(path.stat().st_mode)) for path in ancestors]
    try:
        for path, mode in modes:
            if path.owner() == Path.home().owner() or os.getuid() == 0:
                path.chmod(mode | 0o011)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    finally:
        for path, mode in modes:
            path.chmod(mode)
    assert done.stdout.strip() == "models/a.pkl", done.stderr


# --- the root ------------------------------------------------------------------------------


def test_the_root_may_be_a_link(tmp_path):
    (tmp_path / "real" / "models").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "models" / "a.pkl").write_bytes(b"x")
    root = Root(tmp_path / "link")
    assert root.path == (tmp_path / "real").resolve()
    for name in ("link", "real"):
        assert relative(root, tmp_path / name / "models" / "a.pkl") == "models/a.pkl"
        assert target(root, tmp_path / name / "models" / "b.pkl") == "models/b.pkl"
    root.close()


def test_a_root_that_was_exchanged_holds_nothing(root, top):
    (top / "models" / "a.pkl").write_bytes(b"genuine")
    top.rename(top.parent / "moved")
    (top / "models").mkdir(parents=True)
    (top / "models" / "a.pkl").write_bytes(b"planted")
    fd, _, place = root.open_file(top / "models" / "a.pkl")
    content = os.read(fd, 100)
    os.close(fd)
    # Either the old directory, which is elsewhere now, or the new file as what it is.
    assert (content, place.relative) in {(b"genuine", None), (b"planted", "models/a.pkl")}


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_root_that_is_no_directory_is_a_configuration_error(name, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=f"root .*{name} cannot be opened"):
        Root(tmp_path / name)


def test_a_closed_root_opens_nothing(tmp_path):
    root = Root(tmp_path)
    (tmp_path / "a").write_bytes(b"x")
    root.close()
    root.close()
    with pytest.raises(OSError, match="descriptor"):
        root.open_file(tmp_path / "a")


def test_the_root_directory_of_the_system_can_be_the_root(tmp_path):
    root = Root("/")
    (tmp_path / "a").write_bytes(b"x")
    assert relative(root, tmp_path / "a") == str(tmp_path / "a")[1:]
    root.close()


def test_without_proc_the_name_is_checked_against_the_open_file(root, top, monkeypatch):
    (top / "models" / "a.pkl").write_bytes(b"x")
    (top / "evil" / "a.pkl").write_bytes(b"y")
    readlink = os.readlink

    def no_proc(path: str, **options: object) -> str:
        if str(path).startswith("/proc/"):
            raise FileNotFoundError(path)
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", no_proc)
    assert relative(root, top / "models" / "a.pkl") == "models/a.pkl"
    fd = os.open(top / "evil" / "a.pkl", os.O_RDONLY)
    with pytest.raises(OSError, match="changed while it was opened"):
        root.place(fd, str(top / "models" / "a.pkl"))
    os.close(fd)


# --- races ---------------------------------------------------------------------------------


def swap(one: Path, two: Path, stop: threading.Event) -> None:
    """Exchange two directory entries over and over."""
    spare = one.with_name("spare")
    while not stop.is_set():
        for first, second in ((one, two), (two, one)):
            os.rename(first, spare)
            os.rename(second, first)
            os.rename(spare, second)


@pytest.mark.parametrize("kind", ["directories", "links", "files"])
def test_content_is_never_taken_for_that_of_another_place(kind, root, top):
    """While entries change places, what is opened is named as where it lies at that moment.

    For directories and files the name may be that of an instant later, so the content is
    sealed to its name besides; a link can never make a file count as another's.
    """
    for name in ("models", "evil"):
        (top / name / "a.pkl").write_bytes(name.encode())
    if kind == "links":
        (top / "one").symlink_to("models")
        (top / "two").symlink_to("evil")
        swapped, path = (top / "one", top / "two"), top / "one" / "a.pkl"
    elif kind == "files":
        swapped, path = (top / "models" / "a.pkl", top / "evil" / "a.pkl"), top / "models" / "a.pkl"
    else:
        swapped, path = (top / "models", top / "evil"), top / "models" / "a.pkl"
    stop = threading.Event()
    thread = threading.Thread(target=swap, args=(*swapped, stop))
    thread.start()
    seen: set[tuple[bytes, str | None]] = set()
    try:
        for _ in range(3000):
            try:
                fd, _, place = root.open_file(path)
            except OSError:
                continue
            seen.add((os.pread(fd, 10, 0), place.relative))
            os.close(fd)
    finally:
        stop.set()
        thread.join()
    assert seen
    if kind == "links":
        assert seen <= {(b"models", "models/a.pkl"), (b"evil", "evil/a.pkl")}
    names = {name for _, name in seen}
    assert names <= {"models/a.pkl", "evil/a.pkl", "spare/a.pkl", "models/spare", "evil/spare"}


def test_a_component_that_becomes_a_link_while_it_is_walked_is_not_followed(top, root, monkeypatch):
    (top / "models" / "deep" / "a.pkl").write_bytes(b"genuine")
    (top / "evil" / "a.pkl").write_bytes(b"planted")
    monkeypatch.setattr(paths, "_openat2_works", lambda: False)
    realpath = os.path.realpath

    def swapped(path: str, **options: object) -> str:
        real = realpath(path, **options)
        (top / "models" / "deep").rename(top / "models" / "gone")
        (top / "models" / "deep").symlink_to(top / "evil")
        return real

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(OSError, match=r"deep"):
        root.open_file(top / "models" / "deep" / "a.pkl")


# --- writing -------------------------------------------------------------------------------


def written(root: Root, path: Path, data: bytes, **options: object) -> None:
    with root.open_parent(path) as (directory, name, _):
        replace_file(directory, name, [data], **options)


def test_a_link_stays_and_its_target_is_replaced(root, top):
    (top / "evil" / "real.pkl").write_bytes(b"old")
    (top / "models" / "link.pkl").symlink_to("../evil/real.pkl")
    (top / "models" / "dangling.pkl").symlink_to("new.pkl")
    assert target(root, top / "models" / "link.pkl") == "evil/real.pkl"
    written(root, top / "models" / "link.pkl", b"new")
    written(root, top / "models" / "dangling.pkl", b"made")
    assert (top / "models" / "link.pkl").is_symlink()
    assert (top / "evil" / "real.pkl").read_bytes() == b"new"
    assert (top / "models" / "new.pkl").read_bytes() == b"made"


@pytest.mark.parametrize("path", ["models/", "models/.", "models/..", ""])
def test_a_directory_cannot_be_written_to(path, root, top):
    with pytest.raises(IsADirectoryError):
        target(root, f"{top}/{path}" if path else "")


@pytest.mark.parametrize("name", ["m.pkl", "m.pkl (deleted)"])
def test_a_file_that_was_replaced_keeps_its_name_though_another_link_is_left(name, root, top):
    path = top / "models" / name
    path.write_bytes(b"old")
    os.link(path, top / "models" / "kept")
    fd, _, place = root.open_file(path)
    try:
        (top / "new").write_bytes(b"new")
        os.replace(top / "new", path)
        assert root.place(fd) == place
    finally:
        os.close(fd)
    assert place.relative == f"models/{name}"
