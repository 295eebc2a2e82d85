"""joblib's arrays, torch's storages and numpy's objects agree as well."""

from __future__ import annotations

import io

import pytest

from safehold.scan import Verdict, scan_bytes
from safehold.scan.formats import joblib as format_of_joblib

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.extras

VALUE = [
    np.arange(10),
    np.array(["a", {"b": 1}, None], dtype=object),
    {"x": np.ones((3, 4)), "y": np.float32(1.5), "z": np.array([], dtype="<U3")},
]


def dumped(value, protocol=None, compress=0) -> bytes:
    joblib.dump(value, out := io.BytesIO(), compress=compress, protocol=protocol)
    return out.getvalue()


@pytest.mark.parametrize("compress", [0, 3])
@pytest.mark.parametrize("protocol", range(6))
def test_joblib_files_stay_clean(protocol, compress):
    report = scan_bytes(dumped(VALUE, protocol, compress), "a.joblib", paranoid=True)
    assert report.verdict is Verdict.CLEAN, report.findings


def test_numpy_files_stay_clean():
    np.savez(out := io.BytesIO(), VALUE[0], VALUE[1])
    assert scan_bytes(out.getvalue(), "a.npz", paranoid=True).verdict is Verdict.CLEAN
    np.save(out := io.BytesIO(), VALUE[1])
    assert scan_bytes(out.getvalue(), "a.npy", paranoid=True).verdict is Verdict.CLEAN


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_stay_clean(zipped):
    torch = pytest.importorskip("torch")
    value = {"a": torch.ones(3), "b": torch.nn.Linear(2, 2).state_dict()}
    torch.save(value, out := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    report = scan_bytes(out.getvalue(), "a.pt", paranoid=True)
    assert report.verdict is Verdict.CLEAN, report.findings


def test_an_array_that_the_machine_takes_for_opcodes_is_seen(monkeypatch):
    data = dumped([np.frombuffer(b"N" * 64, dtype="u1"), 1])
    monkeypatch.setattr(format_of_joblib.Arrays, "__call__", lambda self, machine, target: target)
    report = scan_bytes(data, "a.joblib", paranoid=True)
    assert "SH110" in {finding.rule.id for finding in report.findings}


def test_an_array_of_another_length_is_seen(monkeypatch):
    data = dumped([np.frombuffer(b"\x85" * 64, dtype="u1"), 1])
    real = format_of_joblib._count
    monkeypatch.setattr(format_of_joblib, "_count", lambda shape: real(shape) - 1)
    report = scan_bytes(data, "a.joblib", paranoid=True)
    assert "SH110" in {finding.rule.id for finding in report.findings}
