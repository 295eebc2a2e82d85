"""What every test runs under: no network, no settings of the machine, optional packages or none."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from safehold.sfh1 import SUITES
from tests import tracing

# A shared machine makes deadlines fail at random; the blob reproduces what failed.
settings.register_profile(
    "safehold",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("safehold")

# A whole module of tests that need an extra says so in this line, before it imports the extra.
_MARKED = re.compile(r"^pytestmark = .*\bpytest\.mark\.extras\b", re.MULTILINE)
# And one that forks thousands of children, or measures what a child takes.
_FORKING = re.compile(r"^pytestmark = .*\bpytest\.mark\.forking\b", re.MULTILINE)

_OPTIONAL = (
    "blake3", "joblib", "numpy", "pandas", "prometheus_client", "pyarrow", "rich", "safetensors",
    "scipy", "sklearn", "torch",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-extras",
        action="store_true",
        help="leave out tests marked 'extras'; fails if an optional package is installed",
    )
    parser.addoption(
        "--forking",
        choices=("only", "without"),
        help="collect only the modules marked 'forking', or all others",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background ignores it, and what tests interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--no-extras"):
        present = [name for name in _OPTIONAL if importlib.util.find_spec(name)]
        if present:
            message = f"--no-extras, but these are installed: {', '.join(present)}"
            raise pytest.UsageError(message)


def pytest_report_header() -> str:
    """Say how crashes are made on this machine: a run without ptrace sees less of them."""
    return f"system calls: {tracing.WAY}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules unimported: of extras, as their imports would fail before a marker is read.

    And those of the other run, as a process that has imported every library is slow to fork and
    has much memory of its own.
    """
    without, forking = config.getoption("--no-extras"), config.getoption("--forking")
    if collection_path.suffix != ".py" or not (without or forking):
        return None
    text = collection_path.read_text("utf-8")
    if without and _MARKED.search(text):
        return True
    if forking and collection_path.name.startswith("test_"):
        return True if (forking == "only") != bool(_FORKING.search(text)) else None
    return None


def _is_suite_of_an_extra(value: object) -> bool:
    if isinstance(value, tuple):
        return any(map(_is_suite_of_an_extra, value))
    return isinstance(value, str) and value in SUITES and bool(SUITES[value].extra)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Tests of every suite take their names as parameters; some suites need a package.
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if any(map(_is_suite_of_an_extra, parameters.values())):
            item.add_marker("extras")
    if not config.getoption("--no-extras"):
        return
    marked = [item for item in items if item.get_closest_marker("extras")]
    if marked:
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if not item.get_closest_marker("extras")]


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SAFEHOLD_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    """Refuse connections that leave the machine."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        local = self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "::1", "localhost"}
        if not local:
            message = f"a test tried to connect to {address[0]}"
            raise RuntimeError(message)
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield
