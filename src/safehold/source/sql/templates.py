"""Templates of `%` and `.format`: their fields, and the expressions that fill them."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable
from dataclasses import dataclass

from safehold.source.entries import literal

PERCENT = re.compile(
    r"%(?:\((?P<key>[^()]*)\))?(?P<spec>[-#0 +]*[\d*]*(?:\.[\d*]+)?)[hlL]?(?P<type>.)"
)
_FIELD = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\{|\}")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a `%` or `.format` template: its place, and what to look up for it."""

    start: int
    end: int
    key: str | None
    conversion: str = ""
    spec: str | None = ""
    escape: str = ""  # the character that `%%` or `{{` stands for


Values = Callable[[str | None, int], ast.expr | None]


def percent_fields(text: str) -> list[Field] | None:
    """Return the fields of a `%` template; None when it is none."""
    found = []
    position = 0
    while (at := text.find("%", position)) >= 0:
        match = PERCENT.match(text, at)
        if match is None:
            return None
        position = match.end()
        kind = match["type"]
        if kind == "%":
            found.append(Field(at, position, None, escape="%"))
            continue
        spec = f"{match['spec']}{kind.replace('s', '')}" if kind in "diouxXeEfFgGs" else None
        spec = "" if kind in "ra" and not match["spec"] else spec
        conversion = kind if kind in "ra" else ""
        found.append(Field(at, position, match["key"], conversion, spec))
    return found


def is_matched(fields: list[Field] | None, right: ast.expr) -> bool:
    """Whether a `%` template has a field for each value; others fail when they run."""
    found = [item for item in fields or () if not item.escape]
    if not found:
        return False
    if isinstance(right, ast.Tuple):
        return len(found) == len(right.elts) and all(item.key is None for item in found)
    return len(found) == 1 or all(item.key is not None for item in found)


def percent_values(right: ast.expr) -> Values:
    """Return what finds the value of a field on the right side of `%`."""

    def find(key: str | None, number: int) -> ast.expr | None:
        if key is not None:
            return _of_mapping(right, key)
        if isinstance(right, ast.Tuple):
            if any(isinstance(item, ast.Starred) for item in right.elts):
                return None
            return right.elts[number] if number < len(right.elts) else None
        return right if number == 0 and not isinstance(right, ast.Dict) else None

    return find


def format_fields(text: str) -> list[Field] | None:
    """Return the fields of a `.format` template; None when it is none."""
    found = []
    position = 0
    while match := _FIELD.search(text, position):
        position = match.end()
        token = match[0]
        if token in ("{{", "}}"):
            found.append(Field(match.start(), position, None, escape=token[0]))
        elif len(token) > 1:
            try:
                (_, name, spec, conversion), *more = string.Formatter().parse(token)
            except ValueError:
                return None
            if more or name is None:
                return None
            found.append(Field(match.start(), position, name, conversion or "", spec))
        else:
            return None  # a field within a field
    return found


def format_values(call: ast.Call) -> Values:
    """Return what finds the value of a field among the arguments of `.format`."""
    args = call.args
    named = {item.arg: item.value for item in call.keywords if item.arg is not None}
    spread = [item.value for item in call.keywords if item.arg is None]

    def find(key: str | None, number: int) -> ast.expr | None:
        head, rest = re.match(r"([^.\[]*)(.*)", key or "", re.DOTALL).groups()  # type: ignore[union-attr] # matches all
        if not head or head.isdigit():
            place = int(head) if head else number
            if any(isinstance(item, ast.Starred) for item in args[: place + 1]):
                return None
            value = args[place] if place < len(args) else None
        else:
            value = named.get(head)
            if value is None and len(spread) == 1:
                value = _of_mapping(spread[0], head)
        return None if value is None else _followed(value, rest)

    return find


def _of_mapping(node: ast.expr, key: str) -> ast.expr | None:
    """Return what a mapping has under a key, as an expression."""
    if isinstance(node, ast.Dict):
        for name, value in zip(node.keys, node.values, strict=True):
            if name is not None and literal(name) == key:
                return value
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "locals" and not node.args and key.isidentifier():
            return ast.copy_location(ast.Name(id=key, ctx=ast.Load()), node)
        if node.func.id == "dict" and not node.args:
            named = {item.arg: item.value for item in node.keywords}
            return named.get(key)
    if isinstance(node, ast.Name):
        found = ast.Subscript(value=node, slice=ast.Constant(value=key), ctx=ast.Load())
        return ast.copy_location(found, node)
    return None


def _followed(value: ast.expr, rest: str) -> ast.expr | None:
    """Return `value.name[0]` for the rest `.name[0]` of a field."""
    for name, index in re.findall(r"\.(\w+)|\[([^\]]+)\]", rest):
        found: ast.expr
        if name:
            found = ast.Attribute(value=value, attr=name, ctx=ast.Load())
        else:
            item = int(index) if index.isdigit() else index
            found = ast.Subscript(value=value, slice=ast.Constant(value=item), ctx=ast.Load())
        value = ast.copy_location(found, value)
    return value
