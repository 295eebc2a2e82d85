"""Turns closing prices into the rows that the models see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureSpec:
    """Which features a model was trained on; it is stored beside the model."""

    lags: tuple[int, ...] = (1, 2, 5, 10)
    window: int = 20

    @property
    def names(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return (*(f"return_{lag}" for lag in self.lags), "deviation", "position")

    @property
    def warmup(self) -> int:
        """Return how many days pass before the first row."""
        return max(self.window, *self.lags)

    def matrix(self, closes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one row per day after the warm-up."""
        logs = np.log(np.asarray(closes, dtype=np.float64))
        first = self.warmup
        columns = [logs[first:] - logs[first - lag : len(logs) - lag] for lag in self.lags]
        returns = sliding_window_view(np.diff(logs), self.window)[first - self.window :]
        columns.append(returns.std(axis=1))
        spans = sliding_window_view(logs, self.window)[first - self.window + 1 :]
        low, high = spans.min(axis=1), spans.max(axis=1)
        columns.append((logs[first:] - low) / np.maximum(high - low, 1e-12))
        return np.column_stack(columns)
