"""The facade of shelve: each value is sealed with its key."""

from __future__ import annotations

import dbm.dumb
import os
import pickle
import shelve as plain

import pytest

from safehold.compat import shelve
from safehold.errors import NotSealed, Tampered, WrongContext


@pytest.fixture
def raw():
    """What a shelf keeps, as the database file would have it."""
    return {}


def test_a_shelf_has_what_was_put_into_it(world):
    path = str(world.root / "models" / "jobs")
    with shelve.open(path) as shelf:
        shelf["a"] = {"n": [1, 2]}
        shelf["b"] = "two"
    with shelve.open(path, "r") as shelf:
        assert dict(shelf) == {"a": {"n": [1, 2]}, "b": "two"}
        assert "a" in shelf
        assert shelf.get("c", 3) == 3
        with pytest.raises(KeyError):
            shelf["c"]


def test_with_writeback_a_changed_value_is_kept(world):
    path = str(world.root / "models" / "jobs")
    with shelve.open(path, writeback=True) as shelf:
        shelf["a"] = [1]
        shelf["a"].append(2)
    with shelve.open(path, writeback=True) as shelf:
        assert shelf["a"] == [1, 2]
        assert shelf["a"] is shelf["a"]


def test_a_value_of_an_external_zone_is_data(world):
    with shelve.open(str(world.root / "data" / "jobs")) as shelf:
        shelf["a"] = {"n": 1}
        assert shelf["a"] == {"n": 1}


def test_a_planted_pickle_is_refused(world, raw, tmp_path):
    marker = tmp_path / "ran"
    raw[b"a"] = b"cposix\nsystem\n(S'touch %s'\ntR." % os.fsencode(marker)
    with pytest.raises(NotSealed):
        shelve.Shelf(raw)["a"]
    raw[b"a"] = pickle.dumps([1])
    with pytest.raises(NotSealed):
        shelve.Shelf(raw)["a"]
    assert not marker.exists()


def test_a_flipped_byte_is_refused(world, raw):
    shelf = shelve.Shelf(raw)
    shelf["a"] = [1]
    sealed = bytearray(raw[b"a"])
    sealed[-40] ^= 1
    raw[b"a"] = bytes(sealed)
    with pytest.raises(Tampered):
        shelf["a"]


def test_a_value_counts_only_under_its_key(world, raw):
    shelf = shelve.Shelf(raw)
    shelf["user"], shelf["admin"] = "u", "a"
    raw[b"user"] = raw[b"admin"]
    with pytest.raises(WrongContext, match="another key"):
        shelf["user"]


def test_a_value_counts_only_in_its_shelf(world):
    one, two = (str(world.root / "models" / name) for name in ("one", "two"))
    with shelve.open(one) as shelf:
        shelf["a"] = 1
        taken = shelf.dict[b"a"]
    with shelve.open(two) as shelf:
        shelf.dict[b"a"] = taken
        with pytest.raises(WrongContext, match="another shelf"):
            shelf["a"]


def test_bytes_that_were_no_value_of_a_shelf_are_refused(world, raw):
    raw[b"a"] = world.store.dumps(["a", 1], zone="memory")
    with pytest.raises(WrongContext):
        shelve.Shelf(raw)["a"]


def test_a_shelf_of_ordered_keys(world, tmp_path):
    class Ordered(dict):
        """The part of the interface of bsddb that shelve asks for."""

        def first(self):
            return next(iter(self.items()))

        last = next = previous = first

        def set_location(self, key):
            return key, self[key]

    shelf = shelve.BsdDbShelf(Ordered())
    shelf["a"] = 1
    assert shelf.first() == shelf.last() == shelf.next() == shelf.previous() == ("a", 1)
    assert shelf.set_location("a") == ("a", 1)


def test_the_interface_is_that_of_shelve(world):
    assert sorted(shelve.__all__) == sorted(plain.__all__)
    path = str(world.root / "models" / "jobs")
    with shelve.open(path) as shelf:
        assert isinstance(shelf, plain.Shelf)
        assert isinstance(shelf, shelve.DbfilenameShelf)
    assert dbm.whichdb(path)
