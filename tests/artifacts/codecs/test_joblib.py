"""The joblib codec: its own streams and joblib's, nested pickles included, by the allow-list."""

from __future__ import annotations

import io
import os
import pickle

import joblib
import numpy as np
import pytest
from joblib import numpy_pickle, numpy_pickle_compat
from sklearn.ensemble import RandomForestClassifier

from safehold.allow import AllowList
from safehold.artifacts.codecs import Reading
from safehold.artifacts.codecs import joblib as codec
from safehold.errors import DecodeError, TypeNotAllowed

pytestmark = pytest.mark.extras

NAMES = ("numpy", "joblib", "sklearn")


def plain(value: object, compress: object = 0, protocol: int | None = None) -> bytes:
    out = io.BytesIO()
    joblib.dump(value, out, compress=compress, protocol=protocol)
    return out.getvalue()


def decode(data: bytes, *names: str, raw: bool = True) -> object:
    reading = Reading(AllowList.of(names or NAMES), 64, raw=raw)
    return codec.decode([memoryview(data)], reading)


@pytest.fixture
def marker(tmp_path):
    found = tmp_path / "ran"
    yield found
    assert not found.exists(), "the payload ran"


class Hostile:
    """Touches a file when it is loaded."""

    def __init__(self, marker: os.PathLike[str]) -> None:
        self.marker = os.fspath(marker)

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.marker}",)


ARRAYS = {
    "c": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "empty": np.empty((0, 3)),
    "scalar array": np.array(5),
    "texts": np.array(["a", "bc"]),
    "structured": np.zeros(3, [("a", "i4"), ("b", "f8")]),
    "dates": np.array(["2026-01-01"], "M8[D]"),
    "objects": np.array([1, "a", None, {"b": [2]}], object),
    "object matrix": np.array([[1, "a", 2], [None, 2.5, "x"]], object),
    "object matrix in fortran order": np.asfortranarray(
        np.array([[1, "a", 2], [None, 2.5, "x"]], object)
    ),
    "object cube": np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype(object)),
}


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return one.dtype == two.dtype and one.shape == two.shape and one.tolist() == two.tolist()


@pytest.mark.parametrize(
    "compress", [0, 1, ("gzip", 3), ("bz2", 1), ("xz", 1), ("lzma", 1)], ids=str
)
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_what_joblib_wrote_comes_back_as_joblib_reads_it(array, compress):
    data = plain({"a": array, "b": [array, 1]}, compress)
    theirs = joblib.load(io.BytesIO(data))
    ours = decode(data)
    for found in (ours, theirs):
        assert same(found["a"], array)
        assert same(found["b"][0], array)
    assert ours["a"].flags.f_contiguous == theirs["a"].flags.f_contiguous


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_joblib(protocol):
    assert same(decode(plain([ARRAYS["c"]], protocol=protocol))[0], ARRAYS["c"])


def test_a_plain_pickle_is_a_joblib_file_too():
    assert decode(pickle.dumps({"a": 1})) == {"a": 1}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_our_own_form_comes_back(array):
    encoded = codec.encode({"a": array}, 64)
    reading = Reading(AllowList.of(NAMES), 64)
    views = [memoryview(bytearray(segment)) for segment in encoded.segments]
    assert same(codec.decode(views, reading)["a"], array)
    assert encoded.libs == {"joblib": joblib.__version__}
    assert not encoded.raw


def test_large_arrays_are_segments_of_their_own():
    array = np.arange(10_000)
    encoded = codec.encode([array, np.asfortranarray(array.reshape(100, 100))], 64)
    assert len(encoded.segments) == 3
    assert sum(len(segment) for segment in encoded.segments[1:]) == 2 * array.nbytes


def test_a_fitted_model_in_both_forms():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    model = RandomForestClassifier(5, random_state=0).fit(x, y)
    encoded = codec.encode(model, 64)
    views = [memoryview(bytearray(segment)) for segment in encoded.segments]
    for found in (
        codec.decode(views, Reading(AllowList.of(NAMES), 64)),
        decode(plain(model)),
        decode(plain(model, 3)),
    ):
        assert np.array_equal(found.predict_proba(x), model.predict_proba(x))


@pytest.mark.parametrize("names", [NAMES, ("*",)], ids=["presets", "everything"])
@pytest.mark.parametrize("compress", [0, 3, ("bz2", 1)], ids=str)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda hostile: hostile,
        lambda hostile: {"a": [hostile]},
        lambda hostile: np.array([hostile, 1], object),
        lambda hostile: np.array([[{"x": (hostile,)}]], object),
        lambda hostile: [np.arange(5), np.array([hostile], object)],
        lambda hostile: np.array([np.array([hostile], object), 1], object),
    ],
    ids=["bare", "nested", "object array", "deep in an object array", "after an array", "twice"],
)
def test_a_hostile_object_is_refused_wherever_it_hides(wrap, compress, names, marker):
    data = plain(wrap(Hostile(marker)), compress)
    with pytest.raises(TypeNotAllowed, match=r"(posix|os)\.system"):
        decode(data, *names)


def test_the_control_of_the_test_above(tmp_path):
    marker = tmp_path / "ran"
    joblib.load(io.BytesIO(plain(np.array([Hostile(marker)], object))))
    assert marker.exists()


def test_the_nested_pickle_is_read_by_our_unpickler(monkeypatch):
    """joblib before 1.6 called `pickle.load` for arrays of objects."""
    monkeypatch.setattr(
        numpy_pickle.NumpyArrayWrapper, "read_array", lambda *_: pytest.fail("read by joblib")
    )
    assert decode(plain(ARRAYS["objects"])).tolist() == ARRAYS["objects"].tolist()


@pytest.mark.parametrize("names", [NAMES, ("*",)], ids=["presets", "everything"])
@pytest.mark.parametrize("kind", ["NDArrayWrapper", "ZNDArrayWrapper"])
def test_wrappers_of_old_joblib_that_name_other_files_are_refused(kind, names, tmp_path, marker):
    """They would load another, unsealed file with pickles allowed."""
    other = tmp_path / "other.npy"
    np.save(other, np.array([Hostile(marker)], object), allow_pickle=True)
    wrapper = getattr(numpy_pickle_compat, kind).__new__(getattr(numpy_pickle_compat, kind))
    wrapper.__dict__ |= {
        "filename": str(other),
        "subclass": np.ndarray,
        "init_args": (np.ndarray, (0,), b"b"),
        "state": (),
    }
    with pytest.raises(TypeNotAllowed, match=kind):
        decode(pickle.dumps(wrapper), *names)


def test_a_wrapper_without_a_dtype_is_refused():
    wrapper = numpy_pickle.NumpyArrayWrapper(np.ndarray, (2,), "C", {"hasobject": False})
    with pytest.raises(DecodeError, match="names no dtype"):
        decode(pickle.dumps(wrapper) + bytes(16))


@pytest.mark.parametrize(
    "data",
    [b"", b"x\x9c", b"\x1f\x8b\x08\x00", b"BZh9", b"\xfd7zXZ\x00", b"ZF\x10", b"\x80\x04", b"N",
     plain(np.arange(5))[:-8], plain(np.arange(50), 3)[:-20], b"\x04\x22\x4d\x18" + bytes(20)],
    ids=range(11),
)  # fmt: skip
def test_a_malformed_file_is_a_decode_error(data):
    with pytest.raises((DecodeError, pickle.UnpicklingError)):
        decode(data)


def test_an_array_that_does_not_fit_into_memory_is_a_decode_error():
    wrapper = numpy_pickle.NumpyArrayWrapper(np.ndarray, (2**50,), "C", np.dtype("f8"))
    with pytest.raises(DecodeError):
        decode(pickle.dumps(wrapper) + bytes(64))


def test_compressed_form_is_joblibs_own():
    encoded = codec.encode_compressed({"a": np.arange(100)}, ("gzip", 3), None)
    (segment,) = encoded.segments
    assert encoded.raw
    assert same(joblib.load(io.BytesIO(bytes(segment)))["a"], np.arange(100))
