"""Creates the table of trades and its first rows."""

from __future__ import annotations

from sqlalchemy import Connection, text

TABLE = "trades"
COLUMNS = {
    "id": "INTEGER PRIMARY KEY",
    "symbol": "TEXT NOT NULL",
    "side": "TEXT NOT NULL",
    "quantity": "INTEGER NOT NULL",
    "price": "REAL NOT NULL",
}
ROWS = [("ACME", "buy", 10, 101.5), ("ACME", "sell", 4, 103.25), ("GLOBEX", "buy", 7, 88.0)]


def upgrade(connection: Connection) -> None:
    """Create the table and fill it."""
    columns = ", ".join(name + " " + kind for name, kind in COLUMNS.items())
    connection.execute(text("CREATE TABLE " + TABLE + " (" + columns + ")"))
    for symbol, side, quantity, price in ROWS:
        values = "'" + symbol + "', '" + side + "', " + str(quantity) + ", " + str(price)
        names = "symbol, side, quantity, price"
        connection.execute(
            text("INSERT INTO " + TABLE + " (" + names + ") VALUES (" + values + ")")
        )
