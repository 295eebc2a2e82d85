from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from safehold import paths
from safehold.errors import ConfigError
from safehold.inputs import InputRefused, confine
from tests.holding import world_of
from tests.inputs import racing


@pytest.fixture(params=["kernel", "walk"])
def root(request, tmp_path, monkeypatch):
    """Return a directory with files; opened by the kernel, or as where it has no openat2."""
    if request.param == "walk":
        monkeypatch.setattr(paths, "_openat2_works", lambda: False)
    elif not paths._openat2_works():
        pytest.skip("no openat2 here")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "root_evil").mkdir()
    (tmp_path / "root_evil" / "secret").write_bytes(b"secret")
    inside = tmp_path / "root"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "a" / "b" / "file").write_bytes(b"inside")
    (inside / "top").write_bytes(b"inside")
    return inside


@pytest.fixture
def world(tmp_path):
    (tmp_path / "service").mkdir()
    yield from world_of(tmp_path / "service")


@pytest.fixture
def confined(root):
    with confine(root) as found:
        yield found


@pytest.mark.parametrize(
    "path",
    [
        "top", "./top", "a/b/file", "a//b/file", "a/./b/../b/file", "a/../top", "a/b/../../top",
        Path("a/b/file"),
    ],
)  # fmt: skip
def test_does_nothing_to_what_is_below(confined, path):
    with confined.open(path) as file:
        assert file.read() == b"inside"
    assert confined.read(path) == b"inside"


@pytest.mark.parametrize(
    "name",
    [
        "..data", "...", "a..b", "%2e%2e", "..\\up", "C:", "~", "-rf", " ", "a b", "é", "日本",
        "con", "x" * 255, "\udcff", ".hidden", "a;b", "$(id)", "a\nb",
    ],
    ids=ascii,
)  # fmt: skip
def test_does_nothing_to_names_that_only_look_hostile(confined, root, name):
    confined.write(name, b"1")
    assert confined.list("a/..").count(name) == 1
    assert (root / name).read_bytes() == confined.read(name) == b"1"


@pytest.mark.parametrize("link", ["b/file", "../top", "./b/../../top", "b/../b/file"])
def test_links_that_stay_below_are_followed(confined, root, link):
    os.symlink(link, root / "a" / "link")
    assert confined.read("a/link") == b"inside"
    with confine(root, links=False) as strict, pytest.raises(InputRefused):
        strict.open("a/link")


def test_links_to_directories_are_followed(confined, root):
    os.symlink("a", root / "same")
    os.symlink("../same/b", root / "a" / "around")
    assert confined.read("same/b/file") == confined.read("a/around/file") == b"inside"
    assert confined.read("a/around/../../top") == b"inside"  # where it really is
    assert confined.list("a/around") == ["file"]


OUT = [
    "..", "../outside/secret", "../root_evil/secret", "../../etc/passwd", "a/../../outside/secret",
    "a/b/../../../outside/secret", "/etc/passwd", "//etc/passwd", "/", "a/../..",
    "./../outside/secret", ".//..//outside/secret", "../root/top", "a/b/../../../root/top",
]  # fmt: skip


@pytest.mark.parametrize("path", OUT)
def test_paths_that_lead_out_are_refused(confined, root, path):
    path = path.replace("/root/", f"/{root.name}/")
    for call in (confined.open, confined.list, confined.read):
        with pytest.raises(InputRefused) as caught:
            call(path)
        assert caught.value.rule == "SH552"
    for mode in ("wb", "xb", "ab", "r+b"):
        with pytest.raises(InputRefused):
            confined.open(path, mode)
    with pytest.raises(InputRefused):
        confined.open(str(root / "top"))  # also where it would lead inside
    assert (root.parent / "outside" / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize(
    "path", [f"../outside/{name}" for name in ("new", "secret", "..")] + ["/tmp/new", "..", ".", ""]
)
def test_nothing_is_made_or_removed_outside(confined, root, path):
    calls = (confined.mkdir, confined.remove, lambda path: confined.write(path, b"1"))
    for call in calls:
        with pytest.raises(InputRefused):
            call(path)
    assert os.listdir(root.parent / "outside") == ["secret"]


@pytest.mark.parametrize(
    "target",
    ["../../outside", "/etc", "{root}", "../..", "b/../../../outside", "loop"],
)
def test_links_that_lead_out_are_not_followed(confined, root, target):
    os.symlink(target.format(root=root), root / "a" / "loop")
    for path in ("a/loop", "a/loop/secret", "a/loop/../../../outside/secret"):
        for call in (confined.read, confined.list, lambda path: confined.open(path, "wb")):
            with pytest.raises((InputRefused, OSError)) as caught:
                call(path)
            assert isinstance(caught.value, InputRefused) or target == "loop"
    assert (root.parent / "outside" / "secret").read_bytes() == b"secret"


def test_magic_links_of_proc_are_not_followed(root):
    with confine("/proc/self") as confined:
        for path in ("fd/0", "root/etc/passwd", "cwd/x", "exe"):
            with pytest.raises((InputRefused, OSError)):
                confined.open(path)


def test_a_link_made_by_hand_is_not_written_through(confined, root):
    os.symlink("../outside/secret", root / "link")
    with pytest.raises(InputRefused):
        confined.open("link", "wb")
    confined.write("link", b"new")  # which replaces the link
    assert (root / "link").read_bytes() == b"new"
    assert (root.parent / "outside" / "secret").read_bytes() == b"secret"
    os.symlink("../outside/new", root / "dangling")
    with pytest.raises(InputRefused):
        confined.open("dangling", "wb")
    assert not (root.parent / "outside" / "new").exists()


def test_files_are_made_cut_and_extended_as_by_open(confined, root):
    with confined.open("a/new", "xb", permissions=0o600) as file:
        file.write(b"12345")
    assert (root / "a" / "new").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        confined.open("a/new", "xb")
    with confined.open("a/new", "ab") as file:
        file.write(b"6")
    assert confined.read("a/new") == b"123456"
    with confined.open("a/new", "w") as file:
        file.write("é")
    assert confined.read("a/new") == "é".encode()
    with confined.open("a/new", "r") as file:
        assert file.read() == "é"
    confined.mkdir("a/more")
    assert confined.list("a") == ["b", "more", "new"]
    confined.remove("a/new")
    with pytest.raises(FileNotFoundError):
        confined.read("a/new")
    with pytest.raises(NotADirectoryError):
        confined.read("top/x")
    with pytest.raises(IsADirectoryError):
        confined.read("a")


def test_what_is_no_file_is_not_opened(confined, root):
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(root / "socket"))
        for name in ("fifo", "socket"):
            with pytest.raises(OSError, match=name):
                confined.open(name)


def test_null_bytes_are_refused(confined):
    for path in ("top\0", "\0", "top\0.png", "a\0/../top"):
        for call in (confined.open, confined.list, confined.mkdir, confined.remove):
            with pytest.raises(InputRefused):
                call(path)


def test_descriptors_are_closed_whatever_happens(confined, root):
    os.symlink("../outside", root / "out")
    before = len(os.listdir("/proc/self/fd"))
    for path in (*OUT, "out/secret", "a", "nothing", "top/x", "a/b/file"):
        for call in (confined.read, confined.list, confined.mkdir, confined.remove):
            with contextlib.suppress(InputRefused, OSError):
                call(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_nobody_gets_out_while_links_are_exchanged(root, tmp_path):
    way = "kernel" if paths._openat2_works() else "walk"
    (tmp_path / "race").mkdir()
    ended = racing.race(tmp_path / "race", way, 4000)
    assert ended["escaped"] == 0
    assert ended["legitimate"] == 400
    assert ended.total() == 4000


def test_the_directory_has_to_be_one(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "nothing"):
        with pytest.raises(ConfigError):
            confine(tmp_path / name)


def test_a_refusal_is_an_event(root, world):
    with confine(root, hold=world.hold) as confined, pytest.raises(InputRefused):
        confined.open("../outside/secret")
    (event,) = world.events.refused
    assert (event.action, event.rule) == ("input", "SH552")
    assert event.detail["path"] == "../outside/secret"


def test_a_refusal_stays_one_when_it_cannot_be_recorded(root, world):
    world.events.broken = True
    with confine(root, hold=world.hold) as confined, pytest.raises(InputRefused) as caught:
        confined.open("../outside/secret")
    assert "could not be recorded" in caught.value.__notes__[0]
