"""What kind of archive a zip file is by the names in it, and which of its members are code.

Loaders compile or run these: torch.jit what stands under ``code/``, torch.package every module,
TorchServe its handler, torch.export libraries that a compiler made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from safehold.scan.values import Data

_LAST: Final = re.compile(r"[^/]*\Z")
_SCRIPT: Final = re.compile(r"(?:^|/)code/.+(?<!\.debug_pkl)\Z")
# Operators that read or write files of a name that the code chooses.
_FILES: Final = re.compile(rb"\b(?:torch\.|ops\.aten\.|aten::)(save|from_file)\b")
_PROGRAMS: Final = frozenset({"torch", "torch package", "torch export", "torchserve"})
_MACH: Final = (
    b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
)  # fmt: skip


def kind_of(names: Iterable[str]) -> str:
    """Return which loader an archive is for; zip if no other can be told."""
    found = list(names)
    last = {_LAST.search(name)[0].lower() for name in found}  # type: ignore[index]
    if any(name.startswith("MAR-INF/") for name in found):
        return "torchserve"
    if last & {"data.pkl", "constants.pkl", "bytecode.pkl"}:
        return "torch"
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return "torch export"
    if last & {"extern_modules", "python_version"} and any("/.data/" in name for name in found):
        return "torch package"
    if found and all(name.endswith(".npy") for name in found):
        return "npz"
    if "schema.json" in found:
        return "skops"
    if "config.json" in found and "metadata.json" in found:
        return "keras"
    return "zip"


def code_in(kind: str, name: str, content: Data) -> str:
    """Say what code a member is, or nothing if it is none."""
    if kind not in _PROGRAMS:
        return ""
    lower = name.lower()
    if kind == "torch" and _SCRIPT.search(name):
        return "TorchScript code, compiled when loaded"
    if kind == "torch" and lower.endswith("bytecode.pkl"):
        return "TorchScript bytecode, which the mobile interpreter runs"
    if kind == "torch package" and lower.endswith(".py"):
        return "Python source, which runs when the package is loaded"
    if kind == "torchserve" and lower.endswith((".py", ".whl")):
        return "Python source, which runs when the model is served"
    return "native code, which the loader links" if is_native(content) else ""


def files_opened(kind: str, name: str, content: Data) -> str:
    """Return the first operator for files that a member's TorchScript calls, or nothing."""
    if kind != "torch" or not (_SCRIPT.search(name) or name.lower().endswith("bytecode.pkl")):
        return ""
    found = _FILES.search(content)
    return f"torch.{found.group(1).decode()}" if found else ""


def is_native(content: Data) -> bool:
    """Whether it begins like a program or library of Linux, macOS or Windows."""
    head = bytes(content[:64])
    if head.startswith((b"\x7fELF", *_MACH)):
        return True
    at = int.from_bytes(head[60:64], "little")
    return head.startswith(b"MZ") and bytes(content[at : at + 4]) == b"PE\0\0"
