"""Whatever is done to paths, a load gives the genuine object or refuses; nothing else runs."""

from __future__ import annotations

import ctypes
import os
import pickle
import shutil
import signal
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safehold import paths
from safehold.artifacts import Store
from safehold.errors import SafeholdError, WrongContext
from safehold.policy import Zone
from tests.holding import ZONES, World, make_world

pytestmark = pytest.mark.bare

GENUINE = {"model": [1, 2.5], "pad": "x" * 3000}


class Planted:
    """Runs when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(params=["openat2", "walking"], autouse=True)
def _way(request, monkeypatch):
    if request.param == "walking":
        monkeypatch.setattr(paths, "_openat2_works", lambda: False)
    elif not paths._openat2_works():
        pytest.skip("this kernel has no openat2")


@pytest.fixture
def path(world) -> Path:
    path = world.root / "models" / "deep" / "a.pkl"
    path.parent.mkdir()
    for name in ("models_evil", "modelsx", "evil/deep", "data/deep"):
        (world.root / name).mkdir(parents=True)
    world.store.dump("older", path)
    older = path.read_bytes()
    world.store.dump(GENUINE, path)
    (world.root / "evil" / "older").write_bytes(older)
    return path


@pytest.fixture
def marker(tmp_path_factory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("marker") / "ran"
    yield found
    assert not found.exists(), "the payload ran"


@pytest.fixture
def evil(world, path, marker) -> list[bytes]:
    """What an attacker can put somewhere: plain files, and sealed ones of other places or times."""
    other = world.root / "models" / "other.pkl"
    world.store.dump({"model": "of another name"}, other)
    data = world.root / "data" / "deep" / "a.pkl"
    world.store.dump({"model": "of another zone"}, data)
    files = [other.read_bytes(), data.read_bytes()]
    data.unlink()
    return [
        pickle.dumps(Planted(marker)),
        pickle.dumps({"model": "plain"}),
        (world.root / "evil" / "older").read_bytes(),
        path.read_bytes()[:-50],
        *files,
    ]


def test_the_payload_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Planted(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


def is_refused(store: Store, path: object) -> bool:
    with pytest.raises((SafeholdError, OSError)):
        store.load(path)
    with pytest.raises((SafeholdError, OSError)):
        store.open(path)
    with pytest.raises((SafeholdError, OSError)):
        store.verify(path)
    return True


# --- one trick at a time -------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "models_evil/a.pkl",
        "modelsx/a.pkl",
        "evil/deep/a.pkl",
        "data/deep/a.pkl",
        "models/a.pkl",
        "models/deep/a.pkl.pkl",
        "models/deep/a",
        "../a.pkl",
    ],
)
def test_a_sealed_file_counts_nowhere_else(place, world, path):
    there = world.root / place
    for copy in (shutil.copy, os.link):
        copy(path, there)
        with pytest.raises(WrongContext):
            world.store.load(there)
        assert is_refused(world.store, there)
        there.unlink()
    there.symlink_to(path)  # which leads to where it is genuine
    assert world.store.load(there) == GENUINE
    there.unlink()
    os.rename(path, there)
    assert is_refused(world.store, there)
    assert is_refused(world.store, path)


@pytest.mark.parametrize("how", ["file", "hard link", "link", "link of a directory", "dots"])
def test_what_is_planted_is_refused_however_it_is_reached(how, world, path, evil):
    elsewhere = world.root / "evil" / "deep" / "a.pkl"
    asked = path
    for content in evil:
        elsewhere.write_bytes(content)
        path.unlink(missing_ok=True)
        if how == "file":
            path.write_bytes(content)
        elif how == "hard link":
            os.link(elsewhere, path)
        elif how == "link":
            path.symlink_to(elsewhere)
        elif how == "dots":
            asked = path.parent / ".." / ".." / "evil" / "deep" / "a.pkl"
        else:
            shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.symlink_to(elsewhere.parent)
        assert is_refused(world.store, asked)
        if path.parent.is_symlink():
            path.parent.unlink()


@pytest.mark.parametrize("kind", ["fifo", "directory", "zero", "dangling", "loop"])
def test_what_is_no_file_is_an_error_of_the_system_and_nothing_waits(kind, world, path):
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to({"zero": "/dev/zero", "dangling": "none", "loop": path.name}[kind])
    for method in (world.store.load, world.store.open, world.store.verify, world.store.inspect):
        with pytest.raises(OSError, match=r"a\.pkl|zero|none|dir"):
            method(path)
    if kind != "dangling":  # whose target is simply made
        with pytest.raises(OSError, match=r"a\.pkl|zero|links|dir"):
            world.store.dump(1, path)


def test_a_null_byte_is_no_end_of_a_name(world, path):
    for method in (world.store.load, world.store.open, world.store.verify):
        with pytest.raises(ValueError, match="null byte"):
            method(f"{path}\0.json")
    with pytest.raises(ValueError, match="null byte"):
        world.store.dump(1, f"{path}\0.json")
    assert world.store.load(path) == GENUINE


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFKC", "NFC")])
def test_forms_of_unicode_are_different_names(forms, world):
    one, two = (unicodedata.normalize(form, "model-\ufb01-\u00e9.pkl") for form in forms)
    first, second = world.root / "models" / one, world.root / "models" / two
    world.store.dump(GENUINE, first)
    if second.exists():
        pytest.skip("the file system takes both forms for one")
    shutil.copy(first, second)
    with pytest.raises(WrongContext):
        world.store.load(second)
    assert world.store.load(first) == GENUINE


def test_a_zone_is_of_the_form_of_unicode_that_the_policy_has(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "modèles") for form in ("NFC", "NFD"))
    (tmp_path / "root").mkdir()
    zones = (Zone("own", (f"{composed}/**",), "internal", ("pickle",), ("*",)), *ZONES)
    world = make_world(tmp_path / "root", zones=zones)
    for name in (composed, decomposed):
        (world.root / name).mkdir(exist_ok=True)
    if len(list(world.root.glob("mod*les"))) + len(list(world.root.glob("mode\u0300les"))) < 2:
        pytest.skip("the file system takes both forms for one")
    info = world.store.dump(GENUINE, world.root / composed / "a.pkl")
    assert info.zone == "own"
    shutil.copy(world.root / composed / "a.pkl", world.root / decomposed / "a.pkl")
    with pytest.raises(WrongContext):
        world.store.load(world.root / decomposed / "a.pkl")
    world.hold.close()


class Liar:
    """A path that names another file each time it is asked."""

    def __init__(self, *answers: Path) -> None:
        self.answers = answers
        self.asked = 0

    def __fspath__(self) -> str:
        self.asked += 1
        return str(self.answers[min(self.asked, len(self.answers)) - 1])


def test_a_path_that_changes_its_answer_is_asked_once(world, path, evil):
    planted = world.root / "evil" / "deep" / "a.pkl"
    planted.write_bytes(evil[0])
    liar = Liar(path, planted)
    assert world.store.load(liar) == GENUINE
    assert liar.asked == 1
    with pytest.raises(SafeholdError):
        world.store.load(Liar(planted, path))
    liar = Liar(world.root / "data" / "new.json", path)
    assert world.store.dump({"a": 1}, liar).zone == "data"
    assert liar.asked == 1
    assert world.store.load(path) == GENUINE


def test_the_working_directory_gives_no_rights(world, path, evil, monkeypatch):
    planted = world.root / "evil" / "deep" / "a.pkl"
    planted.write_bytes(evil[0])
    monkeypatch.chdir(path.parent)
    assert world.store.load("a.pkl") == GENUINE
    monkeypatch.chdir(planted.parent)
    assert is_refused(world.store, "a.pkl")
    assert is_refused(world.store, "../deep/a.pkl")
    assert world.store.load("../../models/deep/a.pkl") == GENUINE
    # The directory takes the zone's place while the process is in it.
    os.rename(world.root / "models", world.root / "gone")
    os.rename(world.root / "evil", world.root / "models")
    assert is_refused(world.store, "a.pkl")
    shutil.rmtree(world.root / "models")
    with pytest.raises(OSError, match=r"directory"):
        world.store.load("a.pkl")


def test_a_zone_root_that_is_exchanged_holds_nothing_genuine(world, path, evil):
    for content in evil:
        (world.root / "evil" / "deep" / "a.pkl").write_bytes(content)
        os.rename(world.root / "models", world.root / "aside")
        os.rename(world.root / "evil", world.root / "models")
        assert is_refused(world.store, path)
        os.rename(world.root / "models", world.root / "evil")
        (world.root / "models").symlink_to("evil")
        assert is_refused(world.store, path)
        (world.root / "models").unlink()
        (world.root / "models").symlink_to("aside")
        assert is_refused(world.store, path)  # sealed as of models, and lies elsewhere
        (world.root / "models").unlink()
        os.rename(world.root / "aside", world.root / "models")
        assert world.store.load(path) == GENUINE


# --- races ---------------------------------------------------------------------------------

LOADS = 4000  # of each kind and way of opening
_AT_FDCWD, _EXCHANGE = -100, 2


def exchange(one: Path, two: Path) -> None:
    """Swap two directory entries in one step, or in three where the system cannot."""
    call = ctypes.CDLL(None, use_errno=True)
    if hasattr(call, "renameat2"):
        names = os.fsencode(one), os.fsencode(two)
        if call.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0:
            return
    spare = one.with_name("spare")
    for first, second in ((one, spare), (two, one), (spare, two)):
        os.rename(first, second)


def point(link: Path, target: Path) -> None:
    """Let a link lead elsewhere, in one step."""
    fresh = link.with_name("fresh")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    os.rename(fresh, link)


def swap_files(world: World, path: Path, planted: list[Path]) -> None:
    while True:
        for other in planted:
            exchange(path, other)
            exchange(path, other)


def swap_directories(world: World, path: Path, planted: list[Path]) -> None:
    while True:
        for other in planted:
            exchange(path.parent, other.parent)
            exchange(path.parent, other.parent)


def swap_zones(world: World, path: Path, planted: list[Path]) -> None:
    while True:
        for other in planted:
            exchange(path.parent.parent, other.parent.parent)
            exchange(path.parent.parent, other.parent.parent)


def swap_links(world: World, path: Path, planted: list[Path]) -> None:
    while True:
        for other in planted:
            point(world.root / "link", other.parent)
            point(world.root / "link", path.parent)


def swap_last_links(world: World, path: Path, planted: list[Path]) -> None:
    while True:
        for other in planted:
            point(world.root / "link", other)
            point(world.root / "link", path)


RACES: dict[str, tuple[Callable[[World, Path, list[Path]], object], str]] = {
    "files": (swap_files, "models/deep/a.pkl"),
    "directories": (swap_directories, "models/deep/a.pkl"),
    "zones": (swap_zones, "models/deep/a.pkl"),
    "links of directories": (swap_links, "link/a.pkl"),
    "links of files": (swap_last_links, "link"),
}


@pytest.mark.parametrize("kind", RACES)
def test_while_entries_change_places_a_load_is_genuine_or_refused(kind, world, path, evil):
    swapping, asked = RACES[kind]
    planted = []
    for number, content in enumerate(evil):
        other = world.root / f"evil{number}" / "deep" / "a.pkl"
        other.parent.mkdir(parents=True)
        other.write_bytes(content)
        planted.append(other)
    if asked.startswith("link"):
        point(world.root / "link", path if asked == "link" else path.parent)
    assert world.store.load(world.root / asked) == GENUINE
    attacker = os.fork()
    if attacker == 0:
        try:
            swapping(world, path, planted)
        finally:
            os._exit(1)
    genuine, refused, count = 0, set(), 0
    try:
        # On one processor they take turns, so it goes on until both have been seen.
        while count < LOADS or ((not genuine or not refused) and count < 50 * LOADS):
            count += 1
            try:
                found = world.store.load(world.root / asked)
            except (SafeholdError, OSError) as error:
                refused.add(type(error).__name__)
            else:
                assert found == GENUINE
                genuine += 1
    finally:
        os.kill(attacker, signal.SIGKILL)
        status = os.waitpid(attacker, 0)[1]
    assert os.WIFSIGNALED(status), "the attacker gave up"
    assert genuine
    assert refused
    assert refused - {"FileNotFoundError"}, "only gaps were seen"


def test_a_save_into_what_changes_places_counts_where_it_lies(world, path, evil):
    """The directory is opened once: a file is sealed for the place in which it is made."""
    other = world.root / "data" / "deep"
    link = world.root / "link"
    point(link, path.parent)
    attacker = os.fork()
    if attacker == 0:
        try:
            swap_links(world, path, [other / "a.pkl"])
        finally:
            os._exit(1)
    try:
        zones = {world.store.dump(GENUINE, link / "b.json").zone for _ in range(300)}
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
    assert zones <= {"models", "data"}
    for place in (path.parent / "b.json", other / "b.json"):
        if place.exists():
            assert world.store.load(place) == GENUINE
            shutil.copy(place, place.with_name("c.json"))
            with pytest.raises(WrongContext):
                world.store.load(place.with_name("c.json"))
