"""Verified loads and saves against plain pickle and joblib; policy, trail and marks in use."""

from __future__ import annotations

import os
import pickle
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench._pairs import processor, ratio, show, wall
from safehold.artifacts import Store
from safehold.context import Context
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key, generate_pair
from safehold.policy import KeySource, default_policy
from safehold.sfh1 import SUITES

_TREES = 100
_ROWS = 2000
_ARRAY_BYTES = 2**28


def main() -> None:
    """Print ratios for a dict of 2 KB and a fitted forest of more than 10 MB."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "models").mkdir()
        environ = {"SAFEHOLD_SECRET_KEY": generate_key()}
        with Context.load(default_policy(root), environ=environ) as hold:
            store = Store(hold)
            _small(store, root / "models")
            _forest(store, root / "models")
        _suites(root)


def _small(store: Store, models: Path) -> None:
    value = {f"key{number}": number * 1.5 for number in range(100)}
    value |= {"list": list(range(100)), "text": "x" * 300}  # type: ignore[dict-item]
    sealed, plain = str(models / "small.pkl"), str(models / "small.plain")
    store.dump(value, sealed)
    _write_plain(plain, pickle.dumps(value))
    size = os.path.getsize(plain)
    show(
        f"load, dict of {size} B",
        ratio(lambda: store.load(sealed), lambda: _pickle_load(plain), repeat=200),
        "pickle.load",
    )
    show(
        f"load from a handle, dict of {size} B",
        ratio(lambda: _load_from(store, sealed), lambda: _pickle_load(plain), repeat=200),
        "pickle.load",
    )
    import joblib

    show(
        f"load, dict of {size} B",
        ratio(lambda: store.load(sealed), lambda: joblib.load(plain), repeat=200),
        "joblib.load",
    )
    data = pickle.dumps(value)
    show(
        f"save, dict of {size} B",
        ratio(lambda: store.dump(value, sealed), lambda: _write_safely(plain, data), repeat=5),
        "temporary file, fsync, rename, fsync",
    )


def _forest(store: Store, models: Path) -> None:
    import joblib
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(_ROWS, 8)), rng.integers(0, 3, _ROWS)
    model = RandomForestClassifier(_TREES, random_state=0).fit(x, y)
    sealed, plain = str(models / "forest.joblib"), str(models / "forest.plain")
    pickled = str(models / "forest.pickled")
    store.dump(model, sealed)
    joblib.dump(model, plain)
    _write_plain(pickled, pickle.dumps(model))
    name = f"forest of {os.path.getsize(plain) / 1e6:.0f} MB"
    show(
        f"load, {name}",
        ratio(lambda: store.load(sealed), lambda: joblib.load(plain)),
        "joblib.load",
    )
    show(
        f"load, {name}",
        ratio(lambda: store.load(sealed), lambda: _pickle_load(pickled)),
        "pickle.load",
    )
    show(
        f"save, {name}",
        ratio(lambda: store.dump(model, sealed), lambda: joblib.dump(model, plain), rounds=7),
        "joblib.dump, which does not flush",
    )


def _suites(root: Path) -> None:
    """Print each suite's loads of a large array and of the forest, by two clocks."""
    import joblib
    import numpy as np

    array = np.random.default_rng(0).normal(size=_ARRAY_BYTES // 8)
    plain = str(root / "models" / "array.plain")
    joblib.dump(array, plain)
    forest = str(root / "models" / "forest.plain")
    model = joblib.load(forest)
    kept = lambda: joblib.load(plain)  # noqa: E731
    for suite in SUITES:
        with _context(root, suite) as hold:
            store = Store(hold)
            for name, value, peer, rounds in (
                (f"array of {_ARRAY_BYTES >> 20} MiB", array, kept, 7),
                ("forest", model, lambda: joblib.load(forest), 15),
            ):
                sealed = str(root / "models" / f"{suite}.pkl")
                store.dump(value, sealed)
                for label, clock in (("wall", wall), ("processor", processor)):
                    show(
                        f"load, {name}, {suite}, {label}",
                        ratio(partial(store.load, sealed), peer, rounds=rounds, clock=clock),
                        "joblib.load",
                    )
            big = str(root / "models" / "big.pkl")
            store.dump(array, big)
            show(
                f"open and read ten rows, {suite}",
                ratio(partial(_rows, store, big), kept, rounds=7),
                "joblib.load of it all",
            )
            for old in ("big.pkl", f"{suite}.pkl"):
                os.unlink(root / "models" / old)
    _rotation(root, array)


def _rotation(root: Path, array: Any) -> None:
    keys = [Key(name, generate_key().encode()) for name in ("a", "b")]
    policy = default_policy(root / "rotation")
    (root / "rotation" / "models").mkdir(parents=True)
    path = str(root / "rotation" / "models" / "big.pkl")
    contexts = [
        Context(policy, Keyring(*order), Recorder(_Nowhere())) for order in (keys, keys[::-1])
    ]
    stores = [Store(hold) for hold in contexts]
    stores[0].dump(array, path)
    measured = ratio(
        lambda: (stores[1].rotate("a", "b", [path]), stores[0].rotate("b", "a", [path])),
        lambda: (stores[0].renew(path), stores[0].renew(path)),
        rounds=5,
    )
    show("rotate a 256 MiB array twice, HS256", measured, "seal --renew")
    for hold in contexts:
        hold.close()


class _Nowhere:
    """A trail that keeps nothing, so that the file alone is measured."""

    def export(self, event: Event) -> None:
        pass


def _rows(store: Store, path: str) -> Any:
    with store.open(path) as artifact:
        return artifact.arrays()[1_000_000:1_000_010]


def _context(root: Path, suite: str) -> Context:
    pair = generate_pair()
    signs = SUITES[suite].signs
    local = KeySource("env:OWN", "own") if signs else None
    policy = replace(
        default_policy(root),
        key=KeySource("env:KEY", f"key {suite}", suite),
        local=local,
        trail=f"var/trail {suite}",
        marks=f"var/marks {suite}",
    )
    key = pair.private if signs else generate_key()
    return Context.load(policy, environ={"KEY": key, "OWN": generate_key()})


def _pickle_load(path: str) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def _load_from(store: Store, path: str) -> Any:
    with open(path, "rb") as file:
        return store.load_from(file)


def _write_plain(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _write_safely(path: str, data: bytes) -> None:
    temporary = path + ".tmp"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


if __name__ == "__main__":
    main()
