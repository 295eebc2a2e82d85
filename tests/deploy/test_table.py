"""Every bad setting of the table is found with its rule, and nothing in a good one."""

from __future__ import annotations

import pytest

from safehold.deploy import CHECKS, check, check_settings
from safehold.deploy.reading import read_text
from tests.deploy.table import (
    ENVIRONMENT,
    ENVIRONMENT_BAD,
    FILES,
    FILES_BAD,
    GOOD_ENVIRONMENTS,
    MORE_BAD,
    MORE_GOOD,
    OTHER_FILES,
)

pytestmark = pytest.mark.extras  # files of YAML


def ids(findings):
    return {finding.rule.id for finding in findings}


@pytest.mark.parametrize("environment", GOOD_ENVIRONMENTS, ids=range(len(GOOD_ENVIRONMENTS)))
def test_does_nothing_to_good_environments(environment):
    assert check(environment) == []


@pytest.mark.parametrize(("name", "value"), MORE_GOOD)
def test_does_nothing_to_other_variables(name, value):
    assert check({**ENVIRONMENT, name: value}) == []


@pytest.mark.parametrize("name", FILES)
def test_does_nothing_to_good_files(name):
    assert check_settings(read_text(FILES[name], name)) == []


def test_the_tables_are_large_enough():
    assert len(ENVIRONMENT_BAD) + len(FILES_BAD) >= 160
    assert len(GOOD_ENVIRONMENTS) + len(FILES) >= 40


@pytest.mark.parametrize(("name", "value", "rule"), [*ENVIRONMENT_BAD, *MORE_BAD])
def test_one_bad_variable_is_found(name, value, rule):
    assert rule in ids(check({**ENVIRONMENT, name: value}))


@pytest.mark.parametrize(("name", "value", "rule"), ENVIRONMENT_BAD)
def test_one_bad_variable_is_found_in_a_file(name, value, rule):
    text = "".join(f"{key}='{item}'\n" for key, item in {**ENVIRONMENT, name: value}.items())
    assert rule in ids(check_settings(read_text(text, ".env")))


@pytest.mark.parametrize(("name", "old", "new", "rule"), FILES_BAD)
def test_one_change_of_a_file_is_found(name, old, new, rule):
    assert old in FILES[name]
    assert rule in ids(check_settings(read_text(FILES[name].replace(old, new, 1), name)))


@pytest.mark.parametrize(("name", "text", "rule"), OTHER_FILES)
def test_other_files(name, text, rule):
    assert rule in ids(check_settings(read_text(text, name)))


@pytest.mark.parametrize("row", CHECKS, ids=lambda row: row.rule.id)
def test_examples_of_a_check(row):
    assert row.good
    for example in row.bad:
        found = ids(check_settings(read_text(example.text, example.file)))
        assert row.rule.id in found, example
    for example in row.good:
        assert check_settings(read_text(example.text, example.file)) == [], example


def test_every_rule_of_a_check_is_in_a_table():
    covered = {rule for *_, rule in [*ENVIRONMENT_BAD, *FILES_BAD]}
    assert covered | {"SH324"} >= {row.rule.id for row in CHECKS}
