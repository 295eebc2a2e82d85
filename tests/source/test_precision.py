"""Findings in other people's packages that were judged by hand: nearly all of them are real.

`precision.tsv` was drawn with `scripts/precision.py`. Real is a finding when what the rule says is
so at that place and a reader would want to know: text or a command that the source does not fix is
run, a credential stands there. Whether the package means it so (a debugger runs what is typed) is
for a comment with a reason to say. Code that a package makes from its own names is not real;
compilers and computer algebra (torch, sympy), which do little else, are not in the list.

`precision_sql.tsv` has every finding of the rules of SQL in 21 packages that talk to databases; ten
have none (optuna, petl, duckdb-engine, records, dataset, dbt-core, dbt-postgres, pgcli, csvkit,
agate-sql). Django and SQLAlchemy, which generate SQL from the names of models, are not in it: of a
random hundred findings with theirs among them 82 are real.
"""

from __future__ import annotations

import csv
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

from scripts.precision import COLUMNS, findings


def _judged(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / name).open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


ROWS, SQL = _judged("precision.tsv"), _judged("precision_sql.tsv")


@pytest.mark.parametrize(("rows", "least", "packages"), [(ROWS, 100, 20), (SQL, 95, 11)])
def test_the_list_is_judged_and_covers_its_packages(rows, least, packages):
    assert all(tuple(row) == COLUMNS for row in rows)
    assert all(row["real"] in ("yes", "no") and row["reason"] for row in rows)
    places = {(row["package"], row["file"], row["line"], row["rule"]) for row in rows}
    assert len(places) == len(rows) >= least
    assert len({row["package"] for row in rows}) >= packages


@pytest.mark.parametrize("rows", [ROWS, SQL])
def test_nineteen_findings_of_twenty_are_real(rows):
    real = sum(row["real"] == "yes" for row in rows)
    assert real >= 0.95 * len(rows)


@pytest.mark.extras
@pytest.mark.parametrize(
    ("package", "judged"),
    [
        pytest.param(package, judged, id=package)
        for judged in (ROWS, SQL)
        for package in sorted({row["package"] for row in judged})
    ],
)
def test_what_was_judged_is_still_what_is_found(package, judged):
    owner = packages_distributions().get(package)
    rows = [row for row in judged if row["package"] == package]
    if owner is None or version(owner[0]) != rows[0]["version"]:
        pytest.skip("another version is installed")
    found = {
        (item.location.path, str(item.location.line), item.rule.id)
        for item in findings(package, frozenset(row["rule"] for row in judged))
    }
    assert {(row["file"], row["line"], row["rule"]) for row in rows} <= found
