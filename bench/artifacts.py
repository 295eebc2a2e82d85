"""Verified loads and saves against plain pickle and joblib; policy, trail and marks in use."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

from bench._pairs import ratio, show
from safehold.artifacts import Store
from safehold.context import Context
from safehold.keys import generate_key
from safehold.policy import default_policy

_TREES = 100
_ROWS = 2000


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
