"""Deploy: how long `safehold check --deploy` takes for a service, start-up included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench._clocks import in_turn
from bench._rows import Row, difference, left_out

_FILES = {
    ".env": "SECRET_KEY=9f2c61e0b7d84a5f3e1c08d92b6a7450c3d8e1f94a2b5067\nDEBUG=true\n" * 20,
    "settings.py": "DEBUG = True\nALLOWED_HOSTS = ['*']\n" + "NAME = 'a value'\n" * 300,
    "config.toml": "[server]\nhost = '0.0.0.0'\n" + "".join(f"[s{n}]\na = 1\n" for n in range(100)),
    "config.yaml": "cors:\n  allow_origins: ['*']\n"
    + "".join(f"k{n}: {{a: 1}}\n" for n in range(200)),
    "compose.yaml": "services:\n  web:\n    image: app:latest\n    environment: {DEBUG: 'true'}\n",
    "Dockerfile": "FROM python:latest\nCMD gunicorn --reload app:app\n",
    "requirements.txt": "".join(f"package-{n}>=1\n" for n in range(60)),
    "safehold.toml": "version = 1\nmode = 'monitor'\n",
}


def rows() -> Iterator[Row]:
    """Yield how much longer the whole process takes than bare Python."""
    try:
        import yaml  # noqa: F401
    except ModuleNotFoundError as error:
        yield left_out("check --deploy", f"no {error.name}", goal=300e-3)
        return
    with tempfile.TemporaryDirectory() as name:
        for file, text in _FILES.items():
            Path(name, file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "safehold", "check", "--deploy", name]
        bare = partial(_run, [sys.executable, "-c", "pass"])
        pairs = in_turn(partial(_run, command), bare)
        yield difference("check --deploy", pairs, "wall", against="bare Python", goal=300e-3)
        yield difference("check --deploy", pairs, against="bare Python", goal=300e-3)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
