"""A string expression as one text with holes: f-strings, `%`, `+`, `.format` and variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from safehold.source.entries import literal
from safehold.source.scopes import How, Kind, Module, Scope
from safehold.source.sql.built import HOLE, Bit, Built, Form, Hole, Leaf, Part
from safehold.source.sql.flow import Flow
from safehold.source.sql.functions import functions_of, returns_of
from safehold.source.sql.templates import (
    Field,
    Values,
    format_fields,
    format_values,
    is_matched,
    percent_fields,
    percent_values,
)

_SAME = frozenset(("strip", "rstrip", "lstrip"))
_DEPTH = 8
_MOST = 60_000  # characters of one statement


class Builder:
    """Takes the string expressions of one module apart."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self.flow = Flow(module)
        self._added: dict[str, list[ast.AugAssign]] | None = None

    def texts(self, node: ast.expr, scope: Scope) -> list[Built]:
        """Return the texts that an expression can be: one for each value of a variable."""
        if isinstance(node, ast.IfExp):
            built = [*self.texts(node.body, scope), *self.texts(node.orelse, scope)]
            for item in built:
                item.obstacle = "it is one of several statements"
            return built
        if isinstance(node, ast.Name) and (values := self._values(node, scope)):
            return values
        built_one = self.flatten(node, scope)
        built_one.parts.insert(0, Part(node, scope))
        return [built_one]

    def flatten(self, node: ast.expr, scope: Scope, depth: int = 0) -> Built:
        """Return an expression as a text; what is no string is one hole."""
        if depth > _DEPTH:
            return _unknown(node, scope)
        if (text := literal(node)) is not None:
            leaf = Leaf(Form.PLAIN, node, node)
            return Built([Bit(char, leaf) for char in text[:_MOST]])
        if isinstance(node, ast.JoinedStr):
            return _formatted(node, scope)
        if isinstance(node, ast.BinOp):
            return self._operation(node, scope, depth)
        if isinstance(node, ast.Call):
            return self._call(node, scope, depth)
        if isinstance(node, ast.NamedExpr):
            built = self.flatten(node.value, scope, depth + 1)
            built.obstacle = built.obstacle or f"`{node.target.id}` is used elsewhere too"
            return built if built.is_text else _unknown(node, scope)
        return _unknown(node, scope)

    def inlined(self, hole: Hole) -> Built | None:
        """Return the text that a variable in a hole holds, when it has one value and is built."""
        if not isinstance(hole.value, ast.Name) or hole.conversion or hole.spec:
            return None
        found = [
            (owner, binding)
            for owner, binding in hole.scope.lookup(hole.value.id)
            if binding.how is not How.OTHER or owner.kind is not Kind.MODULE
        ]
        if len(found) != 1 or found[0][1].how is not How.ASSIGN or found[0][1].value is None:
            return None
        owner, binding = found[0]
        built = self.flatten(binding.value, owner) if binding.value is not None else Built()
        if not built.is_text or not any(bit.hole for bit in built.bits):
            return None
        built.obstacle = f"`{hole.value.id}` is put together elsewhere"
        return built

    # -- forms

    def _operation(self, node: ast.BinOp, scope: Scope, depth: int) -> Built:
        if isinstance(node.op, ast.Mod) and (text := literal(node.left)) is not None:
            leaf, fields = Leaf(Form.PERCENT, node.left, node), percent_fields(text)
            built = _filled(text, leaf, fields, percent_values(node.right), scope)
            if not is_matched(fields, node.right):
                built.obstacle = "its template and its values do not match"
            return built
        if isinstance(node.op, ast.Add):
            built = Built()
            for operand in operands(node):
                inner = self.flatten(operand, scope, depth + 1)
                if not inner.is_text and inner.bits:
                    inner.bits = [replace(bit, leaf=None) for bit in inner.bits]
                built.add(inner)
            if built.is_text:
                return built
        if isinstance(node.op, ast.Mod):
            text = self._template(node.left, scope, depth)
            if text is not None:
                leaf = Leaf(Form.PERCENT, node.left, node)
                values = percent_values(node.right)
                return _apart(_filled(text, leaf, percent_fields(text), values, scope))
        return _unknown(node, scope)

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> Built:
        func = node.func
        if isinstance(func, ast.Attribute):
            text = literal(func.value)
            if func.attr == "format" and text is not None:
                leaf = Leaf(Form.FORMAT, func.value, node)
                return _filled(text, leaf, format_fields(text), format_values(node), scope)
            if func.attr in ("format", "replace"):
                return self._of_template(func, node, scope, depth)
            if func.attr == "join" and text is not None and len(node.args) == 1:
                return self._joined(text, node, scope, depth)
            if func.attr in _SAME and not node.args:
                return self._within(func.value, node, scope, depth)
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name == "dedent" and len(node.args) == 1:
            return self._within(node.args[0], node, scope, depth)
        return self._returned(func, scope, depth) or _unknown(node, scope)

    def _of_template(self, func: ast.Attribute, node: ast.Call, scope: Scope, depth: int) -> Built:
        """`TEMPLATE.format(...)`, `TEMPLATE.replace("NAME", name)`."""
        text = self._template(func.value, scope, depth)
        if text is None:
            return _unknown(node, scope)
        leaf = Leaf(Form.FORMAT, func.value, node)
        if func.attr == "format":
            return _apart(_filled(text, leaf, format_fields(text), format_values(node), scope))
        old = literal(node.args[0]) if len(node.args) == 2 else None
        if not old:
            return _unknown(node, scope)
        bits: list[Bit] = []
        for index, piece in enumerate(text.split(old)):
            if index:
                bits.append(Bit(HOLE, None, Hole(node.args[1], scope)))
            bits += [Bit(char, None) for char in piece]
        return _apart(Built(bits))

    def _template(self, node: ast.expr, scope: Scope, depth: int) -> str | None:
        """Return the text that a constant of the module or class holds, or that is put together."""
        if isinstance(node, ast.Name):
            found = [item.value for _, item in scope.lookup(node.id)]
            return None if len(found) != 1 or found[0] is None else literal(found[0])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            for owner in self._module.scopes:
                is_named = getattr(owner.node, "name", None) == node.value.id
                is_own = node.value.id in ("self", "cls") and owner is scope.enclosing_class
                if owner.kind is Kind.CLASS and (is_named or is_own):
                    values = [item.value for item in owner.bindings.get(node.attr, ())]
                    return None if len(values) != 1 or values[0] is None else literal(values[0])
            return None
        built = self.flatten(node, scope, depth + 1)
        is_plain = built.is_text and not any(bit.hole is not None for bit in built.bits)
        return built.text if is_plain else None

    def _returned(self, func: ast.expr, scope: Scope, depth: int) -> Built | None:
        """Return the text that a function of this module returns, when it has one return."""
        for function in functions_of(func, scope, self._module):
            found = returns_of(function)
            if len(found) == 1:
                built = self.flatten(found[0], function, depth + 1)
                if built.is_text and any(bit.hole is not None for bit in built.bits):
                    built.obstacle = "it is built in another function"
                    return built
        return None

    def _within(self, inner: ast.expr, node: ast.Call, scope: Scope, depth: int) -> Built:
        built = self.flatten(inner, scope, depth + 1)
        return built if built.is_text else _unknown(node, scope)

    def _joined(self, between: str, node: ast.Call, scope: Scope, depth: int) -> Built:
        listed = node.args[0]
        if not isinstance(listed, ast.List | ast.Tuple) or any(
            isinstance(item, ast.Starred) for item in listed.elts
        ):
            return _unknown(node, scope)
        built = Built()
        for index, item in enumerate(listed.elts):
            if index:
                built.bits += [Bit(char, None) for char in between]
            built.add(self.flatten(item, scope, depth + 1))
        built.obstacle = "its parts are joined"
        return built if built.is_text else _unknown(node, scope)

    # -- variables

    def _values(self, node: ast.Name, scope: Scope) -> list[Built]:
        """Return what a variable of the same function can hold, with what `+=` adds to it."""
        first = next((owner for owner, _ in scope.lookup(node.id)), None)
        known = self.flow.reached(node) if first is scope else None
        if known is not None:
            built = self._assigned(known.value, scope, node)
            self._add(built, known.additions, scope, node)
            return [built]
        found = list(scope.lookup(node.id))
        owners = {owner for owner, _ in found}
        assigned = [binding for _, binding in found if binding.how is How.ASSIGN]
        if len(owners) != 1 or not assigned:
            return []
        owner = owners.pop()
        added = self._additions(node.id, owner)
        values = []
        for binding in assigned[:6]:
            if binding.value is None:
                continue
            built = self._assigned(binding.value, owner, node)
            later = [item for item in added if item.lineno >= binding.line]
            if not built.is_text and not later:
                continue
            self._add(built, later, owner, node)
            if len(assigned) > 1 or len(found) - len(assigned) != len(later):
                built.obstacle = built.obstacle or f"`{node.id}` has more than one value"
            values.append(built)
        return values

    def _assigned(self, value: ast.expr, owner: Scope, node: ast.Name) -> Built:
        built = self.flatten(value, owner)
        built.parts.append(Part(value, owner, node))
        return built

    def _add(
        self, built: Built, added: Iterable[ast.AugAssign], owner: Scope, node: ast.Name
    ) -> None:
        for item in added:
            more = self.flatten(item.value, owner)
            if more.is_text:
                more.parts.append(Part(item.value, owner, node))
            built.add(more)

    def _additions(self, name: str, owner: Scope) -> list[ast.AugAssign]:
        """Return the `name += ...` of a function, in the order of their lines."""
        if self._added is None:
            self._added = {}
            for node in self._module.parents:
                if (
                    isinstance(node, ast.AugAssign)
                    and isinstance(node.op, ast.Add)
                    and isinstance(node.target, ast.Name)
                ):
                    self._added.setdefault(node.target.id, []).append(node)
        lines = {item.line for item in owner.bindings.get(name, ()) if item.how is How.OTHER}
        found = [item for item in self._added.get(name, ()) if item.target.lineno in lines]
        return sorted(found, key=lambda item: item.lineno)


def _formatted(node: ast.JoinedStr, scope: Scope) -> Built:
    leaf = Leaf(Form.FSTRING, node, node)
    built = Built()
    for value in node.values:
        if isinstance(value, ast.Constant):
            built.bits += [Bit(char, leaf) for char in str(value.value)]
        elif isinstance(value, ast.FormattedValue):
            conversion = "" if value.conversion < 0 else chr(value.conversion)
            hole = Hole(value.value, scope, conversion, _spec(value.format_spec))
            built.bits.append(Bit(HOLE, leaf, hole))
    return built


def operands(node: ast.BinOp) -> list[ast.expr]:
    """Return the operands of `a + b + c`, without recursion."""
    found: list[ast.expr] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
        found.append(left.right)
        left = left.left
    return [left, *reversed(found)]


def _apart(built: Built) -> Built:
    """Say of a text that its template stands elsewhere."""
    built.obstacle = built.obstacle or "its template is kept apart from the call"
    return built


def _unknown(node: ast.expr, scope: Scope) -> Built:
    return Built([Bit(HOLE, None, Hole(node, scope))])


def _spec(node: ast.expr | None) -> str | None:
    if node is None:
        return ""
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    if not all(isinstance(part, ast.Constant) for part in parts):
        return None
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))


def _filled(
    text: str, leaf: Leaf, fields: list[Field] | None, values: Values, scope: Scope
) -> Built:
    """Return a template with its fields as holes."""
    if fields is None:
        return Built(
            [
                *(Bit(char, leaf) for char in text),
                Bit(HOLE, None, Hole(leaf.whole, scope, spec=None)),
            ],
            obstacle="its template cannot be read",
        )
    built = Built()
    for piece in _pieces(text, fields, values):
        if isinstance(piece, str):
            built.bits += [Bit(char, leaf) for char in piece]
        else:
            item, value = piece
            if value is None:
                built.obstacle = "what fills its template is not shown by the source"
                value = leaf.whole
            built.bits.append(Bit(HOLE, leaf, Hole(value, scope, item.conversion, item.spec)))
    return built


def _pieces(
    text: str, fields: list[Field], values: Values
) -> Iterator[str | tuple[Field, ast.expr | None]]:
    position = number = 0
    for item in fields:
        yield text[position : item.start]
        position = item.end
        if item.escape:
            yield item.escape
            continue
        unnamed = item.key is None or not re.match(r"\w", item.key)
        yield item, values(item.key, number)
        number += unnamed
    yield text[position:]
