"""What the rules about pieces of SQL say, which have no rewrite."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from safehold.findings import Confidence
from safehold.source.row import Item
from safehold.source.sql.lexer import Place
from safehold.source.sql.statements import Spot, statements
from safehold.source.unit import Unit


def told(
    unit: Unit, place: Place, role: str, remedy: Callable[[list[Spot], str], str] | None = None
) -> Iterator[Item]:
    """Yield the statements with harmful pieces in such a place; ``role``: what they are there."""
    for statement in unit.once(statements).found:
        spots = statement.harmful(place)
        if spots:
            driver = statement.sink.driver
            names = ", ".join(f"`{ast.unparse(spot.hole.value)}`" for spot in spots)
            yield Item(
                statement.sink.called.node,
                f"{names} {'is' if len(spots) == 1 else 'are'} written into a statement {role}",
                "" if remedy is None else remedy(spots, driver.dialect),
                confidence=min(statement.sink.confidence, Confidence.MEDIUM),
                detail={"driver": driver.name or None},
            )
