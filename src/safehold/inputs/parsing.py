"""Whole inputs: a model of pydantic, or any type of it, from a form, a query or JSON.

What is said about a refused input is fit to be put into a page: it is escaped, and of what was
sent it shows nothing but names that are plain words.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from safehold.context import Context
from safehold.errors import InputRefused, MissingExtra
from safehold.events import Event
from safehold.inputs.json_text import DEPTH, SIZE, parse_json
from safehold.inputs.rules import REFUSED

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST = 20  # faults that are told
# Messages of these quote what they were given, or are a program's own.
_QUOTING = frozenset(("value_error", "assertion_error", "union_tag_invalid", "json_invalid"))


def parse(kind: Any, data: object, *, hold: Context | None = None) -> Any:
    """Return `data` as a type of pydantic, such as a model; a refusal becomes an event of `hold`.

    Raises:
        InputRefused: it is not of that type; `fields` say where, and what is expected there.
    """
    try:
        from pydantic import ValidationError
    except ModuleNotFoundError as error:
        raise MissingExtra("pydantic", "inputs") from error
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError as error:
        found = faults(error.errors(include_url=False, include_context=False, include_input=False))
    return refuse(found, hold)


def parse_body(
    kind: Any,
    data: bytes,
    *,
    depth: int = DEPTH,
    size: int = SIZE,
    hold: Context | None = None,
) -> Any:
    """Return JSON as a type of pydantic; as `parse` and `parse_json`."""
    try:
        value = parse_json(data, depth=depth, size=size)
    except InputRefused as error:
        if hold is None:
            raise
        event = Event(action="input", outcome="refused", reason=str(error), rule=error.rule)
        hold.recorder.refuse(event, error)
    return parse(kind, value, hold=hold)


def parse_form(
    kind: Any, pairs: Iterable[tuple[str, object]], *, hold: Context | None = None
) -> Any:
    """Return the fields of a form or a query as a type of pydantic.

    A name that comes once is a value; one that comes more than once is a list, which only a field
    for lists takes: of two values for one field some readers take the first, some the last.
    """
    many: dict[str, list[object]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    lists = _lists(kind)
    data = {
        name: values[0] if len(values) == 1 and name not in lists else values
        for name, values in many.items()
    }
    return parse(kind, data, hold=hold)


def faults(errors: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return pairs of place and fault, of errors as pydantic and FastAPI list them."""
    return tuple((_place(error["loc"]), _message(error)) for error in list(errors)[:_MOST])


def refuse(found: tuple[tuple[str, str], ...], hold: Context | None) -> NoReturn:
    """Record that an input is not of its type, and raise `InputRefused`."""
    places = [place for place, _ in found]
    named = ", ".join(place for place in places if place) or "the input"
    error = InputRefused(f"not what is expected: {named}", rule=REFUSED.id, fields=found)
    if hold is None:
        raise error
    detail = {"fields": places}
    event = Event(action="input", outcome="refused", reason="type", rule=error.rule, detail=detail)
    hold.recorder.refuse(event, error)


def as_json(error: InputRefused) -> dict[str, Any]:
    """Return what a client is told, in the shape of FastAPI's own answers."""
    rows = error.fields or (("", html.escape(str(error))),)
    return {"detail": [{"loc": place, "msg": message} for place, message in rows]}


def _place(parts: Iterable[object]) -> str:
    # A name that is not known, and the key of a mapping, is what was sent.
    return ".".join(
        text if _WORD.fullmatch(text := str(part)) else "?" for part in list(parts)[:_MOST]
    )


def _message(error: Mapping[str, Any]) -> str:
    if error.get("type") in _QUOTING:
        return "Input is refused"
    return html.escape(str(error["msg"]))


def _lists(kind: Any) -> frozenset[str]:
    """Return the names of a model's fields that take lists."""
    import typing

    found = set()
    for name, field in getattr(kind, "model_fields", {}).items():
        options = [field.annotation, *typing.get_args(field.annotation)]
        if any((typing.get_origin(one) or one) in (list, set, frozenset, tuple) for one in options):
            found |= {name, field.alias or name}
    return frozenset(found)


@functools.lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
