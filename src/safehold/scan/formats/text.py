"""JSON: read in full where an artifact is expected; elsewhere searched for keys that run code.

jsonpickle makes the objects that ``py/`` keys name, transformers loads the code that ``auto_map``
names and renders ``chat_template``, hydra calls what ``_target_`` names.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from safehold import dangers
from safehold.scan import rules, walking
from safehold.scan.documents import FIRSTS, LARGEST, Keys, as_utf8, begins, opens, parse
from safehold.scan.templates import check_template
from safehold.scan.visit import Source, Visit

__all__ = ["FIRSTS", "read"]

_PICKLED: Final = frozenset(
    """
    py/object py/reduce py/type py/function py/repr py/newargs py/newargsex py/initargs py/newobj
    py/class py/mod py/method py/property py/iterator py/error
    """.split()
)
_NAMES: Final = frozenset("py/object py/type py/function py/class py/mod py/method".split())
_TEMPLATE, _CODE, _TARGET = "chat_template", ("auto_map", "custom_pipelines"), "_target_"
_KEYS: Final = Keys(*sorted(_PICKLED), _TEMPLATE, *_CODE, _TARGET)
_WATCHED: Final = frozenset({_TEMPLATE, *_CODE, _TARGET})
# What makes a tree the configuration of a model for Keras.
_KERAS: Final = frozenset({"class_name", "config"})
_MOST_TEXTS: Final = 1000
_MOST_PAIRS: Final = 1_000_000
_HEAD: Final = 64


def read(source: Source, visit: Visit) -> str | None:
    """Read JSON that is wanted, or has one of the keys; None otherwise."""
    data = source.data
    suspect = _KEYS.may_be_in(data)
    if not (source.wanted or suspect) or not begins(as_utf8(data), b"{", b"["):
        return None
    if len(data) > LARGEST:
        return _read_large(source, visit, suspect=suspect) if opens(data) else None
    pairs: list[tuple[str, Any]] = []
    if parse(data, visit, partial(_keep, pairs, suspect)) is None:
        return None
    before = len(visit.findings)
    _check(source, visit, pairs)
    return "json" if source.wanted or len(visit.findings) > before else None


def _keep(pairs: list[tuple[str, Any]], suspect: bool, row: list[tuple[str, Any]]) -> Any:  # noqa: FBT001  bound by partial
    """Keep the pairs of an object that count; the object itself if one of its keys may."""
    pairs.extend(pair for pair in row if pair[0].startswith("py/") or pair[0] in _WATCHED)
    return dict(row) if suspect else {}


def _read_large(source: Source, visit: Visit, *, suspect: bool) -> str | None:
    """Walk a document too large for a tree, and read the values of its keys that count."""
    pairs: list[tuple[str, Any]] = []
    data = source.data

    def see(key: str, start: int, stop: int) -> None:
        if stop - start > LARGEST or len(pairs) > _MOST_PAIRS:
            raise walking.TooMuchError(f"with much under {key[:100]}")
        row = b'{"x": %b}' % bytes(data[start:stop])
        found = json.loads(row, object_pairs_hook=partial(_keep, pairs, suspect))
        _keep(pairs, suspect, [(key, found["x"])])

    before = len(visit.findings)
    try:
        top = walking.walk(data, see if suspect else None, _WATCHED | {"py/"}, visit.budget)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecursionError):
            visit.depends()
        offset = getattr(error, "offset", None)
        if not suspect and offset is not None and offset < _HEAD:
            return None  # no more than a bracket
        message = f"no JSON, though it begins like it: {error}"
        visit.note(source, rules.UNREADABLE_STREAM, message, offset)
    except walking.TooMuchError as error:
        message = f"a document larger than is read here: {error}"
        visit.note(source, rules.LIMIT_EXCEEDED, message)
    else:
        if top >= _KERAS:
            message = "a configuration larger than any model needs"
            visit.note(source, rules.LIMIT_EXCEEDED, message)
    _check(source, visit, pairs)
    return "json" if source.wanted or len(visit.findings) > before else None


def _check(source: Source, visit: Visit, pairs: list[tuple[str, Any]]) -> None:
    rebuilt = sorted({key for key, _ in pairs if key.startswith("py/")})
    for key, value in pairs:
        if key in _NAMES or key == _TARGET:
            _check_name(source, visit, value)
        elif key == "py/repr":
            message = "text that jsonpickle evaluates"
            visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"text": str(value)[:200]})
        elif key == _TEMPLATE:
            for text in _texts(value):
                check_template(source, visit, text, "the chat template")
        elif key in _CODE and value:
            message = f"names code of its own in {key}, which loaders run if they are told to"
            detail = {key: [text[:200] for text in _texts(value)][:20]}
            visit.note(source, rules.EMBEDDED_CODE, message, None, detail)
    if rebuilt:
        message = "names Python objects, which jsonpickle makes when it reads the file"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, {"keys": rebuilt[:20]})


def _check_name(source: Source, visit: Visit, value: Any) -> None:
    if not isinstance(value, str):
        return
    module, _, name = value.rpartition(".")
    danger = dangers.lookup(module or "builtins", name)
    if danger is None:
        danger = dangers.lookup(value, "call")
    if danger is not None:
        dotted = value[:200]
        message = f"names {dotted}, which {danger.why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": dotted})


def _texts(value: Any) -> list[str]:
    """Return the texts in a value, at any depth."""
    found: list[str] = []
    waiting = [value]
    while waiting and len(found) < _MOST_TEXTS:
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return found
