"""harden loads files to see whether they are plain data: never other bytes than it scanned."""

from __future__ import annotations

import io
import pickle

import joblib
import numpy as np
import pytest

from safehold._cli._converting import plain_value
from safehold.policy import default_policy
from tests.bypasses.payloads import Raw, named, stream, value

pytestmark = pytest.mark.extras


def load(root, data, codec="pickle"):
    (root / "a.bin").write_bytes(data)
    return plain_value(default_policy(root), "a.bin", codec, "")


def test_what_the_scanner_refuses_is_not_loaded(tmp_path):
    """Its `append` is a function of the file's choice; the value in the end is plain."""
    target = named("types", "SimpleNamespace").opcodes + b")\x81}" + value("append")
    call = target + named("builtins", "list").opcodes + b"sb" + b")a"
    assert load(tmp_path, stream(Raw(call), Raw(value(5)))) is None


def test_another_format_than_the_codec_reads_is_not_loaded(tmp_path):
    out = io.BytesIO()
    joblib.dump(np.zeros(3), out)
    assert load(tmp_path, out.getvalue()) is None
    assert load(tmp_path, out.getvalue(), "joblib") is not None


def test_plain_data_is_loaded(tmp_path):
    found = load(tmp_path, pickle.dumps({"a": [1, 2.5, None]}))
    assert found is not None
    assert found.value == {"a": [1, 2.5, None]}
