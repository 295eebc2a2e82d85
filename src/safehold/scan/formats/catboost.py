"""catboost's ``.cbm``: a flatbuffer with the trees and texts about them, then parts it names.

The models that it writes as JSON, ONNX, PMML and Core ML are read as such.
"""

from __future__ import annotations

from typing import Final

from safehold.scan import rules
from safehold.scan.flatbuffer import Schema, Table, TooMuchError, Walk, number, text_at
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

_MAGIC: Final = b"CBM1"
FIRSTS: Final = _MAGIC[:1]
_VERSION: Final = "FlabuffersModel_v1"
_LONG: Final = 0xFFFFFFFF
_MOST_TABLES: Final = 100_000
# Tables of features as ``catboost/libs/model/flatbuffers`` has them, by the fields that lead on.
_SCHEMA: Final[Schema] = {
    "Core": {0: "text", 1: "Trees", 2: "[Pair]", 3: "[text]"},
    "Pair": {0: "text", 1: "text"},
    "Trees": {
        1: "[4]", 2: "[4]", 3: "[4]", 4: "[Category]", 5: "[Number]", 6: "[OneHot]", 7: "[Ctr]",
        8: "[8]", 9: "[8]", 10: "[4]", 11: "[4]",
    },
    "Category": {2: "text"},
    "Number": {3: "[4]", 4: "text"},
    "OneHot": {1: "[4]", 2: "[text]"},
    "Ctr": {1: "[4]"},
}  # fmt: skip
_TABLES: Final = b"static_provider_v1"
# Parts with tokenizers and embeddings: what they hold is numbers, in a layout of their own.
_OTHERS: Final = frozenset({"text_process_v1", "text_process_v2", "embed_process_1"})


def read(source: Source, visit: Visit) -> str | None:
    """Check the places of everything in a model; None for anything else."""
    if not source.starts(_MAGIC):
        return None
    try:
        stop = _read(source, visit)
    except ValueError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}")
        return "catboost"
    except TooMuchError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more parts than any model needs")
        return "catboost"
    rest = source.data[stop:]
    if len(rest):
        message = "bytes after the end of the model"
        visit.note(source, rules.TRAILING_DATA, message, stop, {"bytes": len(rest)})
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{stop}"))
    return "catboost"


def _sized(data: Data, at: int) -> tuple[int, int]:
    """Return where bytes begin and end whose length stands at a place."""
    length, at = number(data, at, 4), at + 4
    if length == _LONG:
        length, at = number(data, at, 8), at + 8
    if length > len(data) - at:
        raise ValueError("it ends early")
    return at, at + length


def _read(source: Source, visit: Visit) -> int:
    data = source.data
    start, stop = _sized(data, len(_MAGIC))
    core = data[start:stop]
    walk = Walk(core, _SCHEMA, visit.budget)
    root: Table = walk.root("Core")
    version = root.text(0)
    if version != _VERSION:
        raise ValueError(f"a format that is not known here: {version[:40]}")
    for at in root.items(3):
        part = text_at(core, at).rstrip("\0")
        if part.encode() == _TABLES:
            stop = _skip_tables(data, stop)
        elif part in _OTHERS:
            message = "features of texts or embeddings, whose tables are not read here"
            visit.note(source, rules.UNREADABLE_STREAM, message, stop, {"part": part})
            return len(data)
        else:
            raise ValueError(f"a part that is not known here: {part[:40]}")
    return stop


def _skip_tables(data: Data, at: int) -> int:
    count, at = number(data, at, 4), at + 4
    if count > _MOST_TABLES:
        raise ValueError("more tables than any model needs")
    for _ in range(count):
        _, at = _sized(data, at)
    return at
