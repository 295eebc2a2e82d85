"""Settings of the service, each with a default that a variable of the environment replaces."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MODELS = ROOT / "models"
DATA = ROOT / "data"
CONFIGS = ROOT / "configs"
TEMPLATES = ROOT / "templates"

DEBUG = True
SECRET_KEY = os.environ.get("TRADER_SECRET_KEY", "changeme-trader-secret")
DATABASE_URL = os.environ.get("TRADER_DATABASE_URL", f"sqlite:///{DATA / 'trader.db'}")

SYMBOLS = ("ACME", "GLOBEX", "INITECH", "UMBRELLA")
SEED = 7
DAYS = 1200
CACHED_DAYS = 120
