"""Databases: what the guard costs a statement, through SQLAlchemy on SQLite.

What is measured is one engine with the guard and one without, in turn, each on a file of its own.
Each round is a transaction, so that what a pool does is not in the figures of single statements.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench._clocks import in_turn, one_core
from bench._rows import Row, difference, left_out, ratio, value
from safehold import db
from safehold.context import Context
from safehold.events import Recorder
from safehold.keys import Key, Keyring, generate_key
from safehold.observe.trail import Trail
from safehold.policy import Policy

_REPEAT = 300
_ROUNDS = 41
_QUERY = "SELECT id, name, email, role, score FROM users WHERE id = :id"
_INSERT = "INSERT INTO users (name, email, role, score) VALUES (:name, :email, :role, :score)"
_FIRST = (
    "SELECT users.id, users.name, users.email, users.at_{} FROM users JOIN orders ON "
    "orders.user_id = users.id WHERE users.id = ? AND users.name LIKE 'x%' ORDER BY users.id"
)
# What a request of a form and its headers brings.
_INPUTS = (
    "Ann O'Brien", "ann@example.org", "12 High Street", "+44 1632 960961", "en-GB,en;q=0.9",
    "Mozilla/5.0 (X11; Linux x86_64)", "2026-11-27", "please ring twice", "/orders/new", "42",
)  # fmt: skip


def rows() -> Iterator[Row]:
    """Yield what the guard costs, without records and with all of them on the trail."""
    try:
        import sqlalchemy  # noqa: F401
    except ModuleNotFoundError:
        yield left_out("the guard of statements", "no sqlalchemy")
        return
    with tempfile.TemporaryDirectory() as name, one_core():
        root = Path(name)
        ring = Keyring(Key("k", generate_key().encode()))
        trail = Trail(root / "trail", ring)
        with Context(Policy(root=root), ring, Recorder(trail), trail) as hold:
            yield from _all(hold, root)


def _all(hold: Context, root: Path) -> Iterator[Row]:
    engines = [
        _engine(root, "bare"),
        _engine(root, "quiet", hold, records=False),
        _engine(root, "told", hold),
    ]

    def pairs(ours: Callable[[], None], other: Callable[[], None], repeat: int = _REPEAT) -> Any:
        return in_turn(ours, other, rounds=_ROUNDS, repeat=repeat)

    against = "the same without"
    for label, made, goals in (
        ("one-row SELECT, pool and select()", _served, (1.06, 1.15)),
        ("one-row SELECT, text, one connection", _select, (None, None)),
    ):
        bare, quiet, told = map(made, engines)
        kind = f"{label}, judged and timed"
        yield ratio(kind, pairs(quiet, bare), against=against, goal=goals[0])
        kind = f"{label}, every one on the trail"
        yield ratio(kind, pairs(told, bare), against=against, goal=goals[1])

    def asked() -> None:
        with db.request_inputs(_INPUTS):
            for _ in range(10):
                quiet()

    def not_asked() -> None:
        for _ in range(10):
            quiet()

    measured = pairs(asked, not_asked, 30)
    yield difference("10 SELECTs in a request of 10 inputs", measured, against="in none")
    bare, quiet, told = map(_insert, engines)
    label = "1,000 rows inserted"
    yield ratio(f"{label}, judged and timed", pairs(quiet, bare, 5), against=against, goal=1.02)
    yield ratio(f"{label}, on the trail", pairs(told, bare, 5), against=against)
    yield _first_sight()


def _engine(root: Path, name: str, hold: Context | None = None, **options: Any) -> Any:
    import sqlalchemy as sa

    engine = sa.create_engine(f"sqlite:///{root}/{name}.db")
    if hold is not None:
        db.guard(engine, hold, mode="enforce", **options)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.exec_driver_sql(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT, role TEXT, "
            "score FLOAT)"
        )
        connection.execute(sa.text(_INSERT), _people(100))
    return engine


def _people(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"name {at}", "email": f"{at}@example.org", "role": "user", "score": at / 7}
        for at in range(count)
    ]


def _select(engine: Any) -> Callable[[], None]:
    import sqlalchemy as sa

    connection, query = engine.connect(), sa.text(_QUERY)
    values = {"id": 7}

    def select() -> None:
        connection.execute(query, values).one()

    return select


def _served(engine: Any) -> Callable[[], None]:
    """Return what a request does: a connection of the pool, a query that is built for it."""
    import sqlalchemy as sa

    users = sa.table("users", *map(sa.column, ("id", "name", "email", "role", "score")))

    def select() -> None:
        with engine.connect() as connection:
            connection.execute(sa.select(users).where(users.c.id == 7)).one()

    return select


def _insert(engine: Any) -> Callable[[], None]:
    import sqlalchemy as sa

    people, query = _people(1_000), sa.text(_INSERT)

    def insert() -> None:
        with engine.begin() as connection:
            connection.execute(query, people)

    return insert


def _first_sight() -> Row:
    from safehold.db.statements import judge

    texts = map(_FIRST.format, itertools.count())
    pairs = in_turn(
        lambda: judge(next(texts), "sqlite"),
        lambda: next(texts),
        rounds=_ROUNDS,
        repeat=_REPEAT,
    )
    return value("first sight of a statement, cpu", pairs.difference("cpu"), goal=25e-6)
