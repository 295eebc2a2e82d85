"""Files of data that other tools write: sealed as they stand, loaded, and given back."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import safetensors.numpy
from pyarrow import parquet

from safehold.errors import (
    ConfigError,
    EncodeError,
    NotSealed,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)
from safehold.scan import scan_bytes

pytestmark = pytest.mark.extras

ARRAY = np.arange(12.0).reshape(3, 4)
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


def write_npy(path: Path) -> None:
    np.save(path, ARRAY)


def write_npz(path: Path) -> None:
    np.savez_compressed(path, a=ARRAY)


def write_safetensors(path: Path) -> None:
    safetensors.numpy.save_file({"a": ARRAY}, path)


def write_parquet(path: Path) -> None:
    FRAME.to_parquet(path)


FILES = {
    "npy": (write_npy, np.load, lambda found: np.array_equal(found, ARRAY)),
    "npz": (
        write_npz,
        lambda path: dict(np.load(path)),
        lambda found: np.array_equal(found["a"], ARRAY),
    ),
    "safetensors": (
        write_safetensors,
        safetensors.numpy.load_file,
        lambda found: np.array_equal(found["a"], ARRAY),
    ),
    "parquet": (write_parquet, pd.read_parquet, FRAME.equals),
}
VALUES = {"npy": ARRAY, "npz": {"a": ARRAY}, "safetensors": {"a": ARRAY}, "parquet": FRAME}


@pytest.mark.parametrize("codec", FILES)
def test_a_file_is_sealed_loaded_and_given_back_byte_for_byte(codec, world):
    write, read, is_right = FILES[codec]
    path = world.root / "tables" / f"a.{codec}"
    write(path)
    before = path.read_bytes()
    with pytest.raises(NotSealed):
        world.store.load(path)
    assert world.store.seal(path).codec == codec
    assert is_right(world.store.load(path))
    world.store.verify(path)
    world.store.unseal(path)
    assert path.read_bytes() == before
    assert is_right(read(path))


@pytest.mark.parametrize("codec", FILES)
def test_a_value_is_dumped_and_what_is_unsealed_is_a_file_of_its_format(codec, world):
    _, read, is_right = FILES[codec]
    path = world.root / "tables" / f"a.{codec}"
    assert world.store.dump(VALUES[codec], path).codec == codec
    assert is_right(world.store.load(path))
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    world.store.unseal(path)
    assert is_right(read(path))
    assert world.store.seal(path).codec == codec
    path.write_bytes(data)
    with pytest.raises(Tampered):
        world.store.load(path)


@pytest.mark.parametrize("codec", FILES)
def test_the_scanner_finds_them_clean_also_when_sealed(codec, world):
    path = world.root / "tables" / f"a.{codec}"
    FILES[codec][0](path)
    plain = scan_bytes(path.read_bytes())
    assert (plain.verdict, plain.format) == ("clean", codec)
    world.store.seal(path)
    assert scan_bytes(path.read_bytes()).verdict == "clean"


@pytest.mark.parametrize("codec", FILES)
def test_bytes_and_handles(codec, world):
    data = world.store.dumps(VALUES[codec], zone="tables", codec=codec)
    assert FILES[codec][2](world.store.loads(data, zone="tables"))
    path = world.root / "tables" / "several"
    with path.open("wb") as file:
        for _ in range(2):
            world.store.dump_to(VALUES[codec], file, codec=codec)
    with path.open("rb") as file:
        for _ in range(2):
            assert FILES[codec][2](world.store.load_from(file))


def objects(path: Path) -> None:
    np.save(path, np.array([1, None], object))


def objects_in_an_archive(path: Path) -> None:
    np.savez(path, a=np.array([1, None], object))


def hole(path: Path) -> None:
    row = {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}
    header = json.dumps({"a": row}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))


def pickled_type(path: Path) -> None:
    """A column type that Arrow unpickled before CVE-2023-47248 was mended."""
    note = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": "x"}
    field = pa.field("a", pa.int64(), metadata=note)
    parquet.write_table(pa.table({"a": [1]}, schema=pa.schema([field])), path)


def trailing(path: Path) -> None:
    write_parquet(path)
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little") + 8
    path.write_bytes(data[:-length] + b"cos\nsystem\n(S'true'\ntR." + data[-length:])


def broken(path: Path) -> None:
    write_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"\x19", b"\x1f", 3))


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        out = io.BytesIO()
        np.save(out, np.zeros(2**20))
        for number in range(9):
            archive.writestr(f"{number}.npy", out.getvalue())


HOSTILE = {
    "objects.npy": objects,
    "objects.npz": objects_in_an_archive,
    "hole.safetensors": hole,
    "type.parquet": pickled_type,
    "trailing.parquet": trailing,
    "broken.parquet": broken,
    "bomb.npz": bomb,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_clean_data_is_not_sealed(name, world):
    path = world.root / "tables" / name
    HOSTILE[name](path)
    before = path.read_bytes()
    store = world.store
    if name == "bomb.npz":
        small = world.hold.policy.limits.__class__(artifact=2**25, expansion=10)
        store = world.again(limits=small).store
    else:
        assert scan_bytes(before).verdict != "clean" or name.startswith("objects")
    with pytest.raises((TypeNotAllowed, WrongContext)):
        store.seal(path)
    assert path.read_bytes() == before


def test_a_seal_is_of_one_codec(world):
    """A zone that has not the codec neither seals with it nor loads it."""
    path = world.root / "data" / "a.npy"
    np.save(path, ARRAY)
    with pytest.raises(ConfigError):
        world.store.seal(path, codec="npy")
    with pytest.raises(EncodeError):
        world.store.dump(object(), world.root / "tables" / "a.npy")
    for value, codec in (("x", "npy"), (ARRAY, "npz"), ([ARRAY], "safetensors"), (1, "parquet")):
        with warnings.catch_warnings(), pytest.raises(EncodeError):
            world.store.dump(value, world.root / "tables" / "a", codec=codec)
