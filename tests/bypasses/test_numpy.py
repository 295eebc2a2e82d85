"""numpy: pickles in npy and npz files, and functions of its own that run text."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

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
