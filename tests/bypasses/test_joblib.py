"""joblib reads raw bytes between opcodes; what lies in them, or around them, is easily missed."""

from __future__ import annotations

import io
import os
import struct

import joblib
import numpy as np
import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import assert_caught, named, stream, system, value

pytestmark = pytest.mark.extras


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def dumped(obj, compress=0):
    buffer = io.BytesIO()
    joblib.dump(obj, buffer, compress=compress)
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "lzma", "xz"])
def test_payload_behind_array_bytes(marker, compress):
    """The array is full of STOP opcodes: a reader that takes them for such stops there."""
    array = np.frombuffer(b"." * 64, np.uint8)
    assert_caught(dumped([array, Evil(marker)], compress), marker, "joblib")


def test_payload_between_two_arrays(marker):
    array = np.arange(5.0)
    assert_caught(dumped([array, Evil(marker), array.astype("i2")]), marker, "joblib")


def test_payload_in_the_pickle_of_an_object_array(marker):
    array = np.array([1, Evil(marker)], dtype=object)
    assert_caught(dumped({"a": array}), marker, "joblib")


def wrapper(array, *, aligned, order="C"):
    """Opcodes that make and fill an array wrapper, without the array's bytes."""
    dtype = value(named("numpy", "dtype")) + value((array.dtype.str[1:], False, True)) + b"R"
    state = (3, array.dtype.str[0], None, None, None, -1, -1, 0)
    dtype += value(state) + b"b"
    pairs = [
        ("subclass", value(named("numpy", "ndarray"))),
        ("shape", value(array.shape)),
        ("order", value(order)),
        ("dtype", dtype),
        ("allow_mmap", b"\x89"),
    ]
    if aligned:
        pairs.append(("numpy_array_alignment_bytes", b"K\x10"))
    filled = b"}(" + b"".join(value(key) + item for key, item in pairs) + b"u"
    return named("joblib.numpy_pickle", "NumpyArrayWrapper").opcodes + b")\x81" + filled + b"b"


def framed(opcodes):
    return b"\x80\x04\x95" + struct.pack("<Q", len(opcodes)) + opcodes


def test_the_hand_made_stream_is_what_joblib_reads(tmp_path):
    array = np.arange(6, dtype="<i4")
    path = tmp_path / "a"
    padding = b"\x02\xff\xff"
    path.write_bytes(framed(wrapper(array, aligned=True)) + padding + array.tobytes() + b".")
    assert (joblib.load(path) == array).all()
    assert scan_bytes(path.read_bytes(), "a.joblib").verdict == "clean"


def test_opcodes_that_look_like_array_bytes(marker):
    """joblib reads a frame ahead, so the array's bytes follow the frame, not its opcode."""
    array = np.zeros(500, np.uint8)
    opcodes = wrapper(array, aligned=False) + b"0" + system(marker).opcodes + b"."
    assert_caught(framed(opcodes) + array.tobytes(), marker, "joblib")


def rules(report):
    return {finding.rule.id for finding in report.findings}


def test_opcodes_left_in_the_frame_of_an_array(marker):
    """The bytes begin where the frame ends, and reading goes on behind them, without a break."""
    array = np.full(100, 0xFF, np.uint8)
    opcodes = wrapper(array, aligned=False) + b"0N" * 7
    data = framed(opcodes) + array.tobytes() + system(marker).opcodes + b"."
    assert rules(assert_caught(data, marker, "joblib")) == {"SH101"}


def test_frame_that_begins_at_the_end_of_another(marker):
    """Its content stands behind the bytes of the array that the first frame left there."""
    array = np.full(100, 0xFF, np.uint8)
    second = b"0" + system(marker).opcodes + b"."
    opcodes = wrapper(array, aligned=False) + b"\x95" + struct.pack("<Q", len(second))
    data = framed(opcodes) + array.tobytes() + second
    assert rules(assert_caught(data, marker, "joblib")) == {"SH101"}


def test_array_bytes_that_pickle_load_takes_for_opcodes(marker):
    """Harmless for joblib, not for whoever loads the same file with pickle."""
    hidden = b"0" + system(marker).opcodes + b"."
    array = np.frombuffer(hidden, np.uint8)
    data = b"\x80\x04" + wrapper(array, aligned=False) + hidden + b"."
    assert_caught(data, marker, "pickle")


def test_wrapper_that_is_given_its_state_twice(marker):
    """The second time, joblib reads another array: the bytes after the first are opcodes or not."""
    array = np.zeros(40, np.uint8)
    opcodes = wrapper(array, aligned=False)
    made, state = opcodes.split(b")\x81", 1)
    again = made + b")\x81q\x07" + state
    state_only = state[:-1]
    data = b"\x80\x02" + again + array.tobytes() + b"0h\x07" + state_only + b"b"
    data += array.tobytes() + b"0" + system(marker).opcodes + b"."
    assert rules(assert_caught(data, marker, "joblib")) >= {"SH101", "SH104"}


@pytest.mark.parametrize(
    ("shape", "verdict"),
    [((10**6,), "suspicious"), ((-1,), "suspicious"), ((2, 3), "clean")],
)
def test_shape_decides_how_many_bytes_belong_to_the_array(shape, verdict):
    array = np.zeros((2, 3), np.uint8)
    opcodes = wrapper(array, aligned=False).replace(value(array.shape), value(shape))
    data = b"\x80\x04" + opcodes + array.tobytes() + b"."
    assert scan_bytes(data, "a.joblib").verdict == verdict


def test_files_beside_it():
    data = stream(
        named("joblib.numpy_pickle", "NDArrayWrapper"),
    )[:-1]
    data += b")\x81}" + value("filename") + value("../other.npy") + b"sb."
    report = scan_bytes(data, "a.pkl")
    assert "reads its arrays from other files" in str(report.findings)


def test_second_dump_behind_the_first(marker):
    data = dumped(np.arange(3)) + stream(system(marker))
    assert scan_bytes(data, "a.joblib").verdict == "malicious"
