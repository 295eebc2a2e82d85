"""The order of reading: verify, context, caller, fresh, declared types, decode."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace

import pytest

from safehold import sfh1
from safehold.allow import AllowList
from safehold.artifacts import container, reading
from safehold.artifacts.reading import check_declared
from safehold.errors import (
    LimitExceeded,
    NotSealed,
    Rollback,
    SafeholdError,
    Tampered,
    TrailError,
    TypeNotAllowed,
    UnknownKey,
    WrongContext,
)
from safehold.keys import Key, Keyring
from safehold.policy import Limits, Policy
from tests.holding import OTHER_SECRET, SECRET

VALUE = {"a": [1, 2.5, "three"], "b": None}


@pytest.fixture
def path(world):
    found = world.root / "models" / "a.pkl"
    world.store.dump(VALUE, found)
    world.events.rows.clear()
    return found


@pytest.fixture
def nothing_is_parsed(monkeypatch):
    """Fail when anything is decoded or a name is resolved."""

    def fail(*args: object, **options: object) -> None:
        pytest.fail("something was parsed")

    monkeypatch.setattr(container, "decode_header", fail)
    monkeypatch.setattr(reading, "codec_named", fail)
    monkeypatch.setattr(AllowList, "resolve", fail)


def refused(
    world, error: type[Exception] | tuple[type[Exception], ...], load, match: str = "."
) -> None:
    """Expect a refusal with exactly one record."""
    before = len(world.events.rows)
    with pytest.raises(error, match=match) as caught:
        load()
    (event,) = world.events.rows[before:]
    assert event.outcome == "refused"
    assert event.reason in {kind.__name__ for kind in type(caught.value).__mro__}


def test_a_load_is_recorded_once_with_what_the_seal_says(world, path):
    assert world.store.load(path) == VALUE
    (event,) = world.events.rows
    assert (event.action, event.outcome, event.zone, event.artifact) == (
        "load", "allowed", "models", "models/a.pkl",
    )  # fmt: skip
    assert (event.codec, event.key, event.generation) == ("pickle", "k1", 1)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_changed_byte_of_a_file_is_one_refusal(world, path):
    good = path.read_bytes()
    for index in range(len(good)):
        data = bytearray(good)
        data[index] ^= 1
        path.write_bytes(data)
        errors = (Tampered, NotSealed, UnknownKey, LimitExceeded)
        refused(world, errors, lambda: world.store.load(path))


@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_truncation_of_a_file_or_handle_is_one_refusal(world, path):
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        refused(world, (Tampered, NotSealed), lambda: world.store.load(path))
        with path.open("rb") as file:
            refused(world, (Tampered, NotSealed), lambda: world.store.load_from(file))


@pytest.mark.usefixtures("nothing_is_parsed")
@pytest.mark.parametrize("extra", [b"\0", b"x" * 16, bytes(2**20)], ids=len)
def test_appended_bytes_are_one_refusal(world, path, extra):
    with path.open("ab") as file:
        file.write(extra)
    refused(world, Tampered, lambda: world.store.load(path), "extended")


# --- context -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["second/a.pkl", "data/a.pkl", "outside/a.pkl", "cache/a.pkl"])
@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_copy_in_another_zone_is_refused(place, world, path):
    copied = shutil.copy(path, world.root / place)
    refused(world, WrongContext, lambda: world.store.load(copied), "sealed for zone 'models'")


def test_a_file_from_outside_is_refused_in_a_zone(world, path):
    outside = world.root / "outside" / "x.msgpack"
    world.store.dump(1, outside)
    shutil.copy(outside, path)
    refused(world, WrongContext, lambda: world.store.load(path), "zone 'external'")


@pytest.mark.parametrize("how", [shutil.copy, os.link, os.rename])
@pytest.mark.parametrize("name", ["b.pkl", "a.pkl ", "A.pkl", "deep/a.pkl"])
def test_another_name_is_refused(how, name, world, path):
    (world.root / "models" / "deep").mkdir()
    other = world.root / "models" / name
    how(path, other)
    refused(world, WrongContext, lambda: world.store.load(other), "sealed as models/a.pkl")


def test_a_directory_that_was_renamed_changes_the_names(world):
    (world.root / "models" / "one").mkdir()
    world.store.dump(VALUE, world.root / "models" / "one" / "a.pkl")
    (world.root / "models" / "one").rename(world.root / "models" / "two")
    moved = world.root / "models" / "two" / "a.pkl"
    refused(world, WrongContext, lambda: world.store.load(moved))


def test_a_link_is_another_way_to_the_same_name(world, path):
    (world.root / "data" / "link.pkl").symlink_to(path)
    assert world.store.load(world.root / "data" / "link.pkl") == VALUE
    (world.root / "models" / "a-link.pkl").symlink_to("a.pkl")
    assert world.store.load(world.root / "models" / "a-link.pkl") == VALUE


def test_a_codec_that_the_zone_no_longer_has_is_refused(world, path):
    zones = tuple(replace(zone, codecs=("json",)) for zone in world.hold.policy.zones)
    later = world.again(zones=zones)
    refused(later, WrongContext, lambda: later.store.load(path), "codec 'pickle'")


def test_a_codec_that_this_version_does_not_have_is_refused(world, path, monkeypatch):
    monkeypatch.setattr(reading, "CODECS", {"json": reading.CODECS["json"]})
    refused(world, WrongContext, lambda: world.store.load(path), "codec 'pickle'")


def test_a_container_from_memory_is_refused_in_a_file_and_the_reverse(world, path):
    data = world.store.dumps(VALUE)
    sealed = path.read_bytes()
    path.write_bytes(data)
    refused(world, WrongContext, lambda: world.store.load(path))
    refused(world, WrongContext, lambda: world.store.loads(sealed))
    refused(world, WrongContext, lambda: world.store.loads(data, zone="models"))
    # The right zone, but a file's name.
    refused(world, WrongContext, lambda: world.store.loads(sealed, zone="models"), "read as bytes")


# --- freshness -----------------------------------------------------------------------------


@pytest.fixture
def generations(world, path):
    """Bytes of generations 1 to 3 of the same file."""
    found = [path.read_bytes()]
    for number in (2, 3):
        world.store.dump(number, path)
        found.append(path.read_bytes())
    world.events.rows.clear()
    return found


@pytest.mark.parametrize("process", ["this", "another"])
def test_an_older_generation_is_refused(process, world, path, generations):
    reader = world if process == "this" else world.again()
    path.write_bytes(generations[1])
    refused(reader, Rollback, lambda: reader.store.load(path), "generation 2 .* older than 3")
    refused(reader, Rollback, lambda: reader.store.verify(path))
    path.write_bytes(generations[2])
    assert reader.store.load(path) == 3


def test_another_artifact_of_the_same_generation_is_refused(world, path, generations):
    world.store.load(path)
    for mark in (world.root / "var/safehold/marks").iterdir():
        mark.unlink()
    fresh = world.again()
    path.unlink()
    for number in range(3):
        fresh.store.dump(f"other {number}", path)
    other = path.read_bytes()
    later = world.again()
    path.write_bytes(generations[2])
    refused(later, Rollback, lambda: later.store.load(path), "another artifact with generation 3")
    path.write_bytes(other)
    assert later.store.load(path) == "other 2"
    # The first process has seen the genuine third generation itself.
    refused(world, Rollback, lambda: world.store.load(path), "another artifact")


def test_what_another_process_saw_counts(world, path, generations):
    one, two = world.again(), world.again()
    path.write_bytes(generations[0])
    for mark in (world.root / "var/safehold/marks").iterdir():
        mark.unlink()
    assert one.store.load(path) == VALUE
    path.write_bytes(generations[2])
    assert two.store.load(path) == 3
    path.write_bytes(generations[0])
    refused(one, Rollback, lambda: one.store.load(path), "older than 3")


def test_without_marks_the_caller_may_name_the_oldest_generation(world, path, generations):
    shutil.rmtree(world.root / "var/safehold/marks")
    path.write_bytes(generations[0])
    later = world.again()
    refused(later, Rollback, lambda: later.store.load(path, min_generation=2), "older than 2 asked")
    refused(later, Rollback, lambda: later.store.verify(path, min_generation=2))
    assert later.store.load(path, min_generation=1) == VALUE


def test_a_refused_file_does_not_move_the_mark(world, path, generations):
    path.write_bytes(generations[0])
    with pytest.raises(Rollback):
        world.store.load(path)
    path.write_bytes(generations[2])
    assert world.again().store.load(path) == 3


def test_a_changed_mark_is_refused(world, path):
    (mark,) = (world.root / "var/safehold/marks").glob("*.mark")
    data = bytearray(mark.read_bytes())
    data[13] ^= 1
    mark.write_bytes(data)
    refused(world, Tampered, lambda: world.store.load(path), "high-water mark")
    with pytest.raises(Tampered):
        world.store.dump(VALUE, path)


def test_where_marks_cannot_be_written_the_process_remembers(world, path, generations, monkeypatch):
    def read_only(*args: object) -> None:
        raise OSError(30, "Read-only file system")

    shutil.rmtree(world.root / "var/safehold/marks")
    monkeypatch.setattr(type(world.store._reader._marks), "lock", read_only)
    reader = world.again()
    path.write_bytes(generations[1])
    assert reader.store.load(path) == 2
    assert [(event.action, event.outcome) for event in reader.events.rows] == [
        ("mark", "failed"), ("load", "allowed"),
    ]  # fmt: skip
    path.write_bytes(generations[0])
    refused(reader, Rollback, lambda: reader.store.load(path))
    path.write_bytes(generations[2])
    assert reader.store.load(path) == 3


def test_marks_that_cannot_be_read_stop_the_load(world, path):
    shutil.rmtree(world.root / "var/safehold/marks")
    (world.root / "var/safehold/marks").write_text("a file in the place of the directory")
    with pytest.raises(NotADirectoryError):
        world.again().store.load(path)


def test_only_the_first_load_takes_the_lock(world, path, monkeypatch):
    world.store.load(path)
    locks: list[object] = []
    monkeypatch.setattr(type(world.store._reader._marks), "lock", lambda *a: locks.append(a))
    world.store.load(path)
    assert not locks


# --- types ---------------------------------------------------------------------------------


def test_names_that_are_declared_are_checked_before_anything_runs(world, path, monkeypatch):
    header = sfh1.Header(
        v=1, suite="HS256", key="k1", zone="models", name="models/a.pkl", generation=1,
        created=0, codec="pickle", segments=[1], globals=["collections.OrderedDict", "os.system"],
    )  # fmt: skip
    with pytest.raises(TypeNotAllowed, match=r"os\.system") as caught:
        check_declared(header, AllowList.of(["numpy"]))
    assert caught.value.name == "os.system"


def test_a_narrower_list_refuses_before_the_first_name_is_resolved(world, monkeypatch):
    path = world.root / "cache" / "a.pkl"
    world.store.dump([Key, Limits(), Policy], path)
    resolved: list[object] = []
    monkeypatch.setattr(AllowList, "resolve", lambda *a: resolved.append(a))
    zones = tuple(
        replace(zone, allow=("safehold.keys.Key", "safehold.policy.Policy"))
        for zone in world.hold.policy.zones
    )
    later = world.again(zones=zones)
    refused(later, TypeNotAllowed, lambda: later.store.load(path), "safehold.policy.Limits")
    refused(world, TypeNotAllowed, lambda: world.store.load(path, allow=["numpy"]))
    assert not resolved


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("collections.OrderedDict", True),
        ("os.system", False),
        ("posix.system", False),
        ("OrderedDict", False),
        ("", False),
        ("collections", False),
    ],
)
def test_a_dotted_name_is_looked_up_at_every_border(name, expected):
    assert AllowList.of().permits_dotted(name) is expected


# --- limits, keys, trail -------------------------------------------------------------------


def test_a_file_beyond_the_limit_is_refused(world, path):
    later = world.again(limits=Limits(artifact=20))
    refused(later, LimitExceeded, lambda: later.store.load(path), "limit is 20")


def test_keys_rotate(world, path):
    new = Key("k2", OTHER_SECRET)
    rotated = world.again(keyring=Keyring(new, Key("k1", SECRET)))
    assert rotated.store.load(path) == VALUE
    rotated.store.dump(2, path)
    assert rotated.store.inspect(path).key == "k2"
    refused(world, UnknownKey, lambda: world.store.load(path))
    done = world.again(keyring=Keyring(new))
    refused(done, UnknownKey, lambda: done.store.loads(world.store.dumps(1)))


def test_a_trail_that_cannot_be_written_stops_the_load(world, path):
    world.events.broken = True
    with pytest.raises(TrailError):
        world.store.load(path)


def test_an_error_of_an_allowed_type_is_recorded_and_passed_on(world, path, monkeypatch):
    def decode(sealed: object, reading: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.store.load(path, decode=decode)
    (event,) = world.events.rows
    assert (event.outcome, event.reason) == ("failed", "ZeroDivisionError")


# --- races ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directories", "links", "files"])
def test_swapping_places_while_loads_go_on_gives_the_genuine_object_or_a_refusal(kind, world):
    """Two zones hold files of one name; entries are exchanged while the first is loaded."""
    for zone in ("models", "second"):
        world.store.dump(zone, world.root / zone / "a.pkl")
    one, two = world.root / "models", world.root / "second"
    path = one / "a.pkl"
    if kind == "links":
        one, two = world.root / "one", world.root / "two"
        one.symlink_to("models")
        two.symlink_to("second")
        path = one / "a.pkl"
    elif kind == "files":
        one, two = one / "a.pkl", two / "a.pkl"
    stop = threading.Event()
    spare = world.root / "spare"

    def swap() -> None:
        while not stop.is_set():
            for first, last in ((one, two), (two, one)):
                os.rename(first, spare)
                os.rename(last, first)
                os.rename(spare, last)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes: list[object] = []
    deadline = time.monotonic() + 60
    loaded = False
    try:
        # On a busy machine the swapping thread may leave no load through for long.
        while len(outcomes) < 3000 or (not loaded and time.monotonic() < deadline):
            try:
                outcomes.append(world.store.load(path))
                loaded = True
            except (SafeholdError, OSError) as error:
                outcomes.append(type(error))
    finally:
        stop.set()
        thread.join()
    if kind == "links":
        assert set(outcomes) <= {"models", "second", FileNotFoundError, OSError}
    else:
        assert set(outcomes) <= {"models", "second", FileNotFoundError, OSError, WrongContext}
    # What was loaded is what belongs to the place that was found and judged.
    values = [outcome for outcome in outcomes if isinstance(outcome, str)]
    allowed = [event for event in world.events.rows[2:] if event.outcome == "allowed"]
    assert values == [event.zone for event in allowed]
    assert {event.artifact for event in allowed} <= {"models/a.pkl", "second/a.pkl"}
    assert values


def test_a_writer_and_readers_at_once_see_whole_generations(world):
    path = world.root / "models" / "a.pkl"
    world.store.dump(0, path)
    stop = threading.Event()
    seen: list[object] = []
    errors: list[BaseException] = []

    def read() -> None:
        mine = world.again()
        while not stop.is_set():
            try:
                seen.append(mine.store.load(path))
            except Rollback:
                continue  # opened before, checked after the next generation was seen
            except BaseException as error:  # noqa: BLE001  (told to the main thread)
                errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 40):
        world.store.dump(number, path)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert set(seen) <= set(range(40))
    assert world.store.inspect(path).generation == 40
