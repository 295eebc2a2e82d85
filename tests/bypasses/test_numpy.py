"""numpy: pickles in npy and npz files, and functions of its own that run text."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from safehold.scan import scan_bytes
from tests.bypasses.payloads import assert_caught, call, named, source, stream

pytestmark = pytest.mark.extras


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_npy_of_objects(marker):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil(marker)], dtype=object))
    assert_caught(buffer.getvalue(), marker, "npy", name="a.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_objects(marker, save):
    buffer = io.BytesIO()
    save(buffer, b=np.arange(3), a=np.array([Evil(marker)], dtype=object))
    assert_caught(buffer.getvalue(), marker, "numpy", name="a.npz")


def test_field_of_objects_in_a_structured_array(marker):
    array = np.zeros(1, dtype=[("n", "<i4"), ("o", "O")])
    array["o"][0] = Evil(marker)
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert_caught(buffer.getvalue(), marker, "npy", name="a.npy")


def test_pickle_under_the_name_of_an_array(marker):
    """numpy.load falls back to pickle whatever the file is called."""
    data = stream(call(named("posix", "system"), f"touch {marker}"))
    assert_caught(data, marker, "npy", name="a.npy")


def test_runstring(marker):
    payload = call(named("numpy.testing._private.utils", "runstring"), source(marker), {})
    assert_caught(stream(payload), marker)


def test_f2py(marker):
    payload = call(named("numpy.f2py.crackfortran", "getlincoef"), source(marker), {})
    assert_caught(stream(payload), marker)


SPELLED = [
    "'object'", "'object_'", "'O,i4'", "'i4,O'", "'2O'", "'(2,)O'", "[('a', 'object')]",
    "[('a', 'i4, O')]",
]  # fmt: skip


def headed(descr: str, shape: str, body: bytes, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    width = 2 if version == 1 else 4
    length = len(header).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("descr", SPELLED)
def test_objects_spelled_as_only_numpy_reads_them(marker, descr, version):
    payload = stream(call(named("posix", "system"), f"touch {marker}"))
    data = headed(descr, "(1,)", payload, version)
    assert_caught(data, marker, "npy", name="a.npy")


def test_header_of_python_2(marker):
    payload = stream(call(named("posix", "system"), f"touch {marker}"))
    assert_caught(headed("'O'", "(1L,)", payload), marker, "npy", name="a.npy")
    harmless = headed("'<i4'", "(1L, 2L)", bytes(8))
    assert scan_bytes(harmless, "a.npy").verdict == "clean"


def test_pickle_behind_a_header_that_cannot_be_read(marker):
    payload = stream(call(named("posix", "system"), f"touch {marker}"))
    data = headed("{'names': ['a'], 'formats': ['O']}", "(1,)", payload)
    assert scan_bytes(data, "a.npy").verdict == "malicious"


def test_function_of_scipy_that_times_text(marker):
    payload = call(named("scipy.signal._signaltools", "_timeit_fast"), source(marker))
    assert_caught(stream(payload), marker)
