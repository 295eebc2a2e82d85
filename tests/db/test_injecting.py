"""A sample of what ``python -m tests.db.injecting`` tries by the thousand."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

from tests.db.injecting import TEMPLATES, Mysql, Postgres, Sqlite, payloads, tried
from tests.postgres import server  # noqa: F401

TEXTS = payloads(15_000, 0)[::30]


def test_there_are_enough_payloads_and_templates():
    assert len(set(payloads(15_000, 0))) == 15_000
    assert len(TEMPLATES) == 7


@pytest.mark.parametrize("kind", [Sqlite, Mysql, Postgres])
def test_what_changes_a_statement_is_refused(tmp_path, kind, request):
    where = kind(request.getfixturevalue("server")) if kind is Postgres else kind()
    found = list(tried(where, TEXTS, tmp_path))
    if kind is not Mysql:
        where.connection.close()
    assert sum(one.changed for one in found) > 20
    assert [one.missed for one in found if one.missed] == []
