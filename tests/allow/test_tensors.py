"""Tensors and layers under exactly the preset of torch, and what a checkpoint may not do."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

from safehold.allow import AllowList
from safehold.errors import TypeNotAllowed
from safehold.scan import scan_bytes
from scripts import allow_torch

pytestmark = pytest.mark.extras

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

from safehold.compat import torch as facade  # noqa: E402

ADDED = facade._pickle_module(AllowList.of(["torch"]))


def saved(thing: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    torch.save(thing, file, pickle_protocol=protocol)
    return file.getvalue()


def load(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), pickle_module=ADDED, weights_only=False)


@pytest.mark.filterwarnings("ignore")  # deprecated layers are part of the corpus
def test_what_torch_saves_loads_under_its_preset_and_is_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An object that knows no module is looked for in all; these have what torch has.
    for name in [name for name in sys.modules if "compat.torch" in name]:
        monkeypatch.delitem(sys.modules, name)
    loaded = 0
    for _, thing in allow_torch.objects():
        for protocol in (2, 5):
            try:
                data = saved(thing, protocol)
                plain = torch.load(io.BytesIO(data), weights_only=False)
            except Exception:  # noqa: BLE001, S112  (a few cannot be saved, or not be loaded)
                continue
            if b"Lazy" in data or b"torch.nn.utils" in data:
                with pytest.raises(TypeNotAllowed):
                    load(data)
                continue
            assert type(load(data)) is type(plain)
            report = scan_bytes(data, "m.pt")
            assert report.verdict == "clean", report.findings
            loaded += 1
    assert loaded > 400


def test_a_model_computes_the_same() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, dropout=0.0, batch_first=True)
    model = torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(3, 4), b=layer, c=torch.nn.GELU()))
    model.eval()
    copy = load(saved(model))
    given = torch.ones(2, 5, 3)
    assert torch.equal(copy(given), model(given))
    both = torch.nn.LSTM(3, 2, 2, bidirectional=True)
    assert torch.equal(load(saved(both))(given)[0], both(given)[0])


# --- calls ----------------------------------------------------------------------------------


class Called:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def storage() -> Any:
    return torch.ones(4)._typed_storage()


def rebuilt(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Called:
    hooks: OrderedDict[str, Any] = OrderedDict()
    return Called(torch._utils._rebuild_tensor_v2, storage(), offset, size, stride, False, hooks)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (5,), (1,)), (1, (4,), (1,)), (0, (2, 3), (3, 1)), (0, (2,), (4,)), (4, (1,), (1,)),
        (0, (10**12,), (1,)), (-1, (4,), (1,)), (0, (4,), (-1,)), (0, (4,), (1, 1)),
    ],
)  # fmt: skip
def test_a_tensor_stays_within_its_storage(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="a tensor of"):
        load(saved(rebuilt(offset, size, stride)))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (4,), (1,)), (3, (1,), (1,)), (0, (2, 2), (1, 2)), (0, (9, 0), (1, 1)), (0, (9,), (0,))],
)
def test_views_of_a_storage_come_back(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    assert load(saved(rebuilt(offset, size, stride))).shape == size


def from_type(function: Any, kind: Any, args: Any, state: Any = None) -> Called:
    return Called(torch._tensor._rebuild_from_type_v2, function, kind, args, state)


PLAIN = (0, (4,), (1,), False, OrderedDict())


@pytest.mark.parametrize(
    "attack",
    [
        lambda: from_type(torch.device, torch.Tensor, ("cpu",)),
        lambda: from_type(torch.nn.Identity(), torch.Tensor, (1,)),
        lambda: from_type(dict, torch.Tensor, ()),
        lambda: from_type(torch.nn.Linear, torch.Tensor, (10, 10)),
        lambda: from_type(torch._utils._rebuild_tensor_v2, torch.nn.Linear, (storage(), *PLAIN)),
        lambda: from_type(
            torch._utils._rebuild_tensor_v2, torch.Tensor, (storage(), *PLAIN), {"__class__": dict}
        ),
        lambda: from_type(
            torch._utils._rebuild_tensor_v2, torch.Tensor, (torch.nn.Identity(), *PLAIN)
        ),
        lambda: Called(torch._utils._rebuild_parameter, torch.nn.Identity(), True, OrderedDict()),
        lambda: Called(
            torch._utils._rebuild_parameter_with_state,
            torch.ones(1),
            True,
            OrderedDict(),
            {"__class__": dict},
        ),
        lambda: Called(torch._utils._rebuild_tensor, torch.nn.Identity(), 0, (1,), (1,)),
    ],
)
def test_a_rebuilder_calls_and_sets_nothing_of_the_files_own(attack: Callable[[], Any]) -> None:
    data = saved(attack())
    with pytest.raises((ValueError, TypeError), match=r"tensor|storage|torch\._utils"):
        load(data)


@pytest.mark.parametrize(
    "attack",
    [
        lambda: from_type(torch.device, torch.Tensor, ("cpu",)),
        lambda: from_type(torch.nn.Identity(), torch.Tensor, (1,)),
        lambda: from_type(torch._utils._rebuild_tensor_v2, torch.nn.Linear, (storage(), *PLAIN)),
        lambda: from_type(
            torch._utils._rebuild_tensor_v2, torch.Tensor, (torch.nn.Identity(), *PLAIN)
        ),
        lambda: Called(torch._utils._rebuild_parameter, torch.nn.Identity(), True, OrderedDict()),
        lambda: Called(torch._utils._rebuild_tensor, torch.nn.Identity(), 0, (1,), (1,)),
        lambda: Called(torch.nn.functional.relu, torch.ones(1)),
        lambda: Called(torch.nn.Linear, 10, 10),
        lambda: Called(torch.device, "file:///x"),
    ],
)
def test_the_scanner_reports_such_calls(attack: Callable[[], Any]) -> None:
    assert scan_bytes(saved(attack()), "m.pt").verdict != "clean"


def test_plain_pickles_of_tensors_are_refused() -> None:
    """They nest a checkpoint that torch loads without a restriction; a scan has read it."""
    data = pickle.dumps(torch.ones(2))

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            return AllowList.of(["torch"]).resolve(module, name)

    with pytest.raises(TypeNotAllowed, match="_load_from_bytes"):
        Reader(io.BytesIO(data)).load()
    assert scan_bytes(data, "m.pkl").verdict == "clean"


def test_hooks_and_attributes_of_a_module_are_names_alone() -> None:
    model = torch.nn.Linear(1, 1)
    model.register_forward_hook(print)
    with pytest.raises(TypeNotAllowed, match="print"):
        load(saved(model))
    model = torch.nn.Linear(1, 1)
    model.activation = torch.hub.load
    with pytest.raises(TypeNotAllowed, match=r"torch\.hub\.load"):
        load(saved(model))
