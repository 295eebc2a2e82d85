"""What single statements of migrations do, as far as their words tell."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

from safehold.db.migrations.ddl import check_statements
from safehold.findings import Location

HARMLESS = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL)",
    "ALTER TABLE t ADD COLUMN a VARCHAR(20)",
    "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE t ADD COLUMN a BIGSERIAL NOT NULL",
    "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
    "ALTER TABLE t ALTER COLUMN a DROP DEFAULT",
    "ALTER TABLE t DROP CONSTRAINT c",
    "ALTER TABLE t RENAME COLUMN a TO dropped_type",
    "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id) NOT VALID",
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "INSERT INTO t VALUES ('DROP TABLE u')",
    "INSERT INTO t VALUES ($x$ALTER TABLE u DROP COLUMN b$x$)",
    "-- DROP TABLE t\nSELECT 1",
    "/* TRUNCATE t */ UPDATE t SET a = 1",
    "DELETE FROM t WHERE a = 1",
]
HARMFUL = [
    ("ALTER TABLE t ADD COLUMN a TEXT NOT NULL", "SH241"),
    ("ALTER TABLE t ADD a TEXT NOT NULL", "SH241"),
    ('ALTER TABLE ONLY "s"."t" ADD COLUMN "a" TEXT NOT NULL', "SH241"),
    ("CREATE INDEX i ON t (a)", "SH242"),
    ("CREATE UNIQUE INDEX i ON t (a)", "SH242"),
    ("alter table t alter column a type bigint", "SH243"),
    ("ALTER TABLE t ALTER a SET DATA TYPE bigint USING a::bigint", "SH243"),
    ("ALTER TABLE t MODIFY a BIGINT", "SH243"),
    ("DROP TABLE t", "SH244"),
    ("DROP TABLE IF EXISTS s.t CASCADE", "SH244"),
    ("/* gone */ DROP TABLE t", "SH244"),
    ("ALTER TABLE t DROP COLUMN a", "SH244"),
    ("ALTER TABLE t DROP a", "SH244"),
    ("TRUNCATE t", "SH244"),
    ("DELETE FROM t", "SH244"),
    ("ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES u (id)", "SH245"),
    ("ALTER TABLE t ADD CHECK (a > 0)", "SH245"),
]


def found(*statements, dialect="postgresql"):
    return [one.rule.id for one in check_statements(statements, dialect, Location("a.py"))]


@pytest.mark.parametrize("statement", HARMLESS)
def test_does_nothing_to(statement):
    assert found(statement) == []


@pytest.mark.parametrize(("statement", "rule"), HARMFUL)
def test_finds(statement, rule):
    assert found(statement) == [rule]


def test_does_nothing_to_a_table_that_the_same_revision_makes():
    assert found("CREATE TABLE s.t (id INT)", *(statement for statement, _ in HARMFUL)) == []


def test_locks_of_postgresql_are_of_no_other_dialect():
    assert (
        found("CREATE INDEX i ON t (a)", "ALTER TABLE t ADD CHECK (a > 0)", dialect="sqlite") == []
    )


def test_copy_that_replaces_a_table_of_sqlite_is_no_loss():
    copied = (
        "CREATE TABLE _alembic_tmp_t (id INT)",
        "INSERT INTO _alembic_tmp_t SELECT id FROM t",
        "DROP TABLE t",
        "ALTER TABLE _alembic_tmp_t RENAME TO t",
    )
    assert found(*copied, dialect="sqlite") == []
    assert found(copied[2], dialect="sqlite") == ["SH244"]


def test_hostile_text_takes_time_in_proportion():
    for unit in ("ALTER TABLE ", "'", "$a$", "/*", "ADD ", "DROP COLUMN ", 'CREATE INDEX "'):
        assert isinstance(found(unit * 20_000), list)
