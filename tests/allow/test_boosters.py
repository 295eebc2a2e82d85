"""Models of xgboost and lightgbm under exactly their preset, and what a file may not do to them."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safehold.allow import AllowList
from safehold.errors import DecodeError, TypeNotAllowed
from safehold.scan import scan_bytes
from scripts import allow_boosters
from tests.holding import ZONES, make_world

pytestmark = pytest.mark.extras

xgboost = pytest.importorskip("xgboost")
WHY = ""
try:
    import lightgbm
except (ImportError, OSError) as error:  # OSError: its wheel wants the system's OpenMP library
    lightgbm = None  # type: ignore[assignment]
    WHY = f"lightgbm cannot be loaded: {error}"
NEEDS_LIGHTGBM = pytest.mark.skipif(lightgbm is None, reason=WHY)
LIBRARIES = ["xgboost", pytest.param("lightgbm", marks=NEEDS_LIGHTGBM)]

SMALL: dict[str, Any] = {"n_estimators": 4, "n_jobs": 1}
LIGHT: dict[str, Any] = {**SMALL, "min_child_samples": 2, "verbose": -1}
DATA = allow_boosters._data()
TABLE = pd.DataFrame(DATA["table"], columns=list("abcd"))
MODELS: dict[str, Callable[[], Any]] = {
    "xgboost classifier": lambda: xgboost.XGBClassifier(**SMALL).fit(TABLE, DATA["three"]),
    "xgboost regressor": lambda: xgboost.XGBRegressor(**SMALL).fit(TABLE, DATA["number"]),
    "xgboost forest": lambda: xgboost.XGBRFClassifier(**SMALL).fit(TABLE, DATA["two"]),
    "xgboost ranker": lambda: xgboost.XGBRanker(**SMALL).fit(
        TABLE, DATA["two"], group=DATA["groups"]
    ),
    "xgboost pipeline": lambda: make_pipeline(StandardScaler(), xgboost.XGBClassifier(**SMALL)).fit(
        TABLE, DATA["two"]
    ),
    "lightgbm classifier": lambda: lightgbm.LGBMClassifier(**LIGHT).fit(TABLE, DATA["words"]),
    "lightgbm regressor": lambda: lightgbm.LGBMRegressor(**LIGHT).fit(TABLE, DATA["number"]),
    "lightgbm ranker": lambda: lightgbm.LGBMRanker(**LIGHT).fit(
        TABLE, DATA["two"], group=DATA["groups"]
    ),
    "lightgbm pipeline": lambda: make_pipeline(
        StandardScaler().set_output(transform="pandas"), lightgbm.LGBMClassifier(**LIGHT)
    ).fit(TABLE, DATA["two"]),
    "lightgbm booster": lambda: lightgbm.LGBMRegressor(**LIGHT).fit(TABLE, DATA["number"]).booster_,
}

NAMES = [
    pytest.param(name, marks=[NEEDS_LIGHTGBM] if name.startswith("lightgbm") else [])
    for name in MODELS
]


def booster(library: str) -> Any:
    """Return the class and the key of its state that holds the model."""
    return (xgboost.Booster, "handle") if library == "xgboost" else (lightgbm.Booster, "_handle")


def load(data: bytes, *names: str) -> Any:
    allow = AllowList.of(names)

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            return allow.resolve(module, name)

    return Reader(io.BytesIO(data)).load()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".pkl", ".joblib"])
def test_fitted_model_is_sealed_and_predicts_the_same_under_its_preset(
    name: str, suffix: str, tmp_path: Path
) -> None:
    zones = (replace(ZONES[0], allow=(name.partition(" ")[0],)), *ZONES[1:])
    world = make_world(tmp_path, zones=zones)
    model = MODELS[name]()
    path = tmp_path / "models" / f"m{suffix}"
    world.store.dump(model, path)
    copy = world.store.load(path)
    assert type(copy) is type(model)
    np.testing.assert_array_equal(copy.predict(TABLE), model.predict(TABLE))
    world.hold.close()


@pytest.mark.parametrize("name", NAMES)
def test_plain_dumps_of_models_are_clean(name: str) -> None:
    model = MODELS[name]()
    file = io.BytesIO()
    joblib.dump(model, file)
    for data in (file.getvalue(), *(pickle.dumps(model, protocol) for protocol in range(6))):
        report = scan_bytes(data, "m.pkl")
        assert report.verdict == "clean", report.findings


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_booster_is_of_the_librarys_own_class_and_can_be_stored_again(library: str) -> None:
    model = load(pickle.dumps(MODELS[f"{library} regressor"]()), library)
    inner = model.get_booster() if library == "xgboost" else model.booster_
    assert type(inner) is booster(library)[0]
    again = load(pickle.dumps(model), library)
    np.testing.assert_array_equal(again.predict(TABLE), model.predict(TABLE))


def test_a_users_objective_needs_its_own_name() -> None:
    model = xgboost.XGBRegressor(objective=allow_boosters.own_objective, **SMALL)
    data = pickle.dumps(model.fit(TABLE, DATA["number"]))
    with pytest.raises(TypeNotAllowed, match="own_objective"):
        load(data, "xgboost")
    own = f"{allow_boosters.__name__}.own_objective"
    assert load(data, "xgboost", own).objective is allow_boosters.own_objective


# --- states ---------------------------------------------------------------------------------


class Given:
    """Pickles as an instance of a class that is given a state."""

    def __init__(self, kind: type, state: Any) -> None:
        self.made = kind, state

    def __reduce__(self) -> tuple[Any, ...]:
        kind, state = self.made
        return copyreg._reconstructor, (kind, object, None), state  # type: ignore[attr-defined]


ADDRESS = 0x4141_4141


def record(key: str) -> Any:
    """Return what says "no model" when it is asked, and gives dict.update an address first."""
    array = np.zeros(1, [("pair", object), (key, object)])
    array[0] = ((key, ADDRESS), None)
    return array[0]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "state",
    [
        lambda key: {key: ADDRESS},
        lambda key: {key: np.int64(ADDRESS)},
        lambda key: {key: [ADDRESS]},
        lambda key: {key: np.zeros(4)},
        lambda key: {np.str_(key): None},
        lambda key: {key: None, "__setstate__": np.mean},
        record,
    ],
    ids=["integer", "scalar", "list", "array", "other text", "special name", "record"],
)
def test_a_state_cannot_set_the_address_that_is_freed(
    library: str, state: Callable[[str], Any]
) -> None:
    kind, key = booster(library)
    data = pickle.dumps(Given(kind, state(key)), 4)
    with pytest.raises(ValueError, match=r"Booster"):
        load(data, library)
    assert scan_bytes(data, "m.pkl").verdict == "malicious"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_store_refuses_such_a_state_as_what_cannot_be_decoded(library: str) -> None:
    from safehold.artifacts.codecs import Reading
    from safehold.artifacts.codecs import pickle as codec

    kind, key = booster(library)
    data = pickle.dumps(Given(kind, {key: ADDRESS}), 4)
    with pytest.raises(DecodeError):
        codec.decode([memoryview(data)], Reading(AllowList.of([library]), 64, raw=True))


class _Call:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_constructor_opens_no_file(library: str, tmp_path: Path) -> None:
    model = tmp_path / "model.txt"
    data = pickle.dumps(_Call(booster(library)[0], {}, None, str(model)))
    with pytest.raises(TypeError):
        load(data, library)
    assert scan_bytes(data, "m.pkl").verdict == "suspicious"
    # The attack is real: without the list it reads the file that is named.
    with pytest.raises(Exception, match=r"model\.txt"):
        pickle.loads(data)
