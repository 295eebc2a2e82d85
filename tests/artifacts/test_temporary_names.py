"""A file that is written under a temporary name and renamed, as caches do, loads afterwards."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace

import pytest

from safehold.errors import NotSealed, Tampered, WrongContext

NAMES = ("tmpab12_xyz", "tmpab12_xyz.cache", "entry.tmp", "entry.tmp.77", ".entry.part",
         "entry.new", "entry~", "tmp-entry", "entry_0.toc.1795792721.2151194")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", ["handle", "path"])
def test_a_cache_entry_is_renamed_and_loads(world, name, by):
    temporary, final = world.root / "cache" / name, world.root / "cache" / "entry"
    for value in (1, 2):  # the second replaces the first
        if by == "handle":
            with open(temporary, "wb") as file:
                world.store.dump_to(value, file)
                world.store.dump_to([value], file)
        else:
            world.store.dump(value, temporary)
        os.replace(temporary, final)
        for reader in (world, world.again()):
            with open(final, "rb") as file:
                assert reader.store.load_from(file) == value
                assert by == "path" or reader.store.load_from(file) == [value]


def test_names_of_tempfile_are_temporary(world):
    final = world.root / "cache" / "entry"
    fd, name = tempfile.mkstemp(suffix=".transaction", dir=world.root / "cache")
    with os.fdopen(fd, "wb") as file:
        world.store.dump_to("value", file)
    os.rename(name, final)
    assert world.store.load(final) == "value"


def test_a_file_under_its_own_name_cannot_be_exchanged_for_a_renamed_one(world):
    temporary, final = world.root / "cache" / "entry.tmp", world.root / "cache" / "entry"
    world.store.dump("own", final)
    world.store.dump("other", temporary)
    os.replace(temporary, final)
    for reader in (world, world.again()):
        with pytest.raises(WrongContext):
            reader.store.load(final)


def test_a_name_that_is_not_temporary_stays_bound(world):
    for name in ("entry", "template", "temperature", "attempt", "contemporary", "entry.2026.11",
                 "entry.1795792721"):  # fmt: skip
        path = world.root / "cache" / name
        world.store.dump(1, path)
        os.replace(path, world.root / "cache" / "moved")
        with pytest.raises(WrongContext):
            world.store.load(world.root / "cache" / "moved")


@pytest.mark.parametrize("zone", ["models", "second"])
def test_in_other_zones_a_temporary_name_is_a_name(world, zone):
    temporary, final = world.root / zone / "m.tmp", world.root / zone / "m.pkl"
    world.store.dump(1, temporary)
    os.replace(temporary, final)
    with pytest.raises(WrongContext):
        world.store.load(final)


def test_bytes_of_memory_and_of_other_zones_are_no_renamed_file(world):
    final = world.root / "cache" / "entry"
    for data in (world.store.dumps(1), world.store.dumps(1, zone="models")):
        final.write_bytes(data)
        with pytest.raises(WrongContext):
            world.store.load(final)


def test_a_renamed_file_that_was_changed_or_planted_is_refused(world):
    temporary, final = world.root / "cache" / "entry.tmp", world.root / "cache" / "entry"
    world.store.dump("value", temporary)
    os.replace(temporary, final)
    data = bytearray(final.read_bytes())
    data[len(data) // 2] ^= 1
    final.write_bytes(data)
    with pytest.raises(Tampered):
        world.store.load(final)
    final.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(NotSealed):
        world.store.load(final)


def test_what_dumps_made_is_read_from_a_file_where_both_zones_allow_everything(world):
    everything = replace(world.hold.policy.memory, allow=("*",))
    wide = world.again(memory=everything)
    final = world.root / "cache" / "entry"
    final.write_bytes(wide.store.dumps("value"))
    with open(final, "rb") as file:
        assert wide.store.load_from(file) == "value"
    with open(final, "rb") as file, pytest.raises(WrongContext):
        world.store.load_from(file)
    (world.root / "models" / "m.pkl").write_bytes(wide.store.dumps("value"))
    with open(world.root / "models" / "m.pkl", "rb") as file, pytest.raises(WrongContext):
        wide.store.load_from(file)
