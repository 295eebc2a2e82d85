"""After a compromise: another file key, artifact id and generation, and nothing taken on trust."""

from __future__ import annotations

import os
import pickle

import pytest

from safehold import sfh1
from safehold.artifacts import container, files
from safehold.errors import ConfigError, Rollback, Tampered, TrailError, TypeNotAllowed, UnknownKey
from safehold.keys import Key, Keyring, generate_key
from tests.artifacts.slotted import (
    file_key_of,
    is_slotted,
    key_of,
    remove_slots,
    slot,
    with_slots,
)
from tests.holding import make_world

LOCAL = Key("here", generate_key().encode())
SMALL = {"a": [1, 2.5]}
LARGE = ["x" * (2 * container.CHUNK), SMALL]


@pytest.fixture(params=sfh1.SUITES)
def suite(request) -> str:
    return request.param


@pytest.fixture
def worlds(tmp_path, suite):
    """Return the same root before and during a rotation, and once the old key is gone."""
    old, new = key_of("old", suite), key_of("new", suite)
    rings = [Keyring(*keys, local=LOCAL) for keys in ((old,), (new, old), (new,))]
    found = [make_world(tmp_path, keyring=ring) for ring in rings]
    yield found
    for world in found:
        world.hold.close()


@pytest.fixture
def path(worlds):
    return worlds[0].root / "models" / "a.pkl"


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "large"])
def test_a_file_is_sealed_anew_and_its_copies_are_old(worlds, path, value):
    before, during, after = worlds
    info = before.store.dump(value, path, meta={"run": 7})
    copy = path.read_bytes()
    (found,) = during.store.rotate("old", "new", [path], rekey=True)
    assert (found.key, found.generation, found.meta) == ("new", 2, {"run": 7})
    assert found.artifact != info.artifact
    assert after.store.load(path) == value
    event = during.events.rows[-1]
    assert (event.action, event.outcome, event.key, event.generation) == (
        "rekey", "allowed", "new", 2,
    )  # fmt: skip
    path.write_bytes(copy)
    with pytest.raises(Rollback):
        during.store.load(path)
    with pytest.raises(UnknownKey):
        after.store.load(path)


@pytest.mark.parametrize("suite", ["HS256", "GMAC", "AES256GCM"])
def test_the_file_key_is_another_one(worlds, path):
    before, during, _ = worlds
    before.store.dump(LARGE, path)
    first = file_key_of(path.read_bytes(), key_of("old", before.hold.keyring.signing.suite))
    during.store.rotate("old", "new", [path])
    same = file_key_of(path.read_bytes(), during.hold.keyring.signing)
    assert same.is_same(first)  # a plain rotation keeps it
    during.store.rotate("new", "new", [path], rekey=True)
    assert not file_key_of(path.read_bytes(), during.hold.keyring.signing).is_same(first)


def test_several_containers_and_plain_files(worlds, path):
    before, during, after = worlds
    with path.open("wb") as file:
        for number in range(3):
            before.store.dump_to([number, "x" * 5000], file)
    during.store.rotate("old", "new", [path], rekey=True)
    with path.open("rb") as file:
        assert [after.store.load_from(file)[0] for _ in range(3)] == [0, 1, 2]
    after.store.verify(path)
    plain = path.with_name("plain.pkl")
    plain.write_bytes(b"(lp0\nI1\na.")
    before.store.seal(plain)
    during.store.rotate("old", "new", [plain], rekey=True)
    after.store.unseal(plain)
    assert plain.read_bytes() == b"(lp0\nI1\na."


def test_an_old_large_file_gets_slots(worlds, path):
    before, during, after = worlds
    before.store.dump(LARGE, path)
    remove_slots(path, before.hold.keyring)
    during.store.rotate("old", "new", [path], rekey=True)
    assert is_slotted(path)
    assert after.store.load(path) == LARGE


@pytest.mark.parametrize("rotated", [False, True])
def test_a_file_of_another_key_is_left(worlds, path, rotated):
    before, during, _ = worlds
    before.store.dump(LARGE, path)
    if rotated:
        during.store.rotate("old", "new", [path])
    data = path.read_bytes()
    (info,) = during.store.rotate("old" if rotated else "new", "new", [path], rekey=True)
    assert (info.key, path.read_bytes()) == ("new" if rotated else "old", data)


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "large"])
def test_a_changed_payload_is_refused_and_left(worlds, path, value):
    before, during, _ = worlds
    before.store.dump(value, path)
    data = bytearray(path.read_bytes())
    shape = sfh1.shape_of(data[:48])
    data[shape.head + shape.payload - 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(Tampered):
        during.store.rotate("old", "new", [path], rekey=True)
    assert path.read_bytes() == data


def test_an_older_file_is_refused(worlds, path):
    before, during, _ = worlds
    before.store.dump(SMALL, path)
    older = path.read_bytes()
    before.store.dump(SMALL, path)
    path.write_bytes(older)
    with pytest.raises(Rollback):
        during.store.rotate("old", "new", [path], rekey=True)
    assert path.read_bytes() == older


class Hostile:
    """Names what no zone allows; loading it would make a directory."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("raw", [False, True])
def test_what_the_old_key_sealed_is_not_believed(worlds, path, raw, tmp_path, monkeypatch):
    """Somebody else with the key can seal anything, and declare nothing."""
    before, during, _ = worlds
    marker = tmp_path / "marker"
    hostile = pickle.dumps(Hostile(str(marker)))
    with monkeypatch.context() as patch:
        writer = type(before.store._writer)
        patch.setattr(writer, "checked", lambda self, draft, target: draft)
        patch.setattr(writer, "scanned", lambda self, draft, target: draft)
        if raw:
            path.write_bytes(hostile)
            before.store.seal(path)
        else:
            before.store.dump(
                SMALL,
                path,
                prefer="pickle",
                encode=lambda: files.Encoded([hostile], {}),
            )
    data = path.read_bytes()
    with pytest.raises(TypeNotAllowed):
        during.store.rotate("old", "new", [path], rekey=True)
    assert path.read_bytes() == data
    assert not marker.exists()


def test_what_is_written_meanwhile_is_not_lost(worlds, path, monkeypatch):
    before, during, after = worlds
    before.store.dump("first", path)
    real = files.Marks.lock

    def late(self: files.Marks, *names: str) -> object:
        monkeypatch.setattr(files.Marks, "lock", real)
        before.store.dump("second", path)
        return real(self, *names)

    monkeypatch.setattr(files.Marks, "lock", late)
    (info,) = during.store.rotate("old", "new", [path], rekey=True)
    assert info.generation == 3
    assert after.store.load(path) == "second"


def test_the_lock_is_held_until_the_file_is_there(worlds, path):
    before, during, after = worlds
    before.store.dump(0, path)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for number in range(60):
                before.store.dump(number, path)
            code = 0
        finally:
            os._exit(code)
    generations = []
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        generations += [
            info.generation for info in during.store.rotate("old", "new", [path], rekey=True)
        ]
    during.store.rotate("old", "new", [path], rekey=True)
    assert generations == sorted(generations)
    assert after.store.load(path) == 59
    assert after.store.inspect(path).generation > 61


def test_a_trail_that_refuses_leaves_the_file(worlds, path):
    before, during, _ = worlds
    before.store.dump(LARGE, path)
    data = path.read_bytes()
    during.events.broken = True
    with pytest.raises(TrailError):
        during.store.rotate("old", "new", [path], rekey=True)
    assert path.read_bytes() == data


@pytest.mark.parametrize("suite", ["GMAC"])
def test_not_both_at_once(worlds, path):
    before, during, _ = worlds
    before.store.dump(SMALL, path)
    with pytest.raises(ConfigError, match="repair a file before"):
        during.store.rotate("old", "new", [path], rekey=True, repair=True)


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "large"])
def test_a_revoked_key_is_the_old_one_of_a_rekey_and_of_nothing_else(
    worlds, path, value, tmp_path, suite
):
    before = worlds[0]
    before.store.dump(value, path)
    data = path.read_bytes()
    keys = [key_of(name, suite) for name in ("new", "old")]
    later = make_world(tmp_path, keyring=Keyring(*keys, local=LOCAL, revoked=["old"]))
    for act in (
        lambda: later.store.load(path),
        lambda: later.store.rotate("old", "new", [path]),
        lambda: later.store.rotate("old", "new", [path], repair=True),
    ):
        with pytest.raises(UnknownKey, match="revoked"):
            act()
        assert path.read_bytes() == data
    with pytest.raises(UnknownKey, match="goes on with: --rekey"):
        later.store.rotate("old", "new", [])
    later.store.rotate("old", "new", [path], rekey=True)
    assert later.store.load(path) == value
    path.write_bytes(data)
    with pytest.raises(UnknownKey, match="revoked"):
        later.store.load(path)
    later.hold.close()


def test_a_slot_of_a_revoked_key_is_refused_beside_one_that_is_not(worlds, path, tmp_path, suite):
    before, during, _ = worlds
    before.store.dump(LARGE, path)
    old = path.read_bytes()
    during.store.rotate("old", "new", [path])
    new = path.read_bytes()
    keys = [key_of(name, suite) for name in ("new", "old")]
    later = make_world(tmp_path, keyring=Keyring(*keys, local=LOCAL, revoked=["old"]))
    assert later.store.load(path) == LARGE
    for first, second in ((old, new), (new, old)):
        path.write_bytes(with_slots(new, slot(first, 0), slot(second, 1)))
        with pytest.raises(UnknownKey, match="revoked"):
            later.store.load(path)
        with pytest.raises(UnknownKey, match="revoked"):  # it is not a torn one
            later.store.rotate("new", "new", [path], repair=True)
        later.store.rotate("old", "new", [path], rekey=True)
        assert later.store.load(path) == LARGE
        path.write_bytes(new)
        before.store._marks.write("models", "models/a.pkl", files.Mark(1, mark_of(new)))
        later.store._reader.seen.clear()
    later.hold.close()


def mark_of(data: bytes) -> bytes:
    shape = sfh1.shape_of(data[:48])
    assert shape is not None
    return shape.artifact
