"""The facade of pickletools: sealed bytes stay, pickles are shortened."""

from __future__ import annotations

import pickle as plain
import pickletools as library

from safehold.compat import pickle, pickletools


def test_sealed_bytes_stay_what_they_are(world):
    sealed = pickle.dumps(["a", "a"])
    assert pickletools.optimize(sealed) == sealed
    assert pickle.loads(pickletools.optimize(sealed)) == ["a", "a"]


def test_pickles_are_shortened_and_the_rest_is_the_library():
    data = plain.dumps([1])
    assert pickletools.optimize(data) == library.optimize(data)
    assert pickletools.dis is library.dis
    assert pickletools.opcodes is library.opcodes
