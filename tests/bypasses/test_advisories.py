"""One test for each published advisory about a scanner of pickles, and each class of the papers."""

from __future__ import annotations

import pytest

from safehold.scan import scan_path
from tests.bypasses.advisories import ADVISORIES, BY_NAME, CLASSES, OWN
from tests.corpus.cases import write
from tests.corpus.loaded import loaded

pytestmark = [pytest.mark.bare, pytest.mark.forking]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    names = dict.fromkeys([*ADVISORIES.values(), *CLASSES.values()])
    cases = [BY_NAME[name] for name in names]
    return {one.case.id: one for one in write(cases, tmp_path_factory.mktemp("advisories"))}


def found(one):
    """Scan a case and return the verdict; the payload must not have run."""
    [report] = scan_path(one.path).files
    assert not one.canary.exists()
    return report.verdict


@pytest.mark.parametrize("advisory", ADVISORIES)
def test_advisory(made, advisory):
    assert found(made[ADVISORIES[advisory]]) == "malicious"


@pytest.mark.parametrize("name", CLASSES)
def test_class_of_the_papers(made, name):
    assert found(made[CLASSES[name]]) == "malicious"


def test_every_case_of_its_own_is_used_and_runs(tmp_path_factory):
    used = {*ADVISORIES.values(), *CLASSES.values()}
    assert not [case.id for case in OWN if case.id not in used]
    folder = tmp_path_factory.mktemp("own")
    result = loaded(write(OWN, folder), folder)
    needs = {case.id: case.needs for case in OWN}
    assert not [name for name, how in result.items() if how == "dud"]
    # What was not shown to run lacks a package, a window or another release, and says so.
    assert not [name for name, how in result.items() if how != "ran" and how not in needs[name]]
    assert [name for name, how in result.items() if how == "ran"]
    plain = [case.id for case in OWN if not case.needs]
    assert all(result[name] == "ran" for name in plain)
