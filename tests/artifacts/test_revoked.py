"""What was sealed with a revoked key, and artifacts that are revoked themselves, do not verify."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest

from safehold import sfh1
from safehold.artifacts import chunks, container
from safehold.artifacts.container import CHUNK, Expected, Header
from safehold.artifacts.marks import Mark, Marks
from safehold.errors import Revoked, Tampered, UnknownKey, VerificationError
from safehold.keys import Key, Keyring, generate_key, generate_pair
from safehold.policy.revoked import Revocations
from tests.holding import OTHER_SECRET, SECRET, World, make_world

PAIR = generate_pair()
LOCAL = Key("here", generate_key().encode())
NEW = Key("new", OTHER_SECRET)
VALUE = {"a": [1, 2.5, "three"], "b": b"buffer" * 100}


def old_key(suite: str) -> Key:
    return Key("old", PAIR.private.encode() if suite == "ED25519" else SECRET, suite)


@pytest.fixture(params=sfh1.SUITES)
def old(request) -> Key:
    return old_key(request.param)


def world_of(root, *keys: Key, local: Key | None = LOCAL, **revoked) -> World:
    lists = {name: tuple(items) for name, items in revoked.items()}
    return make_world(root, keyring=Keyring(*keys, local=local), revoked=Revocations(**lists))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "a.pkl"


def load_from(world, path):
    with path.open("rb") as file:
        return world.store.load_from(file)


def opened(world, path):
    with world.store.open(path) as artifact:
        return artifact.info


BY_PATH = {
    "load": lambda world, path: world.store.load(path),
    "load_from": load_from,
    "open": opened,
    "inspect": lambda world, path: world.store.inspect(path),
    "verify": lambda world, path: world.store.verify(path),
    "renew": lambda world, path: world.store.renew(path),
    "unseal": lambda world, path: world.store.unseal(path),
    "rename": lambda world, path: world.store.rename(path, path.with_name("b.pkl")),
    "export": lambda world, path: world.store.export(
        path, path.with_name("out"), for_zone="models", for_name="models/b.pkl"
    ),
    "import": lambda world, path: world.store.import_(path, path),
    "import --renew": lambda world, path: world.store.import_(path, path, renew=True),
    "rotate": lambda world, path: world.store.rotate("other", "new", [path]),
}
OTHER = Key("other", generate_key().encode())


@pytest.mark.parametrize("act", BY_PATH.values(), ids=BY_PATH)
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("size", [10, 3 * CHUNK])
def test_a_file_of_a_revoked_key_is_refused(old, act, listed, size, tmp_path, path, monkeypatch):
    world_of(tmp_path, old).store.dump([VALUE, "x" * size], path)
    data = path.read_bytes()
    before = world_of(tmp_path, NEW, OTHER, old)
    if act is not BY_PATH["rotate"]:
        act(before, path)  # with the key on the list and not revoked it is as always
        path.write_bytes(data)
    keys = (NEW, OTHER, old) if listed else (NEW, OTHER)
    world = world_of(tmp_path, *keys, keys=["old"])
    monkeypatch.setattr(container, "decode_header", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(UnknownKey, match=r"'old', which is revoked.*safehold rotate --rekey old"):
        act(world, path)
    assert path.read_bytes() == data
    assert [event.reason for event in world.events.refused] == ["UnknownKey"]
    assert len(world.events.rows) == 1


@pytest.mark.parametrize("act", [BY_PATH["load"], BY_PATH["verify"], BY_PATH["open"]])
def test_the_file_is_spoken_of_before_its_mark(act, tmp_path, path):
    """Without a key of its own for marks, a machine has both under the revoked key."""
    old = Key("old", SECRET)
    world_of(tmp_path, old, local=None).store.dump(VALUE, path)
    world = world_of(tmp_path, NEW, old, local=None, keys=["old"])
    with pytest.raises(UnknownKey, match=r"^sealed with key 'old', which is revoked"):
        act(world, path)


@pytest.mark.parametrize("suite", [name for name, row in sfh1.SUITES.items() if not row.encrypts])
def test_a_sidecar_of_a_revoked_key_is_refused_until_the_file_is_written_again(
    suite, tmp_path, path
):
    old = old_key(suite)
    world_of(tmp_path, old).store.dump(VALUE, path, sidecar=True)
    before = path.read_bytes(), path.with_name("a.pkl.sfh").read_bytes()
    world = world_of(tmp_path, NEW, old, keys=["old"])
    for name in ("load", "load_from", "open", "inspect", "verify", "renew"):
        with pytest.raises(UnknownKey, match=r"^sealed with key 'old', which is revoked"):
            BY_PATH[name](world, path)
    assert (path.read_bytes(), path.with_name("a.pkl.sfh").read_bytes()) == before
    assert world.store.dump([VALUE], path, sidecar=True).generation == 2
    assert world_of(tmp_path, NEW, keys=["old"]).store.load(path) == [VALUE]


@pytest.mark.parametrize("suite", [name for name, row in sfh1.SUITES.items() if not row.encrypts])
def test_a_sidecar_of_a_revoked_key_is_sealed_anew_by_rekey(suite, tmp_path, path):
    old = old_key(suite)
    world_of(tmp_path, old).store.dump(VALUE, path, sidecar=True)
    plain = path.read_bytes()
    world = world_of(tmp_path, NEW, old, keys=["old"])
    (info,) = world.store.rotate("old", "new", [path], rekey=True)
    assert (info.key, info.generation, info.sidecar) == ("new", 2, True)
    assert path.read_bytes() == plain
    assert world_of(tmp_path, NEW, keys=["old"]).store.load(path) == VALUE


@pytest.mark.parametrize("listed", [True, False])
def test_bytes_of_a_revoked_key_are_refused(old, listed, tmp_path):
    data = world_of(tmp_path, old).store.dumps(VALUE)
    world = world_of(tmp_path, *((NEW, old) if listed else (NEW,)), keys=["old"])
    for act in (world.store.loads, world.store.verify_bytes,
                lambda data: world.store.load_from(io.BytesIO(data))):  # fmt: skip
        with pytest.raises(UnknownKey, match="'old', which is revoked"):
            act(data)


def test_one_container_of_several_is_enough(old, tmp_path, path):
    path.parent.mkdir()
    with path.open("wb") as file:
        world_of(tmp_path, NEW).store.dump_to(VALUE, file)
        world_of(tmp_path, old).store.dump_to(VALUE, file)
    world = world_of(tmp_path, NEW, old, keys=["old"])
    with path.open("rb") as file:
        assert world.store.load_from(file) == VALUE
        with pytest.raises(UnknownKey, match="revoked"):
            world.store.load_from(file)
    for act in (world.store.verify, world.store.inspect, world.store.renew):
        with pytest.raises(UnknownKey, match="revoked"):
            act(path)


def test_files_of_other_keys_load_as_before(old, tmp_path, path):
    world_of(tmp_path, old).store.dump(VALUE, path)
    world = world_of(tmp_path, NEW, old, keys=["another", "OLD", "old "])
    assert world.store.load(path) == VALUE


def test_a_revoked_key_is_at_hand_where_it_is_asked_for(old):
    ring = Keyring(NEW, old, local=LOCAL).revoking(["old"])
    assert ring.by_id("old", revoked=True) is old
    assert ring.by_tag(old.tag, revoked=True) is old
    for look_up in (ring.by_id, ring.local_by_id):
        with pytest.raises(UnknownKey, match="'old' is revoked"):
            look_up("old")
    with pytest.raises(UnknownKey, match="revoked"):
        ring.by_tag(old.tag)
    again = ring.revoking(["more"])
    with pytest.raises(UnknownKey, match="revoked"):
        again.by_tag(old.tag)
    assert again.signing is NEW


def test_a_container_opens_under_a_revoked_key_only_for_who_says_so(old):
    header = Header(1, old.suite, "old", "models", "models/a", 1, 1, "pickle", [3])
    data = b"".join(container.sealed_chunks(header, [(3, [b"abc"])], old, bytes(16), align=64))
    expected = Expected(Keyring(NEW, old, revoked=["old"]), "models", 2**20)
    with pytest.raises(UnknownKey, match="revoked"):
        container.verify_bytes(data, expected)
    assert container.verify_bytes(data, replace(expected, revoked=True)).header == header


# --- artifacts -----------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("act", BY_PATH.values(), ids=BY_PATH)
@pytest.mark.parametrize("size", [10, 3 * CHUNK])
def test_a_revoked_artifact_is_refused_before_its_payload_is_looked_at(
    old, upper, act, size, tmp_path, path, monkeypatch
):
    made = world_of(tmp_path, old).store.dump([VALUE, "x" * size], path)
    data = path.read_bytes()
    artifact = made.artifact.upper() if upper else made.artifact
    world = world_of(tmp_path, NEW, OTHER, old, artifacts=["00" * 16, artifact])
    monkeypatch.setattr(chunks.Chunks, "open_all", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(container, "decode_header", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(Revoked, match=f"artifact {made.artifact} is revoked") as caught:
        act(world, path)
    assert isinstance(caught.value, VerificationError)
    assert path.read_bytes() == data
    assert [(event.reason, event.artifact) for event in world.events.rows] == [
        ("Revoked", "models/a.pkl")
    ]


def test_revoked_bytes_are_refused(old, tmp_path):
    data = world_of(tmp_path, old).store.dumps(VALUE)
    world = world_of(tmp_path, NEW, old, artifacts=[data[32:48].hex()])
    for act in (world.store.loads, world.store.verify_bytes):
        with pytest.raises(Revoked):
            act(data)


def test_an_id_that_others_wrote_into_a_file_is_not_believed(old, tmp_path, path):
    world_of(tmp_path, old).store.dump(VALUE, path)
    data = path.read_bytes()
    path.write_bytes(data[:32] + bytes(16) + data[48:])
    world = world_of(tmp_path, NEW, old, artifacts=["00" * 16])
    with pytest.raises(Tampered):
        world.store.load(path)


def test_the_next_artifact_of_that_name_loads(old, tmp_path, path):
    made = world_of(tmp_path, old).store.dump("poisoned", path)
    world = world_of(tmp_path, NEW, old, artifacts=[made.artifact])
    assert world.store.dump(VALUE, path).generation == 2
    assert world.store.load(path) == VALUE


@pytest.mark.parametrize("suite", [name for name, row in sfh1.SUITES.items() if not row.encrypts])
def test_a_detached_container_is_revoked_as_any(suite):
    key, payload = old_key(suite), b"payload of a plain file"
    header = Header(1, suite, "old", "models", "models/a", 1, 1, "pickle", [len(payload)], raw=True)
    record = b"".join(
        piece
        for number, piece in enumerate(
            container.sealed_chunks(
                header, [(len(payload), [payload])], key, bytes(16), align=64, detached=True
            )
        )
        if number != 1  # the payload
    )
    expected = Expected(Keyring(key), "models", 2**20)

    def read(start, into):
        into[:] = payload[start : start + len(into)]

    assert container.open_detached(memoryview(record), expected, read).header() == header
    with pytest.raises(Revoked):
        container.open_detached(
            memoryview(record), replace(expected, refused=frozenset([bytes(16)])), read
        )
    ring = Keyring(NEW, key, revoked=["old"])
    with pytest.raises(UnknownKey, match="revoked"):
        container.open_detached(memoryview(record), replace(expected, keyring=ring), read)


# --- marks ---------------------------------------------------------------------------------


def test_a_mark_of_a_revoked_key_is_no_mark(tmp_path):
    old, mark = Key("old", SECRET), Mark(7, bytes(16))
    before = Marks(tmp_path, Keyring(old))
    with before.lock("models", "a"):
        before.write("models", "a", mark)
    marks = Marks(tmp_path, Keyring(NEW, old, revoked=["old"]))
    for _ in range(2):
        with pytest.raises(UnknownKey, match=r"'old', which is revoked.*--rekey"):
            marks.read("models", "a")
        assert marks.read("models", "a", revoked=True) == mark  # and it is not remembered
    with marks.lock("models", "a"):
        marks.write("models", "a", mark)
    assert marks.read("models", "a") == mark


def test_a_new_artifact_goes_on_from_the_mark_of_a_revoked_key(tmp_path, path):
    old = Key("old", SECRET)
    before = world_of(tmp_path, old, local=None)
    before.store.dump(1, path)
    before.store.dump(2, path)
    world = world_of(tmp_path, NEW, old, local=None, keys=["old"])
    assert world.store.dump(VALUE, path).generation == 3
    assert world.store.load(path) == VALUE
    # Nothing of the revoked key is needed any more.
    assert world_of(tmp_path, NEW, local=None, keys=["old"]).store.load(path) == VALUE


def test_a_mark_of_a_revoked_local_key_is_written_anew_by_renew(tmp_path, path):
    local = Key("here2", generate_key().encode())
    world_of(tmp_path, NEW).store.dump(VALUE, path)
    world = world_of(tmp_path, NEW, LOCAL, local=local, keys=["here"])
    with pytest.raises(UnknownKey, match="high-water mark was made with key 'here'"):
        world.store.load(path)
    assert world.store.renew(path).generation == 2
    assert world.store.load(path) == VALUE


def test_a_forged_mark_of_a_revoked_key_does_not_bring_an_old_file_back(tmp_path, path):
    """Who has the revoked key and may write the marks gains nothing over removing the mark."""
    old = Key("old", SECRET)
    world = world_of(tmp_path, NEW, old, local=None, keys=["old"])
    world.store.dump(1, path)
    first = path.read_bytes()
    world.store.dump(2, path)
    forger = Marks(tmp_path / "var/safehold/marks", Keyring(old))
    forger.write("models", "models/a.pkl", Mark(1, bytes.fromhex(first[32:48].hex())))
    path.write_bytes(first)
    again = world_of(tmp_path, NEW, old, local=None, keys=["old"])
    with pytest.raises(UnknownKey, match="high-water mark"):
        again.store.load(path)


def test_a_process_does_not_go_on_with_what_it_has_read_under_the_key(tmp_path, path):
    """The list is read when a context is made: a new one refuses, in the same process too."""
    old = Key("old", SECRET)
    world = world_of(tmp_path, old)
    world.store.dump(VALUE, path)
    fd = os.open(path, os.O_RDONLY)
    later = world_of(tmp_path, NEW, old, keys=["old"])
    with open(fd, "rb") as file, pytest.raises(UnknownKey, match="revoked"):
        later.store.load_from(file)
