"""torch's interface: `load` and `save` over sealed files, the rest unchanged.

In an internal zone the payload is torch's own file. It is loaded from the verified bytes by
torch's restricted reader, or, with ``weights_only=False``, with the zone's allow-list: the
preset ``torch`` for the layers of `torch.nn`, exact names for a model's own classes. In an
external zone a dict of plain tensors is stored as safetensors. ``pickle_module`` of `load` and
``mmap`` are accepted and not used. Not covered: `torch.jit.load`, `torch.hub` and
`torch.package` are torch's own.

torch is imported with it, where it is installed: pickle looks for an object that knows no module
through all modules in the order in which they came, and must meet torch before this one.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from safehold.allow import AllowList, stand_in
from safehold.artifacts.codecs import CODECS, Encoded, Reading, codec_named
from safehold.artifacts.codecs import pickle as pickle_codec
from safehold.artifacts.container import Sealed
from safehold.compat import active_store
from safehold.errors import MissingExtra

with contextlib.suppress(ImportError):
    import_module("torch")

_PREFER = ("pickle", "safetensors", "msgpack")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # what the import system asks for
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(_torch(), name)


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        package = "torch"
        raise MissingExtra(package, "torch") from error


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Seal `obj` into a path or a binary handle. Raises as `safehold.Store.dump`."""
    torch = _torch()

    def encode() -> Encoded:
        out = io.BytesIO()
        torch.save(
            obj,
            out,
            pickle_module,
            pickle_protocol,
            _use_new_zipfile_serialization,
            _disable_byteorder_record,
        )
        return Encoded([out.getbuffer()], {"torch": str(torch.__version__)}, raw=True)

    value = _as_arrays(obj, torch)
    if isinstance(f, str | os.PathLike):
        active_store().dump(value, f, prefer=_PREFER, encode=encode)
    else:
        active_store().dump_to(value, f, prefer=_PREFER, encode=encode)


def _as_arrays(obj: Any, torch: Any) -> Any:
    """Return a dict of tensors as one of arrays where nothing but the kind of dict is lost."""
    if type(obj) not in (dict, OrderedDict):
        return obj
    tensors = [value for value in obj.values() if type(value) is torch.Tensor]
    if len(tensors) != len(obj) or not all(map(_is_plain, tensors)):
        return obj  # which the codec refuses
    places = [value.untyped_storage().data_ptr() for value in tensors if value.numel()]
    if len(set(places)) != len(places):  # two tensors over the same memory
        return obj
    return {name: value.numpy() for name, value in obj.items()}


def _is_plain(tensor: Any) -> bool:
    """Say whether NumPy has an array that makes the same tensor again."""
    if tensor.device.type != "cpu" or tensor.layout != _torch().strided:
        return False
    if tensor.requires_grad or tensor.is_conj() or tensor.is_neg():
        return False
    try:
        tensor.numpy()
    except (TypeError, RuntimeError):  # bfloat16 and its like
        return False
    return bool(tensor.is_contiguous())


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Verify and load a path or the next value of a handle.

    `weights_only` is true unless it is given. Raises as `safehold.Store.load`; what torch's
    restricted reader refuses is a `pickle.UnpicklingError`.
    """
    decode = partial(
        _decode,
        map_location=map_location,
        weights_only=weights_only is None or weights_only,
        arguments=pickle_load_args,
    )
    if isinstance(f, str | os.PathLike):
        return active_store().load(f, decode=decode)
    return active_store().load_from(f, decode=decode)


def _decode(
    sealed: Sealed,
    reading: Reading,
    *,
    map_location: Any,
    weights_only: bool,
    arguments: dict[str, Any],
) -> Any:
    torch = _torch()
    codec = sealed.header.codec
    if not CODECS[codec].carries_code:
        return _as_tensors(codec_named(codec).decode(sealed.segments, reading), torch, map_location)
    stream = io.BytesIO(sealed.segments[0])
    if weights_only:
        return torch.load(stream, map_location, weights_only=True, **arguments)
    module = _pickle_module(reading.allow)
    return torch.load(stream, map_location, module, weights_only=False, **arguments)


def _as_tensors(value: Any, torch: Any, map_location: Any) -> Any:
    if type(value) is not dict:
        return value
    numpy = import_module("numpy")
    where = map_location if isinstance(map_location, str | torch.device) else "cpu"
    return {
        name: torch.from_numpy(item).to(where) if isinstance(item, numpy.ndarray) else item
        for name, item in value.items()
    }


def _pickle_module(allow: AllowList) -> SimpleNamespace:
    """Return what torch takes for the pickle module: each name is resolved by the allow-list."""
    from safehold.scan.weights import NAMES  # what torch names for plain weights

    def resolve(module: str, name: str) -> Any:
        if (module, name) in NAMES:
            return stand_in(module, name) or getattr(import_module(module), name)
        return allow.resolve(module, name)

    class Unpickler(pickle_codec.Unpickler):
        def __init__(self, file: Any, **options: Any) -> None:
            super().__init__(file, allow, **options)
            self._resolve: Callable[[str, str], Any] = resolve

    def load_one(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    return SimpleNamespace(__name__="pickle", Unpickler=Unpickler, load=load_one)
