"""Runners that are killed, and many at once, on SQLite."""

from __future__ import annotations

import random

import pytest

pytestmark = [pytest.mark.extras, pytest.mark.forking]

from tests.db.killing import REVISIONS, build, killed, together


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/a.db"


def test_of_many_runners_one_applies_and_all_end_well(tmp_path, url):
    assert together(build(tmp_path / "app"), url, 12) == [0] * 11 + [REVISIONS]


def test_killed_runner_leaves_whole_revisions_and_the_next_goes_on(tmp_path, url):
    ended, wrong = killed(build(tmp_path / "app"), url, 12, random.Random(4))
    assert wrong == []
    assert sum(ended.values()) == 12
