"""The in-context check against PostgreSQL, and harmless inputs as drivers escape them."""

from __future__ import annotations

import contextlib

import pytest

pytestmark = pytest.mark.extras

from tests.inputs.sql_checking import Postgres, alarms, missed
from tests.postgres import server  # noqa: F401


def test_does_nothing_to_harmless_inputs():
    assert list(alarms(6000, seed=3)) == []


def test_postgresql_confirms_attacks_and_each_is_found(server):  # noqa: F811
    with contextlib.closing(Postgres(server)) as asked:
        count, lost = missed(asked, 600, seed=1)
    assert count == 600
    assert not lost
