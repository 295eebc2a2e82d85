"""Trains both models and writes everything the service reads: ``python -m trader.train``."""

from __future__ import annotations

import argparse
import pickle as pkl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.preprocessing import StandardScaler

from trader import cache, config_store, portfolio, settings
from trader.features import FeatureSpec
from trader.prices import market

HORIZON = 5
TREES = 40
NAMES = ("direction", "volatility")


def dataset(
    spec: FeatureSpec, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the feature rows, the next day's direction and the next days' volatility."""
    rows, directions, volatilities = [], [], []
    for closes in market(settings.SYMBOLS, settings.DAYS, seed).values():
        returns = np.diff(np.log(closes))
        days = range(spec.warmup, len(closes) - HORIZON)
        rows.append(spec.matrix(closes)[: len(days)])
        directions.append(np.array([int(returns[day] > 0) for day in days]))
        volatilities.append(np.array([returns[day : day + HORIZON].std() for day in days]))
    return np.vstack(rows), np.concatenate(directions), np.concatenate(volatilities)


def fit(name: str, rows: NDArray[np.float64], target: NDArray[Any], trees: int, seed: int) -> Any:
    """Return a fitted forest: a classifier for the direction, a regressor for the volatility."""
    if name == "direction":
        forest = RandomForestClassifier(n_estimators=trees, max_depth=8, random_state=seed)
    else:
        forest = RandomForestRegressor(n_estimators=trees, max_depth=8, random_state=seed)
    return forest.fit(rows, target)


def fit_scaler(seed: int) -> StandardScaler:
    """Return a scaler fitted on the feature rows, after storing it."""
    scaler = StandardScaler().fit(dataset(FeatureSpec(), seed)[0])
    with open(settings.MODELS / "scaler.pkl", "wb") as handle:
        pkl.dump(scaler, handle)
    return scaler


def stored_scaler() -> StandardScaler:
    """Return the scaler of the last full training."""
    with open(settings.MODELS / "scaler.pkl", "rb") as handle:
        return pkl.load(handle)


def bundle(name: str, scaler: StandardScaler, seed: int, trees: int) -> dict[str, Any]:
    """Return a trained model with the features it wants and the figures of its training."""
    spec = FeatureSpec()
    rows, directions, volatilities = dataset(spec, seed)
    rows = scaler.transform(rows)
    target = directions if name == "direction" else volatilities
    kept = len(rows) - len(rows) // 5
    forest = fit(name, rows[:kept], target[:kept], trees, seed)
    metrics = {
        "name": name,
        "version": datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%S.%f"),
        "dataset": joblib.hash(rows),
        "rows": kept,
        "score": round(float(forest.score(rows[kept:], target[kept:])), 4),
    }
    return {"model": forest, "spec": spec, "metrics": metrics}


def save(trained: dict[str, Any], path: Path) -> None:
    """Write a trained bundle; the larger files are compressed."""
    if trained["metrics"]["name"] == "volatility":
        joblib.dump(trained, path, compress=3)
    else:
        joblib.dump(trained, path)


def train(only: str | None = None, seed: int = settings.SEED, trees: int = TREES) -> None:
    """Train both models, or one of them with the stored scaler, and write ``models/``."""
    settings.MODELS.mkdir(exist_ok=True)
    scaler = stored_scaler() if only else fit_scaler(seed)
    for name in (only,) if only else NAMES:
        started = time.monotonic()
        trained = bundle(name, scaler, seed, trees)
        save(trained, settings.MODELS / f"{name}.joblib")
        metrics = trained["metrics"]
        seconds = time.monotonic() - started
        print(f"{name} {metrics['version']}: score {metrics['score']}, {seconds:.1f} s")


def write_records(seed: int = settings.SEED) -> None:
    """Write the price cache, the positions and the strategy."""
    cache.save_cache(cache.build(seed))
    portfolio.save_positions(portfolio.OPENING)
    config_store.save_strategy(config_store.DEFAULT)


def main(arguments: list[str] | None = None) -> None:
    """Train what the command line asks for."""
    parser = argparse.ArgumentParser(prog="trader.train")
    parser.add_argument("--only", choices=NAMES, help="train one model and leave the rest alone")
    parser.add_argument("--seed", type=int, default=settings.SEED)
    parser.add_argument("--trees", type=int, default=TREES)
    chosen = parser.parse_args(arguments)
    train(chosen.only, chosen.seed, chosen.trees)
    if chosen.only is None:
        write_records(chosen.seed)


if __name__ == "__main__":
    main()
