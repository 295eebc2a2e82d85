"""What becomes the value of a parameter, so that the statement means the same for harmless data.

A quoted value was text: it is given as text. A bare one is given as it is, where a database
compares it with a column or stores it; elsewhere only when its type is known.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from safehold.source.entries import last_name, literal
from safehold.source.rewrite import NotProvenError
from safehold.source.scopes import How
from safehold.source.sql.built import Bit, Hole
from safehold.source.sql.constants import Constants
from safehold.source.sql.drivers import Driver, Style
from safehold.source.sql.lexer import Place, Position
from safehold.source.sql.pieces import Builder
from safehold.source.sql.render import Source

# A bare value with such a name may be a piece of SQL: a parameter would silently be another thing.
_PIECE = re.compile(
    r"(?:^|_)(?:col|cols|column|columns|field|fields|table|tables|tbl|expr|expression|sql|query|"
    r"clause|cond|condition|conditions|where|order|func|schema|alias|placeholders?|values|vals|"
    r"params|quoted|escaped|literal|subquery|select|operator|op|fragment|filter|filters)$"
)
_QUOTING = re.compile(r"repr|quote|escape|literal|mogrify|adapt|format|render|compile|to_sql")
_NOT_SHOWN = "how the values of IN are quoted is not shown"


@dataclass(frozen=True, slots=True)
class Value:
    """The source of one parameter. ``many`` when it is spread: the values of an IN list."""

    source: str
    name: str
    many: str = ""  # what is counted for the marks


class Values:
    """Writes the values of parameters for one driver."""

    def __init__(
        self, source: Source, constants: Constants, builder: Builder, driver: Driver
    ) -> None:
        self._source = source
        self._constants = constants
        self._builder = builder
        self._driver = driver

    def of(self, position: Position, bits: list[Bit]) -> Value:
        """Return the value that takes the place of some bits of a statement.

        Raises:
            NotProvenError: it might be another value than the one that stood there.
        """
        holes = [bit.hole for bit in bits if bit.hole is not None]
        for hole in holes:
            _check_movable(hole)
        if position.place is Place.LISTED:
            return self._listed(bits, holes[0])
        if position.place is Place.QUOTED:
            if position.is_strict and self._driver.style is Style.NAMED:
                raise NotProvenError("what stands beside the value may take no text")
            return self._quoted(bits[1:-1], bits[0].text)
        return self._bare(holes[0], position)

    def _quoted(self, bits: list[Bit], quote: str) -> Value:
        holes = [bit.hole for bit in bits if bit.hole is not None]
        name = _name(holes[0].value)
        if len(bits) == 1 and not holes[0].conversion and not holes[0].spec:
            is_text = any(bit.leaf is None for bit in bits)  # what is added to text is text
            return Value(self._as_text(holes[0], is_text=is_text), name)
        parts: list[ast.expr] = []
        text, skip = "", False
        for bit in bits:
            if bit.hole is None:
                if bit.text == quote and not skip:
                    skip = True  # a doubled quote is one
                    continue
                skip = False
                text += bit.text
                continue
            if text:
                parts.append(ast.Constant(value=text))
            text = ""
            parts.append(_formatted(bit.hole))
        if text:
            parts.append(ast.Constant(value=text))
        try:
            return Value(ast.unparse(ast.JoinedStr(values=parts)), name)
        except ValueError as error:
            raise NotProvenError(f"a value cannot be written apart: {error}") from None

    def _as_text(self, hole: Hole, *, is_text: bool) -> str:
        written = self._source.of(hole.value)
        is_text = is_text or self._constants.is_string(hole.value, hole.scope)
        if is_text or self._driver.style is Style.DOLLAR:
            return written
        return f"str({written})"

    def _bare(self, hole: Hole, position: Position) -> Value:
        value, shown = _without_str(hole.value), ast.unparse(hole.value)
        if hole.conversion not in ("", "r") or (hole.spec and hole.spec != "d"):
            raise NotProvenError(f"`{shown}` is formatted")
        name = last_name(value) or (
            literal(value.slice) if isinstance(value, ast.Subscript) else ""
        )
        if not hole.conversion:
            if _PIECE.search((name or "").lower()) or self._is_quoting(hole):
                raise NotProvenError(f"`{shown}` may be a piece of SQL, not a value")
            is_strict = position.is_strict and self._driver.style is not Style.FORMAT
            if is_strict and not self._constants.is_number(value, hole.scope):
                raise NotProvenError(f"the type of `{shown}` is not shown where it matters")
            if self._driver.style is Style.DOLLAR and self._constants.is_string(value, hole.scope):
                raise NotProvenError(f"`{shown}` is text, and stands as something else")
        return Value(self._source.of(value), _name(value))

    def _is_quoting(self, hole: Hole) -> bool:
        """Whether a value comes from a call that makes SQL of it."""
        values = [hole.value]
        if isinstance(hole.value, ast.Name):
            found = hole.scope.lookup(hole.value.id)
            values += [item.value for _, item in found if item.how is How.ASSIGN and item.value]
        for value in values:
            if isinstance(value, ast.Call) and _QUOTING.search(last_name(value.func)):
                return True
            if isinstance(value, ast.BinOp | ast.JoinedStr) and not self._is_sum(value):
                return True
        return False

    def _is_sum(self, node: ast.expr) -> bool:
        """Whether an operation is one of numbers."""
        return isinstance(node, ast.BinOp) and not any(
            isinstance(item, ast.JoinedStr) or literal(item) is not None
            for item in ast.walk(node)
            if isinstance(item, ast.expr)
        )

    # -- IN lists

    def _listed(self, bits: list[Bit], hole: Hole) -> Value:
        """`",".join(...)` and `tuple(...)`: each value is a parameter of its own."""
        if self._driver.style not in (Style.QMARK, Style.FORMAT) or hole.conversion or hole.spec:
            raise NotProvenError("the values of IN need parameters of their own")
        value = hole.value
        if isinstance(value, ast.Name):
            value = self._only(value, hole) or value
        quote = bits[0].text if len(bits) == 3 else ""
        if isinstance(value, ast.Call):
            name = last_name(value.func)
            between = literal(value.func.value) if isinstance(value.func, ast.Attribute) else None
            if name == "join" and between is not None and len(value.args) == 1:
                return self._joined(between, value.args[0], quote)
            if name == "tuple" and len(value.args) == 1 and not quote:
                return self._spread(value.args[0], "")
        raise NotProvenError(
            f"`{ast.unparse(hole.value)}` stands for all values of IN, or for one of them"
        )

    def _only(self, name: ast.Name, hole: Hole) -> ast.expr | None:
        found = list(hole.scope.lookup(name.id))
        if len(found) != 1 or found[0][1].how is not How.ASSIGN or found[0][0] is not hole.scope:
            return None
        return found[0][1].value

    def _joined(self, between: str, values: ast.expr, quote: str) -> Value:
        plain = between.replace(" ", "")
        if quote:
            if plain != f"{quote},{quote}":
                raise NotProvenError("the values of IN are not separated as quoted ones")
            return self._spread(values, "str(item)")
        if plain != ",":
            raise NotProvenError("the values of IN are not separated by commas")
        if (
            isinstance(values, ast.Call)
            and last_name(values.func) == "map"
            and len(values.args) == 2
            and last_name(values.args[0]) in ("str", "repr")
        ):
            return self._spread(values.args[1], "")
        if isinstance(values, ast.GeneratorExp | ast.ListComp) and len(values.generators) == 1:
            return self._comprehension(values)
        raise NotProvenError(_NOT_SHOWN)

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp) -> Value:
        generator = node.generators[0]
        scope = self._constants.scope_of(node)
        if generator.ifs or generator.is_async or scope is None:
            raise NotProvenError("the values of IN are chosen by a condition")
        target = generator.target
        bits = self._builder.flatten(node.elt, scope).bits
        inner = [bit.hole for bit in bits if bit.hole is not None]
        text = "".join(bit.text for bit in bits if bit.hole is None)
        if len(inner) != 1 or not isinstance(target, ast.Name) or inner[0].spec:
            raise NotProvenError(_NOT_SHOWN)
        value, conversion = inner[0].value, inner[0].conversion
        if text in ("''", '""') and len(bits) == 3 and bits[1].hole is not None and not conversion:
            each = f"str({ast.unparse(value)})"
        elif not text and (made := _made(node.elt, value, conversion)) is not None:
            each = ast.unparse(made)
        else:
            raise NotProvenError(_NOT_SHOWN)
        if each == target.id:
            return self._spread(generator.iter, "")
        return self._spread(generator.iter, each, target.id)

    def _spread(self, values: ast.expr, each: str, name: str = "item") -> Value:
        """Return values that are counted and given; `each` is what becomes of one, if anything."""
        if not _is_plain(values):
            raise NotProvenError("the values of IN are made where they stand")
        written = self._source.of(values)
        source = f"*[{each} for {name} in {written}]" if each else f"*{written}"
        return Value(source, "", written)


def _without_str(node: ast.expr) -> ast.expr:
    """Return what `str(x)` is the text of: a bare value is given as it is."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "str"
        and len(node.args) == 1
        and not node.keywords
    ):
        return node.args[0]
    return node


def _made(element: ast.expr, value: ast.expr, conversion: str) -> ast.expr | None:
    """Return what `str(x)`, `repr(x)` or `f"{x}"` is the text of; other texts may be quoted."""
    if value is not element:
        return value if conversion in ("", "r", "s") else None
    if (
        isinstance(element, ast.Call)
        and last_name(element.func) in ("str", "repr")
        and len(element.args) == 1
    ):
        return element.args[0]
    return None


def _is_plain(node: ast.expr) -> bool:
    """Whether it can be read twice: a name or what hangs on one."""
    if isinstance(node, ast.Attribute):
        return _is_plain(node.value)
    if isinstance(node, ast.Subscript):
        return _is_plain(node.value) and isinstance(node.slice, ast.Constant | ast.Name)
    return isinstance(node, ast.Name | ast.List | ast.Tuple)


def _formatted(hole: Hole) -> ast.FormattedValue:
    spec = None if not hole.spec else ast.JoinedStr(values=[ast.Constant(value=hole.spec)])
    return ast.FormattedValue(
        value=hole.value,
        conversion=ord(hole.conversion) if hole.conversion else -1,
        format_spec=spec,
    )


def _check_movable(hole: Hole) -> None:
    if hole.spec is None:
        raise NotProvenError("its format cannot be carried over")
    for node in ast.walk(hole.value):
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            raise NotProvenError("a value is made in the middle of the statement")


def _name(node: ast.expr) -> str:
    """Return a name for a value, as SQLAlchemy's text() binds it."""
    if isinstance(node, ast.Subscript):
        key = literal(node.slice) or last_name(node.value)
    elif isinstance(node, ast.Call):
        key = _name(node.args[0]) if node.args else last_name(node.func)
    else:
        key = last_name(node)
    key = re.sub(r"\W", "_", key or "", flags=re.ASCII).strip("_")
    return key if key[:1].isalpha() else "value"
