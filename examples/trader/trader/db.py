"""Trades in SQLite, through SQLAlchemy."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from trader import settings

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def connect(url: str = settings.DATABASE_URL) -> Engine:
    """Return an engine for the database."""
    settings.DATA.mkdir(exist_ok=True)
    return create_engine(url, echo=False)


def migrate(engine: Engine) -> list[str]:
    """Run the scripts that this database has not seen; return their names."""
    done = []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)"))
        seen = set(connection.execute(text("SELECT name FROM migrations")).scalars())
        for script in sorted(MIGRATIONS.glob("[0-9]*.py")):
            if script.stem not in seen:
                runpy.run_path(str(script))["upgrade"](connection)
                connection.execute(
                    text("INSERT INTO migrations (name) VALUES (:name)"), {"name": script.stem}
                )
                done.append(script.stem)
    return done


def trades_of(engine: Engine, symbol: str, order: str = "id") -> list[dict[str, Any]]:
    """Return the trades of one symbol, the newest or the largest first."""
    query = f"SELECT * FROM trades WHERE symbol = '{symbol}' ORDER BY {order} DESC"
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def record_trade(engine: Engine, symbol: str, side: str, quantity: int, price: float) -> None:
    """Store one trade."""
    statement = text(
        "INSERT INTO trades (symbol, side, quantity, price)"
        " VALUES (:symbol, :side, :quantity, :price)"
    )
    values = {"symbol": symbol, "side": side, "quantity": quantity, "price": price}
    with engine.begin() as connection:
        connection.execute(statement, values)
