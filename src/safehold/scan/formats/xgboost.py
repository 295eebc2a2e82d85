"""xgboost: models as JSON, as UBJSON and in the binary format before these.

All three are data: names, numbers and texts. What a loader does with them is in xgboost's own
code, which takes no file or function of theirs, so what counts is that they are whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from safehold.scan import rules, ubjson, walking
from safehold.scan.boosters import BrokenError, read_binary
from safehold.scan.documents import LARGEST, as_utf8, opens, parse
from safehold.scan.visit import Source, Visit

# A model, or all of a booster: its configuration and the model.
_FIRST_KEYS: Final = rb"learner|version|Config|Model"
_JSON: Final = re.compile(rb'\s*\{\s*"(?:%b)"\s*:' % _FIRST_KEYS)
_UBJSON: Final = re.compile(rb"\{L\x00{7}[\x05-\x07](?:%b)[{\[]" % _FIRST_KEYS)
_BINARY: Final = re.compile(
    rb"(?:binf)?[\x00-\xff]{136}[\x03-\x40]\x00{7}[a-z0-9:_-]{3,64}"
    rb"[\x04-\x08]\x00{7}(?:gbtree|dart|gblinear)"
)
HEAD: Final = _BINARY.pattern
_MAGIC: Final = b"binf"
_BOOSTERS: Final = frozenset({"gbtree", "dart", "gblinear"})


def read(source: Source, visit: Visit) -> str | None:
    """Read a model to its end; None for anything else."""
    data = source.data
    if source.starts(b"{L"):
        return _read_ubjson(source, visit) if _UBJSON.match(data) else None
    if (source.wanted or source.starts(_MAGIC)) and _BINARY.match(data):
        return _read_binary(source, visit)
    if not opens(data):  # or any bytes with zeros would be decoded to their end
        return None
    return _read_json(source, visit) if _JSON.match(as_utf8(data)) else None


def _read_json(source: Source, visit: Visit) -> str | None:
    if len(source.data) > LARGEST:
        return _walk_json(source, visit)
    tree: Any = parse(source.data, visit)
    if tree is None:
        visit.note(source, rules.UNREADABLE_STREAM, "a model that is no JSON")
        return "xgboost"
    return _check(source, visit, tree)


def _walk_json(source: Source, visit: Visit) -> str | None:
    """Walk what is too large for a tree, unless text.py does: there other keys count as well."""
    if source.wanted:
        return "xgboost"
    try:
        top = walking.walk(source.data, budget=visit.budget)
    except walking.BrokenError as error:
        message = f"a model that is no JSON: {error}"
        visit.note(source, rules.UNREADABLE_STREAM, message, error.offset)
    except walking.TooMuchError as error:
        message = f"a model larger than is read here: {error}"
        visit.note(source, rules.LIMIT_EXCEEDED, message)
    else:
        if not {"learner", "version"} <= top and not {"Config", "Model"} <= top:
            return None
    return "xgboost"


def _read_ubjson(source: Source, visit: Visit) -> str | None:
    try:
        tree, stop = ubjson.read(source.data, visit.budget)
    except ubjson.BrokenError as error:
        message = f"the model is broken: {error}"
        visit.note(source, rules.UNREADABLE_STREAM, message, error.offset)
        return "xgboost"
    except ubjson.TooMuchError:
        visit.note(source, rules.LIMIT_EXCEEDED, "more values than any model needs")
        return "xgboost"
    found = _check(source, visit, tree)
    _check_end(source, visit, stop)
    return found


def _read_binary(source: Source, visit: Visit) -> str:
    try:
        start = len(_MAGIC) if source.starts(_MAGIC) else 0
        stop = read_binary(source.data, start, visit.budget)
    except BrokenError as error:
        visit.note(source, rules.UNREADABLE_STREAM, f"the model is broken: {error}")
        return "xgboost"
    _check_end(source, visit, stop)
    return "xgboost"


def _check_end(source: Source, visit: Visit, stop: int) -> None:
    """Bytes that xgboost leaves unread, and another loader may not."""
    rest = source.data[stop:]
    if len(rest):
        detail = {"bytes": len(rest)}
        visit.note(source, rules.TRAILING_DATA, "bytes after the end of the model", stop, detail)
        visit.scan(source.inner(rest, "", f"{source.member or ''}@{stop}"))


def _check(source: Source, visit: Visit, tree: Any) -> str | None:
    """Say what a model lacks; None if it is none."""
    model = tree
    if isinstance(tree, Mapping) and "Model" in tree and "Config" in tree:
        model = tree["Model"]
    learner = _at(model, "learner")
    if not isinstance(learner, Mapping):
        return None
    lacking = [
        name for name in ("gradient_booster", "learner_model_param", "objective")
        if not isinstance(learner.get(name), Mapping)
    ]  # fmt: skip
    if "version" not in model and "generic_param" in learner:
        return "xgboost"  # a configuration alone
    if "version" not in model:
        lacking.append("version")
    name = _at(learner, "gradient_booster", "name")
    if name not in _BOOSTERS:
        lacking.append("the name of a booster that is known here")
    if lacking:
        message = f"a model without {', '.join(lacking)}"
        visit.note(source, rules.UNREADABLE_STREAM, message, None, {"booster": str(name)[:100]})
    return "xgboost"


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
