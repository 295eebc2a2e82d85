"""Models, a predictor and a client on a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from trader import settings, train
from trader.app import create_app
from trader.predict import Predictor


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the directory of models; train small ones where there are none."""
    if not (settings.MODELS / "direction.joblib").exists():
        train.train(trees=5)
        train.write_records()
    return settings.MODELS


@pytest.fixture
def predictor(models: Path) -> Predictor:
    """Return a predictor as the service has it after its start."""
    return Predictor.from_disk(models)


@pytest.fixture
def client(models: Path, tmp_path: Path) -> Iterator[TestClient]:  # noqa: ARG001
    """Return a client of a running service."""
    with TestClient(create_app(f"sqlite:///{tmp_path / 'trader.db'}")) as running:
        yield running
