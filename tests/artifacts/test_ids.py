"""Equal values are sealed equally where programs look them up by their bytes, and only there."""

from __future__ import annotations

import pytest

from tests.artifacts.test_suites_in_use import keyring
from tests.holding import make_world

VALUE = ("key", 1, 2.5, b"x" * 100)


@pytest.mark.parametrize(
    ("suite", "equal"),
    [("HS256", True), ("GMAC", True), ("AES256GCM", False), ("ED25519", False)],
)
def test_small_bytes_without_a_path_are_equal_unless_they_are_encrypted(tmp_path, suite, equal):
    world = make_world(tmp_path, keyring=keyring(suite))
    first, second = world.store.dumps(VALUE), world.store.dumps(VALUE)
    assert (first == second) is equal
    assert world.store.loads(first) == world.store.loads(second) == VALUE
    assert world.again(keyring=keyring(suite)).store.loads(first) == VALUE


def test_other_values_zones_and_codecs_have_other_ids(tmp_path):
    store = make_world(tmp_path).store
    sealed = [
        store.dumps(VALUE),
        store.dumps((*VALUE, None)),
        store.dumps(VALUE, codec="msgpack"),
        store.dumps(VALUE, zone="models"),
    ]
    assert len({data[:64] for data in sealed}) == len(sealed)


def test_an_equal_value_shows_in_no_file_and_not_when_it_is_large(tmp_path):
    world = make_world(tmp_path)
    large = b"x" * 2**24
    assert world.store.dumps(large) != world.store.dumps(large)
    paths = [tmp_path / "models" / name for name in ("a.pkl", "b.pkl")]
    for path in paths:
        world.store.dump(VALUE, path)
    assert world.store.inspect(paths[0]).artifact != world.store.inspect(paths[1]).artifact
