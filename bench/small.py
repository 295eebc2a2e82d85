"""A dict of 2 KB: what each part of a verified load costs, and what was promised."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench._clocks import in_turn, percentiles
from bench._rows import Row, difference, ratio, value
from bench._subjects import context, pickle_load, small, workspace, write_plain
from safehold.artifacts import Store
from safehold.artifacts.container import Expected, verify_bytes
from safehold.artifacts.target import target_of_place
from safehold.context import Context
from safehold.events import Event

_TOTAL, _PATH, _TRAIL = 12e-6, 8e-6, 10e-6  # seconds
_LIMIT = 2**30


def rows() -> Iterator[Row]:
    """Yield the whole, then its parts, then the four lines of the promise."""
    with workspace() as root, context(root) as hold:
        store = Store(hold)
        sealed, plain = str(root / "models" / "small.pkl"), str(root / "models" / "small.plain")
        store.dump(small(), sealed)
        write_plain(plain, pickle.dumps(small()))
        yield from _loads(store, sealed, plain)
        yield from _parts(hold, sealed)


def _loads(store: Store, sealed: str, plain: str) -> Iterator[Row]:
    import joblib

    label = f"load of {os.path.getsize(plain)} B"
    peer = partial(pickle_load, plain)
    pairs = in_turn(partial(store.load, sealed), peer, repeat=500)
    yield difference(label, pairs, against="pickle.load", goal=_TOTAL)
    yield difference(label, pairs, "wall", against="pickle.load")
    pairs = in_turn(partial(_load_from, store, sealed), peer, repeat=500)
    yield difference(f"{label} from a handle", pairs, against="pickle.load")
    pairs = in_turn(partial(store.load, sealed), partial(joblib.load, plain), repeat=200)
    yield ratio(label, pairs, against="joblib.load")


def _parts(hold: Context, sealed: str) -> Iterator[Row]:
    data = Path(sealed).read_bytes()
    expected = Expected(hold.keyring, "models", _LIMIT)
    event = Event(action="load", outcome="allowed", zone="models", artifact="models/small.pkl",
                  codec="pickle", key="key HS256", generation=1)  # fmt: skip

    def checked() -> None:
        fd, _, place = hold.root.open_file(sealed)
        target_of_place(hold, place)
        os.close(fd)

    def opened() -> None:
        fd = os.open(sealed, os.O_RDONLY | os.O_CLOEXEC)
        os.fstat(fd)
        os.close(fd)

    def whole() -> None:
        checked()
        verify_bytes(data, expected)
        hold.recorder.record(event)

    record = partial(hold.recorder.record, event)
    path = in_turn(checked, opened, repeat=2000)
    yield Row("path check: open, real path, zone; cpu", *path.medians("cpu"),
              path.medians("cpu")[0], _PATH, "open, fstat, close; the whole counts",
              absolute=True)  # fmt: skip
    trail = percentiles(record)
    yield value("trail record, p50", trail[49], goal=_TRAIL)
    yield value("trail record, p99", trail[98])
    hmac = percentiles(partial(verify_bytes, data, expected))[49]
    yield value("promised: HMAC under 1 ms, p50", hmac, goal=1e-3)
    yield value("promised: path check under 0.1 ms, p50", percentiles(checked)[49], goal=1e-4)
    yield value("promised: audit under 0.5 ms, p50", trail[49], goal=5e-4)
    yield value("promised: total under 2 ms, p50", percentiles(whole)[49], goal=2e-3)


def _load_from(store: Store, path: str) -> object:
    with open(path, "rb") as file:
        return store.load_from(file)
