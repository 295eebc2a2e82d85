"""The suite BLAKE3: its hash, and what happens where its package is not installed."""

from __future__ import annotations

import sys

import pytest

from safehold.artifacts.suites import suite_for
from safehold.context import Context
from safehold.errors import MissingExtra
from safehold.keys import Key, Keyring, generate_key
from tests.artifacts.test_suites import seal
from tests.holding import SECRET

# From test_vectors.json of the BLAKE3 repository: the first 32 bytes of `keyed_hash`. The input
# is 0, 1, ..., 250, 0, 1, ... of that length.
VECTOR_KEY = b"whats the Elvish word for friend"
VECTORS = {
    0: "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
    1: "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b",
    1024: "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
    1025: "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
}


@pytest.mark.extras
@pytest.mark.parametrize("length", VECTORS)
def test_the_hash_is_that_of_its_designers(length):
    from blake3 import blake3

    data = bytes(number % 251 for number in range(length))
    assert blake3(data, key=VECTOR_KEY).hexdigest() == VECTORS[length]


@pytest.mark.extras
def test_a_leaf_is_keyed_by_the_file_and_not_by_the_place():
    from blake3 import blake3

    key = Key("k1", SECRET, "BLAKE3")
    found = {
        suite_for(key, zone, artifact).seal(0, b"the same")[1]
        for zone in ("models", "data")
        for artifact in (bytes(16), bytes(15) + b"x")
    }
    assert len(found) == 4
    assert blake3(b"the same").digest() not in found
    derived = key.derive(b"safehold/SFH1/BLAKE3/models", bytes(16), 64)
    assert blake3(b"the same", key=derived[32:]).digest() in found


def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "blake3", None)  # importing it fails


def test_without_its_package_no_key_is_made(monkeypatch, tmp_path):
    without(monkeypatch)
    with pytest.raises(MissingExtra, match=r"pip install 'safehold\[blake3\]'") as caught:
        Key("k1", SECRET, "BLAKE3")
    assert caught.value.extra == "blake3"
    with pytest.raises(MissingExtra):
        Keyring.load([("k1", "env:K", "BLAKE3")], tmp_path, {"K": generate_key()})
    Key("k1", SECRET, "HS256")


def test_without_its_package_a_context_does_not_start(monkeypatch, tmp_path):
    without(monkeypatch)
    policy = tmp_path / "safehold.toml"
    for table in ("[keys]", '[keys]\nsource = "env:K"\nid = "new"\n[[keys.previous]]'):
        policy.write_text(f'version = 1\n{table}\nsource = "env:K"\nid = "k1"\nsuite = "BLAKE3"\n')
        with pytest.raises(MissingExtra, match="blake3"):
            Context.load(policy, environ={"K": generate_key()})
    assert not (tmp_path / "var").exists()


@pytest.mark.extras
def test_without_its_package_the_file_of_the_suite_names_the_extra(monkeypatch):
    key = Key("k1", SECRET, "BLAKE3")
    without(monkeypatch)
    monkeypatch.delitem(sys.modules, "safehold.artifacts.suites.blake3", raising=False)
    from safehold.artifacts import suites

    suites._opener.cache_clear()
    with pytest.raises(MissingExtra, match=r"safehold\[blake3\]"):
        seal(key, b"x")
