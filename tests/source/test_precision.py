"""Findings in other people's packages that were judged by hand: nearly all of them are real.

`precision.tsv` was drawn with `scripts/precision.py`. Real is a finding when what the rule says is
so at that place and a reader would want to know: text or a command that the source does not fix is
run, a credential stands there. Whether the package means it so (a debugger runs what is typed) is
for a comment with a reason to say. Code that a package makes from its own names is not real;
compilers and computer algebra (torch, sympy), which do little else, are not in the list.
"""

from __future__ import annotations

import csv
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from scripts.precision import COLUMNS, findings

with (Path(__file__).parent / "precision.tsv").open(newline="") as file:
    ROWS = list(csv.DictReader(file, delimiter="\t"))
RULES = frozenset(row["rule"] for row in ROWS)


def test_the_list_is_judged_and_covers_twenty_packages():
    assert all(tuple(row) == COLUMNS for row in ROWS)
    assert all(row["real"] in ("yes", "no") and row["reason"] for row in ROWS)
    assert len({(row["file"], row["line"], row["rule"]) for row in ROWS}) == len(ROWS) >= 100
    assert len({row["package"] for row in ROWS}) >= 20


def test_nineteen_findings_of_twenty_are_real():
    real = sum(row["real"] == "yes" for row in ROWS)
    assert real >= 0.95 * len(ROWS)


@pytest.mark.extras
@pytest.mark.parametrize("package", sorted({row["package"] for row in ROWS}))
def test_what_was_judged_is_still_what_is_found(package):
    owner = packages_distributions().get(package)
    rows = [row for row in ROWS if row["package"] == package]
    if owner is None or version(owner[0]) != rows[0]["version"]:
        pytest.skip("another version is installed")
    found = {
        (item.location.path, str(item.location.line), item.rule.id)
        for item in findings(package, RULES)
    }
    assert {(row["file"], row["line"], row["rule"]) for row in rows} <= found
