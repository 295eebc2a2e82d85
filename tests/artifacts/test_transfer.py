"""A file goes to another service or zone: only there does it load, and only if it is newer."""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import signal
import time

import msgspec
import pytest

from safehold import sfh1
from safehold.artifacts import transfer
from safehold.errors import (
    ConfigError,
    LimitExceeded,
    NotSealed,
    Rollback,
    Tampered,
    TrailError,
    TypeNotAllowed,
    UnknownKey,
    WrongContext,
)
from safehold.keys import Key, Keyring, generate_pair
from safehold.policy import Limits, Zone
from tests.holding import OTHER_SECRET, SECRET, ZONES, make_world

PAIR = generate_pair()
VALUE = {"a": [1, 2.5], "b": b"x" * 3000}
SERVING = Zone("serving", ("live/**",), "internal", ("pickle", "json"), ("numpy",))
NAME = "live/fraud.pkl"


class Own:
    """A type that zone cache allows and zone serving does not."""


def trainer_keys(suite: str) -> Keyring:
    if suite == "ED25519":
        return Keyring(Key("t1", PAIR.private.encode(), suite), local=Key("here", OTHER_SECRET))
    return Keyring(Key("t1", SECRET, suite))


def server_keys(suite: str) -> Keyring:
    """For ED25519 a keyring of its own, and the public half of the trainer's pair."""
    if suite == "ED25519":
        return Keyring(Key("s1", OTHER_SECRET), Key("t1", PAIR.public.encode(), suite))
    return Keyring(Key("t1", SECRET, suite))


def make_server(root, keyring, **changes):
    (root / "live").mkdir(parents=True, exist_ok=True)
    return make_world(root, keyring=keyring, zones=(SERVING, *ZONES[1:]), **changes)


@pytest.fixture(params=sfh1.SUITES)
def suite(request):
    return request.param


@pytest.fixture
def trainer(tmp_path, suite):
    (tmp_path / "trainer").mkdir()
    world = make_world(tmp_path / "trainer", keyring=trainer_keys(suite))
    yield world
    world.hold.close()


@pytest.fixture
def server(tmp_path, suite):
    world = make_server(tmp_path / "server", server_keys(suite))
    yield world
    world.hold.close()


@pytest.fixture
def model(trainer):
    path = trainer.root / "models" / "fraud.pkl"
    trainer.store.dump(1, path)
    trainer.store.dump(VALUE, path, meta={"run": 7}, expires=int(time.time()) + 3600)
    return path


@pytest.fixture
def sent(tmp_path):
    return tmp_path / "fraud.sfh"


@pytest.fixture
def live(server):
    return server.root / "live" / "fraud.pkl"


def export(trainer, model, sent, **changes):
    options = {"for_zone": "serving", "for_name": NAME, **changes}
    return trainer.store.export(model, sent, **options)


def test_a_model_goes_from_the_trainer_to_the_server(trainer, server, model, sent, live):
    before = trainer.store.inspect(model)
    info = export(trainer, model, sent)
    changed = {"zone": "serving", "name": NAME, "size": sent.stat().st_size}
    assert info == dataclasses.replace(before, **changed)
    assert trainer.store.load(model) == VALUE
    assert server.store.import_(sent, live) == info
    assert server.store.load(live) == VALUE
    assert server.store.inspect(live) == info
    assert live.read_bytes() == sent.read_bytes()
    assert trainer.events.refused == server.events.refused == []


def test_both_places_are_recorded(trainer, server, model, sent, live):
    export(trainer, model, sent)
    server.store.import_(sent, live)
    event = trainer.events.rows[-1]
    assert (event.action, event.outcome, event.zone, event.artifact) == (
        "export", "allowed", "models", "models/fraud.pkl",
    )  # fmt: skip
    assert event.detail == {"zone": "serving", "name": NAME}
    assert (event.generation, event.size, event.key) == (2, sent.stat().st_size, "t1")
    event = server.events.rows[-1]
    assert (event.action, event.outcome, event.zone, event.artifact, event.generation) == (
        "import", "allowed", "serving", NAME, 2,
    )  # fmt: skip


def test_it_loads_nowhere_else(trainer, server, model, sent, live):
    export(trainer, model, sent)
    other = server.root / "live" / "other.pkl"
    for place in (other, server.root / "second" / "fraud.pkl", server.root / "fraud.pkl"):
        with pytest.raises(WrongContext):
            server.store.import_(sent, place)
        assert not place.exists()
        shutil.copy(sent, place)
        with pytest.raises(WrongContext):
            server.store.load(place)
    shutil.copy(sent, model)
    with pytest.raises(Tampered):  # zone serving is not one of the trainer's policy
        trainer.store.load(model)


def test_without_export_it_is_the_wrong_context(server, live):
    """A copy between two zones of one policy, under the same file name or another."""
    if server.hold.keyring.signing.suite == "HS256":
        path = server.root / "second" / "fraud.pkl"
        server.store.dump(VALUE, path)
        with pytest.raises(WrongContext):
            server.store.import_(path, live)
        shutil.copy(path, live)
        with pytest.raises(WrongContext):
            server.store.load(live)
        assert server.store.load(path) == VALUE


def test_between_two_zones_of_one_policy(trainer, model, sent):
    live = trainer.root / "second" / "live.pkl"
    export(trainer, model, sent, for_zone="second", for_name="second/live.pkl")
    info = trainer.store.import_(sent, live)
    assert (info.zone, info.generation, info.meta) == ("second", 2, {"run": 7})
    assert trainer.store.load(live) == trainer.store.load(model) == VALUE


def test_what_is_older_than_what_was_seen_is_refused(trainer, server, model, sent, live):
    export(trainer, model, sent)
    trainer.store.dump("newer", model)
    newer = sent.with_name("newer.sfh")
    export(trainer, model, newer)
    server.store.import_(newer, live)
    live.unlink()  # the mark stays
    for keep in (server, make_server(server.root, server.hold.keyring)):
        with pytest.raises(Rollback, match=r"older than 3, .*: safehold import --renew"):
            keep.store.import_(sent, live)
    assert not live.exists()
    server.store.import_(newer, live)
    assert server.store.load(live) == "newer"


def test_the_same_file_exported_twice_is_the_same_artifact(trainer, server, model, sent, live):
    export(trainer, model, sent)
    again = sent.with_name("again.sfh")
    export(trainer, model, again)
    assert again.read_bytes() == sent.read_bytes()
    server.store.import_(sent, live)
    live.unlink()
    server.store.import_(again, live)
    assert server.store.load(live) == VALUE


def test_another_artifact_of_the_same_generation_is_refused(trainer, server, model, sent, live):
    other = trainer.root / "models" / "other.pkl"
    trainer.store.dump(1, other)
    trainer.store.dump("other", other)
    export(trainer, model, sent)
    server.store.import_(sent, live)
    second = sent.with_name("second.sfh")
    export(trainer, other, second)
    with pytest.raises(Rollback, match="another artifact"):
        server.store.import_(second, live)
    assert server.store.load(live) == VALUE


def test_renewed_it_is_the_next_generation_of_the_receiver(trainer, server, model, sent, live):
    export(trainer, model, sent)
    for _ in range(4):
        server.store.dump("local", live)
    with pytest.raises(Rollback):
        server.store.import_(sent, live)
    assert server.store.load(live) == "local"
    info = server.store.import_(sent, live, renew=True)
    assert (info.generation, info.key, info.meta) == (
        5, server.hold.keyring.signing.id, {"run": 7},
    )  # fmt: skip
    assert info.expires == trainer.store.inspect(model).expires
    assert server.store.load(live) == VALUE
    event = server.events.rows[-2]
    assert (event.action, event.generation) == ("import", 5)
    assert event.detail == {
        "generation": 2, "key": "t1", "artifact": trainer.store.inspect(model).artifact,
    }  # fmt: skip


def test_renewed_it_needs_the_key_of_the_exporter_no_more(trainer, server, model, sent, live):
    export(trainer, model, sent)
    server.store.import_(sent, live, renew=True)
    alone = make_server(server.root, Keyring(server.hold.keyring.signing))
    assert alone.store.load(live) == VALUE
    assert alone.store.inspect(live).generation == 3


def test_a_receiver_that_only_verifies_imports_but_cannot_renew(tmp_path):
    """The server of a policy whose one key is the public half."""
    (tmp_path / "trainer").mkdir()
    trainer = make_world(tmp_path / "trainer", keyring=trainer_keys("ED25519"))
    ring = Keyring(Key("t1", PAIR.public.encode(), "ED25519"), local=Key("here", OTHER_SECRET))
    server = make_server(tmp_path / "server", ring)
    model, sent = trainer.root / "models" / "a.pkl", tmp_path / "sent"
    trainer.store.dump(VALUE, model)
    export(trainer, model, sent)
    live = server.root / "live" / "fraud.pkl"
    with pytest.raises(ConfigError, match="cannot sign"):
        server.store.import_(sent, live, renew=True)
    assert not live.exists()
    server.store.import_(sent, live)
    assert server.store.load(live) == VALUE
    with pytest.raises(ConfigError, match="cannot sign"):
        server.store.export(live, tmp_path / "on", for_zone="z", for_name="n")
    assert not (tmp_path / "on").exists()


def test_a_listed_pair_signs_what_leaves_a_service_with_a_secret_of_its_own(tmp_path):
    (tmp_path / "trainer").mkdir()
    pair = Key("out", PAIR.private.encode(), "ED25519")
    ring = Keyring(Key("own", SECRET, "AES256GCM"), pair)
    trainer = make_world(tmp_path / "trainer", keyring=ring)
    public = Key("out", PAIR.public.encode(), "ED25519")
    server = make_server(tmp_path / "server", Keyring(Key("s1", OTHER_SECRET), public))
    model, live = trainer.root / "models" / "a.pkl", server.root / "live" / "fraud.pkl"
    trainer.store.dump(VALUE, model)
    export(trainer, model, tmp_path / "one")
    with pytest.raises(UnknownKey):
        server.store.import_(tmp_path / "one", live)
    assert export(trainer, model, tmp_path / "two", key="out").suite == "ED25519"
    server.store.import_(tmp_path / "two", live)
    assert server.store.load(live) == VALUE


def test_only_a_listed_key_that_signs_seals_an_export(tmp_path):
    """Neither a public key, nor the key of the machine's own trail."""
    public = Key("p1", PAIR.public.encode(), "ED25519")
    ring = Keyring(Key("k1", SECRET), public, local=Key("here", OTHER_SECRET))
    world = make_world(tmp_path, keyring=ring)
    model = world.root / "models" / "a.pkl"
    world.store.dump(VALUE, model)
    with pytest.raises(ConfigError, match="cannot sign"):
        export(world, model, tmp_path / "out", key="p1")
    for key in ("here", "none"):
        with pytest.raises(UnknownKey):
            export(world, model, tmp_path / "out", key=key)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("renew", [False, True])
def test_the_zone_of_the_receiver_decides_about_types(trainer, server, sent, live, renew):
    own = trainer.root / "cache" / "own.pkl"
    trainer.store.dump(Own(), own)
    export(trainer, own, sent)
    with pytest.raises(TypeNotAllowed, match="Own"):
        server.store.import_(sent, live, renew=renew)
    assert not live.exists()
    packed = trainer.root / "cache" / "a.msgpack"
    trainer.store.dump(VALUE, packed)
    sent.unlink()
    export(trainer, packed, sent)
    with pytest.raises(WrongContext, match="'msgpack' is not one of"):
        server.store.import_(sent, live, renew=renew)
    assert not live.exists()


class Hides:
    """Named by its payload, while the header declares nothing."""

    def __reduce__(self):
        return eval, ("1",)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("made_of", [Own, Hides])
def test_the_payload_is_scanned_whatever_the_header_declares(
    made_of, raw, trainer, server, sent, live, monkeypatch
):
    """An exporter with the key that leaves out what its payload names."""
    path = trainer.root / "cache" / "own.pkl"
    keep = trainer.store._writer
    monkeypatch.setattr(keep, "checked", lambda draft, target: draft)
    monkeypatch.setattr(keep, "scanned", lambda draft, target: draft)
    if raw:
        path.write_bytes(pickle.dumps(made_of()))
        trainer.store.seal(path)
    else:
        trainer.store.dump(made_of(), path)
    export(trainer, path, sent)
    with pytest.raises(TypeNotAllowed):
        server.store.import_(sent, live)
    assert not live.exists()


def test_what_is_declared_alone_counts_too(trainer, server, model, sent, live, monkeypatch):
    keep = trainer.store._writer
    declaring = lambda draft, target: dataclasses.replace(draft, globals=["shop.Order"])  # noqa: E731
    monkeypatch.setattr(keep, "checked", declaring)
    trainer.store.dump(VALUE, model)
    export(trainer, model, sent)
    with pytest.raises(TypeNotAllowed, match=r"shop\.Order"):
        server.store.import_(sent, live)


class Pretends:
    """A payload of allowed names that no real dump combines."""

    def __reduce__(self):
        return getattr, (set, "__class__")


def test_a_hostile_use_of_allowed_names_is_refused(trainer, server, model, sent, live, monkeypatch):
    monkeypatch.setattr(trainer.store._writer, "checked", lambda draft, target: draft)
    trainer.store.dump(Pretends(), model)
    export(trainer, model, sent)
    with pytest.raises(TypeNotAllowed, match="is not clean"):
        server.store.import_(sent, live)
    assert not live.exists()


def test_containers_of_two_generations_are_refused(trainer, server, model, sent, live, monkeypatch):
    real = transfer._Export.header

    def later(self, sealed, at):
        header = real(self, sealed, at)
        return msgspec.structs.replace(header, generation=header.generation + (at > 0))

    with model.open("wb") as file:
        for number in range(2):
            trainer.store.dump_to(number, file)
    monkeypatch.setattr(transfer._Export, "header", later)
    export(trainer, model, sent)
    with pytest.raises(Rollback, match="different generations"):
        server.store.import_(sent, live)


def test_a_sealed_plain_file_stays_one(trainer, server, model, sent, live):
    plain = pickle.dumps(VALUE, 2)
    model.write_bytes(plain)
    trainer.store.seal(model)
    export(trainer, model, sent)
    server.store.import_(sent, live)
    server.store.unseal(live)
    assert live.read_bytes() == plain


def test_several_containers_travel_together(trainer, server, model, sent, live):
    with model.open("wb") as file:
        for number in range(3):
            trainer.store.dump_to([number, "x" * 5000], file)
    export(trainer, model, sent, for_name="live/a longer name.pkl")
    live = live.with_name("a longer name.pkl")
    server.store.import_(sent, live)
    with live.open("rb") as file:
        assert [server.store.load_from(file)[0] for _ in range(3)] == [0, 1, 2]
    server.store.verify(live)
    server.store.import_(sent, live, renew=True)
    with live.open("rb") as file:
        assert [server.store.load_from(file)[0] for _ in range(3)] == [0, 1, 2]


def test_a_large_file_travels(trainer, server, model, sent, live):
    value = os.urandom(3 * 2**20 + 77)
    trainer.store.dump(value, model)
    export(trainer, model, sent)
    server.store.import_(sent, live)
    assert server.store.load(live) == value


def test_a_changed_file_is_neither_exported_nor_imported(trainer, server, model, sent, live):
    export(trainer, model, sent)
    for path, act in (
        (model, lambda: export(trainer, model, sent.with_name("again"))),
        (sent, lambda: server.store.import_(sent, live)),
    ):
        data = path.read_bytes()
        for at in (30, 60, len(data) // 2, -9, -1):
            changed = bytearray(data)
            changed[at] ^= 1
            path.write_bytes(changed)
            with pytest.raises((Tampered, UnknownKey)):
                act()
        for changed in (data[:-1], data + b"\0", data + data):
            path.write_bytes(changed)
            with pytest.raises((Tampered, WrongContext)):
                act()
        path.write_bytes(b"")
        with pytest.raises(NotSealed):
            act()
        path.write_bytes(data)
    assert not live.exists()
    assert sorted(entry.name for entry in sent.parent.iterdir()) == [
        "fraud.sfh", "server", "trainer",
    ]  # fmt: skip


def test_what_is_not_fresh_is_not_exported(trainer, model, sent):
    old = model.read_bytes()
    trainer.store.dump(2, model)
    model.write_bytes(old)
    with pytest.raises(Rollback):
        export(trainer, model, sent)
    assert not sent.exists()


def test_expiry_holds_on_both_sides(trainer, server, model, sent, live, monkeypatch):
    export(trainer, model, sent)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    for act in (
        lambda: export(trainer, model, sent.with_name("late")),
        lambda: server.store.import_(sent, live),
        lambda: server.store.import_(sent, live, renew=True),
    ):
        with pytest.raises(WrongContext, match="expired"):
            act()
    assert not live.exists()


def test_no_file_is_overwritten_by_an_export(trainer, model, sent):
    for make in (lambda: sent.write_text("precious"), lambda: sent.symlink_to(model), sent.mkdir):
        make()
        with pytest.raises(FileExistsError):
            export(trainer, model, sent if not sent.is_symlink() else model)
        sent.rmdir() if sent.is_dir() else sent.unlink()
    assert trainer.store.load(model) == VALUE


def test_an_export_leaves_what_is_made_while_it_writes(trainer, model, sent, monkeypatch):
    real = transfer.replace_file

    def late(directory, name, *args, **options):
        sent.write_text("precious")
        real(directory, name, *args, **options)

    monkeypatch.setattr(transfer, "replace_file", late)
    with pytest.raises(FileExistsError):
        export(trainer, model, sent)
    assert sent.read_text() == "precious"


@pytest.mark.parametrize("renew", [False, True])
def test_an_import_leaves_no_sidecar_of_the_file_before(trainer, server, model, sent, live, renew):
    if sfh1.SUITES[server.hold.keyring.signing.suite].encrypts:
        pytest.skip("no sidecars under a suite that encrypts")
    server.store.dump("old", live, sidecar=True)
    assert live.with_name(live.name + ".sfh").exists()
    for generation in range(2):  # newer than what was there
        trainer.store.dump([VALUE, generation], model)
    export(trainer, model, sent)
    server.store.import_(sent, live, renew=renew)
    assert not live.with_name(live.name + ".sfh").exists()
    assert server.store.load(live) == [VALUE, 1]


@pytest.mark.parametrize("renew", [False, True])
def test_an_import_does_not_take_the_name_of_a_sidecar(trainer, server, model, sent, live, renew):
    name = f"{NAME}.sfh"
    export(trainer, model, sent, for_name=name)
    with pytest.raises(ConfigError, match="sidecar"):
        server.store.import_(sent, live.with_name(live.name + ".sfh"), renew=renew)
    assert not live.with_name(live.name + ".sfh").exists()


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("", NAME), ("memory", NAME), ("serving", ""), ("serving", "../a.pkl"), ("serving", "/"),
        ("serving", "live//a.pkl"), ("serving", "./a.pkl"), ("serving", "live/"),
        ("serving", "a\0b"),
    ],
)  # fmt: skip
def test_a_destination_that_no_file_has_is_an_error(zone, name, trainer, model, sent):
    with pytest.raises(ConfigError):
        export(trainer, model, sent, for_zone=zone, for_name=name)
    assert not sent.exists()


def test_limits_of_the_receiver_hold(trainer, server, model, sent, live):
    export(trainer, model, sent)
    small = make_server(server.root, server.hold.keyring, limits=Limits(artifact=1000))
    with pytest.raises(LimitExceeded):
        small.store.import_(sent, live)
    with sent.open("r+b") as file:
        file.truncate(2**40)  # sparse: what follows the container must not be read
    with pytest.raises(Tampered, match="appended"):
        server.store.import_(sent, live)


@pytest.mark.parametrize("renew", [False, True])
def test_a_trail_that_refuses_leaves_everything(trainer, server, model, sent, live, renew):
    trainer.events.broken = True
    with pytest.raises(TrailError):
        export(trainer, model, sent)
    assert not sent.exists()
    trainer.events.broken = False
    export(trainer, model, sent)
    server.store.dump("old", live)
    server.events.broken = True
    with pytest.raises(TrailError):
        server.store.import_(sent, live, renew=renew)
    server.events.broken = False
    assert server.store.load(live) == "old"
    assert [entry.name for entry in live.parent.iterdir()] == ["fraud.pkl"]


def test_a_refused_export_names_both_places(trainer, model, sent):
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(Tampered):
        export(trainer, model, sent)
    (event,) = trainer.events.refused
    assert (event.action, event.artifact) == ("export", "models/fraud.pkl")
    assert (event.detail["zone"], event.detail["name"]) == ("serving", NAME)
    assert "cut" in event.detail["message"]


@pytest.mark.parametrize("step", [("fsync", 0), ("fsync", 1), ("rename", 0), ("rename", 1)])
@pytest.mark.parametrize("renew", [False, True])
def test_a_kill_leaves_the_old_file_or_the_new_one(step, renew, trainer, server, model, sent, live):
    call, after = step
    server.store.dump("old", live)
    export(trainer, model, sent)
    pid = os.fork()
    if pid == 0:
        real = getattr(os, call)

        def kill(*args: object, **named: object) -> object:
            if after:
                real(*args, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, call, kill)
        try:
            server.store.import_(sent, live, renew=renew)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    expected = VALUE if step == ("rename", 1) else "old"
    keep = make_server(server.root, server.hold.keyring)
    assert keep.store.load(live) == expected
    keep.store.import_(sent, live, renew=renew)
    assert keep.store.load(live) == VALUE


def test_a_write_meanwhile_counts(trainer, server, model, sent, live, monkeypatch):
    """The mark is compared under the lock, not before it."""
    export(trainer, model, sent)
    marks = server.store._marks
    real = marks.lock

    def late(*names: str) -> object:
        monkeypatch.setattr(marks, "lock", real)
        for _ in range(3):
            server.store.dump("later", live)
        return real(*names)

    monkeypatch.setattr(marks, "lock", late)
    with pytest.raises(Rollback):
        server.store.import_(sent, live)
    assert server.store.load(live) == "later"
