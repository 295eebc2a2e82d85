"""String literals as their source has them: which bytes stand for which character.

So that an edit leaves escapes, raw strings, triple quotes and the number of lines as they are.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.rewrite import NotProvenError
from safehold.source.sql.built import HOLE, Form
from safehold.source.sql.templates import Field, format_fields, percent_fields

_HEAD = re.compile(r"([A-Za-z]*)(\"\"\"|'''|\"|')")
_ESCAPE = re.compile(
    r"\\(?:\r\n|\r|\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What stands for one character, or for a hole; an escaped newline stands for nothing."""

    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class Token:
    """One string literal: its place in the source, and what is between its quotes."""

    start: int
    end: int
    prefix: str
    quote: str
    units: tuple[Unit, ...]


def string_tokens(source: str) -> list[Token]:
    """Return the literals of an expression that is nothing but adjacent literals.

    Raises:
        NotProvenError: what they stand for cannot be told character by character.
    """
    found = []
    for start, end in _places(source):
        literal = source[start:end]
        match = _HEAD.match(literal)
        if match is None or not literal.endswith(match[2]):
            raise NotProvenError("its string literal cannot be read")
        body = literal[match.end() : -len(match[2])]
        is_formatted, is_raw = "f" in match[1].lower(), "r" in match[1].lower()
        units = tuple(_units(body, is_formatted=is_formatted, is_raw=is_raw))
        _check(literal, units)
        found.append(Token(start, end, match[1], match[2], units))
    return found


def _places(source: str) -> list[tuple[int, int]]:
    """Return where each literal starts and ends; formatted ones are one token only before 3.12."""
    offsets = [0]
    offsets.extend(match.end() for match in re.finditer(r"\r\n|\r|\n", source))
    found: list[tuple[int, int]] = []
    depth = start = 0
    text = re.sub(r"\r\n?", lambda match: "\n" * 1 + " " * (len(match[0]) - 1), source)
    try:
        for item in tokenize.generate_tokens(io.StringIO(f"({text}\n)").readline):
            name = tokenize.tok_name[item.type]
            begin, finish = (
                offsets[row - 1] + column - (row == 1) if row <= len(offsets) else len(source)
                for row, column in (item.start, item.end)
            )
            if name == "FSTRING_START":
                start = begin if depth == 0 else start
                depth += 1
            elif name == "FSTRING_END":
                depth -= 1
                if depth == 0:
                    found.append((start, finish))
            elif name == "STRING" and depth == 0:
                found.append((begin, finish))
    except (tokenize.TokenError, SyntaxError, ValueError, IndexError):
        raise NotProvenError("its string literal cannot be read") from None
    return found


def _units(body: str, *, is_formatted: bool, is_raw: bool) -> Iterator[Unit]:
    position = 0
    while position < len(body):
        char = body[position]
        if char == "\\" and not is_raw:
            match = _ESCAPE.match(body, position)
            if match is None:
                raise NotProvenError("its escapes cannot be read")
            yield Unit(_unescaped(match[0]), match[0])
            position = match.end()
        elif is_formatted and char in "{}":
            if body[position : position + 2] == char * 2:
                yield Unit(char, char * 2)
                position += 2
            else:
                end = _field_end(body, position)
                yield Unit(HOLE, body[position:end])
                position = end
        elif char == "\r":
            end = position + 1 + (body[position + 1 : position + 2] == "\n")
            yield Unit("\n", body[position:end])
            position = end
        else:
            yield Unit(char, char)
            position += 1


def _unescaped(raw: str) -> str:
    if raw[1:] in ("\n", "\r", "\r\n"):
        return ""
    quote = '"' if raw[1] == "'" else "'"
    try:
        value = ast.literal_eval(f"{quote}{raw}{quote}")
    except (SyntaxError, ValueError):
        raise NotProvenError("its escapes cannot be read") from None
    if len(value) != 1:
        raise NotProvenError("its escapes cannot be read")  # an unknown one, as in "\d"
    return str(value)


def _field_end(body: str, start: int) -> int:
    """Return where `{...}` ends; quotes and brackets within are skipped."""
    depth, position = 0, start
    while position < len(body):
        char = body[position]
        if char in "'\"":
            quote = char * 3 if body.startswith(char * 3, position) else char
            end = body.find(quote, position + len(quote))
            if end < 0:
                break
            position = end + len(quote)
            continue
        if char in "{[(":
            depth += 1
        elif char in "}])":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    raise NotProvenError("a field of its formatted string cannot be read")


def _check(literal: str, units: tuple[Unit, ...]) -> None:
    """See that Python reads the same: each character, and as many fields."""
    try:
        node = ast.parse(literal, mode="eval").body
    except (SyntaxError, ValueError):
        raise NotProvenError("its string literal cannot be read") from None
    read = ""
    for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
        read += str(part.value) if isinstance(part, ast.Constant) else HOLE
    if read != "".join(unit.text for unit in units):
        raise NotProvenError("its string literal cannot be read")


def filled(tokens: list[Token], form: Form) -> list[list[Unit]]:
    """Return the units of each literal, with the fields of a template as holes.

    Raises:
        NotProvenError: a field reaches from one literal into the next.
    """
    if form in (Form.PLAIN, Form.FSTRING):
        return [list(token.units) for token in tokens]
    read = percent_fields if form is Form.PERCENT else format_fields
    found = []
    whole = list(read("".join(unit.text for token in tokens for unit in token.units)) or ())
    count = 0
    for token in tokens:
        fields = list(read("".join(unit.text for unit in token.units)) or ())
        count += len(fields)
        found.append(_with_fields(token.units, fields))
    if count != len(whole):
        raise NotProvenError("a field of its template is split")
    return found


def _with_fields(units: tuple[Unit, ...], fields: list[Field]) -> list[Unit]:
    starts = {field.start: field for field in fields}
    result: list[Unit] = []
    position, skip_to = 0, 0
    for unit in units:
        field = starts.get(position) if unit.text else None
        if field is not None:
            result.append(Unit(field.escape or HOLE, ""))
            skip_to = field.end
        elif position >= skip_to or not unit.text:
            result.append(unit)
        position += len(unit.text)
    return result
