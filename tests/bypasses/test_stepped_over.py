"""Bytes that a loader steps over or packs away, and calls that no opcode for a call makes."""

from __future__ import annotations

import decimal
import lzma
import pickle
import zlib

import numpy as np
import pandas as pd
import pytest

from safehold.scan import scan_bytes, scan_path
from tests.bypasses.payloads import Raw, assert_caught, call, named, runs, stream, system, value

pytestmark = pytest.mark.extras


def dtype(text, size, alignment=1):
    state = (3, "|", None, None, None, size, alignment, 0)
    made = call(named("numpy", "dtype"), text, False, True).opcodes
    return Raw(made + value(state) + b"b")


def wrapper(of, shape):
    """Opcodes after which joblib reads the bytes of an array, without alignment."""
    pairs = {
        "subclass": named("numpy", "ndarray"),
        "shape": shape,
        "order": "C",
        "dtype": of,
        "allow_mmap": True,
    }
    state = b"".join(value(key) + value(item) for key, item in pairs.items())
    made = named("joblib.numpy_pickle", "NumpyArrayWrapper").opcodes
    return b"\x80\x02" + made + b")\x81}(" + state + b"ub"


def test_a_text_dtype_of_one_letter_takes_its_size_from_the_state(marker):
    """Read as one byte, the array would end early, and an opcode for bytes swallow the payload."""
    evil = system(marker).opcodes + b"0"
    swallowed = 64 - 6 + len(evil)
    array = (b"NB" + swallowed.to_bytes(4, "little")).ljust(64, b"\0")
    data = wrapper(dtype("c", 64), (1,)) + array + evil + b"0."
    assert_caught(data, marker, "joblib", name="model.joblib")


def test_array_bytes_are_the_second_stream_of_a_plain_loader(marker):
    array = b"." + stream(system(marker))
    data = wrapper(dtype("u1", -1, -1), (len(array),)) + array + b"."
    assert_caught(data, marker, "twice", name="model.joblib")


def test_a_size_beside_a_text_dtype_of_an_npy_header():
    """For numpy it is the length of each text; a reader that multiplies by it finds no bytes."""
    text = "{'descr': ('S', 100), 'fortran_order': False, 'shape': (1,), }"
    header = text.ljust(118 - 1).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    assert np.lib.format.descr_to_dtype(("S", 100)).itemsize == 100
    report = scan_bytes(data, "array.npy")
    assert [finding.message for finding in report.findings] == ["a header that cannot be read"]


def deflated(evil):
    """A zlib stream that begins with more empty blocks than are looked at to tell it is one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = b"\0\0\0\xff\xff" * 20_000 + packer.compress(evil) + packer.flush()
    return b"\x78\x9c" + blocks + zlib.adler32(evil).to_bytes(4, "big")


def with_large_dictionary(evil):
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**30}]
    return lzma.compress(evil, format=lzma.FORMAT_ALONE, filters=filters)


@pytest.mark.parametrize(
    ("pack", "verdict"), [(deflated, "malicious"), (with_large_dictionary, "suspicious")]
)
def test_packed_data_without_a_telling_name_is_not_left_out(marker, tmp_path, pack, verdict):
    data = pack(stream(system(marker)))
    assert runs(data, marker, "joblib"), "the payload does not run: this test shows nothing"
    (tmp_path / "victim.bin").unlink()
    (tmp_path / "weights.dat").write_bytes(data)
    assert [file.verdict for file in scan_path(tmp_path).files] == [verdict]


# Calls of what an artifact may name, with what it may not be given.


def with_field(name):
    """A record, which finds its fields as attributes."""
    array = np.empty(1, dtype=[(name, "O")])
    array[0] = (decimal.Decimal,)
    return array.view(np.recarray)[0]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", ["extend", "append"])
def test_items_for_a_record_call_what_its_field_holds(name, protocol):
    plain = pickle.dumps(with_field(name), protocol)
    assert scan_bytes(plain, "plain.pkl").verdict == "clean"
    data = plain[:-1] + b"(" + value("x") + value("y") + b"e."
    with pytest.raises((ValueError, decimal.InvalidOperation)):  # as Decimal says
        pickle.loads(data)
    assert scan_bytes(data, "model.pkl").verdict == "malicious"


class Rebuilt:
    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def test_an_attribute_in_the_state_that_cython_sets_is_called():
    array = pd.array(pd.to_datetime(["2020-01-01"]))
    function, (kind, checksum, _), state = array.__reduce__()
    rebuilt = Rebuilt(function, kind, checksum, (*state[:2], {"__setstate__": decimal.Decimal}))
    data = pickle.dumps(rebuilt, 2)[:-1] + value("x") + b"b."
    with pytest.raises(decimal.InvalidOperation):
        pickle.loads(data)
    assert scan_bytes(data, "model.pkl").verdict == "suspicious"


@pytest.mark.parametrize("kind", ["DataFrame", "Series"])
def test_a_key_that_a_frame_calls(kind):
    made = named("pandas", kind).opcodes + b")R"
    data = b"\x80\x02" + made + named("decimal", "Decimal").opcodes + value("x") + b"s."
    with pytest.raises(TypeError, match="Decimal"):
        pickle.loads(data)
    assert scan_bytes(data, "model.pkl").verdict == "malicious"


def test_a_calendar_that_is_a_series_of_holidays():
    """An item of a series is an attribute of it; pandas before 3 calls that of a calendar."""
    series = pd.Series([decimal.Decimal], index=pd.Index(["holidays"], dtype=object), dtype=object)
    offset = named("pandas._libs.tslibs.offsets", "CustomBusinessDay")
    calendar = Raw(pickle.dumps(series, 2)[2:-1])
    assert scan_bytes(stream(calendar, protocol=2), "model.pkl").verdict == "clean"
    data = stream(call(offset, 1, False, "Mon Tue", None, calendar), protocol=2)
    assert scan_bytes(data, "model.pkl").verdict == "suspicious"


def test_keys_that_are_compared_by_a_method_of_their_categories():
    categories = named("collections", "OrderedDict").opcodes + b")R}("
    categories += value("dtype") + value("O") + value("equals")
    categories += named("decimal", "Decimal").opcodes + b"ub"
    made = named("pandas.core.dtypes.dtypes", "CategoricalDtype").opcodes + b")\x81}("
    key = made + value("categories") + categories + value("ordered") + b"\x88ub"
    data = b"\x80\x02}(" + key + b"N" + key + b"Nu."
    with pytest.raises(TypeError, match="Decimal"):
        pickle.loads(data)
    assert scan_bytes(data, "model.pkl").verdict == "malicious"
    plain = pickle.dumps({pd.CategoricalDtype(["a", "b"]): 1, pd.CategoricalDtype(): 2})
    assert scan_bytes(plain, "model.pkl").verdict == "clean"


def test_an_index_is_given_no_attributes():
    index = pickle.dumps(pd.Index(["a"], dtype=object), 2)[2:-1]
    data = b"\x80\x02" + index + b"}" + value("equals") + named("decimal", "Decimal").opcodes
    data += b"sb."
    assert "equals" in vars(pickle.loads(data))
    assert scan_bytes(data, "model.pkl").verdict == "malicious"


@pytest.mark.parametrize("kind", ["M8", "m8[s]"])
def test_a_dtype_of_dates_without_its_unit(kind):
    """numpy itself would read the unit through a null pointer."""
    data = b"\x80\x02" + dtype(kind, -1, -1).opcodes + b"."
    assert scan_bytes(data, "model.pkl").verdict == "malicious"
    whole = pickle.dumps([np.dtype(kind), np.zeros(3, kind + ("" if "[" in kind else "[D]"))])
    assert scan_bytes(whole, "model.pkl").verdict == "clean"


SPELLED = [
    ("float64", 8), ("complex64", 8), ("double", 8), ("uintp", 8), ("longdouble", 16),
    ("datetime64[s]", 8), ("p", 8), ("i4, i4", 8), ("i8,", 8), ("u1,u1,(2,3)u1", 8), ("()i8", 8),
    ("(1,)i8", 8), ("1i8", 8),
]  # fmt: skip


@pytest.mark.parametrize(("text", "size"), SPELLED)
def test_dtype_by_a_text_that_no_dump_holds(marker, text, size):
    """The bytes of the array end in a STOP, so that only who knows their number goes on."""
    state = wrapper(call(named("numpy", "dtype"), text), (1,))
    data = state + (b"N." + bytes(30))[:size] + b"0" + system(marker).opcodes + b"."
    report = assert_caught(data, marker, "joblib")
    assert "SH110" not in {finding.rule.id for finding in report.findings}


@pytest.mark.parametrize("dtype_of", [[("a", "u1", (8,))], [("a", "f8")]])
def test_payload_behind_an_array_whose_dtype_is_not_read(marker, dtype_of):
    state = wrapper(call(named("numpy", "dtype"), dtype_of), (1,))
    data = state + b"N......." + b"0" + system(marker).opcodes + b"."
    data = data.replace(b"cposix\nsystem\n", value("posix") + value("system") + b"\x93")
    assert_caught(data, marker, "joblib")


def test_stream_behind_junk_that_swallows_its_beginning():
    """Read from the first byte, ``U`` takes the payload for a text."""
    data = b"JUNKJUNK" * 4 + stream(call(named("posix", "system"), "id"))
    assert scan_bytes(data, "a.pkl").verdict == "malicious"
