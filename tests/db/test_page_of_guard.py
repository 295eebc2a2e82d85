"""The examples of docs/how-to/guard-statements.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

from safehold.keys import generate_key

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "guard-statements.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_example_runs(block, tmp_path, monkeypatch):
    (tmp_path / "safehold.toml").write_text("version = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAFEHOLD_SECRET_KEY", generate_key())
    names = {"__name__": "page"}
    exec(compile(block, "guard-statements.md", "exec", dont_inherit=True), names)  # noqa: S102  a page of our own
    for name in ("engine", "hold"):
        if name in names:
            getattr(names[name], "dispose", getattr(names[name], "close", None))()


def test_every_example_is_run():
    assert len(BLOCKS) == 5
