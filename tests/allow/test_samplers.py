"""Presets of libraries that build on scikit-learn: imbalanced-learn and category_encoders."""

from __future__ import annotations

import io
import pickle
import warnings

import pytest

from safehold.allow import AllowList, preset
from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, call, named, stream, system, value

NAMES = ("imblearn", "category_encoders")


def instance(module: str, name: str, state: bytes = b"}") -> Raw:
    return Raw(named(module, name).opcodes + b")\x81" + state + b"b")


def names(one: str) -> list[list[str]]:
    return [entry.split(":") for entry in sorted(preset(one).classes)]


@pytest.mark.parametrize("one", NAMES)
def test_every_class_is_clean_with_a_state(one):
    state = b"}(" + value("random_state") + b"K\x01" + value("cols") + b"]u"
    for module, name in names(one):
        data = stream(instance(module, name, state))
        assert scan_bytes(data, "m.pkl").verdict == "clean", name


@pytest.mark.parametrize("one", NAMES)
def test_no_class_is_called_with_arguments(one):
    for module, name in names(one):
        data = stream(call(named(module, name), "x"))
        assert scan_bytes(data, "m.pkl").verdict == "suspicious", name


@pytest.mark.parametrize("one", NAMES)
def test_state_with_a_danger_or_a_special_name_is_malicious(one, tmp_path):
    module, name = names(one)[0]
    held = b"}(" + value("func") + named("posix", "system").opcodes + b"u"
    special = b"}(" + value("__setstate__") + b"Nu"
    for state in (held, special, b"}(" + value("a") + system(tmp_path / "m").opcodes + b"u"):
        data = stream(instance(module, name, state))
        assert scan_bytes(data, "m.pkl").verdict == "malicious"


def test_what_else_the_libraries_have_is_unknown_or_dangerous():
    names = AllowList.of(NAMES)
    for name in (
        "imblearn.keras:BalancedBatchGenerator", "imblearn.utils.testing:all_estimators",
        "imblearn.pipeline:Pipeline.fit", "imblearn.pipeline:joblib.load", "imblearn:os.system",
        "category_encoders.hashing:multiprocessing.Process", "category_encoders.utils:pd.eval",
        "category_encoders.ordinal:warnings.sys",
    ):  # fmt: skip
        assert not names.permits(*name.split(":")), name


def test_a_preset_brings_what_its_objects_hold():
    assert AllowList.of(["imblearn"]).permits("sklearn.pipeline", "Pipeline")
    assert AllowList.of(["category_encoders"]).permits("pandas.core.frame", "DataFrame")
    assert not AllowList.of(["sklearn"]).permits("imblearn.pipeline", "Pipeline")


@pytest.mark.parametrize("one", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_objects_load_with_their_preset(one):
    pytest.importorskip(one)
    from scripts import allow_objects

    permitted = AllowList.of([one])

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> object:
            return permitted.resolve(module, name)

    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label, thing in getattr(allow_objects, f"{one}_objects")():
            data = pickle.dumps(thing)
            assert type(Reader(io.BytesIO(data)).load()) is type(thing), label
            assert scan_bytes(data, "m.pkl").verdict == "clean", label
            seen += 1
    assert seen > 40


KEYWORDS = b"}(" + value("statistic_location") + b"K\x01u"


def test_results_of_scipy_are_made_with_keywords():
    made = named("scipy.stats._stats_py", "KstestResult").opcodes + value((0.5, 0.5))
    assert scan_bytes(b"\x80\x04" + made + KEYWORDS + b"\x92.", "m.pkl").verdict == "clean"
    # Keywords that are no dict of the file's own cannot be told.
    other = call(named("collections", "OrderedDict")).opcodes
    assert scan_bytes(b"\x80\x04" + made + other + b"\x92.", "m.pkl").verdict == "suspicious"
    plain = named("sklearn.svm._classes", "SVC").opcodes + b")" + KEYWORDS
    assert scan_bytes(b"\x80\x04" + plain + b"\x92.", "m.pkl").verdict == "suspicious"
