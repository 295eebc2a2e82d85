"""Plans the change that makes the values of one statement parameters, or says why there is none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.rewrite import Change, NotProvenError, Span
from safehold.source.scopes import Scope
from safehold.source.sql.arguments import Given, addition, existing, free_names, has_names
from safehold.source.sql.built import Bit, Form, Part
from safehold.source.sql.drivers import Style
from safehold.source.sql.lexer import Place, Position, tokens
from safehold.source.sql.render import Actions, Mark, Renderer, Source, comments, newlines
from safehold.source.sql.sinks import Kind
from safehold.source.sql.statements import VALUES, Statement, Statements
from safehold.source.sql.straight import check_straight
from safehold.source.sql.values import Value, Values
from safehold.source.unit import Unit
from safehold.source.uses import put

_KINDS = {
    Kind.MANY: "executemany takes its values by row",
    Kind.SCRIPT: "executescript takes no parameters",
    Kind.OTHER: "its values are given in another way",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Parameter:
    """A value, and the bits that its mark takes the place of."""

    position: Position
    value: Value
    bits: list[Bit]
    mark: Mark
    name: str


def plan(statement: Statement, found: Statements, unit: Unit, rule: str) -> Change:
    """Return the change that makes values parameters.

    Raises:
        NotProvenError: the statement might then be another one, with the reason.
    """
    return _Plan(statement, found, unit).change(rule)


class _Plan:
    """One statement on its way."""

    def __init__(self, statement: Statement, found: Statements, unit: Unit) -> None:
        self._statement = statement
        self._sink = statement.sink
        self._style = statement.sink.driver.style
        self._is_named = False  # whether its parameters have names, where the driver has both
        self._built = statement.built
        self._text = statement.built.text
        self._builder = found.builder
        self._unit = unit
        self._source = Source(unit.text.utf8, unit.lines)
        self._values = Values(self._source, found.constants, found.builder, self._sink.driver)

    def change(self, rule: str) -> Change:
        self._check()
        self._is_named = self._sink.kind is not Kind.TEXT and has_names(self._sink, self._text)
        parameters = list(self._parameters())
        actions = self._actions(parameters)
        renderer = Renderer(self._source, self._built.bits, actions)
        parts: list[tuple[Part, Span, ast.expr]] = []
        padding = ""
        for part in self._edited():
            span, missing = self._written(part, renderer)
            if missing and part.name is None:
                padding = self._padding(part, missing)
            elif missing:
                span = Span(span.start, span.end, f"({span.new}{missing})")
            parts.append((part, span, _parsed(span.new)))
        self._check_result([node for _, _, node in parts], actions)
        given = [Given(item.position.start, item.value.source, item.name) for item in parameters]
        module = self._unit.module
        added = addition(self._sink, given, self._text, self._source, module, padding)

        def transform() -> None:
            for part, _, node in parts:
                put(module, part.node, node)
            added.transform()

        return Change(rule, (*(span for _, span, _ in parts), *added.spans), transform)

    def _edited(self) -> list[Part]:
        named = [part for part in self._built.parts if part.name is not None]
        return named or self._built.parts[:1]

    # -- what is possible

    def _check(self) -> None:
        statement = self._statement
        if statement.obstacle:
            raise NotProvenError(statement.obstacle)
        if statement.others:
            raise NotProvenError("the statement is one of several")
        if self._sink.kind in _KINDS:
            raise NotProvenError(_KINDS[self._sink.kind])
        for spot in statement.spots:
            if spot.is_harmful and spot.position.place in VALUES and spot.position.obstacle:
                raise NotProvenError(spot.position.obstacle)
        check_straight(statement, self._builder.flow, self._unit.module)
        if self._sink.kind is not Kind.TEXT:
            self._check_kept()

    def _check_kept(self) -> None:
        """See that what stays in the statement brings no parameters or percent signs along."""
        has = existing(self._sink)
        for spot in self._statement.spots:
            is_kept = not (spot.is_harmful and spot.position.place in VALUES)
            if (
                is_kept
                and spot.position.place in (Place.UNKNOWN, Place.LISTED)
                and (has is not None or self._style is not Style.QMARK)
            ):
                shown = ast.unparse(spot.hole.value)
                raise NotProvenError(f"`{shown}` may have parameters in it")

    # -- the parameters

    def _parameters(self) -> Iterator[_Parameter]:
        seen: set[int] = set()
        taken = set(re.findall(r"(?::|%\()(\w+)", self._text))
        number = self._highest()
        for spot in self._statement.spots:
            position = spot.position
            if spot.is_harmful and position.place in VALUES and position.start not in seen:
                seen.add(position.start)
                number += 1
                covered = self._built.bits[position.start : position.end]
                self._check_single(covered)
                value = self._values.of(position, covered)
                (name,) = free_names([value.name or "value"], taken)
                yield _Parameter(
                    position, value, covered, self._mark(position, value, name, number), name
                )

    def _highest(self) -> int:
        """Return the highest number of a `$1` that the statement has."""
        marks = [item.text for item in tokens(self._text) if item.kind == "mark"]
        return max((int(mark[1:]) for mark in marks if mark[0] == "$"), default=0)

    def _check_single(self, bits: list[Bit]) -> None:
        """`"... %s" % value`: a tuple there would have been unpacked."""
        for bit in bits:
            if bit.hole is None or bit.leaf is None or bit.leaf.form is not Form.PERCENT:
                continue
            whole, hole = bit.leaf.whole, bit.hole
            if isinstance(whole, ast.BinOp) and hole.value is whole.right:
                _check_no_tuple(hole.value, hole.scope)

    def _mark(self, position: Position, value: Value, name: str, number: int) -> Mark:
        text = self._text
        if self._style is Style.NAMED:
            if text[position.end : position.end + 1] == ":":
                raise NotProvenError("a cast follows the value")
            return Mark(f":{name}")
        if self._style is Style.DOLLAR:
            return Mark(f"${number}")
        if self._is_named and value.many:
            raise NotProvenError("the values of IN need parameters of their own")
        if self._is_named:
            return Mark(f":{name}" if self._style is Style.QMARK else f"%({name})s")
        one = "?" if self._style is Style.QMARK else "%s"
        if not value.many:
            return Mark(one)
        marks = f"'{one}'" if one == "?" else f"['{one}']"
        expression = f"','.join({marks} * len({value.many}))"
        if text[: position.start].rstrip().endswith("("):
            return Mark(f"{{{expression}}}", expression)
        return Mark(f"({{{expression}}})", expression)

    def _actions(self, parameters: list[_Parameter]) -> Actions:
        actions = Actions()
        bits = self._built.bits
        for item in parameters:
            actions.dropped.update(item.bits)
            start = item.position.start
            if item.bits[0].leaf is not None:
                actions.before[item.bits[0]] = item.mark
            elif start and bits[start - 1].leaf is not None:
                actions.after[bits[start - 1]] = item.mark
            else:
                raise NotProvenError("a value stands apart from the text")
        is_format = self._style is Style.FORMAT
        actions.doubled = is_format and existing(self._sink) is None
        return actions

    # -- the source

    def _written(self, part: Part, renderer: Renderer) -> tuple[Span, str]:
        """Return the new source of a part, and the line ends that it has no more."""
        start, end = self._source.span(part.node)
        old = self._source.between(start, end)
        new = renderer.expression(part.node)
        if comments(old) != comments(new):
            raise NotProvenError("comments stand between the values")
        missing = newlines(old) - newlines(new)
        newline = "\r\n" if "\r\n" in old else "\n"
        return Span(start, end, new), newline * missing

    def _padding(self, part: Part, missing: str) -> str:
        """Return the line ends with the indentation of the statement."""
        start, _ = self._source.span(part.node)
        line = self._unit.lines.text(self._unit.lines.line_at(start))
        indent = re.match(r"[ \t]*", line)
        return missing + ("" if indent is None else indent[0])

    def _check_result(self, nodes: list[ast.expr], actions: Actions) -> None:
        """See that the new expressions are the old text with marks in the place of values."""
        got: list[object] = []
        scope = self._sink.called.scope
        for node in nodes:
            got += [_shown(bit) for bit in self._builder.flatten(node, scope).bits]
        expected: list[object] = []
        for bit in self._built.bits:
            expected += _marked(actions.before.get(bit))
            if bit not in actions.dropped:
                expected += [_shown(bit)] * (2 if bit.text == "%" and actions.doubled else 1)
            expected += _marked(actions.after.get(bit))
        if got != expected:
            raise NotProvenError("its literals cannot be edited")


def _check_no_tuple(node: ast.expr, scope: Scope) -> None:
    if not isinstance(node, ast.Name):
        return
    for owner, binding in scope.lookup(node.id):
        vararg = getattr(getattr(owner.node, "args", None), "vararg", None)
        if isinstance(binding.value, ast.Tuple) or getattr(vararg, "arg", "") == node.id:
            raise NotProvenError(f"`{node.id}` is a tuple")


def _shown(bit: Bit) -> object:
    if bit.hole is None:
        return bit.text
    value, spec = ast.dump(bit.hole.value), bit.hole.spec
    if bit.leaf is not None and bit.leaf.form is Form.PERCENT and spec in ("d", "i"):
        whole = ast.Call(
            func=ast.Name(id="int", ctx=ast.Load()), args=[bit.hole.value], keywords=[]
        )
        value, spec = ast.dump(whole), ""
    return value, bit.hole.conversion.replace("s", ""), spec


def _marked(mark: Mark | None) -> list[object]:
    if mark is None:
        return []
    if not mark.expression:
        return list(mark.text)
    hole = (ast.dump(_parsed(mark.expression)), "", "")
    return ["(", hole, ")"] if mark.text.startswith("(") else [hole]


def _parsed(source: str) -> ast.expr:
    try:
        return ast.parse(f"({source}\n)", mode="eval").body
    except (SyntaxError, ValueError):
        raise NotProvenError("the new statement cannot be written") from None
