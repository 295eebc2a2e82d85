"""The statements of a module that have harmful holes, judged once for all rules of SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from safehold.source.checked import Checks, checks_of
from safehold.source.sql.built import HOLE, Bit, Built, Hole
from safehold.source.sql.constants import Constants
from safehold.source.sql.lexer import Place, Position, is_statement, positions
from safehold.source.sql.pieces import Builder
from safehold.source.sql.sinks import Kind, Sink, sinks
from safehold.source.unit import Unit

_MOST_INLINED = 6
# A statement that is handed over as a whole, to be explained instead of run.
_EXPLAINED = re.compile(
    rf"\s*EXPLAIN(?:\s+(?:QUERY\s+PLAN|ANALYZE|VERBOSE|EXTENDED)|\s*\([^){HOLE}]*\))*"
    rf"\s+{HOLE}\s*;?\s*",
    re.IGNORECASE,
)
VALUES = (Place.QUOTED, Place.BARE, Place.LISTED)


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A hole of a statement, where it stands, and whether what fills it can do harm."""

    hole: Hole
    position: Position
    is_harmful: bool
    is_number: bool = False  # as it is annotated


@dataclass(slots=True, eq=False)
class Statement:
    """One statement that reaches a call. `obstacle`: why none of it is rewritten."""

    sink: Sink
    built: Built
    spots: list[Spot]
    obstacle: str = ""
    others: list[Spot] = field(default_factory=list)  # of other values of the same variable

    def harmful(self, *places: Place) -> list[Spot]:
        """Return the harmful holes in such places, each expression once."""
        found = {
            ast.unparse(spot.hole.value): spot
            for spot in [*self.spots, *self.others]
            if spot.is_harmful and spot.position.place in places
        }
        return list(found.values())


@dataclass(frozen=True, slots=True)
class Statements:
    """All of a module, and what judged them."""

    found: tuple[Statement, ...]
    constants: Constants
    builder: Builder


def statements(unit: Unit) -> Statements:
    """Return the statements of a module that have something harmful in them."""
    constants, builder = Constants(unit.module), Builder(unit.module)
    if HOLE in unit.text.utf8.decode("utf-8", "surrogatepass"):
        return Statements((), constants, builder)
    checks = unit.once(checks_of)
    found: dict[ast.Call, Statement] = {}
    for sink in sinks(unit):
        statement = _judged(sink, constants, builder, checks)
        if statement is not None:
            found.setdefault(sink.called.node, statement)
    return Statements(tuple(found.values()), constants, builder)


def _judged(sink: Sink, constants: Constants, builder: Builder, checks: Checks) -> Statement | None:
    variants = []
    for built in builder.texts(sink.sql, sink.called.scope):
        whole = _expanded(built, builder)
        spots = list(_spots(sink, whole, constants, checks))
        if any(spot.is_harmful for spot in spots):
            variants.append(Statement(sink, whole, spots, sink.obstacle or whole.obstacle))
    if not variants:
        return None
    first, *others = variants
    first.others = [spot for item in others for spot in item.spots]
    return first


def _expanded(built: Built, builder: Builder) -> Built:
    """Put the texts of variables in the place of their holes."""
    for _ in range(_MOST_INLINED):
        bits: list[Bit] = []
        changed = False
        for bit in built.bits:
            inner = builder.inlined(bit.hole) if bit.hole is not None else None
            if inner is None:
                bits.append(bit)
            else:
                bits += inner.bits
                built.obstacle = built.obstacle or inner.obstacle
                changed = True
        built.bits = bits
        if not changed:
            break
    return built


def _spots(sink: Sink, built: Built, constants: Constants, checks: Checks) -> Iterator[Spot]:
    text = built.text
    if not any(char.isalpha() or char in "'\"" for char in text.replace(HOLE, "")):
        return  # nothing is known of it but its parts
    if _EXPLAINED.fullmatch(text) or (not sink.is_sure and not is_statement(text)):
        return
    holes = {index: bit.hole for index, bit in enumerate(built.bits) if bit.hole is not None}
    if not holes:
        return
    for position in positions(
        text,
        double_quotes_values=sink.driver.double_quotes_values,
        backslashes=sink.driver.backslashes,
        is_fragment=sink.kind is Kind.TEXT,
    ):
        hole = holes.get(position.at)
        if hole is not None:
            harmless = (
                hole.is_number
                or constants.is_constant(hole.value, hole.scope)
                or (position.place is Place.NAME and constants.is_name(hole.value, hole.scope))
                or checks.leaves_fixed(hole.value, hole.value, hole.scope)
            )
            is_number = constants.is_number(hole.value, hole.scope)
            is_harmful = not harmless and not (is_number and position.place not in VALUES)
            yield Spot(hole, position, is_harmful, is_number)
