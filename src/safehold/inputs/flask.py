"""Flask: what a request carries as types of pydantic; refusals are answers 422.

from safehold.inputs import flask as typed

typed.install(app, hold)
order = typed.body(Order)          # in a view; typed.query(Search) for the query
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safehold.context import Context
from safehold.errors import InputRefused
from safehold.inputs.json_text import DEPTH, SIZE
from safehold.inputs.parsing import as_json, parse_body, parse_form
from safehold.inputs.rules import JSON

if TYPE_CHECKING:
    from flask import Flask

_HOLD = "safehold.inputs"


def install(app: Flask, hold: Context | None = None) -> None:
    """Answer refusals of this application by 422, and record them in `hold`."""
    app.extensions[_HOLD] = hold

    def answer(error: InputRefused) -> tuple[dict[str, Any], int]:
        return as_json(error), 422

    app.register_error_handler(InputRefused, answer)


def body(kind: Any, *, depth: int = DEPTH, size: int = SIZE) -> Any:
    """Return the JSON or the form of the current request as a type of pydantic.

    Raises:
        InputRefused: it is not of that type, too large or too deep, or has another content type.
    """
    from flask import request

    if (request.content_length or 0) > size:
        raise InputRefused(f"a body has at most {size} bytes", rule=JSON.id)
    if request.is_json:
        data = request.stream.read(size + 1)
        return parse_body(kind, data, depth=depth, size=size, hold=_hold())
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise InputRefused("a body is JSON or a form", rule=JSON.id)
    return parse_form(kind, request.form.items(multi=True), hold=_hold())


def query(kind: Any) -> Any:
    """Return the query of the current request as a type of pydantic; as `body`."""
    from flask import request

    return parse_form(kind, request.args.items(multi=True), hold=_hold())


def _hold() -> Context | None:
    from flask import current_app

    found: Context | None = current_app.extensions.get(_HOLD)
    return found
