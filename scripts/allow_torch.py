"""Tensors of every type, checkpoints, and each layer of `torch.nn`, as `torch.save` writes them.

Part of `allow_objects.py`; leaves out what the installed version does not have.
"""

# ruff: noqa: S112  (what a version does not have is left out, which is the point)
# ruff: noqa: PLW0108  (a lambda puts off the lookup of a name that an old version does not have)

from __future__ import annotations

import inspect
import io
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

PROTOCOLS = range(2, 6)
# One small value for each parameter of a layer that has no default.
_GIVEN: dict[str, Any] = {
    "in_features": 2, "out_features": 2, "in1_features": 2, "in2_features": 2, "in_channels": 4,
    "out_channels": 4, "kernel_size": 2, "num_features": 4, "num_channels": 4, "num_groups": 2,
    "normalized_shape": 4, "input_size": 2, "hidden_size": 2, "embed_dim": 4, "num_heads": 2,
    "num_embeddings": 3, "embedding_dim": 2, "d_model": 4, "nhead": 2, "size": 3, "padding": 1,
    "output_size": 2, "lower": 0.1, "upper": 0.3, "upscale_factor": 2, "downscale_factor": 2,
    "min_val": 0.0, "max_val": 1.0, "threshold": 0.5, "value": 0.0, "lambd": 0.5, "groups": 2,
    "unflattened_size": (2, 2), "dim": 1, "cutoffs": [2], "n_classes": 4, "scale_factor": 2,
    "num_layers": 1, "num_parameters": 1, "norm_type": 2.0,
}  # fmt: skip


def objects() -> Iterator[tuple[str, Any]]:
    """Yield (label, object)."""
    import torch

    yield from _tensors(torch)
    yield from _layers(torch)
    yield from _models(torch)


def _made(*makers: Any) -> Iterator[tuple[str, Any]]:
    for maker in makers:
        try:
            thing = maker()
        except Exception:  # noqa: BLE001  (this version or type does not have it)
            continue
        yield repr(maker), thing


def _tensors(torch: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(vars(torch)):
        dtype = getattr(torch, name)
        if isinstance(dtype, torch.dtype):
            yield from _made(
                lambda dtype=dtype: torch.zeros(3, dtype=dtype),
                lambda dtype=dtype: torch.empty(2, dtype=dtype, device="meta"),
                lambda dtype=dtype: dtype,
            )
        elif isinstance(dtype, torch.layout):
            yield from _made(lambda value=dtype: value)
    flags = torch.ones(2)
    flags.note = "x"
    eye = torch.eye(3)
    yield from _made(
        lambda: torch.nn.Parameter(torch.ones(2)),
        lambda: _with_note(torch.nn.Parameter(torch.ones(2))),
        lambda: torch.nn.Buffer(torch.ones(2)),
        lambda: flags,
        lambda: torch.ones(2, requires_grad=True),
        lambda: torch.ones(2, dtype=torch.complex64).conj(),
        lambda: torch.Size([1, 2]),
        lambda: torch.device("cpu"),
        lambda: eye.to_sparse(),
        lambda: eye.to_sparse_csr(),
        lambda: eye.to_sparse_csc(),
        lambda: torch.eye(4).to_sparse_bsr((2, 2)),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.quantize_per_tensor(eye, 0.1, 0, torch.qint8),
        lambda: torch.quantize_per_tensor(eye, 0.1, 0, torch.quint8),
        lambda: torch.quantize_per_channel(
            eye, torch.ones(3), torch.zeros(3, dtype=torch.int64), 0, torch.qint8
        ),
        lambda: torch.storage.UntypedStorage(4),
        lambda: torch.ones(2).untyped_storage(),
        lambda: [torch.Tensor, torch.nn.Parameter],
    )


def _with_note(tensor: Any) -> Any:
    tensor.note = "x"
    return tensor


def _layers(torch: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(vars(torch.nn)):
        kind = getattr(torch.nn, name)
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            continue
        given = {}
        for key, parameter in inspect.signature(kind).parameters.items():
            if parameter.default is parameter.empty and key in _GIVEN:
                given[key] = _GIVEN[key]
        yield from _made(lambda kind=kind, given=given: kind(**given))


def _models(torch: Any) -> Iterator[tuple[str, Any]]:
    nn, functional = torch.nn, torch.nn.functional
    inner = nn.TransformerEncoderLayer(4, 2)
    model = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), second=nn.ReLU()))
    optimizers = [getattr(torch.optim, name) for name in ("SGD", "Adam", "AdamW", "RMSprop")]
    yield from _made(
        lambda: model,
        lambda: model.state_dict(),
        lambda: model.double().half(),
        lambda: nn.TransformerEncoder(inner, 1),
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2), 1),
        lambda: nn.TransformerEncoderLayer(4, 2, activation="gelu"),
        lambda: nn.ModuleList([nn.Linear(1, 1)]),
        lambda: nn.ModuleDict({"a": nn.Linear(1, 1)}),
        lambda: nn.ParameterList([torch.ones(1)]),
        lambda: nn.ParameterDict({"a": torch.ones(1)}),
        lambda: [nn.RNN(2, 2), nn.GRU(2, 2)],
        lambda: nn.LSTM(2, 2, 2, bidirectional=True, proj_size=1),
        lambda: nn.Conv2d(2, 2, 2, padding="same", padding_mode="reflect"),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        lambda: nn.utils.weight_norm(nn.Linear(2, 2)),
        lambda: nn.utils.spectral_norm(nn.Linear(2, 2)),
    )
    for name in "relu gelu silu elu leaky_relu tanh sigmoid softplus mish selu".split():
        yield from _made(
            lambda name=name: nn.TransformerEncoderLayer(4, 2, activation=getattr(functional, name))
        )
    for kind in optimizers:
        yield from _made(lambda kind=kind: kind(model.parameters(), lr=0.1).state_dict())


def see(names: Any, reader: Any, label: str, thing: Any) -> None:
    """Save one object with every protocol and note what its pickle names and calls."""
    import torch

    for protocol in PROTOCOLS:
        file = io.BytesIO()
        try:
            torch.save(thing, file, pickle_protocol=protocol)
            with zipfile.ZipFile(file) as archive:
                (pickled,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
                stream = io.BytesIO(archive.read(pickled))
            reading = reader(names, stream)
            reading.persistent_load = _storage
            reading.load()
        except Exception as error:  # noqa: BLE001  (some objects cannot be saved)
            names.failed.append(f"{label} torch protocol {protocol}: {error!r:.80}")


def _storage(about: tuple[Any, ...]) -> Any:
    """Return an empty storage of the type and size that a persistent id says."""
    import torch

    _, kind, _, _, count = about
    dtype = torch.uint8 if kind is torch.storage.UntypedStorage else kind.dtype
    whole = torch.storage.UntypedStorage(count * torch.empty(0, dtype=dtype).element_size())
    return torch.storage.TypedStorage(wrap_storage=whole, dtype=dtype, _internal=True)
