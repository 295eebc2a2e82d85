"""The Store with keys of every suite, and with a trainer and a server that share no secret."""

from __future__ import annotations

import io
import os
import pickle

import pytest

import safehold
from safehold import sfh1
from safehold.errors import ConfigError, Tampered, UnknownKey, VerificationError
from safehold.keys import Key, Keyring, generate_key, generate_pair
from safehold.scan import scan_path
from tests.holding import SECRET, World, make_world

PAIR = generate_pair()
VALUE = {"a": [1, 2.5, "three"], "b": b"buffer" * 100}


def keyring(suite: str, half: str = PAIR.private) -> Keyring:
    if suite == "ED25519":
        return Keyring(Key("t1", half.encode(), suite), local=Key("here", SECRET))
    return Keyring(Key("t1", SECRET, suite))


@pytest.fixture(params=sfh1.SUITES)
def suite(request) -> str:
    return request.param


@pytest.fixture
def world(tmp_path, suite):
    world = make_world(tmp_path, keyring=keyring(suite))
    yield world
    world.hold.close()


@pytest.fixture
def path(world):
    return world.root / "models" / "a.pkl"


def test_whole_life(world, path, suite):
    info = world.store.dump(VALUE, path, meta={"run": 7})
    assert info.suite == suite
    assert world.store.load(path) == VALUE
    assert world.store.inspect(path) == info
    world.store.verify(path)
    assert world.store.renew(path).generation == 2
    assert world.store.load(path) == VALUE
    world.store.unseal(path)
    assert pickle.loads(path.read_bytes()) == VALUE
    world.store.seal(path)
    assert world.store.load(path) == VALUE
    assert world.store.loads(world.store.dumps(VALUE)) == VALUE
    assert not world.events.refused


def test_containers_in_a_row(world, path):
    with path.open("wb") as file:
        for number in range(3):
            world.store.dump_to([number, "x" * 2_000_000], file)
    with path.open("rb") as file:
        assert [world.store.load_from(file)[0] for _ in range(3)] == [0, 1, 2]
    world.store.verify(path)
    data = io.BytesIO()
    world.store.dump_to(VALUE, data)
    world.store.dump_to(1, data)
    data.seek(0)
    assert [world.store.load_from(data) for _ in range(2)] == [VALUE, 1]


@pytest.mark.extras
def test_arrays_come_back_writable_and_private(world, path):
    import numpy as np

    array = np.arange(2_000_003, dtype="<f8")
    world.store.dump({"x": array, "y": array[:3].copy()}, path)
    before = path.read_bytes()
    value = world.store.load(path)
    assert np.array_equal(value["x"], array)
    value["x"][:] = 0
    assert path.read_bytes() == before


def test_every_fiftieth_changed_byte_of_a_file_is_refused(world, path):
    world.store.dump(VALUE, path)
    data = path.read_bytes()
    for index in range(0, len(data), 50):
        path.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        with pytest.raises(VerificationError):
            world.store.load(path)


def test_forked_writers_never_share_an_id(world, path):
    """Keys and nonces of a file follow from its id, so two files of one id would share them."""
    reader, writer = os.pipe()
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            os.write(writer, bytes.fromhex(world.store.dump(VALUE, path).artifact))
            os._exit(0)
        children.append(pid)
    os.close(writer)
    with open(reader, "rb") as file:
        ids = file.read()
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len({ids[at : at + 16] for at in range(0, len(ids), 16)}) == 4


def test_the_scanner_reads_what_is_not_encrypted(world, path, suite):
    world.store.dump(VALUE, path)
    (report,) = scan_path(path).files
    encrypted = sfh1.SUITES[suite].encrypts
    assert (report.format, report.verdict) == ("sfh1", "suspicious" if encrypted else "clean")
    assert not encrypted or "only its key opens" in report.findings[0].message


def test_old_files_of_another_suite_load_while_their_key_is_listed(world, path, suite):
    world.store.dump(VALUE, path)
    signing = Key("new", generate_key().encode(), "GMAC")
    old = keyring(suite).by_id("t1")
    local = Key("here", SECRET) if suite == "ED25519" else None
    later = world.again(keyring=Keyring(signing, old, local=local))
    assert later.store.load(path) == VALUE
    assert later.store.dump(VALUE, path).suite == "GMAC"
    later.hold.close()
    without = world.again(keyring=Keyring(Key("own", SECRET), local=local))
    with pytest.raises(UnknownKey):
        without.store.load(path)
    without.hold.close()


# --- trainer and server --------------------------------------------------------------------

POLICY = """version = 1
[keys]
source = "{}"
id = "trainer"
suite = "ED25519"
[keys.local]
source = "env:OWN"
id = "{}"
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle"]
"""


def context(folder, half: str, name: str) -> safehold.Context:
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "safehold.toml").write_text(POLICY.format(f"env:{half}", name))
    environ = {"PRIVATE": PAIR.private, "PUBLIC": PAIR.public, "OWN": generate_key()}
    return safehold.Context.load(folder / "safehold.toml", environ=environ)


def test_the_trainer_signs_and_the_server_only_verifies(tmp_path):
    with (
        context(tmp_path / "trainer", "PRIVATE", "trainer-1") as trainer,
        context(tmp_path / "server", "PUBLIC", "server-1") as server,
    ):
        made = tmp_path / "trainer" / "models" / "m.pkl"
        used = tmp_path / "server" / "models" / "m.pkl"
        safehold.Store(trainer).dump(VALUE, made)
        used.write_bytes(made.read_bytes())
        store = safehold.Store(server)
        assert store.load(used) == VALUE
        before = used.read_bytes()
        for act in (
            lambda: store.dump(1, used),
            lambda: store.dumps(1),
            lambda: store.renew(used),
            lambda: store.dump_to(1, io.BytesIO()),
        ):
            with pytest.raises(ConfigError, match="cannot sign"):
                act()
        assert used.read_bytes() == before
        assert [entry.name for entry in used.parent.iterdir()] == ["m.pkl"]
        # The server's own secret seals nothing that it would load.
        (tmp_path / "own").mkdir()
        own = make_world(tmp_path / "own", keyring=Keyring(Key("server-1", SECRET)))
        own.store.dump(VALUE, own.root / "models" / "m.pkl")
        own.hold.close()
        used.write_bytes((own.root / "models" / "m.pkl").read_bytes())
        with pytest.raises(UnknownKey):
            store.load(used)


def test_a_pair_without_a_local_key_is_refused_at_once(tmp_path):
    text = POLICY.replace('[keys.local]\nsource = "env:OWN"\nid = "{}"\n', "")
    (tmp_path / "safehold.toml").write_text(text.format("env:PUBLIC"))
    with pytest.raises(ConfigError, match=r"\[keys.local\]"):
        safehold.Context.load(tmp_path / "safehold.toml", environ={"PUBLIC": PAIR.public})


def test_a_public_key_without_its_suite_is_refused_at_once(tmp_path):
    text = POLICY.replace('suite = "ED25519"\n', "")
    (tmp_path / "safehold.toml").write_text(text.format("env:PUBLIC", "x"))
    environ = {"PUBLIC": PAIR.public, "OWN": generate_key()}
    with pytest.raises(ConfigError, match='set suite = "ED25519"'):
        safehold.Context.load(tmp_path / "safehold.toml", environ=environ)


def test_a_mark_of_another_machine_is_refused(tmp_path):
    worlds: list[World] = [
        make_world(
            tmp_path,
            keyring=Keyring(Key("t1", PAIR.private.encode(), "ED25519"), local=Key("here", secret)),
        )
        for secret in (SECRET, generate_key().encode())
    ]
    worlds[0].store.dump(VALUE, tmp_path / "models" / "a.pkl")
    with pytest.raises(Tampered, match="mark"):
        worlds[1].store.load(tmp_path / "models" / "a.pkl")
    for world in worlds:
        world.hold.close()
