"""ONNX: a graph of operations by domain and name; tensors may stand in files beside the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from safehold.scan import rules
from safehold.scan.protobuf import BrokenError, Field, Message, TooManyError
from safehold.scan.references import has_neighbours, is_link_outside, leads_outside, size_beside
from safehold.scan.streams import begins_like_pickle
from safehold.scan.visit import Source, Visit

# Kind of message -> field -> kind of the message in it.
_BELOW: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
}  # fmt: skip
# None begins like a pickle: the number of the first field would be one that no model has.
HEAD: Final = rb"\x80[^\x02-\x05]"
_LEAST_FIELD, _MOST_FIELD = 1, 30
_NEWEST: Final = 100
_DOMAINS: Final = frozenset(
    """
    ai.onnx ai.onnx.ml ai.onnx.training ai.onnx.preview ai.onnx.preview.training com.microsoft
    com.microsoft.nchwc com.microsoft.experimental com.ms.internal.nhwc org.pytorch.aten
    ai.onnx.contrib org.openvinotoolkit ai.graphcore com.microsoft.extensions
    com.ms.internal.nhwc ai.onnx.converters.sklearn
    """.split()
)
# Operations that call Python: of onnxruntime-training and of onnxruntime-extensions.
_PYTHON: Final = frozenset({"PythonOp", "PythonOpGrad", "PyOp", "PyCustomOp"})
_MOST_LOCATIONS: Final = 10_000


@dataclass(slots=True)
class _Model:
    """What a walk collects: operations by domain, functions of its own, external tensors."""

    nodes: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    external: dict[str, int] = field(default_factory=dict)


def read(source: Source, visit: Visit) -> str | None:
    """Check operations and external data; None for anything else."""
    if begins_like_pickle(source.data):
        return None  # the number of its first field is none of a model's
    message = Message(source.data, visit.budget)
    if not _is_model(message):
        return None
    model = _Model()
    try:
        _walk(message, model)
    except BrokenError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}")
    except TooManyError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more fields than any model needs")
    _check_nodes(source, visit, model)
    _check_external(source, visit, model)
    return "onnx"


def _is_model(message: Message) -> bool:
    """Whether the top has a version, a graph and nothing that a model does not have."""
    version = graph = False
    try:
        for part in message.fields():
            if not _LEAST_FIELD <= part.number <= _MOST_FIELD:
                return False
            if part.number == 1:
                if part.value is None or not part.value <= _NEWEST:
                    return False
                version = True
            elif part.number == 7:
                if part.value is not None:
                    return False
                graph = True
    except BrokenError:
        # Cut off behind its graph, it is still a model, if a broken one.
        return version and graph
    except TooManyError:
        return False
    return version and graph


def _walk(message: Message, model: _Model) -> None:
    waiting = [("model", 0, len(message.data))]
    while waiting:
        kind, start, stop = waiting.pop()
        below = _BELOW.get(kind, {})
        texts: dict[int, str] = {}
        outside: list[Field] = []
        for part in message.fields(start, stop):
            if part.value is not None:
                continue
            if part.number in below:
                waiting.append((below[part.number], part.start, part.stop))
            elif kind == "tensor":
                if part.number == 13:
                    outside.append(part)
            elif kind in ("node", "function") and part.number in (1, 4, 7, 10):
                texts[part.number] = message.text(part)
        if kind == "node":
            model.nodes.add((texts.get(7, ""), texts.get(4, "")))
        elif kind == "function":
            model.functions.add((texts.get(10, ""), texts.get(1, "")))
        elif outside:
            _keep_external(message, outside, model)


def _keep_external(message: Message, rows: list[Field], model: _Model) -> None:
    """Keep where a tensor's bytes stand, and up to where the file is needed."""
    found: dict[str, list[str]] = {}
    for row in rows:
        key = value = ""
        for part in message.fields(row.start, row.stop):
            if part.number == 1:
                key = message.text(part)
            elif part.number == 2:
                value = message.text(part, 4096)
        found.setdefault(key, []).append(value)
    end = sum(
        int(text) for key in ("offset", "length") for text in found.get(key, [])[-1:]
        if text.isascii() and text.isdigit() and len(text) < 20
    )  # fmt: skip
    # Loaders differ in which of two equal keys they take: each counts.
    for location in found.get("location", [""]):
        if len(model.external) < _MOST_LOCATIONS:
            model.external[location] = max(end, model.external.get(location, 0))


def _check_nodes(source: Source, visit: Visit, model: _Model) -> None:
    known = {domain for domain, _ in model.functions}
    for domain, operation in sorted(model.nodes):
        detail = {"domain": domain[:200], "operation": operation[:200]}
        if operation in _PYTHON:
            message = f"the operation {operation[:100]}, which calls Python"
            visit.note(source, rules.GRAPH_OPERATION, message, None, detail)
        elif domain and domain not in _DOMAINS and (domain, operation) not in model.functions:
            if domain in known and domain.startswith("pkg."):
                continue
            message = f"operations of {domain[:100]}, which need a library of their own"
            visit.note(source, rules.UNKNOWN_GLOBAL, message, None, detail)


def _check_external(source: Source, visit: Visit, model: _Model) -> None:
    for location, end in model.external.items():
        detail = {"location": location[:200]}
        if not location or leads_outside(location):
            message = "tensors in a file outside the model's directory"
            visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
        elif source.member is None and has_neighbours(visit):
            _check_beside(source, visit, location, end)


def _check_beside(source: Source, visit: Visit, location: str, end: int) -> None:
    detail = {"location": location[:200]}
    if is_link_outside(visit, location):
        message = "tensors in a file that is a link to outside the model's directory"
        visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
        return
    size = size_beside(visit, location)
    if size is None:
        message = "tensors in a file that is not there"
        visit.note(source, rules.UNREADABLE_STREAM, message, None, detail)
    elif size < end:
        message = "tensors that reach beyond the end of their file"
        visit.note(source, rules.UNREADABLE_STREAM, message, None, {**detail, "bytes": size})
