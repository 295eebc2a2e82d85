"""The in-context check of SQL: a statement of a typical request, with eleven inputs.

The goal is 15 us for a statement, whether its values are bound or one is escaped into it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench._clocks import processor
from bench._rows import Row, value
from safehold.inputs.requests import Inputs
from safehold.inputs.sql import check_statement

_BOUND = (
    "SELECT users.id, users.name, users.email FROM users WHERE users.name = ? AND orders.total > ? "
    "AND country IN ('DE', 'FR', 'IT') ORDER BY created DESC LIMIT 20"
)
_ESCAPED = _BOUND.replace("?", "'O''Brien'", 1)
_INPUTS = {
    "name": "O'Brien",
    "q": "red shoes & more",
    "page": "2",
    "sort": "created",
    "limit": 20,
    "email": "a.b@example.com",
    "token": "4f3c2b1a09",
    "lang": "de",
}
_ROUNDS, _REPEAT = 15, 1000
_GOAL = 15e-6


def rows() -> Iterator[Row]:
    """Yield the processor time of one statement, in each dialect, and of a request's inputs."""
    inputs = Inputs(_INPUTS)
    for dialect in ("sqlite", "postgresql", "mysql"):
        for label, text in (("bound", _BOUND), ("one escaped", _ESCAPED)):
            yield value(f"check, {dialect}, {label}", _least(text, dialect, inputs), goal=_GOAL)
    started = processor()
    for _ in range(_REPEAT):
        _ = Inputs(_INPUTS).needles
    yield value("the forms of a request's inputs, once", (processor() - started) / _REPEAT)


def _least(text: str, dialect: str, inputs: Inputs) -> float:
    times = []
    for _ in range(_ROUNDS):
        started = processor()
        for _ in range(_REPEAT):
            check_statement(text, dialect, inputs)
        times.append((processor() - started) / _REPEAT)
    return sorted(times)[_ROUNDS // 2]
