from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Where a payload leaves its mark; its name needs no quoting."""
    return tmp_path / "marker"
