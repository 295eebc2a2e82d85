"""Loads the trained models and answers for one symbol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import load
from numpy.typing import NDArray

from trader import settings
from trader.cache import load_cache


def load_scaler(path: Path = settings.MODELS / "scaler.pkl") -> Any:
    """Return the scaler that the training stored."""
    import pickle

    with open(path, "rb") as handle:
        return pickle.load(handle)


@dataclass
class Predictor:
    """Both models, the scaler and the cached prices, as read at start."""

    direction_bundle: dict[str, Any]
    volatility_bundle: dict[str, Any]
    scaler: Any
    cache: dict[str, dict[str, Any]]

    @classmethod
    def from_disk(cls, models: Path = settings.MODELS) -> Predictor:
        """Read everything from ``models/`` and ``data/``."""
        return cls(
            direction_bundle=load(models / "direction.joblib"),
            volatility_bundle=load(models / "volatility.joblib"),
            scaler=load_scaler(models / "scaler.pkl"),
            cache=load_cache(),
        )

    @property
    def symbols(self) -> list[str]:
        """Return the symbols with cached prices."""
        return sorted(self.cache)

    def signals(self, symbol: str) -> NDArray[np.float64]:
        """Return the direction model's answer for each cached day; raises KeyError."""
        return self._answers(self.direction_bundle, symbol)

    def volatilities(self, symbol: str) -> NDArray[np.float64]:
        """Return the volatility model's answer for each cached day; raises KeyError."""
        return self._answers(self.volatility_bundle, symbol)

    def outlook(self, symbol: str) -> dict[str, Any]:
        """Return what the service says about the next day; raises KeyError."""
        signal = float(self.signals(symbol)[-1])
        return {
            "symbol": symbol,
            "direction": "up" if signal >= 0.5 else "down",
            "volatility": round(float(self.volatilities(symbol)[-1]), 6),
            "close": round(float(self.cache[symbol]["closes"][-1]), 4),
            "model": self.versions()["direction"],
        }

    def versions(self) -> dict[str, str]:
        """Return the version of each loaded model."""
        return {
            "direction": self.direction_bundle["metrics"]["version"],
            "volatility": self.volatility_bundle["metrics"]["version"],
        }

    def _answers(self, bundle: dict[str, Any], symbol: str) -> NDArray[np.float64]:
        rows = bundle["spec"].matrix(self.cache[symbol]["closes"])
        return np.asarray(bundle["model"].predict(self.scaler.transform(rows)), dtype=float)
