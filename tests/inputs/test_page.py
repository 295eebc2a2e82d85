"""The examples of docs/how-to/inputs.md that stand for themselves run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.extras

from safehold import inputs

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "inputs.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WHOLE = [
    block for block in BLOCKS if "import" in block and "hold" not in block.replace("safehold", "")
]


@pytest.mark.parametrize("block", WHOLE)
def test_example_runs(block, tmp_path, monkeypatch):
    (tmp_path / "var" / "uploads").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    code = compile(block, "inputs.md", "exec", dont_inherit=True)  # annotations as they stand
    exec(code, {"__name__": "page"})  # noqa: S102  a page of our own


def test_most_examples_are_run():
    assert len(WHOLE) == 3


def test_every_type_and_name_on_the_page_is_there():
    for name in re.findall(r"inputs\.([A-Za-z_]+)\b(?!\.)", PAGE):
        if name not in ("html", "md"):
            assert name in inputs.__all__, name
    for name in (
        "PlainText",
        "MultilineText",
        "Identifier",
        "Filename",
        "RelativePath",
        "HTML",
        "URL",
        "ShellArg",
    ):
        assert f"\n| `{name}" in PAGE
