"""Migrations and sessions on a real PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote

import pytest

pytestmark = [pytest.mark.extras, pytest.mark.forking]

import psycopg
import sqlalchemy as sa

from safehold.db import check_connection
from safehold.errors import MigrationError, Tampered
from tests.db.killing import REVISIONS, build, killed, together
from tests.db.projects import NAMES, USERS, WITHOUT_NAMES, migrator, project, write
from tests.postgres import server  # noqa: F401


@pytest.fixture
def url(server) -> Iterator[str]:  # noqa: F811
    """Make a database, and return its address as SQLAlchemy has it."""
    words = dict(parse_qsl(server.replace(" ", "&")))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS migrated WITH (FORCE)")
        connection.execute("CREATE DATABASE migrated")
    words["dbname"] = "migrated"
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in words.items())
    return f"postgresql+psycopg:///?{query}"


def run(url, *statements):
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
    return result.scalars().all() if result.returns_rows else None


def tables(url):
    return set(run(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))


def test_up_and_down(tmp_path, url):
    with migrator(project(tmp_path / "app"), url) as (one, _):
        assert one.upgrade() == ("a1", "a2", "a3")
        one.verify()
        assert tables(url) >= {"users", "houses", "safehold_migrations"}
        assert one.downgrade("base") == ("a3", "a2", "a1")
        one.verify()
    assert not tables(url) & {"users", "houses"}


def test_revision_that_fails_is_taken_back_whole_and_those_before_it_stay(tmp_path, url):
    place = project(tmp_path / "app")
    write(place, "a4", "a3", 'op.execute("CREATE TABLE cut (a int)")\nop.execute("nonsense")')
    with migrator(place, url) as (one, _):
        with pytest.raises(MigrationError, match="nonsense"):
            one.upgrade()
        assert tables(url) >= {"users", "houses"}
        assert "cut" not in tables(url)
        one.verify()


def test_statement_outside_of_a_transaction_keeps_the_lock(tmp_path, url):
    place = project(tmp_path / "app", (("a1", USERS, "pass"), ("a2", NAMES, WITHOUT_NAMES)))
    index = 'op.create_index("i", "users", ["name"], postgresql_concurrently=True)'
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    write(
        place, "a3", "a2",
        f"with op.get_context().autocommit_block():\n    {index}\n"
        f'assert op.get_bind().exec_driver_sql("{held}").scalar() == 1',
    )  # fmt: skip
    with migrator(place, url) as (one, _):
        assert one.upgrade() == ("a1", "a2", "a3")
    assert run(url, held) == [0]


def test_risk_of_a_lock_is_found(tmp_path, url):
    place = project(tmp_path / "app")
    write(place, "a4", "a3", 'op.create_index("i", "users", ["name"])')
    with migrator(place, url) as (one, _):
        one.upgrade("a3")
        assert [finding.rule.id for finding in one.plan().findings] == ["SH242"]


def test_changed_ledger_is_found(tmp_path, url):
    with migrator(project(tmp_path / "app"), url) as (one, _):
        one.upgrade()
        run(url, "UPDATE safehold_migrations SET digest = 'x'")
        with pytest.raises(Tampered, match="SH247"):
            one.verify()


def test_search_path_of_env_holds_for_the_run(tmp_path, url):
    run(url, "CREATE SCHEMA tenant")
    place = project(tmp_path / "app")
    env = place / "migrations" / "env.py"
    text = env.read_text("utf-8").replace(
        "        context.configure(connection=connection)",
        '        connection.exec_driver_sql("SET search_path TO tenant")\n'
        "        context.configure(connection=connection)",
    )
    env.write_text(text, "utf-8")
    with migrator(place, url) as (one, _):
        one.upgrade()
        one.verify()
    assert tables(url) == set()
    assert set(run(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'tenant'")) >= {"users"}


def test_of_many_runners_one_applies_and_all_end_well(tmp_path, url):
    assert together(build(tmp_path / "app"), url, 8) == [0] * 7 + [REVISIONS]


def test_killed_runner_leaves_whole_revisions_and_the_next_goes_on(tmp_path, url):
    ended, wrong = killed(build(tmp_path / "app"), url, 8, random.Random(4))
    assert wrong == []
    assert sum(ended.values()) == 8


def session(url, role):
    engine = sa.create_engine(url.replace("user=safehold", f"user={role}"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {finding.rule.id for finding in check_connection(connection)}


def test_session_says_what_it_may_do(url):
    run(
        url, "DROP ROLE IF EXISTS plain", "DROP ROLE IF EXISTS builder", "CREATE ROLE plain LOGIN",
        "ALTER ROLE plain SET statement_timeout = '5s'", "ALTER ROLE plain SET lock_timeout = '5s'",
        "CREATE ROLE builder LOGIN", "GRANT CREATE ON SCHEMA public TO builder",
    )  # fmt: skip
    try:
        assert session(url, "plain") == set()
        assert session(url, "builder") == {"SH254", "SH255"}
        run(url, "ALTER ROLE plain CREATEROLE")
        assert session(url, "plain") == {"SH253"}
        assert "SH253" in session(url, "safehold")
    finally:
        run(url, "REVOKE ALL ON SCHEMA public FROM builder", "DROP ROLE plain", "DROP ROLE builder")
