"""The facade of torch: sealed checkpoints, restricted readers, tensors as data elsewhere."""

from __future__ import annotations

import inspect
import io
import os
import pickle
import subprocess
import sys
import warnings
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

plain = pytest.importorskip("torch")

from safehold import compat  # noqa: E402
from safehold.compat import torch  # noqa: E402
from safehold.errors import (  # noqa: E402
    Blocked,
    EncodeError,
    NotSealed,
    Rollback,
    Tampered,
    TypeNotAllowed,
    WrongContext,
)

MODEL_NAMES = (
    "torch.nn.modules.linear.Linear",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.activation.ReLU",
)


@pytest.fixture
def model():
    plain.manual_seed(0)
    return plain.nn.Sequential(plain.nn.Linear(3, 4), plain.nn.ReLU(), plain.nn.Linear(4, 2))


def naming(world, *names: str, **changes: object):
    """Make the facade use a policy whose models may name more."""
    zones = [
        replace(zone, allow=(*zone.allow, *names)) if zone.name == "models" else zone
        for zone in world.hold.policy.zones
    ]
    again = world.again(zones=tuple(zones), **changes)
    compat.use(again.hold)
    return again


def same(one: dict[str, object], two: dict[str, object]) -> bool:
    return list(one) == list(two) and all(
        one[key].dtype == two[key].dtype and plain.equal(one[key], two[key]) for key in one
    )


# --- the same interface --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["load", "save"])
def test_functions_have_the_signatures_of_the_originals(name):
    ours = inspect.signature(getattr(torch, name)).parameters.values()
    theirs = inspect.signature(getattr(plain, name)).parameters.values()
    assert [(one.name, one.kind, one.default) for one in ours] == [
        (one.name, one.kind, one.default) for one in theirs
    ]


def test_the_rest_is_the_originals():
    assert torch.nn is plain.nn
    assert torch.tensor([1]).tolist() == [1]
    with pytest.raises(AttributeError):
        torch.nothing  # noqa: B018


# --- internal zones ------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_come_back(zipped, world, model):
    weights = model.state_dict()
    for path in (world.root / "models" / "a.pt", str(world.root / "models" / "a.pt")):
        torch.save(weights, path, _use_new_zipfile_serialization=zipped)
        for options in ({}, {"weights_only": True}, {"map_location": "cpu"}, {"mmap": True},
                        {"weights_only": False}):  # fmt: skip
            found = torch.load(path, **options)
            assert type(found) is OrderedDict
            assert same(found, weights)
    again = plain.nn.Sequential(plain.nn.Linear(3, 4), plain.nn.ReLU(), plain.nn.Linear(4, 2))
    again.load_state_dict(torch.load(path))
    assert plain.equal(again(plain.ones(3)), model(plain.ones(3)))


def test_checkpoints_come_back(world, model):
    optimizer = plain.optim.Adam(model.parameters())
    value = {
        "epoch": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "half": plain.ones(2, dtype=plain.bfloat16),
        "parameter": plain.nn.Parameter(plain.ones(2)),
        "view": plain.arange(6.0).reshape(2, 3).T,
    }
    path = world.root / "models" / "a.pt"
    torch.save(value, path)
    found = torch.load(path)
    assert found["epoch"] == 3
    assert same(found["model"], value["model"])
    assert found["half"].dtype == plain.bfloat16
    assert type(found["parameter"]) is plain.nn.Parameter
    assert plain.equal(found["view"], value["view"])


def test_handles(world):
    path = world.root / "models" / "a.pt"
    with path.open("wb") as file:
        torch.save({"a": plain.ones(2)}, file)
        torch.save([1], file)
    with path.open("rb") as file:
        assert plain.equal(torch.load(file)["a"], plain.ones(2))
        assert torch.load(file) == [1]
        with pytest.raises(EOFError):
            torch.load(file)
    buffer = io.BytesIO()
    torch.save([2], buffer)
    buffer.seek(0)
    assert torch.load(buffer) == [2]


def test_what_is_unsealed_is_torchs_own_file(world):
    path = world.root / "models" / "a.pt"
    torch.save({"a": plain.ones(2)}, path)
    world.store.unseal(path)
    assert plain.equal(plain.load(path, weights_only=True)["a"], plain.ones(2))
    world.store.seal(path, codec="pickle")
    assert plain.equal(torch.load(path)["a"], plain.ones(2))


def test_a_model_needs_its_classes_in_the_allow_list_and_to_be_asked_for(world, model):
    path = world.root / "models" / "a.pt"
    with pytest.raises(EncodeError, match=r"torch\.nn\.modules"):
        torch.save(model, path)
    assert not path.exists()
    naming(world, *MODEL_NAMES)
    torch.save(model, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    found = torch.load(path, weights_only=False)
    assert plain.equal(found(plain.ones(3)), model(plain.ones(3)))
    compat.use(world.again().hold)
    with pytest.raises(TypeNotAllowed):
        torch.load(path, weights_only=False)


def test_the_preset_has_torchs_own_layers(world, model):
    path = world.root / "models" / "a.pt"
    naming(world, "torch")
    torch.save(model, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    found = torch.load(path, weights_only=False)
    assert plain.equal(found(plain.ones(3)), model(plain.ones(3)))


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("folder", ["models", "cache", "tables"])
def test_what_runs_code_is_not_stored(zipped, folder, world, tmp_path):
    with pytest.raises(EncodeError):
        torch.save(
            Hostile(tmp_path / "ran"),
            world.root / folder / "a.pt",
            _use_new_zipfile_serialization=zipped,
        )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_sealed_file_that_names_more_than_is_allowed_runs_nothing(
    zipped, world, tmp_path, monkeypatch
):
    """As whoever holds the key could make it."""
    from safehold.artifacts.writing import Writer

    path = world.root / "models" / "a.pt"
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "checked", lambda self, draft, target: draft)
        torch.save(Hostile(tmp_path / "ran"), path, _use_new_zipfile_serialization=zipped)
    for weights_only in (True, False, None):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, weights_only=weights_only)
    assert not (tmp_path / "ran").exists()
    world.store.unseal(path)
    plain.load(path, weights_only=False)
    assert (tmp_path / "ran").exists(), "the control"


@pytest.mark.parametrize("weights_only", [True, False, None])
def test_a_planted_file_is_refused_and_runs_nothing(weights_only, world, tmp_path):
    for folder in ("models", "tables"):
        path = world.root / folder / "a.pt"
        plain.save(Hostile(tmp_path / "ran"), path)
        with pytest.raises(NotSealed):
            torch.load(path, weights_only=weights_only)
        with path.open("rb") as file, pytest.raises(NotSealed):
            torch.load(file, weights_only=weights_only)
    assert not (tmp_path / "ran").exists()


def test_the_environment_does_not_lift_the_restriction(world, model, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    naming(world, *MODEL_NAMES)
    torch.save(model, world.root / "models" / "a.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(pickle.UnpicklingError):
            torch.load(world.root / "models" / "a.pt")


def test_only_trusted_code_loads(world):
    path = world.root / "models" / "a.pt"
    torch.save([1], path)
    naming(world, trusted=("elsewhere/**",))
    with pytest.raises(Blocked):
        torch.load(path)


def test_changed_swapped_and_older_files_are_refused(world):
    one, two = world.root / "models" / "a.pt", world.root / "models" / "b.pt"
    torch.save({"a": plain.ones(500)}, one)
    old = one.read_bytes()
    torch.save({"a": plain.ones(500)}, one)
    torch.save([1], two)
    damaged = bytearray(one.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for data, error in ((damaged, Tampered), (two.read_bytes(), WrongContext), (old, Rollback)):
        one.write_bytes(data)
        with pytest.raises(error):
            torch.load(one)
    with pytest.raises(FileNotFoundError):
        torch.load(world.root / "models" / "none")


# --- external zones ------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "codec"), [("tables", "safetensors"), ("data", "msgpack")])
def test_tensors_are_data(folder, codec, world, model):
    path = world.root / folder / "a.pt"
    for weights in (model.state_dict(), {"a": plain.ones(2, 3), "n": plain.tensor(5)}):
        torch.save(weights, path)
        assert world.store.inspect(path).codec == codec
        for options in ({}, {"weights_only": False}, {"map_location": plain.device("cpu")}):
            assert same(torch.load(path, **options), weights)


def shared() -> dict[str, object]:
    one = plain.ones(4)
    return {"a": one, "b": one[:2]}


@pytest.mark.parametrize(
    "value",
    [{"a": plain.ones(2, dtype=plain.bfloat16)}, {"a": plain.nn.Parameter(plain.ones(2))},
     {"a": plain.ones(2, requires_grad=True)}, {"a": plain.ones(2, 3).T}, shared(),
     {"a": plain.ones(2), "n": 1}, plain.ones(2), {"a": plain.ones(2).to_sparse()},
     {"a": plain.ones(2, device="meta")}, {1: plain.ones(2)}],
    ids=range(10),
)  # fmt: skip
def test_what_would_come_back_otherwise_is_refused_as_data(value, world):
    with pytest.raises(EncodeError):
        torch.save(value, world.root / "tables" / "a.pt")


def test_what_knows_no_module_is_torch_s_wherever_the_facade_came_first():
    code = """
import io
import safehold.compat.torch
import torch
out = io.BytesIO()
torch.save(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), out)
print(b"safehold" in out.getvalue(), b"per_tensor_affine" in out.getvalue())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, check=True
    )
    assert done.stdout.split() == [b"False", b"True"]
