"""A file is sealed for the reader that it was scanned for, and for no other."""

from __future__ import annotations

import gzip
import io
import pickle

import joblib
import numpy as np
import pytest

from safehold.errors import TypeNotAllowed

pytestmark = pytest.mark.extras


def dumped(compress=0):
    out = io.BytesIO()
    joblib.dump(np.zeros(3), out, compress=compress)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (dumped(), "pickle"),
        (gzip.compress(pickle.dumps([1]), mtime=0), "pickle"),
        (b'{"a": 1}', "pickle"),
        (b'{"a": 1}', "joblib"),
    ],
)
def test_another_format_than_the_codec_reads(world, data, codec):
    path = world.root / "models" / "m.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(TypeNotAllowed, match=f"not one of codec {codec}"):
        world.store.seal(path, codec=codec)
    assert path.read_bytes() == data
    with pytest.raises(TypeNotAllowed, match=f"not one of codec {codec}"):
        world.store.seal_bytes(data, codec=codec, zone="models")


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (pickle.dumps([1]), "pickle"),
        (pickle.dumps([1]), "joblib"),
        (dumped(), "joblib"),
        *((dumped(name), "joblib") for name in ("gzip", "bz2", "lzma", "xz", "zlib")),
        (gzip.compress(pickle.dumps([1]), mtime=0), "joblib"),
    ],
)
def test_the_format_that_the_codec_reads(world, data, codec):
    path = world.root / "models" / "m.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    world.store.seal(path, codec=codec)
    loaded = world.store.load(path)
    assert list(loaded) in ([1], [0, 0, 0])
