from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from trader import settings


def test_the_page_lists_every_symbol_and_signs_the_visitor(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert all(symbol in page.text for symbol in settings.SYMBOLS)
    assert "<script>" in page.text
    assert page.cookies["visitor"].strip('"').startswith("testclient.")


@pytest.mark.parametrize("symbol", settings.SYMBOLS)
def test_a_known_symbol_has_an_outlook(client: TestClient, symbol: str) -> None:
    outlook = client.get(f"/predict/{symbol}").json()
    assert outlook["symbol"] == symbol
    assert outlook["direction"] in {"up", "down"}
    assert 0 < outlook["volatility"] < 0.2


def test_an_unknown_symbol_is_not_found(client: TestClient) -> None:
    assert client.get("/predict/NOWHERE").status_code == 404


def test_trades_of_one_symbol_come_newest_first(client: TestClient) -> None:
    rows = client.get("/trades", params={"symbol": "ACME"}).json()
    assert [row["side"] for row in rows] == ["sell", "buy"]


def test_trades_come_largest_first_where_that_is_asked_for(client: TestClient) -> None:
    rows = client.get("/trades", params={"symbol": "ACME", "order": "quantity"}).json()
    assert [row["quantity"] for row in rows] == [10, 4]


def test_health_names_the_loaded_models(client: TestClient) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert set(health["models"]) == {"direction", "volatility"}
    assert health["strategy"] == "follow-the-forest"
