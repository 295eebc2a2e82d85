"""Programs of PyTorch as flatbuffers: ExecuTorch's ``.pte``, and what the mobile interpreter runs.

Schemas: ``schema/program.fbs`` of ExecuTorch, ``mobile_bytecode.fbs`` of PyTorch.
"""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import rules
from safehold.scan.archives import is_native
from safehold.scan.flatbuffer import Schema, Table, TooMuchError, Walk, number
from safehold.scan.visit import Source, Visit

_EXECUTORCH: Final = re.compile(rb"ET\d\d")
_MOBILE: Final = b"PTMF"
HEAD: Final = rb".{4}(?:ET\d\d|PTMF)"
_FILES: Final = re.compile(r"aten::(?:save|from_file)")
_CALLS: Final = re.compile(rb"\b(?:torch\.|ops\.aten\.|aten::)(save|from_file)\b")
# Backends that are part of ExecuTorch and take their blob for data.
_BACKENDS: Final = frozenset(
    """
    XnnpackBackend CoreMLBackend MPSBackend VulkanBackend QnnBackend NeuropilotBackend EthosUBackend
    ArmBackend TOSABackend VgfBackend OpenvinoBackend EnnBackend CadenceBackend NXPBackend
    MLXBackend
    """.split()
)
# These write the blob to a file and link it.
_LINKED: Final = frozenset({"CudaBackend", "AotiBackend", "MetalBackend"})

_PROGRAM: Final[Schema] = {
    "Program": {
        1: "[Plan]", 2: "[Buffer]", 3: "[Buffer]", 4: "[Segment]", 5: "Offsets", 6: "[Offsets]",
        7: "[Named]",
    },
    "Plan": {
        0: "text", 1: "Container", 2: "[Value]", 3: "[4]", 4: "[4]", 5: "[Chain]", 6: "[Operator]",
        7: "[Delegate]", 8: "[8]", 9: "[Nothing]",
    },
    "Container": {0: "text", 1: "text"},
    "Nothing": {},
    "Value": {1: "?Values"},
    "Values": (
        "", "Nothing", "Nothing", "Nothing", "Nothing", "Tensor", "Text", "Longs", "Longs", "Bytes",
        "Ints", "Ints",
    ),
    "Tensor": {2: "[4]", 3: "[1]", 6: "Nothing", 9: "Extra"},
    "Extra": {1: "text"},
    "Text": {0: "text"},
    "Longs": {0: "[8]"},
    "Bytes": {0: "[1]"},
    "Ints": {0: "[4]"},
    "Chain": {0: "[4]", 1: "[4]", 2: "[Instruction]", 3: "[Frames]"},
    "Instruction": {1: "?Calls"},
    "Calls": ("", "Call", "Call", "Nothing", "Nothing", "Nothing"),
    "Call": {1: "[4]"},
    "Frames": {0: "[Frame]"},
    "Frame": {0: "text", 2: "text", 3: "text"},
    "Operator": {0: "text", 1: "text"},
    "Delegate": {0: "text", 1: "Nothing", 2: "[Spec]"},
    "Spec": {0: "text", 1: "[1]"},
    "Buffer": {0: "[1]"},
    "Segment": {},
    "Offsets": {1: "[8]"},
    "Named": {0: "text"},
}  # fmt: skip
_MODULE: Final[Schema] = {
    "Module": {
        1: "[File]", 2: "[4]", 4: "[Value]", 6: "[Storage]", 7: "[Type]", 8: "[File]", 9: "[4]",
    },
    "File": {0: "text", 1: "text"},
    "Value": {1: "?Values"},
    "Values": (
        "", "=8", "=1", "=8", "=16", "Tensor", "Text", "List", "Items", "Dict", "Object", "Longs",
        "Longs", "Bytes", "Text", "Enum", "Function",
    ),
    "Tensor": {3: "[4]", 4: "[4]", 6: "Quantized"},
    "Quantized": {3: "Tensor", 4: "Tensor"},
    "Text": {0: "text"},
    "List": {0: "[4]", 1: "text"},
    "Items": {0: "[4]"},
    "Dict": {0: "[4]", 1: "[4]", 2: "text"},
    "Object": {2: "[4]"},
    "Longs": {0: "[8]"},
    "Bytes": {0: "[1]"},
    "Enum": {0: "text"},
    "Function": {
        0: "text", 1: "[8]", 2: "[Operator]", 3: "[4]", 4: "[text]", 6: "Signature", 7: "Debug",
    },
    "Operator": {0: "text", 1: "text"},
    "Signature": {0: "[Argument]", 1: "[Argument]"},
    "Argument": {0: "text", 1: "text"},
    "Debug": {0: "[8]"},
    "Storage": {0: "[1]"},
    "Type": {0: "text", 2: "[text]"},
}  # fmt: skip
_FUNCTION: Final = 16
# So many bytes of code are searched in a step of the budget.
_TOGETHER: Final = 100


def read(source: Source, visit: Visit) -> str | None:
    """Check the places of everything, and what operators and backends do; None for others."""
    kind = bytes(source.data[4:8])
    if kind != _MOBILE and not _EXECUTORCH.fullmatch(kind):
        return None
    name = "torch mobile" if kind == _MOBILE else "executorch"
    try:
        stop = _read_module(source, visit) if kind == _MOBILE else _read_program(source, visit)
    except ValueError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the program is broken: {error}")
        return name
    except TooMuchError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more parts than any program needs")
        return name
    rest = source.data[stop:]
    if bytes(rest).strip(b"\0"):
        message = "bytes after the end of the program"
        visit.note(source, rules.TRAILING_DATA, message, stop, {"bytes": len(rest)})
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{stop}"))
    return name


def _read_program(source: Source, visit: Visit) -> int:
    data = source.data
    base = size = len(data)
    if bytes(data[8:12]) == b"eh00":
        size, base = number(data, 16, 8), number(data, 24, 8)
        if size > len(data) or base > len(data):
            raise ValueError("it ends early")
    walk = Walk(data[:size], _PROGRAM, visit.budget)
    program = walk.root("Program")
    stop = max(walk.end, size if size < len(data) else 0)
    for segment in program.tables(4):
        start, length = base + segment.value(0, 8), segment.value(1, 8)
        if start + length > len(data):
            raise ValueError("a segment outside the file")
        stop = max(stop, start + length)
        if is_native(data[start : start + length]):
            visit.note(source, rules.EMBEDDED_CODE, "native code, which a backend links", start)
    for plan in program.tables(1):
        for operator in plan.tables(6):
            _check_operator(source, visit, operator)
        for delegate in plan.tables(7):
            _check_delegate(source, visit, delegate.text(0))
    return stop


def _check_operator(source: Source, visit: Visit, operator: Table) -> None:
    name = operator.text(0)
    if _FILES.fullmatch(name):
        message = f"the operator {name}, which reads or writes files of any name"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": name})


def _check_delegate(source: Source, visit: Visit, name: str) -> None:
    detail = {"backend": name[:200]}
    if name in _LINKED:
        message = f"a part for {name}, which writes it to a file and links it"
        visit.note(source, rules.EMBEDDED_CODE, message, None, detail)
    elif name not in _BACKENDS:
        message = f"a part for {name[:100]}, a backend that is not known here"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, detail)


def _read_module(source: Source, visit: Visit) -> int:
    walk = Walk(source.data, _MODULE, visit.budget)
    module = walk.root("Module")
    for value in module.tables(4):
        if value.value(0, 1) == _FUNCTION:
            message = "TorchScript bytecode, which the mobile interpreter runs"
            visit.note(source, rules.EMBEDDED_CODE, message)
            target = value.target(1)
            if target is not None:
                for operator in Table(source.data, target, visit.budget).tables(2):
                    _check_operator(source, visit, operator)
    if any(True for _ in module.tables(8)):
        visit.note(source, rules.EMBEDDED_CODE, "TorchScript code, compiled when loaded")
    for code in module.tables(8):
        at = code.target(1)
        if at is None:
            continue
        size = number(source.data, at, 4)
        visit.budget.spend(size // _TOGETHER)
        found = _CALLS.search(source.data, at, at + size)
        if found:
            name = f"torch.{found[1].decode()}"
            message = f"TorchScript that calls {name}, which reads or writes files of any name"
            visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": name})
    for file in module.tables(1):
        at = file.target(1)
        if at is not None:
            content = source.data[at + 4 : at + 4 + number(source.data, at, 4)]
            if visit.count_member(source) and visit.admit(source, len(content)):
                visit.scan(
                    source.inner(content, file.text(0), f"{source.member or ''}!{file.text(0)}")
                )
    return walk.end
