"""Core ML: ``.mlmodel``, and in a ``.mlpackage`` the manifest, the model and its weights.

Layers and models of classes that the app must bring are found by their names in it, and models
and weights in other files by their paths. Fields are those of ``Model.proto``,
``NeuralNetwork.proto`` and ``MIL.proto`` of coremltools.
"""

from __future__ import annotations

from typing import Any, Final

from safehold.scan import blobs, rules
from safehold.scan.documents import LARGEST, begins, parse
from safehold.scan.protobuf import BrokenError, Message, TooManyError
from safehold.scan.references import has_neighbours, is_link_outside, leads_outside, size_beside
from safehold.scan.visit import Source, Visit

_VERSION: Final = b"\x08"
# Of a file of weights, see blobs.py; nothing else begins like a pickle, see visit.py.
HEAD: Final = rb".{4}\x02\0{59}"
_SUFFIX: Final = ".mlmodel"
_MANIFEST: Final = "Manifest.json"
_NEWEST: Final = 100
_MODEL: Final = "@model_path/"
# What a model is, of which it has one.
_TYPES: Final = frozenset(
    {
        *range(200, 203), *range(300, 305), *range(400, 405), *range(500, 503), 555, 556, 560,
        *range(600, 611), 900, *range(2000, 2007), 3000,
    }
)  # fmt: skip
_ABOUT: Final = frozenset({1, 2, 10})
# Kind of message -> field -> kind of the message in it; entries of maps have their value in 2.
_BELOW: Final = {
    "model": {
        200: "pipelines", 201: "pipelines", 202: "pipeline", 303: "network", 403: "network",
        500: "network", 502: "program", 555: "custom", 556: "linked", 3000: "serialized",
    },
    "pipelines": {1: "pipeline"},
    "pipeline": {1: "model"},
    "network": {1: "layer"},
    "layer": {500: "custom", 605: "branch", 615: "loop"},
    "branch": {1: "network", 2: "network"},
    "loop": {3: "network", 4: "network"},
    "linked": {1: "file"},
    "file": {1: "parameter", 2: "parameter"},
    "program": {2: "functions", 4: "values"},
    "functions": {2: "function"},
    "function": {3: "blocks", 4: "values"},
    "blocks": {2: "block"},
    "block": {3: "operation", 4: "values"},
    "operation": {2: "arguments", 4: "block", 5: "values"},
    "arguments": {2: "argument"},
    "argument": {1: "binding"},
    "binding": {2: "value"},
    "values": {2: "value"},
    "value": {3: "immediate", 5: "blob"},
    "immediate": {2: "rows", 3: "rows", 4: "pairs"},
    "rows": {1: "value"},
    "pairs": {1: "pair"},
    "pair": {1: "value", 2: "value"},
}  # fmt: skip
# Kind of message -> field -> what its text is.
_TEXTS: Final = {
    "custom": (10, "class"), "parameter": (1, "model"), "blob": (1, "weights"),
    "operation": (1, "operation"),
}  # fmt: skip
_MOST_NAMES: Final = 100_000
_MOST_FIELDS: Final = 2_000_000


def read(source: Source, visit: Visit) -> str | None:
    """Read a model, the manifest of a package or its weights; None for anything else."""
    if source.name.endswith(_MANIFEST):
        return _read_manifest(source, visit)
    if source.starts(_VERSION):
        return _read_model(source, visit)
    return _read_weights(source, visit) if blobs.is_stored(source.data) else None


def _read_model(source: Source, visit: Visit) -> str | None:
    message = Message(source.data, visit.budget, _MOST_FIELDS)
    called = source.name.lower().endswith(_SUFFIX)
    try:
        if not (called or _is_model(message)):
            return None
        names = _names(message)
    except BrokenError as error:
        if not called:
            return None
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}")
        return "coreml"
    except TooManyError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more fields than any model needs")
        return "coreml"
    for kind, text in sorted(names):
        _check(source, visit, kind, text)
    return "coreml"


def _is_model(message: Message) -> bool:
    """Whether the top has a version, a type, and nothing that a model does not have."""
    version = model = False
    for part in message.fields():
        if part.number == 1:
            version = part.value is not None and part.value <= _NEWEST
        elif part.number in _TYPES:
            model = part.value is None
        elif part.number not in _ABOUT:
            return False
    return version and model


def _names(message: Message) -> set[tuple[str, str]]:
    """Return what the model names: classes, operations, files."""
    found: set[tuple[str, str]] = set()
    typed = False
    waiting = [("model", 0, len(message.data))]
    while waiting:
        kind, start, stop = waiting.pop()
        below = _BELOW.get(kind, {})
        number, what = _TEXTS.get(kind, (0, ""))
        for part in message.fields(start, stop):
            typed = typed or (kind == "model" and part.number in _TYPES)
            if part.value is not None:
                continue
            if part.number in below:
                if below[part.number] == "serialized":
                    found.add(("serialized", ""))
                waiting.append((below[part.number], part.start, part.stop))
            elif part.number == number:
                found.add((what, message.text(part)))
        if len(found) > _MOST_NAMES:
            raise TooManyError
        if kind == "model" and not typed:
            raise BrokenError("it is of no type that is known here")
    return found


def _check(source: Source, visit: Visit, kind: str, text: str) -> None:
    shown = text[:200]
    if kind == "class" or (kind == "operation" and text.startswith("custom")):
        message = f"a part of the class {shown}, which the app that loads it must have"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, {"class": shown})
    elif kind == "serialized":
        message = "a model in a form that is not read here"
        visit.note(source, rules.UNREADABLE_STREAM, message)
    elif kind == "model":
        outside = any(leads_outside(one) for one in text.split(":"))
        rule = rules.OUTSIDE_FILE if outside else rules.UNREADABLE_STREAM
        where = "outside the model's directory" if outside else "of its own"
        visit.note(source, rule, f"a linked model in a file {where}", None, {"path": shown})
    elif kind == "weights":
        _check_weights(source, visit, text)


def _check_weights(source: Source, visit: Visit, text: str) -> None:
    detail = {"path": text[:200]}
    path = text.removeprefix(_MODEL)
    message = "weights in a file outside the model's directory"
    if leads_outside(path) or not path:
        visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
    elif source.member is None and has_neighbours(visit):
        if is_link_outside(visit, path):
            visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
        elif size_beside(visit, path) is None:
            message = "weights in a file that is not there"
            visit.note(source, rules.UNREADABLE_STREAM, message, None, detail)


def _read_manifest(source: Source, visit: Visit) -> str | None:
    """Check the paths of the parts of a package."""
    data = source.data
    if not begins(data, b"{") or len(data) > LARGEST:
        return None
    tree: Any = parse(data, visit)
    entries = tree.get("itemInfoEntries") if isinstance(tree, dict) else None
    if not isinstance(entries, dict):
        return None
    for entry in entries.values():
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str) and leads_outside(path):
            message = "a part of the package outside its directory"
            visit.note(source, rules.OUTSIDE_FILE, message, None, {"path": path[:200]})
    return "coreml package"


def _read_weights(source: Source, visit: Visit) -> str:
    data = source.data
    try:
        end = blobs.end_of(data)
    except blobs.BrokenError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the weights are broken: {error}")
        return "coreml weights"
    rest = data[end:]
    if len(rest) > 64 or bytes(rest).strip(b"\0"):
        message = "bytes after the last of the weights"
        visit.note(source, rules.TRAILING_DATA, message, end, {"bytes": len(rest)})
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{end}"))
    return "coreml weights"
