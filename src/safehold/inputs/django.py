"""Django: what a request carries as types of pydantic; fields of forms, validators of models.

order = body(request, Order)                                    # in a view
name = field(inputs.PlainText[50])                              # in a form
name = models.CharField(max_length=50, validators=[Typed("PlainText", 50)])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safehold.context import Context
from safehold.errors import InputRefused
from safehold.inputs.json_text import DEPTH, SIZE
from safehold.inputs.parsing import parse, parse_body, parse_form
from safehold.inputs.rules import JSON

if TYPE_CHECKING:
    from django.forms import CharField
    from django.http import HttpRequest


def body(
    request: HttpRequest,
    kind: Any,
    *,
    depth: int = DEPTH,
    size: int = SIZE,
    hold: Context | None = None,
) -> Any:
    """Return the JSON or the form of a request as a type of pydantic.

    Raises:
        InputRefused: it is not of that type, too large or too deep, or has another content type.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > size:
        raise InputRefused(f"a body has at most {size} bytes", rule=JSON.id)
    if request.content_type == "application/json":
        return parse_body(kind, request.body, depth=depth, size=size, hold=hold)
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise InputRefused("a body is JSON or a form", rule=JSON.id)
    return parse_form(kind, _pairs(request.POST), hold=hold)


def query(request: HttpRequest, kind: Any, *, hold: Context | None = None) -> Any:
    """Return the query of a request as a type of pydantic; as `body`."""
    return parse_form(kind, _pairs(request.GET), hold=hold)


def _pairs(found: Any) -> list[tuple[str, object]]:
    return [(name, value) for name, values in found.lists() for value in values]


def field(kind: Any, **options: Any) -> CharField:
    """Return a field of a form that takes texts of a type; options are those of ``CharField``."""
    from django import forms

    class TypedField(forms.CharField):  # type: ignore[misc]  # Django has no types
        def clean(self, value: Any) -> Any:
            value = super().clean(value)
            return value if value in self.empty_values else _valid(kind, value)

    return TypedField(**options)


class Typed:
    """A validator of a model's field: a type of `safehold.inputs` by its name, and its length."""

    def __init__(self, name: str, most: int | None = None) -> None:
        """Name a type, as in ``Typed("PlainText", 200)`` or ``Typed("Filename")``."""
        from safehold import inputs

        found: Any = getattr(inputs, name)
        self._args = (name,) if most is None else (name, most)
        self._kind = found if most is None else found[most]

    def __call__(self, value: str) -> None:
        """Raise Django's ValidationError for what is not of the type."""
        _valid(self._kind, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Typed) and other._args == self._args

    def __hash__(self) -> int:
        return hash(self._args)

    def deconstruct(self) -> tuple[str, tuple[object, ...], dict[str, object]]:
        """Return how a migration writes it."""
        return "safehold.inputs.django.Typed", self._args, {}


def _valid(kind: Any, value: object) -> Any:
    from django.core.exceptions import ValidationError

    try:
        return parse(kind, value)
    except InputRefused as error:
        import html

        # Django's templates escape by themselves.
        text = "; ".join(html.unescape(message) for _, message in error.fields)
        raise ValidationError(text, code="input_refused") from None
