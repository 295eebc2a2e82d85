from __future__ import annotations

import io
import warnings

import pytest

from safehold.scan import scan_bytes

pytestmark = pytest.mark.extras

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")


def saved(obj, **options):
    buffer = io.BytesIO()
    torch.save(obj, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_state_dict_is_clean(zipped, dtype):
    state = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).state_dict()
    state["extra"] = torch.zeros(3, dtype=getattr(torch, dtype))
    data = saved(state, _use_new_zipfile_serialization=zipped)
    report = scan_bytes(data, "m.pt")
    assert (report.format, report.verdict) == ("torch", "clean"), report


def test_optimizer_state_is_clean():
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    report = scan_bytes(saved({"o": optimizer.state_dict(), "epoch": 3}), "m.pt")
    assert report.verdict == "clean", report


def test_module_of_torchs_own_layers_is_clean():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    report = scan_bytes(saved(model), "m.pt")
    assert report.verdict == "clean", report
    assert report.globals


def test_module_of_another_class_names_it_and_is_not():
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters())
    report = scan_bytes(saved(optimizer), "m.pt")
    assert report.verdict == "suspicious"


@pytest.mark.parametrize("zipped", [True, False])
def test_payload_is_found(zipped):
    class Evil:
        def __reduce__(self):
            return exec, ("pass",)

    data = saved({"a": Evil()}, _use_new_zipfile_serialization=zipped)
    assert scan_bytes(data, "m.pt").verdict == "malicious"
