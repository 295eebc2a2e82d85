"""The web service: ``uvicorn trader.app:app``."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.templating import Jinja2Templates

from trader import config_store, db, portfolio, settings
from trader.predict import Predictor

router = APIRouter()
templates = Jinja2Templates(directory=settings.TEMPLATES)


def signed(value: str) -> str:
    """Return the value with its signature, as it stands in the visitor's cookie."""
    digest = hmac.new(settings.SECRET_KEY.encode(), value.encode(), hashlib.sha256).hexdigest()
    return f"{value}.{digest}"


@router.get("/")
def index(request: Request) -> Response:
    """Show the outlook of each symbol."""
    state = request.app.state
    predictor: Predictor = state.predictor
    rows = [predictor.outlook(symbol) for symbol in predictor.symbols]
    lines = {row["symbol"]: state.predictor.cache[row["symbol"]]["last_week"] for row in rows}
    page = {"rows": rows, "lines": lines, "strategy": state.strategy, "exposure": state.exposure}
    response = templates.TemplateResponse(request, "index.html", page)
    response.set_cookie("visitor", signed(request.client.host if request.client else "unknown"))
    return response


@router.get("/predict/{symbol}")
def predict(request: Request, symbol: str) -> dict[str, Any]:
    """Return the outlook of one symbol."""
    try:
        return request.app.state.predictor.outlook(symbol)
    except KeyError as error:
        raise HTTPException(status_code=404, detail=f"no prices for {symbol}") from error


@router.get("/trades")
def trades(request: Request, symbol: str, order: str = "id") -> list[dict[str, Any]]:
    """Return the trades of one symbol, in descending order of a column."""
    return db.trades_of(request.app.state.engine, symbol, order)


@router.get("/health")
def health(request: Request) -> dict[str, Any]:
    """Return what is loaded."""
    return {
        "status": "ok",
        "debug": settings.DEBUG,
        "models": request.app.state.predictor.versions(),
        "strategy": request.app.state.strategy["name"],
    }


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Read models, cache and strategy and open the database."""
    app.state.predictor = Predictor.from_disk()
    app.state.strategy = config_store.load_strategy()
    app.state.exposure = portfolio.exposure(portfolio.load_positions())
    app.state.engine = db.connect(app.state.database_url)
    db.migrate(app.state.engine)
    yield
    app.state.engine.dispose()


def create_app(database_url: str = settings.DATABASE_URL) -> FastAPI:
    """Return the service on the given database."""
    app = FastAPI(title="trader", debug=settings.DEBUG, lifespan=lifespan)
    app.state.database_url = database_url
    app.include_router(router)
    return app


app = create_app()
