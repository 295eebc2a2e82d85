from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
from trader import settings, train
from trader.features import FeatureSpec
from trader.predict import Predictor, load_scaler
from trader.prices import closes


@pytest.fixture
def scratch(models: Path) -> Iterator[Path]:
    """Return a file of this test's own in ``models/``."""
    path = models / "test-forest.joblib"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", train.NAMES)
def test_a_forest_answers_the_same_after_a_round_trip(scratch: Path, name: str) -> None:
    trained = train.bundle(name, load_scaler(), seed=11, trees=3)
    train.save(trained, scratch)
    read = joblib.load(scratch)
    assert read["spec"] == FeatureSpec()
    assert read["metrics"] == trained["metrics"]
    rows = load_scaler().transform(FeatureSpec().matrix(closes("ACME", 200, 5)))
    np.testing.assert_array_equal(read["model"].predict(rows), trained["model"].predict(rows))


def test_a_retrained_file_replaces_the_one_before(scratch: Path) -> None:
    first = train.bundle("direction", load_scaler(), seed=1, trees=2)
    second = train.bundle("direction", load_scaler(), seed=2, trees=2)
    train.save(first, scratch)
    train.save(second, scratch)
    assert joblib.load(scratch)["metrics"] == second["metrics"]


def test_predictions_are_one_per_day_after_the_warmup(predictor: Predictor) -> None:
    days = settings.CACHED_DAYS - FeatureSpec().warmup
    for symbol in settings.SYMBOLS:
        assert predictor.signals(symbol).shape == (days,)
        assert set(predictor.signals(symbol)) <= {0.0, 1.0}
        assert np.all(predictor.volatilities(symbol) > 0)


def test_an_unknown_symbol_raises(predictor: Predictor) -> None:
    with pytest.raises(KeyError):
        predictor.outlook("NOWHERE")


def test_features_look_only_backwards() -> None:
    spec = FeatureSpec()
    prices = closes("ACME", 100, 5)
    np.testing.assert_allclose(spec.matrix(prices[:60]), spec.matrix(prices)[: 60 - spec.warmup])
    assert spec.matrix(prices).shape == (100 - spec.warmup, len(spec.names))


def test_prices_depend_on_seed_and_symbol_alone() -> None:
    np.testing.assert_array_equal(closes("ACME", 50, 5), closes("ACME", 50, 5))
    assert not np.array_equal(closes("ACME", 50, 5), closes("ACME", 50, 6))
    assert not np.array_equal(closes("ACME", 50, 5), closes("GLOBEX", 50, 5))
