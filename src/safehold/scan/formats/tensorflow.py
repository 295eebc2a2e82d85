"""TensorFlow: SavedModel, frozen graphs and meta graphs, Keras's notes beside them, TFLite.

The bytes have no magic, so a file is one of these if its first fields are, whatever its name.
"""

from __future__ import annotations

import re
from typing import Final

from safehold.scan import rules
from safehold.scan.configuration import check_text
from safehold.scan.flatbuffer import operators
from safehold.scan.graphs import Fault, check_graph, is_operation
from safehold.scan.operations import HOSTILE, OTHERS, PRINTS, READS
from safehold.scan.protobuf import BrokenError, Field, Message, TooManyError
from safehold.scan.references import leads_outside
from safehold.scan.searching import search
from safehold.scan.streams import begins_like_pickle
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

_SAVED: Final = "saved_model.pb"
_NOTES: Final = "keras_metadata.pb"
_TEXT: Final = ".pbtxt"
ENDS_TOO: Final = (_SAVED, _NOTES, _TEXT)
_RULES: Final = {"hostile": rules.GRAPH_OPERATION, "unknown": rules.UNKNOWN_GLOBAL}
_MOST_TRIED: Final = 66
_LONGEST_NOTE: Final = 16 * 2**20
# Text format: adjacent strings are one, and characters may be written as numbers.
_TEXT_NODE: Final = re.compile(
    rb"\b(?:node|node_def|meta_graphs|graph_def|library)\s*(?::\s*)?[{<]"
)
_TEXT_OPERATION: Final = re.compile(rb"\bop\s*:\s*(?=[\"'])")
# A piece of a string, of bounded length: what repeats without bound takes memory for each step.
_TEXT_STRING: Final = re.compile(
    rb"""\s*(?:"((?:[^"\\\n]|\\.){0,500})"|'((?:[^'\\\n]|\\.){0,500})')"""
)
_TEXT_OPENS: Final = re.compile(rb"\s*[\"']")
_MOST_STRINGS: Final = 100
_CLASS_NAME: Final = re.compile(b"class_name")
_TEXT_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")


def _tags(wire: int, first: int) -> bytes:
    """Return a pattern of tags of one type: of the fields from a number on, or of two bytes."""
    one = b"".join(b"\\x%02x" % (number << 3 | wire) for number in range(first, 16))
    two = b"".join(b"\\x%02x" % (0x80 | number << 3 | wire) for number in range(16))
    return b"(?:[%b]|[%b][\x01-\x7f])" % (one, two)


# Fields other than 1 and 2 up to one that is none, as most pickles begin: no graph follows.
_BROKEN: Final = b"(?:%b[\x80-\xff]{0,9}[\x00-\x7f]|%b.{8}|%b.{4}){0,32}+(?:[\x00-\x07]|%b|%b)" % (
    _tags(0, 3),
    _tags(1, 3),
    _tags(5, 3),
    _tags(6, 3),
    _tags(7, 3),
)
_BREAKS: Final = re.compile(_BROKEN, re.DOTALL)
# And TFLite.
HEAD: Final = b".{4}TFL3|(?!%b)" % _BROKEN


def fits(data: Data) -> bool:
    """Whether bytes that begin as a file of this format are one, if they begin like a pickle."""
    if data[4:8] == b"TFL3" or not begins_like_pickle(data):
        return True
    return _is_graph(Message(data), 0, len(data))


def read(source: Source, visit: Visit) -> str | None:
    """Check the operations of a graph; None for anything else."""
    name = source.name.rsplit("/", 1)[-1].lower()
    if bytes(source.data[4:8]) == b"TFL3":
        return _read_lite(source, visit)
    if name.endswith(_TEXT):
        return _read_text(source, visit)
    expected = name in (_SAVED, _NOTES)
    if not expected and begins_like_pickle(source.data) and _BREAKS.match(source.data):
        return None
    message = Message(source.data, visit.budget)
    try:
        # Keras finds its notes by their name; most files that begin like a pickle are one.
        notes = not begins_like_pickle(source.data) and _begins_with(message, (1, 4), b"_tf_keras")
        if name == _NOTES or notes:
            return _read_notes(source, visit, message)
        roots = _roots(message)
        if roots:
            _check(source, visit, message, roots)
            return "tensorflow"
    except BrokenError as error:
        if expected:
            visit.note(source, rules.UNREADABLE_STREAM, f"the graph is broken: {error}")
    except TooManyError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more fields than any model needs")
        return "tensorflow"
    else:
        if expected:
            visit.note(source, rules.UNREADABLE_STREAM, "no graph, though the name says so")
    return "tensorflow" if expected else None


def _begins_with(message: Message, path: tuple[int, ...], text: bytes) -> bool:
    """Whether the first message has a field, reached by numbers, that begins with a text."""
    start, stop = 0, len(message.data)
    try:
        for number in path:
            found = _first(message, start, stop, number)
            if found is None or found.value is not None:
                return False
            start, stop = found.start, found.stop
    except (BrokenError, TooManyError):
        return False
    return bytes(message.data[start : min(stop, start + len(text))]) == text


def _first(message: Message, start: int, stop: int, number: int) -> Field | None:
    return message.first(number, start, stop, _MOST_TRIED)


def _roots(message: Message) -> list[tuple[str, int, int]]:
    """Return the GraphDefs and the other parts worth reading: (kind, start, stop)."""
    whole = (0, len(message.data))
    if _is_graph(message, *whole):
        return [("graph", *whole)]
    if begins_like_pickle(message.data):
        return []  # the number of its first field is none of the other kinds
    found: list[tuple[str, int, int]] = []
    for part in message.fields():
        if part.value is None and part.number == 2:
            if _is_graph(message, part.start, part.stop):  # of a MetaGraphDef
                return [("meta", *whole)]
            if _is_meta(message, part.start, part.stop):
                found.append(("meta", part.start, part.stop))
        elif part.number > 16 and not found:
            return []
    return found


def _is_meta(message: Message, start: int, stop: int) -> bool:
    try:
        graph = _first(message, start, stop, 2)
    except BrokenError:
        return False
    return graph is not None and _is_graph(message, graph.start, graph.stop)


def _is_graph(message: Message, start: int, stop: int) -> bool:
    """Whether a message begins with a node, or with a library whose functions have nodes."""
    try:
        node = _first(message, start, stop, 1)
        if node is None or node.value is not None:
            return _is_library(message, start, stop)
        operation = _first(message, node.start, node.stop, 2)
        named = _first(message, node.start, node.stop, 1)
    except BrokenError:
        return False
    return (
        operation is not None
        and named is not None
        and operation.value is None
        and is_operation(message.bytes_of(operation, 200))
    )


def _is_library(message: Message, start: int, stop: int) -> bool:
    place: tuple[int, int] | None = (start, stop)
    for number in (2, 1, 3, 2):
        found = _first(message, *place, number) if place else None
        if found is None or found.value is not None:
            return False
        place = (found.start, found.stop)
    return is_operation(bytes(message.data[place[0] : place[1]][:200])) if place else False


def _check(
    source: Source, visit: Visit, message: Message, roots: list[tuple[str, int, int]]
) -> None:
    for kind, start, stop in roots:
        try:
            if kind == "graph":
                _report(source, visit, check_graph(message, start, stop)[1])
            else:
                _check_meta(source, visit, message, start, stop)
        except BrokenError as error:
            visit.note(source, rules.UNREADABLE_STREAM, f"the graph is broken: {error}")


def _check_meta(source: Source, visit: Visit, message: Message, start: int, stop: int) -> None:
    """Read a MetaGraphDef: its graph, the names of its assets, and Keras's notes on objects."""
    for part in message.fields(start, stop):
        if part.value is not None:
            continue
        if part.number == 2:
            _report(source, visit, check_graph(message, part.start, part.stop)[1])
        elif part.number == 6:
            _check_asset(source, visit, message, part)
        elif part.number == 7:
            _check_objects(source, visit, message, part)


def _check_asset(source: Source, visit: Visit, message: Message, asset: Field) -> None:
    for row in message.fields(asset.start, asset.stop):
        if row.number == 2 and leads_outside(message.text(row)):
            detail = {"path": message.text(row)[:200]}
            visit.note(source, rules.OUTSIDE_FILE, "an asset outside the model", None, detail)


def _check_objects(source: Source, visit: Visit, message: Message, graph: Field) -> None:
    """Look at the user objects of a SavedObjectGraph; older Keras keeps its layers there."""
    for node in message.fields(graph.start, graph.stop):
        if node.number != 1 or node.value is not None:
            continue
        for row in message.fields(node.start, node.stop):
            if row.number == 4 and row.value is None:
                _check_notes(source, visit, message, row, 3)


def _read_notes(source: Source, visit: Visit, message: Message) -> str:
    """Read ``keras_metadata.pb``: a list of objects with their configuration as JSON."""
    for part in message.fields():
        if part.number == 1 and part.value is None:
            _check_notes(source, visit, message, part, 5)
    return "tensorflow"


def _check_notes(source: Source, visit: Visit, message: Message, part: Field, number: int) -> None:
    for row in message.fields(part.start, part.stop):
        if row.number == number and row.value is None and row.stop > row.start:
            check_text(source, visit, message.bytes_of(row, _LONGEST_NOTE))


def _report(source: Source, visit: Visit, faults: list[Fault]) -> None:
    for fault in faults:
        detail = {"operation": fault.operation}
        if fault.path:
            detail["path"] = fault.path
        message = f"the operation {fault.operation}, which {fault.why}"[:200]
        visit.note(source, _RULES[fault.kind], message, None, detail)


def _read_text(source: Source, visit: Visit) -> str | None:
    """Look for operations in the text format, as far as their names go."""
    if not _TEXT_NODE.search(source.data):
        return None
    for found in _TEXT_OPERATION.finditer(source.data):
        name, whole = _quoted(source.data, found.end())
        if not whole:
            message = "the name of an operation is longer than any, or does not end"
            visit.note(source, rules.LIMIT_EXCEEDED, message, found.start())
        if name in HOSTILE or name in READS or name in OTHERS or name == PRINTS:
            why = HOSTILE.get(name, "may read or write files")
            fault = Fault("hostile" if name in HOSTILE else "unknown", name, why)
            _report(source, visit, [fault])
    if search(_CLASS_NAME, source.data, visit.budget):
        message = "notes of Keras in a text, which are not read here"
        visit.note(source, rules.UNREADABLE_STREAM, message)
    return "tensorflow"


def _quoted(data: Data, at: int) -> tuple[str, bool]:
    """Return what strings in a row say together, and whether these are all of them."""
    parts: list[bytes] = []
    while len(parts) < _MOST_STRINGS:
        found = _TEXT_STRING.match(data, at)
        if found is None:
            break
        parts.append(found[1] or found[2] or b"")
        at = found.end()
    joined = _TEXT_ESCAPE.sub(
        lambda found: bytes([int(found[1], 16) if found[1] else int(found[2], 8) & 255]),
        b"".join(parts),
    )
    return joined.decode("utf-8", "backslashreplace"), not _TEXT_OPENS.match(data, at)


def _read_lite(source: Source, visit: Visit) -> str:
    """Read which operators a TFLite model has; "Flex" ones are TensorFlow's own."""
    try:
        names = operators(source.data)
    except (IndexError, ValueError) as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}"[:200])
        return "tflite"
    for name in names:
        operation = name.removeprefix("Flex")
        if operation == name:
            continue
        if operation in HOSTILE:
            fault = Fault("hostile", operation, HOSTILE[operation])
        elif operation in READS or operation in OTHERS or operation == PRINTS:
            fault = Fault("hostile", operation, "reaches files of the machine")
        else:
            continue
        _report(source, visit, [fault])
    return "tflite"
