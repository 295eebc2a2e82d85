"""Results from ``safehold scan --cache``: what they cost against the scan that they spare.

Each file is scanned, and looked up, by ``scan_bytes``. Bytes that are hashed and then found cost
about the same whatever is in them; a scan steps over arrays, and follows every opcode.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import mmap
import os
import pickle
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio, value
from bench._subjects import lacking
from safehold.scan import Verdict, scan_bytes, scan_path
from safehold.scan.cache import Cache
from safehold.scan.cache_rules import rules_digest

_ARRAY = 500_000_000
_NAMES = b"\x80\x02capp.models\nModel\n)\x81}b."


def rows() -> Iterator[Row]:
    """Yield lookups against scans by size, then what keeping a result adds, then a large array."""
    with tempfile.TemporaryDirectory(prefix="safehold-bench-") as name:
        directory = Path(name)
        cache = Cache(directory / "cache")
        for label, data in _subjects():
            yield _found(cache, label, data)
        yield from _kept(cache)
        yield _rules()
        yield from _large(directory)


def _subjects() -> Iterator[tuple[str, bytes]]:
    for rows_of, label in ((10, "records"), (1000, "records"), (100_000, "records")):
        data = pickle.dumps([{"id": one, "text": f"row {one}"} for one in range(rows_of)])
        yield f"pickle of {label}, {_size(data)}", data
    yield f"a name that is not known, {_size(_NAMES)}", _NAMES
    packed = gzip.compress(pickle.dumps(os.urandom(8 * 2**20)), 1)
    yield f"gzip of an array, {_size(packed)}", packed
    for megabytes in (1, 15):
        array = pickle.dumps(bytes(megabytes * 2**20))
        yield f"array, {_size(array)}", array


def _found(cache: Cache, label: str, data: bytes) -> Row:
    ask = partial(scan_bytes, data, "a.pkl", cache=cache)
    ask()
    if not ask().cached:
        return left_out(label, "its result is not kept")
    repeat = 20 if len(data) < 2**20 else 1
    pairs = in_turn(ask, partial(scan_bytes, data, "a.pkl"), rounds=7, repeat=repeat)
    return ratio(f"result for {label}", pairs, against="the scan")


def _kept(cache: Cache) -> Iterator[Row]:
    numbers = itertools.count()
    data = pickle.dumps([1])

    def first() -> None:
        if scan_bytes(data, f"{next(numbers)}.pkl", cache=cache).cached:
            raise RuntimeError

    pairs = in_turn(first, partial(scan_bytes, data, "a.pkl"), rounds=7, repeat=200)
    yield ratio(f"scan of {_size(data)} whose result is kept", pairs, against="the scan")
    yield ratio(f"scan of {_size(data)} whose result is kept", pairs, "wall", against="the scan")


def _rules() -> Row:
    pairs = in_turn(rules_digest.__wrapped__, rules_digest.__wrapped__, rounds=7)
    return value("digest of the rules, once per process", pairs.medians("cpu")[0])


def _large(directory: Path) -> Iterator[Row]:
    label = f"SHA-256 of an array of {_ARRAY // 10**6} MB"
    if why := lacking(directory, _ARRAY, 2 * _ARRAY):
        yield left_out(label, why)
        return
    path = directory / "array.pkl"
    path.write_bytes(pickle.dumps(os.urandom(2**20) * (_ARRAY // 2**20)))

    def hashed() -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            hashlib.sha256(data).digest()

    def scanned() -> None:
        if scan_path(path).files[0].verdict is not Verdict.CLEAN:
            raise RuntimeError

    yield ratio(label, in_turn(hashed, scanned, rounds=3), against="the scan")


def _size(data: bytes) -> str:
    size = len(data)
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.0f} KB" if size < 1e6 else f"{size / 1e6:.0f} MB"
