from __future__ import annotations

import copyreg
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import RandomizedSearchCV

from safehold.allow import PRESETS, AllowList, preset
from safehold.errors import TypeNotAllowed
from scripts import allow, allow_estimators, allow_objects, allow_review

pytestmark = pytest.mark.extras

# Objects of the corpus that no preset is meant for.
_LEFT_OUT = {"Rbf", "ShortTimeFFT"}
# How protocols 2 and 3 spell an object that is made with keywords.
_KEYWORDS = b"cfunctools\npartial\n"


def load(data: bytes, names: AllowList) -> Any:
    """Load as the codecs do: CPython's unpickler with `resolve` as find_class."""

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            return names.resolve(module, name)

    return Reader(io.BytesIO(data)).load()


def _dumps(thing: Any, protocols: range) -> Iterator[bytes]:
    for protocol in protocols:
        try:
            yield pickle.dumps(thing, protocol)
        except Exception:  # noqa: BLE001, S112  (some cannot be pickled, or by newer protocols only)
            continue


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (allow_objects.plain, "builtins"),
        (allow_objects.numpy_objects, "numpy"),
        (allow_objects.scipy_objects, "scipy"),
        (allow_objects.pandas_objects, "pandas"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # deprecated spellings are part of the corpus
def test_objects_load_with_their_preset(
    source: Callable[[], Iterator[tuple[str, Any]]], name: str
) -> None:
    names = AllowList.of([name])
    loaded = 0
    for _, thing in source():
        if type(thing).__name__ in _LEFT_OUT:
            continue
        for data in _dumps(thing, range(2, 6)):
            if _KEYWORDS in data:
                continue
            try:
                pickle.loads(data)
            except Exception:  # noqa: BLE001, S112  (a few do not load at all)
                continue
            load(data, names)
            loaded += 1
    assert loaded > 50


def _some_estimators() -> list[tuple[str, type]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return allow_estimators._kinds()


KINDS = dict(_some_estimators())


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return allow_estimators._data()


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.filterwarnings("ignore")  # tiny data: fits do not converge
def test_fitted_estimator_loads_with_sklearn(name: str, data: dict[str, Any]) -> None:
    names = AllowList.of(["sklearn"])
    for made in allow_estimators._instances(name, KINDS[name]):
        fitted = next(allow_estimators._fitted(name, made, data), (name, made))[1]
        for dump in _dumps(fitted, range(4, 6)):
            assert type(load(dump, names)) is KINDS[name]
        return
    pytest.fail("no instance could be made")


def test_every_public_estimator_is_in_the_preset() -> None:
    one = preset("sklearn")
    for kind in KINDS.values():
        assert f"{kind.__module__}:{kind.__qualname__}" in one.classes


@pytest.mark.parametrize("name", PRESETS)
def test_every_name_exists_or_is_listed_as_another_versions(name: str) -> None:
    one = preset(name)
    if not allow.is_here(name):
        pytest.skip(f"{name} cannot be imported here")
    absent = {entry for entry in one.classes | one.functions if allow.installed(entry) is None}
    assert absent <= one.elsewhere
    for entry in one.classes - absent:
        assert isinstance(allow.installed(entry), type), entry
    for entry in one.functions - absent:
        assert not isinstance(allow.installed(entry), type) or entry in allow_review.CONDITIONAL


@pytest.mark.filterwarnings("ignore")  # numpy deprecates some of its names
def test_every_name_resolves_or_is_another_versions() -> None:
    names = AllowList.of(PRESETS)
    for name in filter(allow.is_here, PRESETS):
        one = preset(name)
        for entry in (one.classes | one.functions) - one.elsewhere:
            names.resolve(*entry.split(":"))


def test_files_of_the_presets_are_what_the_generator_writes(tmp_path: Any) -> None:
    presets = allow.load()
    versions = {name: preset(name).versions for name in PRESETS}
    allow.write(presets, versions, tmp_path)
    for name in PRESETS:
        written = (tmp_path / f"{name}.json").read_text("utf-8")
        assert written == (allow.FOLDER / f"{name}.json").read_text("utf-8")


def test_everything_that_loading_reaches_was_reviewed() -> None:
    assert allow.unreviewed(allow.load()) == []


def test_joblib_file_loads_with_sklearn(data: dict[str, Any]) -> None:
    names = AllowList.of(["sklearn"])

    class Reader(NumpyUnpickler):  # type: ignore[misc]  # joblib is untyped
        def find_class(self, module: str, name: str) -> Any:
            return names.resolve(module, name)

    model = RandomForestClassifier(n_estimators=3, random_state=0).fit(data["table"], data["two"])
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    copy = Reader("", file, ensure_native_byte_order=True).load()
    assert (copy.predict(data["table"]) == model.predict(data["table"])).all()


def test_categories_of_gradient_boosting_load(data: dict[str, Any]) -> None:
    """Its preprocessor holds a functools.partial."""
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])
    model.fit(np.round(data["table"], 1), data["two"])
    assert b"partial" in pickle.dumps(model)
    copy = load(pickle.dumps(model), AllowList.of(["sklearn"]))
    assert (copy.predict(data["table"]) == model.predict(data["table"])).all()


@pytest.mark.parametrize("protocol", range(2, 6))
def test_frame_with_a_time_zone_loads(protocol: int) -> None:
    """A zone is pickled as a call of getattr(ZoneInfo, "_unpickle")."""
    frame = pd.DataFrame({"at": pd.date_range("2020-01-01", periods=3, tz="Europe/Paris")})
    copy = load(pickle.dumps(frame, protocol), AllowList.of(["pandas"]))
    pd.testing.assert_frame_equal(copy, frame)


@pytest.mark.parametrize("name", ["numpy", "pandas", "scipy", "sklearn"])
def test_numpy_arrays_of_either_major_version_load(name: str) -> None:
    array = np.arange(6.0).reshape(2, 3)
    new = pickle.dumps(array, 2)
    assert b"numpy._core" in new
    for data in (new, new.replace(b"numpy._core", b"numpy.core")):
        assert (load(data, AllowList.of([name])) == array).all()


def test_old_numpy_names_load_without_a_warning() -> None:
    """Here warnings are errors, and numpy 2 warns of its old private package."""
    names = AllowList(["numpy"])
    for module, qualname in [("numeric", "_frombuffer"), ("multiarray", "scalar")]:
        new = names.resolve(f"numpy._core.{module}", qualname)
        assert names.resolve(f"numpy.core.{module}", qualname) is new


class _Call:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


class _State:
    """Pickles as an instance of a class that is given a state."""

    def __init__(self, kind: type, state: Any) -> None:
        self.made = kind, state

    def __reduce__(self) -> tuple[Any, ...]:
        kind, state = self.made
        return copyreg._reconstructor, (kind, object, None), state  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", [PRESETS, (*PRESETS, "*")], ids=["presets", "all"])
def test_ufunc_reconstruct_cannot_import(names: tuple[str, ...]) -> None:
    data = b"cnumpy.core\n_ufunc_reconstruct\n(Vos\nVmkdir\ntR."
    with pytest.raises(TypeNotAllowed):
        load(data, AllowList.of(names))
    with pytest.raises(TypeNotAllowed):
        load(data.replace(b"core", b"_core"), AllowList.of(names))
    # The attack is real: without the list it returns the function.
    assert pickle.loads(data).__name__ == "mkdir"


def test_state_of_a_distribution_cannot_run_text(tmp_path: Any) -> None:
    from scipy.stats import _continuous_distns

    marker = tmp_path / "ran"
    text = f"import os; os.mkdir({str(marker)!r})"
    data = pickle.dumps(_State(_continuous_distns.norm_gen, {"_parse_arg_template": text}), 4)
    with pytest.raises(TypeNotAllowed):
        load(data, AllowList.of(PRESETS))
    assert not marker.exists()
    # The attack is real: without the list it runs, whatever else it raises then.
    with pytest.raises(KeyError):
        pickle.loads(data)
    assert marker.exists()


def test_search_over_a_distribution_is_refused_by_name(data: dict[str, Any]) -> None:
    from scipy.stats import randint

    search = RandomizedSearchCV(RandomForestClassifier(), {"max_depth": randint(1, 3)})
    with pytest.raises(TypeNotAllowed, match=r"scipy\.stats"):
        load(pickle.dumps(search), AllowList.of(["sklearn"]))


@pytest.mark.parametrize(
    "attack",
    [
        _Call(np.load, "x"),
        _Call(np.memmap, "x"),
        _Call(np.fromfile, "x"),
        _Call(np.vectorize, print),
        _Call(pd.read_pickle, "x"),
        _Call(pd.eval, "1"),
        _Call(joblib.load, "x"),
        _Call(joblib.Memory, "x"),
        _Call(make_scorer, print),
    ],
    ids=lambda attack: attack.call[0].__name__,
)
def test_functions_of_libraries_that_no_dump_calls_are_refused(attack: _Call) -> None:
    with pytest.raises(TypeNotAllowed):
        load(pickle.dumps(attack), AllowList.of(PRESETS))


def test_partial_of_another_function_is_refused(data: dict[str, Any]) -> None:
    import functools

    with pytest.raises(ValueError, match="check_array only"):
        load(pickle.dumps(functools.partial(np.mean)), AllowList.of(["sklearn"]))


def test_member_of_a_class_that_is_not_listed_is_refused() -> None:
    for owner, name in [(pd.DataFrame, "to_csv"), (np.ndarray, "tofile"), (FrozenEstimator, "fit")]:
        with pytest.raises(TypeNotAllowed):
            load(pickle.dumps(_Call(getattr, owner, name)), AllowList.of(PRESETS))
