from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from trader import db


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on a migrated database of this test's own."""
    engine = db.connect(f"sqlite:///{tmp_path / 'trades.db'}")
    assert db.migrate(engine) == ["0001_create_trades"]
    yield engine
    engine.dispose()


def test_a_second_migration_does_nothing(engine: Engine) -> None:
    assert db.migrate(engine) == []


def test_a_recorded_trade_is_listed(engine: Engine) -> None:
    db.record_trade(engine, "INITECH", "buy", 3, 12.5)
    (row,) = db.trades_of(engine, "INITECH")
    assert (row["side"], row["quantity"], row["price"]) == ("buy", 3, 12.5)


def test_a_symbol_without_trades_has_none(engine: Engine) -> None:
    assert db.trades_of(engine, "UMBRELLA") == []
