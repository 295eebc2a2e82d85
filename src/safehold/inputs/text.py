"""Texts: one line, several lines, names of variables. No character is refused for an attack.

Refused are half characters, control characters, line separators that only some readers know,
and the two marks that make letters of any script read in the other order (U+202D, U+202E).
Other format characters stay: joiners, marks and isolates are part of how Persian, Hindi, Arabic
and many emoji are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from safehold.errors import InputRefused
from safehold.inputs._schema import core_schema
from safehold.inputs.rules import REFUSED

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_SEPARATORS = r"\u2028\u2029\u202d\u202e"
# As JSON Schema, Rust and Python all read them.
_LINE = rf"^[^\u0000-\u001f\u007f-\u009f{_SEPARATORS}]*$"
_LINES = rf"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f{_SEPARATORS}]|\r\n)*$"
_NAME = r"^_?[A-Za-z][A-Za-z0-9_]*$"
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most so many characters that has a pattern; in JSON Schema the same."""

    max: int
    pattern: str
    what: str

    def check(self, value: object) -> str:
        """Return the text.

        Raises:
            InputRefused: it is not one, or has what the type refuses.
        """
        if (
            isinstance(value, str)
            and len(value) <= self.max
            and not _HALF.search(value)
            and _fully(self.pattern).fullmatch(value)
        ):
            return value
        raise InputRefused(f"this is not {self.what}", rule=REFUSED.id)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        parts = core_schema()
        text = parts.str_schema(strict=True, max_length=self.max, pattern=self.pattern)
        schema: CoreSchema = parts.custom_error_schema(
            text,
            custom_error_type="input_refused",
            custom_error_message=f"Input should be {self.what}",
        )
        return schema


class _OfLength:
    """What is in brackets is the most characters: `PlainText[200]` is an annotation."""

    _pattern: ClassVar[str]
    _what: ClassVar[str]

    def __class_getitem__(cls, most: int) -> Any:
        return Annotated[str, cls.of(most)]

    @classmethod
    def of(cls, most: int) -> Text:
        """Return the same as metadata for ``Annotated[str, ...]``, which type checkers read."""
        if type(most) is not int or most < 1:
            message = f"{cls.__name__} needs the most characters that it takes: "
            raise TypeError(message + f"{cls.__name__}[200]")
        return Text(most, cls._pattern, cls._what.format(most))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        message = f"{cls.__name__} needs a length: {cls.__name__}[200]"
        raise TypeError(message)


class PlainText(_OfLength):
    """One line of text: names, titles, search terms. `PlainText[200]`."""

    _pattern = _LINE
    _what = "one line of text of at most {} characters, without control characters"


class MultilineText(_OfLength):
    r"""Text with line feeds (or ``\r\n``) and tabs: messages, code, Markdown."""

    _pattern = _LINES
    _what = "text of at most {} characters, without control characters but line feeds and tabs"


Identifier = Annotated[
    str, Text(63, _NAME, "a name of at most 63 letters, digits and underscores of ASCII")
]
"""A name of ASCII that begins with a letter or one underscore: keys, columns, attributes."""


def _fully(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern[1:-1])  # without ^ and $, which lets a line feed follow
