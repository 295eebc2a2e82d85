"""Every rule's own examples, and what the table must hold."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import safehold.source.rules
from safehold.findings import Severity
from safehold.policy import default_policy
from safehold.source.check import MIGRATED_ALONE, audit_source
from safehold.source.row import Use
from safehold.source.rules import RULES

BAD = [
    pytest.param(row, example, id=f"{row.rule.id}-bad-{number}")
    for row in RULES
    for number, example in enumerate(row.bad)
]
GOOD = [
    pytest.param(row, example, id=f"{row.rule.id}-good-{number}")
    for row in RULES
    for number, example in enumerate(row.good)
]


@pytest.mark.parametrize(("row", "example"), GOOD)
def test_does_nothing_to_a_good_example(row, example, look):
    audit = look(example.before)
    assert audit.findings == ()
    assert audit.after is None
    assert audit.outcome == "unchanged"


@pytest.mark.parametrize(("row", "example"), BAD)
def test_a_bad_example_is_found_and_becomes_what_it_says(row, example, look):
    audit = look(example.before)
    assert tuple(finding.location.line for finding in audit.findings) == example.lines
    after = None if audit.after is None else audit.after.decode()
    assert after == example.after
    assert bool(audit.edits) == (example.after is not None)
    if example.after is None and row.migrates:
        assert audit.outcome == "diagnosed"
        assert all(item.remedy and item.message for item in audit.diagnostics)


@pytest.mark.parametrize(("row", "example"), [item for item in BAD if not item.values[0].migrates])
def test_migration_has_no_part_in_what_is_a_finding_alone(row, example, tmp_path):
    source = example.before.encode()
    audit = audit_source(source, "m.py", default_policy(tmp_path), prefilter=MIGRATED_ALONE)
    assert audit.outcome == "unchanged"
    assert row.rule.id not in {finding.rule.id for finding in audit.findings}


@pytest.mark.parametrize(("row", "example"), BAD)
def test_a_finding_is_of_the_rule_that_has_the_example(row, example, look):
    rules = {finding.rule.id for finding in look(example.before).findings}
    assert rules <= {row.rule.id} or row.migrates


@pytest.mark.parametrize(("row", "example"), [item for item in BAD if item.values[1].after])
def test_a_migrated_example_has_no_finding_left(row, example, look):
    audit = look(example.after)
    assert audit.findings == ()
    assert audit.edits == ()
    assert audit.outcome == "unchanged"


@pytest.mark.parametrize("row", RULES, ids=lambda row: row.rule.id)
def test_severity_is_that_of_the_score(row):
    score = row.rule.score
    expected = next(
        severity
        for floor, severity in [
            (9.0, Severity.CRITICAL),
            (7.0, Severity.HIGH),
            (4.0, Severity.MEDIUM),
            (0.1, Severity.LOW),
        ]
        if score >= floor
    )
    assert row.rule.severity is expected


def test_every_file_of_rules_is_one_row_of_the_table():
    directory = Path(safehold.source.rules.__file__).parent
    files = {path.stem for path in directory.glob("*.py")} - {"__init__"}
    rules = {importlib.import_module(f"safehold.source.rules.{name}").RULE for name in files}
    assert rules == {row.rule for row in RULES}
    assert len({row.rule.id for row in RULES}) == len(RULES) == len(files)


def test_every_rule_has_as_many_good_as_bad_examples_within_reason():
    for row in RULES:
        assert row.bad
        assert len(row.good) * 2 >= len(row.bad)


@pytest.mark.extras
@pytest.mark.parametrize(
    "row", [row for row in RULES if row.library is not None], ids=lambda row: row.rule.id
)
def test_the_facade_has_what_its_rule_says(row):
    library = row.library
    facade = importlib.import_module(library.facade)
    for name in {*library.reads, *library.writes, *(library.offered or ())}:
        assert hasattr(facade, name), name
        assert library.use(name) is not Use.ABSENT
    for name in library.beyond:
        if "." not in name and not name.startswith("_store"):
            assert not hasattr(facade, name), name
    if library.data_facade is not None:
        data = importlib.import_module(library.data_facade)
        assert all(hasattr(data, name) for name in library.data_names)


def test_source_imports_nothing_above_itself():
    for path in Path(safehold.source.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith(("safehold.compat", "safehold._cli")), path
