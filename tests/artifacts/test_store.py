"""The Store as its users see it: files, handles, bytes; seal, renew, unseal, verify, inspect."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import shutil

import pytest

from safehold.artifacts import Store, container
from safehold.artifacts.codecs import codec_named
from safehold.context import Context
from safehold.errors import (
    ConfigError,
    LimitExceeded,
    NotSealed,
    Rollback,
    SafeholdError,
    Tampered,
    TypeNotAllowed,
    UnknownKey,
    VerificationError,
    WrongContext,
)
from safehold.observe.check import check_trail
from safehold.policy import Limits
from tests.holding import SECRET, make_world

VALUE = {"a": [1, 2.5, "three"], "b": None}
PLACES = ("models/a.pkl", "models/a.json", "second/a.bin", "cache/a.pkl", "data/a.msgpack")


@pytest.fixture
def path(world):
    return world.root / "models" / "a.pkl"


@pytest.fixture
def marker(tmp_path_factory):
    found = tmp_path_factory.mktemp("marker") / "ran"
    yield found
    assert not found.exists(), "the payload ran"


def planted(marker) -> bytes:
    """Return a pickle that touches a file when it is loaded."""
    return b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)


def test_the_payload_of_these_tests_works(tmp_path):
    marker = tmp_path / "ran"
    pickle.loads(planted(marker))
    assert marker.exists()


# --- whole life ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_value_comes_back(place, world):
    info = world.store.dump(VALUE, world.root / place)
    assert world.store.load(world.root / place) == VALUE
    assert world.store.inspect(world.root / place) == info
    world.store.verify(world.root / place)
    assert info.name == place
    assert info.zone == place.split("/")[0]
    assert [event.action for event in world.events.rows] == ["dump", "load", "inspect", "verify"]
    assert not world.events.refused


def test_info_is_a_frozen_value(world, path):
    info = world.store.dump(VALUE, path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.zone = "data"  # type: ignore[misc]
    assert (info.codec, info.suite, info.key, len(info.artifact)) == ("pickle", "HS256", "k1", 32)


def test_paths_may_be_text_and_relative(world, monkeypatch):
    monkeypatch.chdir(world.root / "models")
    world.store.dump(VALUE, "a.pkl")
    monkeypatch.chdir(world.root)
    assert world.store.load("models/a.pkl") == VALUE


@pytest.mark.parametrize("place", ["models/none.pkl", "models/none/a.pkl"])
def test_a_missing_file_is_the_error_of_open_and_no_refusal(place, world):
    for action in (world.store.load, world.store.inspect, world.store.verify, world.store.seal,
                   world.store.renew, world.store.unseal):  # fmt: skip
        with pytest.raises(FileNotFoundError):
            action(world.root / place)
    assert not world.events.rows


# --- planted files -------------------------------------------------------------------------


def wrapped(marker) -> list[bytes]:
    body = planted(marker)
    prefix = container.MAGIC + len(body).to_bytes(4, "little") + (64).to_bytes(4, "little")
    return [
        body,
        pickle.dumps(VALUE) + body,
        container.MAGIC + body,
        container.MAGIC + bytes(40) + body + container.MAGIC[::-1],
        prefix + len(body).to_bytes(8, "little") + bytes(24) + body,
        b"",
        b"\x80\x05",
        bytes(10_000),
    ]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(8))
def test_a_planted_file_never_runs(place, number, world, marker):
    data = wrapped(marker)[number]
    path = world.root / place
    path.write_bytes(data)
    for action in (world.store.load, world.store.inspect, world.store.verify):
        before = len(world.events.rows)
        with pytest.raises(VerificationError):
            action(path)
        assert [event.outcome for event in world.events.rows[before:]] == ["refused"]
    with path.open("rb") as file, pytest.raises(VerificationError):
        world.store.load_from(file)
    if data:
        with pytest.raises(VerificationError):
            world.store.load_from(io.BytesIO(data))
        with pytest.raises(VerificationError):
            world.store.loads(data)
    else:
        with pytest.raises(EOFError):
            world.store.load_from(io.BytesIO(data))
        with pytest.raises(EOFError):
            world.store.loads(data)


def test_what_is_caught_today_is_still_caught(world, path):
    path.write_bytes(b"N.")
    with pytest.raises(pickle.UnpicklingError):
        world.store.load(path)
    path.write_bytes(b"")
    with pytest.raises(EOFError):
        world.store.load(path)


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_what_is_no_bytes_is_a_type_error(data, world):
    with pytest.raises(TypeError):
        world.store.loads(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_can_be_loaded(kind, world):
    assert world.store.loads(kind(world.store.dumps(VALUE))) == VALUE


def test_the_callers_buffer_may_change_afterwards(world):
    data = bytearray(world.store.dumps(b"x" * 100))
    value = world.store.loads(data)
    data[:] = bytes(len(data))
    assert value == b"x" * 100


def test_the_callers_buffer_may_change_between_verifying_and_decoding(world):
    data = bytearray(world.store.dumps(VALUE))

    def decode(sealed: object, reading: object) -> object:
        data[:] = bytes(len(data))
        return codec_named("pickle").decode(sealed.segments, reading)

    assert world.store.loads(data, decode=decode) == VALUE


def test_bytes_are_bound_to_their_zone(world):
    data = world.store.dumps(VALUE, zone="data", codec="json")
    assert world.store.loads(data, zone="data") == VALUE
    with pytest.raises(WrongContext):
        world.store.loads(data)
    with pytest.raises(ConfigError, match="no zone 'nowhere'"):
        world.store.loads(data, zone="nowhere")


# --- handles -------------------------------------------------------------------------------


def test_values_come_back_from_a_handle_in_order_until_its_end(world, path):
    with path.open("wb") as file:
        for number in range(4):
            world.store.dump_to(number, file)
    with path.open("ab") as file:
        world.store.dump_to("appended", file)
    with path.open("rb") as file:
        assert [world.store.load_from(file) for _ in range(5)] == [0, 1, 2, 3, "appended"]
        with pytest.raises(EOFError, match="Ran out of input"):
            world.store.load_from(file)
    world.store.verify(path)
    assert world.store.inspect(path).generation == 1
    assert not world.events.refused


def containers(path) -> list[bytes]:
    data = path.read_bytes()
    parts = []
    while data:
        length = container.total_length(data[:48], 2**32)
        parts.append(data[:length])
        data = data[length:]
    return parts


def write_several(world, path, *values: object) -> list[bytes]:
    with path.open("wb") as file:
        for value in values:
            world.store.dump_to(value, file)
    return containers(path)


def read_all(world, path) -> list[object]:
    found = []
    with path.open("rb") as file:
        while True:
            try:
                found.append(world.store.load_from(file))
            except EOFError:
                return found


def test_containers_of_a_file_cannot_change_places(world, path):
    a, b, c = write_several(world, path, "aaa", "bbb", "ccc")
    assert len(a) == len(b) == len(c)
    for parts in ([b, a, c], [a, c, b], [a, a, c], [b], [a, c], [a, b, b]):
        path.write_bytes(b"".join(parts))
        with pytest.raises(WrongContext, match="at position"):
            read_all(world, path)
        with pytest.raises(WrongContext):
            world.store.verify(path)


def test_a_container_of_an_earlier_generation_is_refused_at_its_own_place(world, path):
    old = write_several(world, path, "aaa", "bbb")
    new = write_several(world, path, "ccc", "ddd")
    assert list(map(len, old)) == list(map(len, new))
    path.write_bytes(new[0] + old[1])
    for reader in (world, world.again()):
        with pytest.raises(Rollback):
            read_all(reader, path)
        with pytest.raises(Rollback, match="different generations"):
            reader.store.verify(path)
    path.write_bytes(new[0] + new[1] + write_several(world, path, 1)[0])
    path.write_bytes(old[0] + old[1])
    with pytest.raises(Rollback):
        read_all(world.again(), path)


def test_bytes_after_the_containers_are_refused(world, path):
    parts = write_several(world, path, 1, 2)
    for extra in (b"\0", b"N.", parts[0][:100], bytes(48)):
        path.write_bytes(b"".join(parts) + extra)
        with pytest.raises((Tampered, NotSealed)):
            read_all(world, path)
        with pytest.raises(Tampered):
            world.store.verify(path)


def test_a_file_with_several_containers_is_no_single_value(world, path):
    write_several(world, path, 1, 2)
    with pytest.raises(Tampered, match="extended"):
        world.store.load(path)


def test_other_content_may_stand_before_a_container_in_a_handle(world, path):
    with path.open("wb") as file:
        file.write(b"a header of the application's own")
        world.store.dump_to(VALUE, file)
    with path.open("rb") as file:
        file.read(33)
        assert world.store.load_from(file) == VALUE
    data = path.read_bytes()
    path.write_bytes(b"x" + data)
    with path.open("rb") as file:
        file.read(34)
        with pytest.raises(WrongContext):
            world.store.load_from(file)


def test_a_handle_is_left_where_the_container_ends(world):
    stream = io.BytesIO(world.store.dumps(1) + b"what follows")
    assert world.store.load_from(stream) == 1
    assert stream.read() == b"what follows"


def test_a_stream_that_ends_early_is_refused_without_taking_what_it_promised(world):
    data = bytearray(world.store.dumps(1))
    data[16:24] = (2**31).to_bytes(8, "little")
    with pytest.raises(Tampered, match="cut"):
        world.store.load_from(io.BytesIO(data))


def test_a_handle_that_gives_few_bytes_at_a_time(world):
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 5))

    assert world.store.load_from(Slow(world.store.dumps(VALUE))) == VALUE


# --- seal, unseal, renew -------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_is_sealed_loaded_and_given_back(protocol, world, path):
    plain = pickle.dumps(VALUE, protocol)
    path.write_bytes(plain)
    path.chmod(0o640)
    info = world.store.seal(path, meta={"from": "test"})
    assert (info.raw, info.codec, info.meta) == (True, "pickle", {"from": "test"})
    assert world.store.load(path) == VALUE
    assert path.stat().st_mode & 0o777 == 0o640
    world.store.unseal(path)
    assert path.read_bytes() == plain
    assert path.stat().st_mode & 0o777 == 0o640
    assert [event.action for event in world.events.rows] == ["seal", "load", "unseal"]


def test_a_file_of_several_pickles_becomes_several_containers(world, path):
    plain = pickle.dumps(1) + pickle.dumps("two", 0) + pickle.dumps([3], 2)
    path.write_bytes(plain)
    world.store.seal(path)
    assert read_all(world, path) == [1, "two", [3]]
    assert len(containers(path)) == 3
    world.store.verify(path)
    assert world.store.renew(path).generation == 2
    assert read_all(world, path) == [1, "two", [3]]
    world.store.unseal(path)
    assert path.read_bytes() == plain


def test_a_sealed_file_is_not_sealed_twice(world, path):
    world.store.dump(VALUE, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="sealed already"):
        world.store.seal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "data",
    [b"cposix\nsystem\n(S'true'\ntR.", b"cunknown_module\nthing\n.", b"not a pickle at all", b"",
     pickle.dumps(1) + b"cposix\nsystem\n(S'true'\ntR.", pickle.dumps(VALUE)[:-3]],
    ids=range(6),
)  # fmt: skip
def test_what_is_not_clean_is_not_sealed(data, world, path):
    path.write_bytes(data)
    with pytest.raises(TypeNotAllowed):
        world.store.seal(path)
    assert path.read_bytes() == data
    (event,) = world.events.rows
    assert (event.action, event.outcome) == ("seal", "refused")


def test_nothing_that_carries_code_is_sealed_for_an_external_zone(world):
    path = world.root / "data" / "a.pkl"
    path.write_bytes(pickle.dumps(VALUE))
    with pytest.raises(ConfigError, match="does not have the codec 'pickle'"):
        world.store.seal(path, codec="pickle")
    assert pickle.loads(path.read_bytes()) == VALUE


def test_a_file_beyond_the_limit_is_not_sealed(world, path):
    path.write_bytes(pickle.dumps("x" * 1000))
    with pytest.raises(LimitExceeded, match="limit is 500"):
        world.again(limits=Limits(artifact=500)).store.seal(path)


@pytest.mark.parametrize("action", ["seal", "renew", "unseal"])
def test_what_was_read_is_what_is_replaced(action, world, path, monkeypatch):
    """The path is followed once: a link that is exchanged meanwhile changes no other file."""
    other = world.root / "models" / "other.pkl"
    other.write_bytes(b"untouched")
    if action == "seal":
        path.write_bytes(pickle.dumps(VALUE))
    else:
        world.store.dump(VALUE, path)
    link = world.root / "link"
    link.symlink_to(path)
    root = world.hold.root
    real = root.open_in

    def exchange(directory: int, name: str) -> object:
        found = real(directory, name)
        link.unlink()
        link.symlink_to(other)
        return found

    monkeypatch.setattr(root, "open_in", exchange)
    getattr(world.store, action)(link)
    assert other.read_bytes() == b"untouched"
    if action == "unseal":
        assert pickle.loads(path.read_bytes()) == VALUE
    else:
        assert world.again().store.load(path) == VALUE


def test_unsealing_data_leaves_its_own_encoding(world):
    path = world.root / "data" / "a.json"
    world.store.dump({"a": 1}, path)
    world.store.unseal(path)
    assert path.read_bytes() == b'{"a":1}'


@pytest.mark.parametrize("action", ["renew", "unseal", "verify", "inspect"])
def test_nothing_is_done_with_what_does_not_verify(action, world, path):
    world.store.dump(VALUE, path)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    world.events.rows.clear()
    with pytest.raises(Tampered):
        getattr(world.store, action)(path)
    assert path.read_bytes() == data
    (event,) = world.events.rows
    assert (event.action, event.outcome) == (action, "refused")


def test_an_older_file_is_taken_back_into_service(world, path):
    world.store.dump("old", path)
    old = path.read_bytes()
    world.store.dump("new", path)
    path.write_bytes(old)
    with pytest.raises(Rollback, match="safehold seal --renew"):
        world.store.load(path)
    info = world.store.renew(path)
    assert (info.generation, world.store.load(path)) == (3, "old")
    assert world.again().store.load(path) == "old"


def test_a_file_whose_mark_is_lost_is_renewed_beyond_its_own_generation(world, path):
    for number in range(5):
        world.store.dump(number, path)
    for mark in (world.root / "var/safehold/marks").glob("*.mark"):
        mark.unlink()
    later = world.again()
    assert later.store.renew(path).generation == 6
    assert world.store.load(path) == 4


def test_renewing_keeps_everything_but_the_generation(world, path):
    before = world.store.dump(VALUE, path, meta={"a": 1})
    after = world.store.renew(path)
    changed = {"generation", "artifact", "created"}
    for name, value in dataclasses.asdict(before).items():
        if name not in changed:
            assert dataclasses.asdict(after)[name] == value
    assert before.artifact != after.artifact
    assert [event.action for event in world.events.rows] == ["dump", "renew"]


def test_inspecting_needs_no_payload_and_reading_does(world, path):
    world.store.dump("x" * 3 * 2**20, path)
    data = bytearray(path.read_bytes())
    data[2 * 2**20] ^= 1
    path.write_bytes(data)
    assert world.store.inspect(path).generation == 1
    for action in (world.store.load, world.store.verify):
        with pytest.raises(Tampered):
            action(path)


def test_an_inspected_copy_is_refused_too(world, path):
    world.store.dump(VALUE, path)
    other = shutil.copy(path, world.root / "models" / "b.pkl")
    with pytest.raises(WrongContext):
        world.store.inspect(other)


def test_every_refusal_can_be_caught_as_one_class():
    assert issubclass(VerificationError, SafeholdError)
    assert issubclass(UnknownKey, pickle.UnpicklingError)


def test_files_beyond_two_mebibytes_take_the_other_road(world, path):
    value = {"a": os.urandom(5 * 2**20), "b": "x" * 100}
    world.store.dump(value, path)
    assert world.store.load(path) == value
    assert world.store.load(path, allow=[]) == value


@pytest.mark.parametrize(
    "name",
    ["line\nbreak", "ünï-模型.pkl", os.fsdecode(b"\xff\xfe.pkl"), "\\udcff", "n" * 255, "模" * 85,
     "tail (deleted)", " ", "\x7f", "'\"<>&"],
    ids=range(10),
)  # fmt: skip
def test_any_file_name_can_be_sealed_and_recorded(name, tmp_path):
    world = make_world(tmp_path)
    hold = Context.load(world.hold.policy, environ={"SAFEHOLD_SECRET_KEY": SECRET.hex()})
    store = Store(hold)
    path = tmp_path / "models" / name
    store.dump(VALUE, path)
    assert store.load(path) == VALUE
    other = tmp_path / "models" / "other"
    shutil.copy(path, other)
    with pytest.raises(WrongContext):
        store.load(other)
    store.unseal(path)
    store.seal(path, codec="pickle")
    assert Store(hold).load(path) == VALUE
    hold.close()
    (writer,) = check_trail(tmp_path / hold.policy.trail, hold.keyring)
    assert writer.problem is None
    for segment in (tmp_path / hold.policy.trail).glob("*/*.jsonl"):
        assert segment.read_bytes().isascii()
