"""Nodes of a TensorFlow graph: which operations it has, and what paths they are given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from safehold.scan.operations import HOSTILE, OTHERS, PRINTS, READS, RESTORES, SAVES
from safehold.scan.protobuf import BrokenError, Field, Message
from safehold.scan.references import leads_outside

_OPERATION: Final = re.compile(rb"_?[A-Z][A-Za-z0-9_>.]*")
_PASSES_ON: Final = frozenset({"Identity", "PlaceholderWithDefault", "StopGradient", "Reshape"})
_GIVEN: Final = frozenset({"Placeholder", "_Arg", "_Retval", "VarHandleOp", "PlaceholderV2"})
_LONGEST_CHAIN: Final = 16
_LONGEST_PATH: Final = 4096

Kind = Literal["hostile", "unknown"]


class Fault(NamedTuple):
    """An operation that reaches beyond the graph, and how sure it is that it means harm."""

    kind: Kind
    operation: str
    why: str
    path: str = ""


@dataclass(slots=True)
class _Node:
    operation: str
    # Where its first input comes from.
    source: str | None = None
    strings: tuple[str, ...] = ()


def is_operation(name: bytes) -> bool:
    """Whether bytes are the name of an operation."""
    return _OPERATION.fullmatch(name) is not None


def check_graph(message: Message, start: int, stop: int) -> tuple[int, list[Fault]]:
    """Return how many nodes a GraphDef has, its functions included, and what is wrong."""
    count = 0
    faults: list[Fault] = []
    nodes: dict[str, _Node] = {}
    for part in message.fields(start, stop):
        if part.number == 1:
            _add(message, part, nodes)
        elif part.number == 2 and part.value is None:
            for row in message.fields(part.start, part.stop):
                if row.number == 1 and row.value is None:
                    more, found = _check_function(message, row)
                    count += more
                    faults.extend(found)
    faults.extend(_judge(nodes))
    return count + len(nodes), faults


def _check_function(message: Message, function: Field) -> tuple[int, list[Fault]]:
    nodes: dict[str, _Node] = {}
    for part in message.fields(function.start, function.stop):
        if part.number == 3:
            _add(message, part, nodes)
    return len(nodes), list(_judge(nodes))


def _add(message: Message, part: Field, nodes: dict[str, _Node]) -> None:
    """Keep one NodeDef. A name that stands twice hides neither of its nodes."""
    if part.value is not None:
        raise BrokenError("a node that is none")
    name, node = "", _Node("")
    attributes: list[Field] = []
    for row in message.fields(part.start, part.stop):
        if row.number == 1:
            name = message.text(row)
        elif row.number == 2:
            node.operation = message.text(row)
        elif row.number == 3:
            if node.source is None:
                node.source = message.text(row).lstrip("^").split(":", 1)[0]
        elif row.number == 5 and row.value is None:
            attributes.append(row)
    if node.operation in ("Const", PRINTS, "TextLineReader"):
        found = (text for row in attributes for text in _strings(message, row))
        node.strings = tuple(found)
    if name in nodes:
        name = f"{name}\0{len(nodes)}"  # a million equal names must not take a million steps each
    while name in nodes:
        name += "'"
    nodes[name] = node


def _strings(message: Message, attribute: Field) -> Iterator[str]:
    """Yield texts of an attribute: its own, those of its list, and those of its tensor."""
    for entry in message.fields(attribute.start, attribute.stop):
        if entry.number != 2 or entry.value is not None:
            continue
        for value in message.fields(entry.start, entry.stop):
            if value.number == 2 and value.value is None:
                yield message.text(value, _LONGEST_PATH)
            elif value.number == 8 and value.value is None:
                for row in message.fields(value.start, value.stop):
                    if row.number == 8:
                        yield message.text(row, _LONGEST_PATH)


def _judge(nodes: dict[str, _Node]) -> Iterator[Fault]:
    for node in nodes.values():
        operation = node.operation
        if operation in HOSTILE:
            yield Fault("hostile", operation, HOSTILE[operation], _path(nodes, node)[1][:200])
        elif operation in OTHERS:
            yield Fault("unknown", operation, "reads or writes files")
        elif operation in READS:
            yield _judge_read(nodes, node)
        elif operation in SAVES or operation in RESTORES:
            origin, path = _path(nodes, node)
            if origin == "fixed" and leads_outside(path):
                kind: Kind = "hostile" if operation in SAVES else "unknown"
                yield Fault(kind, operation, "opens a file outside the model", path[:200])
        elif operation == PRINTS and any(
            text.startswith("file:") or "://" in text for text in node.strings
        ):
            yield Fault("hostile", operation, "prints into a file")


def _judge_read(nodes: dict[str, _Node], node: _Node) -> Fault:
    origin, path = _path(nodes, node)
    if origin == "given":
        return Fault("unknown", node.operation, "reads the files that its caller names")
    if origin == "fixed" and not leads_outside(path):
        return Fault("unknown", node.operation, "reads a file", path[:200])
    return Fault("hostile", node.operation, "reads files of the machine", path[:200])


def _path(nodes: dict[str, _Node], node: _Node) -> tuple[Literal["given", "fixed", "made"], str]:
    """Return where the first input of a node comes from, and its text if that is fixed."""
    for _ in range(_LONGEST_CHAIN):
        if node.source is None:
            return "made", ""
        source = nodes.get(node.source)
        if source is None or source.operation in _GIVEN:
            return "given", ""
        if source.operation == "Const":
            outside = [text for text in source.strings if leads_outside(text)]
            return "fixed", (outside or source.strings or [""])[0]
        if source.operation not in _PASSES_ON:
            return "made", ""
        node = source
    return "made", ""
