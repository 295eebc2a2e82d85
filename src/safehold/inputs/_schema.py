"""Checks of plain Python as types of pydantic, which is an extra."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from safehold.errors import InputRefused, MissingExtra

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


def core_schema() -> Any:
    """Return the module of that name, which knows the parts of schemas."""
    try:
        from pydantic_core import core_schema as module
    except ModuleNotFoundError as error:
        raise MissingExtra("pydantic", "inputs") from error
    return module


def checked(check: Callable[[str], str], **limits: Any) -> CoreSchema:
    """Return the schema of a text that `check` returns, maybe changed, or refuses."""
    parts = core_schema()
    from pydantic_core import PydanticCustomError

    def validate(value: str) -> str:
        try:
            return check(value)
        except InputRefused as refused:
            # The text stands for itself: braces in a template would be filled in.
            kind, context = "input_refused", {"why": str(refused)}
            raise PydanticCustomError(kind, "Input is refused: {why}", context) from None

    text = parts.str_schema(strict=True, **limits)
    schema: CoreSchema = parts.no_info_after_validator_function(validate, text)
    return schema
