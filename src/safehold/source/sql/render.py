"""Writes a string expression anew, with some of its characters and holes left out or replaced."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field

from safehold.source.rewrite import NotProvenError
from safehold.source.sql.built import Bit, Form, Leaf
from safehold.source.sql.literals import Unit, filled, string_tokens
from safehold.source.sql.pieces import operands
from safehold.source.text import Lines


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands for a parameter: `?`, or a field whose expression gives several of them."""

    text: str
    expression: str = ""

    @property
    def is_field(self) -> bool:
        """Whether the literal that has it is a formatted one."""
        return bool(self.expression)


@dataclass(slots=True)
class Actions:
    """What happens to the bits of a text; `doubled` when a percent sign is written twice."""

    dropped: set[Bit] = field(default_factory=set)
    before: dict[Bit, Mark] = field(default_factory=dict)
    after: dict[Bit, Mark] = field(default_factory=dict)
    doubled: bool = False

    @property
    def marks(self) -> tuple[dict[Bit, Mark], dict[Bit, Mark]]:
        """The marks before and behind bits."""
        return self.before, self.after


class Source:
    """The source of one module, by nodes."""

    def __init__(self, utf8: bytes, lines: Lines) -> None:
        self.utf8 = utf8
        self._lines = lines

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the place of a node in bytes."""
        return (
            self._lines.offset(getattr(node, "lineno", 1), getattr(node, "col_offset", 0)),
            self._lines.offset(
                getattr(node, "end_lineno", None) or 1, getattr(node, "end_col_offset", None) or 0
            ),
        )

    def between(self, start: int, end: int) -> str:
        """Return the text of some bytes."""
        if end < start:
            raise NotProvenError("its place in the source is not known")
        return self.utf8[start:end].decode("utf-8", "surrogatepass")

    def of(self, node: ast.expr) -> str:
        """Return an expression in one line: as it is written, where that is known for sure."""
        written = self.between(*self.span(node)) if hasattr(node, "end_lineno") else ""
        if written and "\n" not in written and "\r" not in written and _reads_as(written, node):
            return written
        try:
            return ast.unparse(node)
        except ValueError as error:
            raise NotProvenError(f"a value cannot be written apart: {error}") from None


def _reads_as(written: str, node: ast.expr) -> bool:
    try:
        parsed = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError):
        return False
    return ast.dump(parsed) == ast.dump(node)


class Renderer:
    """Writes the expressions that hold a text."""

    def __init__(self, source: Source, bits: list[Bit], actions: Actions) -> None:
        self._source = source
        self._actions = actions
        self._bits: dict[ast.expr, list[Bit]] = {}
        self._leaves: dict[ast.expr, Leaf] = {}
        self._operands: dict[ast.expr, Bit] = {}
        for bit in bits:
            if bit.leaf is not None:
                self._bits.setdefault(bit.leaf.node, []).append(bit)
                self._leaves[bit.leaf.whole] = bit.leaf
            elif bit.hole is not None:
                self._operands[bit.hole.value] = bit

    def expression(self, node: ast.expr) -> str:
        """Return the new source of an expression, in the place of its old one."""
        leaf = self._leaves.get(node)
        if leaf is not None:
            return self._leaf(leaf)
        start, end = self._source.span(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._sum(node)
        if isinstance(node, ast.Call):
            inner = node.args[0] if node.args else getattr(node.func, "value", None)
            if isinstance(inner, ast.expr):
                at, to = self._source.span(inner)
                return (
                    self._source.between(start, at)
                    + self.expression(inner)
                    + self._source.between(to, end)
                )
        return self._source.between(start, end)

    def _leaf(self, leaf: Leaf) -> str:
        start, end = self._source.span(leaf.whole)
        at, to = self._source.span(leaf.node)
        text = self._literals(leaf, at, to)
        if leaf.whole is leaf.node:
            return text
        tail = self._source.between(to, end)
        closing = re.match(r"[\s)]*", tail)
        kept = "" if closing is None else closing[0].rstrip()
        return self._source.between(start, at) + text + kept

    def _literals(self, leaf: Leaf, at: int, to: int) -> str:
        source = self._source.between(at, to)
        tokens = string_tokens(source)
        bits = self._bits[leaf.node]
        every = filled(tokens, leaf.form)
        shown = [unit for units in every for unit in units if unit.text]
        if [unit.text for unit in shown] != [bit.text for bit in bits]:
            raise NotProvenError("its string literal cannot be read")
        written, position, taken = "", 0, 0
        for token, units in zip(tokens, every, strict=True):
            count = sum(1 for unit in units if unit.text)
            body, is_formatted = self._body(leaf, units, bits[taken : taken + count], token.quote)
            taken += count
            prefix = re.sub("[fF]", "", token.prefix)
            if is_formatted:
                prefix = (token.prefix if "f" in token.prefix.lower() else f"f{prefix}").replace(
                    "u", ""
                )
            written += source[position : token.start] + prefix + token.quote + body + token.quote
            position = token.end
        return written + source[position:]

    def _body(self, leaf: Leaf, units: list[Unit], bits: list[Bit], quote: str) -> tuple[str, bool]:
        """Return what is between the quotes, and whether it has fields."""
        is_formatted = any(
            (bit.hole is not None and bit not in self._actions.dropped)
            or any(bit in marks and marks[bit].is_field for marks in self._actions.marks)
            for bit in bits
        )
        body, index = "", 0
        for unit in units:
            if not unit.text:
                body += unit.raw
                continue
            bit = bits[index]
            index += 1
            if bit in self._actions.before:
                body += _mark(self._actions.before[bit], quote)
            if bit not in self._actions.dropped:
                if bit.hole is not None:
                    body += self._field(leaf, unit, bit, quote)
                else:
                    body += self._character(unit, is_formatted=is_formatted)
            if bit in self._actions.after:
                body += _mark(self._actions.after[bit], quote)
        return body, is_formatted

    def _character(self, unit: Unit, *, is_formatted: bool) -> str:
        written = unit.raw if unit.raw.startswith("\\") or unit.text == "\n" else unit.text
        if is_formatted and unit.text in "{}":
            written = unit.text * 2
        elif is_formatted and "{" in written:
            raise NotProvenError("an escape has braces")
        if unit.text == "%" and self._actions.doubled:
            written *= 2
        return written or unit.text

    def _field(self, leaf: Leaf, unit: Unit, bit: Bit, quote: str) -> str:
        if leaf.form is Form.FSTRING:
            return unit.raw
        hole = bit.hole
        if hole is None or hole.spec is None:
            raise NotProvenError("a field of its template has no equal in a formatted string")
        written = self._source.of(hole.value)
        conversion = f"!{hole.conversion}" if hole.conversion else ""
        spec = f":{hole.spec}" if hole.spec else ""
        if leaf.form is Form.PERCENT and spec:
            if hole.spec not in ("d", "i"):
                raise NotProvenError("a field of its template has no equal in a formatted string")
            written, spec = f"int({written})", ""
        return _mark(Mark(f"{{{written}{conversion}{spec}}}", "field"), quote)

    def _sum(self, node: ast.BinOp) -> str:
        """Write `a + b + c` without the operands that are parameters now."""
        start, end = self._source.span(node)
        items = operands(node)
        spans = [self._source.span(item) for item in items]
        written = self._source.between(start, spans[0][0]) + self.expression(items[0])
        for index, item in enumerate(items[1:], 1):
            gap = self._source.between(spans[index - 1][1], spans[index][0])
            bit = self._operands.get(item)
            if bit is not None and bit in self._actions.dropped:
                if gap.strip() != "+":
                    raise NotProvenError("parentheses or comments stand around a value")
                written += re.sub(r"[^\r\n]", "", gap + self._source.between(*spans[index]))
            else:
                written = _added(written, gap, self.expression(item))
        return written + self._source.between(spans[-1][1], end)


_SIMPLE = re.compile(r"(f?)(\"|')(?!\2\2)((?:(?!\2)[^\\\n]|\\.)*)\2")


def _added(left: str, gap: str, right: str) -> str:
    """Join two literals that stand in one line."""
    if right in ('""', "''") and gap.strip() == "+":
        return left + re.sub(r"[^\r\n]", "", gap)
    one, other = _SIMPLE.fullmatch(left), _SIMPLE.fullmatch(right)
    if one and other and gap.strip(" ") == "+" and one[1] == other[1] and one[2] == other[2]:
        return left[:-1] + other[3] + other[2]
    return left + gap + right


def _mark(mark: Mark, quote: str) -> str:
    """Return a mark as it stands in a literal with such quotes."""
    if not mark.is_field:
        return mark.text
    text = mark.text
    if quote in ("'", "'''") and "'" in text:
        text = text.replace("'", '"') if '"' not in text else text
    if quote[0] in text and (len(quote) == 1 or text.endswith(quote[0])):
        raise NotProvenError("a value has the quotes of the statement")
    if "\\" in text or "#" in text or "\n" in text or "{{" in text:
        raise NotProvenError("a value cannot be written within the statement")
    return text


def comments(source: str) -> int:
    """Return how many comments an expression has in it."""
    count = 0
    try:
        for item in tokenize.generate_tokens(io.StringIO(f"({source}\n)").readline):
            count += item.type == tokenize.COMMENT
    except (tokenize.TokenError, SyntaxError):
        return -1
    return count


def newlines(source: str) -> int:
    """Return how many line ends a source has."""
    return len(re.findall(r"\r\n|\r|\n", source))
