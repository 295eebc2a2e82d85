"""Stand-ins for the functions of torch that rebuild tensors, and rules for their arguments.

torch enlarges a storage that is too small for the shape it is given: with memory that was not
cleared, and as much as the shape says. `_rebuild_from_type_v2` calls its first argument.
torch is imported when a stand-in is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from safehold.allow._arguments import Rule, named

_UTILS = "torch._utils"
_FROM_TYPE = ("torch._tensor", "_rebuild_from_type_v2")
_FROM_BYTES = ("torch.storage", "_load_from_bytes")
_OVER_A_STORAGE = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_qtensor",
)
_OTHERS = (
    "_rebuild_sparse_tensor", "_rebuild_nested_tensor", "_rebuild_meta_tensor_no_storage",
)  # fmt: skip
_OF_A_TENSOR = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_REBUILD = frozenset({*_OVER_A_STORAGE, *_OTHERS, *_OF_A_TENSOR})
_TYPES = (("torch", "Tensor"), ("torch._tensor", "Tensor"),
          ("torch.nn.parameter", "Parameter"))  # fmt: skip
_DEVICE = re.compile(r"[a-z]{1,16}(?::\d{1,4})?")


def _torch() -> Any:
    return import_module("torch")


def _check_room(storage: Any, offset: Any, size: Any, stride: Any, item: int) -> None:
    """Raise ValueError unless the shape stays within the storage."""
    numbers = (offset, *size, *stride)
    if any(type(number) is not int or number < 0 for number in numbers) or len(size) != len(stride):
        message = f"a tensor of size {size!r:.80} and stride {stride!r:.80}"
        raise ValueError(message)
    last = sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    needed = 0 if 0 in size else (offset + last + 1) * item
    whole = storage._untyped_storage.nbytes()  # noqa: SLF001  (torch has no public name for it)
    if needed > whole:
        message = f"a tensor of {needed} bytes over a storage of {whole}"
        raise ValueError(message)


def _over_a_storage(name: str) -> Callable[..., Any]:
    def rebuild(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
        torch = _torch()
        typed = torch.storage.TypedStorage
        if type(storage) is not typed:
            message = f"{_UTILS}.{name} of something that is no storage"
            raise TypeError(message)
        dtype = rest[2] if name == "_rebuild_tensor_v3" else storage.dtype
        _check_room(storage, offset, size, stride, dtype.itemsize)
        return getattr(torch._utils, name)(storage, offset, size, stride, *rest)  # noqa: SLF001

    rebuild.__name__ = name
    return rebuild


def _of_a_tensor(name: str) -> Callable[..., Any]:
    def rebuild(data: Any, *rest: Any) -> Any:
        torch = _torch()
        if not isinstance(data, torch.Tensor):
            message = f"{_UTILS}.{name} of something that is no tensor"
            raise TypeError(message)
        if len(rest) > 2:
            _check_state(rest[2])
        return getattr(torch._utils, name)(data, *rest)  # noqa: SLF001

    rebuild.__name__ = name
    return rebuild


def _from_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    torch = _torch()
    allowed = [*STAND_INS.values(), *(getattr(torch._utils, name) for name in _OTHERS)]  # noqa: SLF001
    if not any(function is one for one in allowed) or function is _from_type:
        message = "a tensor is rebuilt by a function of torch._utils only"
        raise ValueError(message)
    if kind not in (torch.Tensor, torch.nn.Parameter):
        message = f"a tensor of type {kind!r:.80}"
        raise ValueError(message)
    _check_state(state)
    return torch._tensor._rebuild_from_type_v2(function, kind, args, state)  # noqa: SLF001


def _check_state(state: Any) -> None:
    """Raise ValueError unless it holds attributes with plain names: each is set on the tensor."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        if part is not None and type(part) is not dict:
            message = f"attributes of a tensor in a {type(part).__qualname__}"
            raise ValueError(message)
        if part and any(type(key) is not str or key.startswith("__") for key in part):
            message = "an attribute of a tensor with a special name"
            raise ValueError(message)


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(_UTILS, name): _over_a_storage(name) for name in _OVER_A_STORAGE},
    **{(_UTILS, name): _of_a_tensor(name) for name in _OF_A_TENSOR},
    _FROM_TYPE: _from_type,
}


def _is_storage(args: tuple[Any, ...]) -> bool:
    """A storage comes from the loader, by a persistent id, or from a file of torch as bytes.

    The latter is not allowed by any preset; a scan reads it.
    """
    if not args:
        return False
    from_bytes = named(getattr(args[0], "maker", None)) == _FROM_BYTES
    return from_bytes or getattr(args[0], "kind", None) == "persistent"


def _is_tensor(args: tuple[Any, ...]) -> bool:
    return bool(args) and _is_rebuilt(args[0])


def _is_rebuilt(value: object) -> bool:
    maker = named(getattr(value, "maker", None))
    return maker == _FROM_TYPE or (
        maker is not None and maker[0] == _UTILS and maker[1] in _REBUILD
    )


def _typed(args: tuple[Any, ...]) -> bool:
    """A function of torch's own, with arguments that it takes by itself."""
    if len(args) != 4 or named(args[1]) not in _TYPES:
        return False
    function = named(args[0])
    if function is None or function[0] != _UTILS or function[1] not in _REBUILD:
        return False
    rule = RULES.get(function)
    return rule is None or (type(args[2]) is tuple and rule(args[2]))


def _device(args: tuple[Any, ...]) -> bool:
    return (
        bool(args)
        and isinstance(args[0], str)
        and _DEVICE.fullmatch(args[0]) is not None
        and all(type(arg) is int for arg in args[1:])
    )


RULES: dict[tuple[str, str], Rule] = {
    **{(_UTILS, name): _is_storage for name in _OVER_A_STORAGE},
    **{(_UTILS, name): _is_tensor for name in _OF_A_TENSOR},
    _FROM_TYPE: _typed,
    ("torch", "device"): _device,
}
