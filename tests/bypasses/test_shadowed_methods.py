"""Names that are allowed, put together so that loading calls what the file says.

Loading looks methods up on instances, and functions that rebuild objects look them up on what
they are given: an instance attribute of that name is called in the method's place. With a scorer,
which looks a method up by a name of its state, that reaches any method of any object.
"""

from __future__ import annotations

import io
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from joblib.numpy_pickle import NumpyArrayWrapper
from scipy.optimize import OptimizeResult
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error
from sklearn.metrics._scorer import _Scorer

from safehold.scan import scan_bytes
from tests.bypasses.payloads import Raw, assert_caught, call, named, stream, system, value

pytestmark = pytest.mark.extras


def opcodes(obj):
    """The opcodes that push a value, without memo, so that they can stand anywhere."""
    out = io.BytesIO()
    pickler = pickle._Pickler(out, 3)
    pickler.fast = True
    pickler.dump(obj)
    return Raw(out.getvalue()[2:-1])


def mapping(items):
    pairs = b"".join(value(key) + value(item) for key, item in items.items())
    return Raw(b"}(" + pairs + b"u")


def instance(cls, state):
    """An instance made without a call and then given its state."""
    return Raw(opcodes(cls).opcodes + b")\x81" + mapping(state).opcodes + b"b")


def applied(function, *args, **keywords):
    """A partial of the one allowed function whose state makes it one of another."""
    made = call(named("functools", "partial"), named("sklearn.utils.validation", "check_array"))
    state = (function, args, mapping(keywords), Raw(b"}"))
    return Raw(made.opcodes + value(state) + b"b")


def frame():
    """A table that passes for an estimator, so that a scorer looks up its methods."""
    tags = applied(opcodes(SimpleNamespace), estimator_type="regressor")
    state = {
        "_mgr": opcodes(pd.DataFrame({"a": [1]})._mgr),
        "_typ": "dataframe",
        "_metadata": [],
        "attrs": Raw(b"}"),
        "_flags": mapping({"allows_duplicate_labels": True}),
        "__sklearn_tags__": tags,
    }
    return instance(pd.DataFrame, state)


def scorer():
    state = {
        "_score_func": opcodes(mean_squared_error),
        "_sign": 1,
        "_kwargs": Raw(b"}"),
        "_response_method": "to_pickle",
    }
    return instance(_Scorer, state)


def writer(marker, *labels):
    """What writes a file when it is called, with the labels or something in their place."""
    return applied(scorer(), frame(), str(marker), *labels)


def messages(report):
    return " / ".join(finding.message for finding in report.findings)


def test_class_whose_method_is_an_attribute(marker):
    """pandas ends in ``cls.from_arrays(**state)``."""
    rebuild = named("pandas.core.indexes.interval", "_new_IntervalIndex")
    cls = instance(SimpleNamespace, {"from_arrays": scorer()})
    keywords = mapping({"estimator": frame(), "X": str(marker), "y_true": [1]})
    report = assert_caught(stream(call(rebuild, cls, keywords)), marker)
    assert "_new_IntervalIndex: unusual arguments" in messages(report)


@pytest.mark.parametrize(
    ("module", "name", "rest"),
    [
        ("pandas.core.indexes.base", "_new_Index", (Raw(b"}"),)),
        ("pandas.core.indexes.datetimes", "_new_DatetimeIndex", (Raw(b"}"),)),
        ("pandas.core.indexes.timedeltas", "_new_TimedeltaIndex", (Raw(b"}"),)),
        ("sklearn.metrics._dist_metrics", "newObj", ()),
        ("sklearn.neighbors._kd_tree", "newObj", ()),
        ("numpy.ma.core", "_mareconstruct", (named("numpy", "ndarray"), (0,), "b")),
    ],
)
def test_class_whose_new_is_an_attribute(marker, module, name, rest):
    cls = instance(SimpleNamespace, {"__new__": writer(marker)})
    data = stream(call(named(module, name), cls, *rest))
    if name in {"_new_Index", "_mareconstruct"}:  # this callable would not do there
        assert "unusual arguments" in messages(scan_bytes(data, "a.pkl"))
        return
    assert f"{name}: unusual arguments" in messages(assert_caught(data, marker))


@pytest.mark.parametrize(
    ("method", "adding"), [("append", b"Na"), ("extend", b"(Ne"), ("add", b"(N\x90")]
)
def test_method_for_items_is_an_attribute(marker, method, adding):
    target = instance(SimpleNamespace, {method: writer(marker, [1])})
    report = assert_caught(stream(Raw(target.opcodes + adding)), marker)
    assert "is given items after its state" in messages(report)


def test_method_for_items_is_a_key(marker):
    bunch = call(named("sklearn.utils", "Bunch")).opcodes
    keyed = Raw(bunch + value("append") + value(writer(marker, [1])) + b"s" + b"Na")
    report = assert_caught(stream(keyed), marker)
    assert "is given items after items with keys" in messages(report)


def test_method_for_a_state_is_an_attribute(marker):
    target = instance(SimpleNamespace, {"__setstate__": writer(marker, [1])})
    report = assert_caught(stream(Raw(target.opcodes + b"}b")), marker)
    assert "is given a state twice" in messages(report)
    once = scan_bytes(stream(target), "a.pkl")
    assert "SimpleNamespace() made is given a special name" in messages(once)


def test_method_for_a_state_is_a_key(marker):
    made = opcodes(OptimizeResult).opcodes + b")\x81"
    keyed = Raw(made + value("__setstate__") + value(writer(marker, [1])) + b"s" + b"Nb")
    report = assert_caught(stream(keyed), marker)
    assert "OptimizeResult() made is given a special name" in messages(report)


def many(key):
    """A state with more items than the scanner keeps."""
    return mapping({**{f"a{number}": 1 for number in range(100)}, key: 1})


def renamed(text):
    """A key that is a text only once it is made."""
    return call(named("numpy", "str_"), text)


@pytest.mark.parametrize(
    "state",
    [
        many("__setstate__"),
        Raw(value((None, many("__class__")))),
        Raw(b"}" + renamed("__setstate__").opcodes + b"K\x01s"),
        Raw(call(named("collections", "OrderedDict")).opcodes + value("__class__") + b"K\x01s"),
    ],
)
def test_special_name_out_of_sight(state):
    target = opcodes(SimpleNamespace).opcodes + b")\x81"
    report = scan_bytes(stream(Raw(target + state.opcodes + b"b")), "a.pkl")
    assert report.verdict == "malicious", report


def test_partial_of_another_function(marker):
    """Behind a missing key of a dict, where nothing calls it before it is used."""
    report = scan_bytes(stream(writer(marker, [1])), "a.pkl")
    assert "is given another function" in messages(report)


def test_keyword_arguments_of_a_class():
    made = opcodes(np.ndarray).opcodes + b")" + mapping({"shape": 10**6}).opcodes + b"\x92"
    report = scan_bytes(stream(Raw(made)), "a.pkl")
    assert "ndarray: keyword arguments" in messages(report)


@pytest.mark.parametrize(
    "shared",
    [
        call(named("numpy.ma.core", "MaskedConstant")),
        call(named("re", "_compile"), "a", 0),
        call(named("builtins", "getattr"), named("uuid", "SafeUUID"), "safe"),
    ],
)
def test_state_of_what_the_process_has_already(shared):
    report = scan_bytes(stream(Raw(shared.opcodes + b"}b")), "a.pkl")
    assert report.verdict == "malicious", report
    # A member of a class is that member, whatever call it was spelled as.
    assert re.search("exists already|itself, not an instance", messages(report))


def dtype(text, *state):
    made = call(named("numpy", "dtype"), text, False, True)
    return Raw(made.opcodes + value(state) + b"b")


OBJECT = dtype("O8", 3, "|", None, None, None, -1, -1, 63)
LONG = call(named("numpy", "dtype"), "S64", False, True)


def array(kind, raw=b"A" * 8):
    made = call(
        named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), (0,), "b"
    )
    return stream(Raw(made.opcodes + value((1, (1,), kind, False, raw)) + b"b"))


DENIED = dtype("V8", 3, "|", None, ("a",), mapping({"a": (OBJECT, 0)}), 8, 1, 0)


def test_array_of_pointers_from_the_file():
    """Without the flag that says that there are objects, numpy takes bytes for their addresses."""
    loaded = pickle.loads(array(DENIED))
    assert loaded.dtype["a"].char == "O"
    assert loaded.view("S8").item() == b"A" * 8
    report = scan_bytes(array(DENIED), "a.pkl")
    assert report.verdict == "malicious", report
    assert "flags that contradict" in messages(report)


@pytest.mark.parametrize(
    "kind",
    [
        dtype("O8", 3, "|", None, None, None, -1, -1, 0),
        dtype("V8", 3, "|", (OBJECT, (1,)), None, None, 8, 1, 0),
        dtype("f8", 3, "<", None, None, None, -1, -1, 63),
        dtype("V8", 3, "|", None, ("a",), mapping({"a": (LONG, 0)}), 8, 1, 0),
        dtype("V8", 3, "|", None, ("a",), mapping({"a": (LONG, -8)}), 8, 1, 0),
        dtype("V8", 3, "|", (LONG, (2,)), None, None, 8, 1, 0),
        Raw(
            call(named("numpy", "dtype"), "V8", False, True).opcodes
            + mapping({"a": (call(named("numpy", "dtype"), "i8", False, True), 0)}).opcodes
            + b"r\xff\x00\x00\x000"
            + value((3, "|", None, ("a",), Raw(b"j\xff\x00\x00\x00"), 8, 1, 0))
            + b"bj\xff\x00\x00\x00"
            + value("a")
            + value((OBJECT, 0))
            + b"s0"
        ),
    ],
)
def test_dtype_that_contradicts_itself(kind):
    report = scan_bytes(array(kind), "a.pkl")
    assert report.verdict == "malicious", report


@pytest.mark.parametrize(
    "kind",
    ["f8", "O", [("a", "O"), ("b", "f8")], [("a", "f8", (2,)), ("b", [("c", "U3")])], "M8[ns]"],
)
def test_dtype_of_real_dumps(kind):
    for protocol in range(6):
        data = pickle.dumps(np.zeros(2, kind), protocol)
        assert scan_bytes(data, "a.pkl").verdict == "clean"


def test_array_wrapper_made_by_copyreg(marker):
    """joblib reads array bytes after it, as after one that is made by an opcode."""
    wrapper = call(
        named("copyreg", "__newobj__"), named("joblib.numpy_pickle", "NumpyArrayWrapper")
    )
    state = {
        "subclass": named("numpy", "ndarray"),
        "shape": (8,),
        "order": "C",
        "dtype": dtype("u1", 3, "|", None, None, None, -1, -1, 0),
        "allow_mmap": False,
    }
    filled = Raw(wrapper.opcodes + mapping(state).opcodes + b"b" + b"." * 8)
    assert_caught(stream(filled, system(marker)), marker, "joblib", name="a.joblib")


def test_opcodes_in_what_joblib_takes_for_an_array(marker):
    """To `pickle.load` they are opcodes; to joblib, and to who reads as joblib does, numbers."""
    target = instance(SimpleNamespace, {"append": writer(marker, [1])})
    hidden = b"0" + target.opcodes + b"Na0N."
    wrapper = opcodes(NumpyArrayWrapper).opcodes + b")\x81"
    state = {
        "subclass": named("numpy", "ndarray"),
        "shape": (len(hidden),),
        "order": "C",
        "dtype": dtype("u1", 3, "|", None, None, None, -1, -1, 0),
        "allow_mmap": False,
    }
    report = assert_caught(stream(Raw(wrapper + mapping(state).opcodes + b"b" + hidden)), marker)
    assert report.format == "joblib"


def test_memo_that_is_left_for_the_next_stream(marker):
    """One Unpickler that loads twice keeps what it remembers."""
    target = instance(SimpleNamespace, {"append": writer(marker, [1])})
    data = stream(Raw(target.opcodes + b"q\x00")) + b"\x80\x04h\x00Na."
    report = assert_caught(data, marker, "one unpickler")
    assert "is given items after its state" in messages(report)


def test_method_that_a_class_calls_when_it_gets_its_state(marker):
    state = {"X_thresholds_": 1, "y_thresholds_": 2, "_build_f": writer(marker)}
    report = assert_caught(stream(instance(IsotonicRegression, state)), marker)
    assert "is given a method that its class calls" in messages(report)


def test_state_whose_method_is_an_attribute(marker):
    """scikit-learn asks the state for ``pop``."""
    state = instance(SimpleNamespace, {"pop": writer(marker)})
    made = Raw(opcodes(LinearRegression).opcodes + b")\x81" + state.opcodes + b"b")
    report = assert_caught(stream(made), marker)
    assert "is given a state that cannot be told" in messages(report)
