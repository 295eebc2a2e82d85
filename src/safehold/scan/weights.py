"""What a torch checkpoint of plain weights names, and how large the items of its storages are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from safehold.scan.values import Global

_SIZES: Final = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1,
    "Byte": 1, "Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "QInt8": 1, "QUInt8": 1,
    "QInt32": 4, "QUInt4x2": 1, "QUInt2x4": 1,
}  # fmt: skip
_DTYPES: Final = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 "
    "qint8 quint8 qint32 quint4x2 quint2x4 float8_e4m3fn float8_e5m2 per_tensor_affine "
    "per_channel_affine strided sparse_coo sparse_csr"
).split()
_REBUILD: Final = (
    "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter "
    "_rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor "
    "_rebuild_meta_tensor_no_storage _rebuild_nested_tensor"
).split()

# Name -> role, as the presets have them; the same set that torch loads with weights_only.
NAMES: Final[Mapping[tuple[str, str], str]] = {
    **{("torch", f"{kind}Storage"): "class" for kind in _SIZES},
    **{("torch.cuda", f"{kind}Storage"): "class" for kind in _SIZES},
    **{("torch", f"{kind}Tensor"): "class" for kind in _SIZES},
    **{("torch", name): "class" for name in _DTYPES},
    **{("torch._utils", name): "function" for name in _REBUILD},
    ("torch.storage", "UntypedStorage"): "class",
    ("torch.storage", "TypedStorage"): "class",
    ("torch", "Size"): "class",
    ("torch", "device"): "class",
    ("torch.nn.parameter", "Parameter"): "class",
    ("torch.serialization", "_get_layout"): "function",
}


def item_size(storage: Any) -> int | None:
    """Return the bytes per item of a storage class, or None if it is none."""
    if not isinstance(storage, Global):
        return None
    if storage.module == "torch.storage" and storage.name == "UntypedStorage":
        return 1
    if storage.module not in {"torch", "torch.cuda"} or not storage.name.endswith("Storage"):
        return None
    return _SIZES.get(storage.name.removesuffix("Storage"))
