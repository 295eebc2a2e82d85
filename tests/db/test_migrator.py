"""Alembic projects on SQLite: what runs, what is refused, what is recorded."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.extras

import sqlite3

from safehold.errors import ConfigError, MigrationError, Tampered, TrailError
from safehold.findings import Severity
from tests.db.projects import ENV, THREE, USERS, migrator, project, write

# The record of another revision, which is authentic for that one.
SWAPPED = """
    UPDATE safehold_migrations SET (digest, mac) =
        (SELECT digest, mac FROM safehold_migrations WHERE revision = 'a2')
    WHERE revision = 'a1'
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/a.db"


@pytest.fixture
def place(tmp_path):
    return project(tmp_path / "app")


def tables(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    return found


def run(tmp_path, *statements):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def files(place):
    return {path: path.read_bytes() for path in place.rglob("*") if path.suffix in (".py", ".ini")}


def test_does_nothing_to_the_project(place, url):
    before = files(place)
    with migrator(place, url) as (one, _):
        one.plan()
        one.upgrade()
        one.verify()
    assert files(place) == before


def test_plan_and_lint_change_nothing(place, url, tmp_path):
    with migrator(place, url) as (one, events):
        plan = one.plan()
        assert [step.revision for step in plan.steps] == ["a1", "a2", "a3"]
        assert any("CREATE TABLE users" in text for text in plan.steps[0].statements)
        assert plan.findings == ()
        assert list(one.lint()) == []
    assert tables(tmp_path) == set()
    assert events.rows == []


def test_upgrade_runs_what_is_pending_and_then_nothing(place, url, tmp_path):
    with migrator(place, url) as (one, events):
        assert one.upgrade("a2") == ("a1", "a2")
        assert tables(tmp_path) >= {"users", "alembic_version", "safehold_migrations"}
        assert one.upgrade() == ("a3",)
        assert one.upgrade() == ()
        one.verify()
    told = [(row.action, row.outcome, row.detail["revisions"]) for row in events.rows]
    assert told == [
        ("db.upgrade", "allowed", ["a1", "a2"]),
        ("db.upgrade", "done", ["a1", "a2"]),
        ("db.upgrade", "allowed", ["a3"]),
        ("db.upgrade", "done", ["a3"]),
    ]


def test_downgrade_takes_back_and_forgets(place, url, tmp_path):
    with migrator(place, url) as (one, _):
        one.upgrade()
        assert one.downgrade("a1") == ("a3", "a2")
        assert "houses" not in tables(tmp_path)
        one.verify()
        assert one.downgrade("base") == ("a1",)
        assert "users" not in tables(tmp_path)
        assert one.upgrade() == ("a1", "a2", "a3")


def test_no_event_means_no_migration(place, url, tmp_path):
    with migrator(place, url) as (one, events):
        events.broken = True
        with pytest.raises(TrailError):
            one.upgrade()
    assert "users" not in tables(tmp_path)


def test_error_in_a_later_revision_leaves_nothing_on_sqlite(place, url, tmp_path):
    write(place, "a4", "a3", 'op.execute("CREATE TABLE cut (a)")\nop.execute("nonsense")')
    with migrator(place, url) as (one, events):
        with pytest.raises(MigrationError, match="nonsense"):
            one.upgrade()
        assert tables(tmp_path) & {"users", "cut", "houses"} == set()
        assert events.rows[-1].outcome == "refused"
        assert one.upgrade("a3") == ("a1", "a2", "a3")


def test_revision_that_was_changed_after_it_ran_is_found(place, url):
    path = place / "migrations" / "versions" / "a1_.py"
    with migrator(place, url) as (one, _):
        one.upgrade()
        content = path.read_text("utf-8")
        path.write_text(content + "# changed\n", "utf-8")
        [finding] = one.check()
        assert finding.rule.id == "SH246"
        assert finding.location.path == str(path)
        for call in (one.verify, one.upgrade, lambda: one.downgrade("a1")):
            with pytest.raises(Tampered, match="a1"):
                call()
        path.write_text(content, "utf-8")
        one.verify()
        path.write_text(content.replace("\n", "\r\n"), "utf-8", newline="")
        one.verify()  # a checkout with other line endings
        path.write_text(content + "# changed\n", "utf-8")
        assert one.restamp() == ("a1", "a2", "a3")
        one.verify()


def test_revision_whose_file_is_gone_is_found(place, url):
    with migrator(place, url) as (one, _):
        one.upgrade()
        one.downgrade("a2")
        (place / "migrations" / "versions" / "a3_.py").unlink()
        one.verify()
        (place / "migrations" / "versions" / "a2_.py").unlink()
        with pytest.raises(MigrationError, match="a2"):
            one.verify()


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE safehold_migrations SET digest = 'x' WHERE revision = 'a1'", "SH247"),
        ("UPDATE safehold_migrations SET mac = 'ü' WHERE revision = 'a1'", "SH247"),
        ("UPDATE safehold_migrations SET key_id = 'other' WHERE revision = 'a1'", "SH247"),
        ("UPDATE safehold_migrations SET applied = '1970-01-01' WHERE revision = 'a1'", "SH247"),
        ("DELETE FROM safehold_migrations WHERE revision = 'a1'", "SH248"),
        ("DROP TABLE safehold_migrations", "SH248"),
        ("UPDATE alembic_version SET version_num = 'a2'", "SH248"),
        ("DELETE FROM alembic_version", "SH248"),
        (SWAPPED, "SH247"),
    ],
)
def test_ledger_that_was_changed_is_found(place, url, tmp_path, statement, rule):
    with migrator(place, url) as (one, _):
        one.upgrade()
        run(tmp_path, statement)
        assert rule in {finding.rule.id for finding in one.check()}
        with pytest.raises(Tampered):
            one.upgrade()


def test_database_that_alembic_has_migrated_comes_under_the_ledger(place, url):
    from alembic import command
    from alembic.config import Config

    config = Config(str(place / "alembic.ini"))
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, "a2")
    with migrator(place, url) as (one, events):
        with pytest.raises(Tampered, match="restamp"):
            one.upgrade()
        assert one.restamp() == ("a1", "a2")
        assert one.upgrade() == ("a3",)
        assert [row.action for row in events.rows][:2] == ["db.upgrade", "db.restamp"]
    command.downgrade(config, "a2")  # and Alembic goes on working
    with migrator(place, url) as (one, _), pytest.raises(Tampered):
        one.verify()


def test_finding_of_the_source_refuses_the_run_unless_it_is_accepted(place, url, tmp_path):
    statement = """"DELETE FROM users WHERE a = '" + name + "'\""""
    harmful = f"name = input()\nop.get_bind().exec_driver_sql({statement})"
    write(place, "a4", "a3", harmful)
    with migrator(place, url) as (one, events):
        with pytest.raises(MigrationError, match="SH201") as caught:
            one.upgrade()
        assert {finding.rule.id for finding in caught.value.findings} == {"SH201"}
        assert tables(tmp_path) & {"users"} == set()
        assert [row.outcome for row in events.rows] == ["refused"]


def test_risk_refuses_from_the_severity_that_was_asked_for(place, url):
    write(place, "a4", "a3", 'op.drop_column("users", "name")')
    with migrator(place, url, refuse=Severity.MEDIUM) as (one, _):
        one.upgrade("a3")
        with pytest.raises(MigrationError, match="SH244"):
            one.upgrade()
    with migrator(place, url, refuse=Severity.MEDIUM, accept=["SH244"]) as (one, _):
        assert one.upgrade() == ("a4",)


def test_statements_that_need_the_database_are_shown_by_a_trial_that_is_taken_back(
    place, url, tmp_path
):
    change = 'with op.batch_alter_table("users") as b:\n    b.alter_column("name", type_=sa.Text())'
    write(place, "a4", "a3", change)
    with migrator(place, url) as (one, _):
        steps = one.plan().steps
        assert any("_alembic_tmp_users" in text for text in steps[3].statements)
        assert steps[3].findings == ()
        assert tables(tmp_path) == set()
        assert one.upgrade() == ("a1", "a2", "a3", "a4")


def test_env_that_connects_elsewhere_is_refused(place, url, tmp_path):
    env = ENV.replace(
        "engine_from_config(section,", "engine_from_config({'sqlalchemy.url': 'sqlite://'},"
    )
    (place / "migrations" / "env.py").write_text(env, "utf-8")
    with migrator(place, url) as (one, _), pytest.raises(MigrationError, match="connects to"):
        one.upgrade()


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ("", "without calling"),
        ("1 / 0", "division by zero"),
        (
            ENV.replace("configure(connection=connection)", "configure(url='sqlite://')"),
            "no connection",
        ),
    ],
)
def test_env_that_does_not_do_its_part_is_told(place, url, env, told):
    (place / "migrations" / "env.py").write_text(env, "utf-8")
    with migrator(place, url) as (one, _), pytest.raises(MigrationError, match=told):
        one.verify()


def test_env_may_hold_the_connection_in_other_ways(tmp_path, url):
    env = """
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

def work(connection):
    context.configure(connection=connection, render_as_batch=True, version_table="own_version")
    with context.begin_transaction():
        context.run_migrations()

async def main():
    url = context.config.get_main_option("sqlalchemy.url").replace("sqlite:", "sqlite+aiosqlite:")
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(work)
    await engine.dispose()

asyncio.run(main())
"""
    place = project(tmp_path / "app", THREE, env)
    with migrator(place, url) as (one, _):
        assert one.upgrade() == ("a1", "a2", "a3")
        one.verify()
    assert "own_version" in tables(tmp_path)


def test_directory_without_a_project_is_told(tmp_path, url):
    with pytest.raises(ConfigError, match=r"alembic\.ini"), migrator(tmp_path, url):
        pass


def test_branches_and_merges_are_recorded_each(tmp_path, url):
    place = project(tmp_path / "app", THREE[:1])
    write(place, "b1", "a1", 'op.create_table("left", sa.Column("id", sa.Integer))')
    write(place, "c1", "a1", 'op.create_table("right", sa.Column("id", sa.Integer))')
    with migrator(place, url) as (one, _):
        assert set(one.upgrade()) == {"a1", "b1", "c1"}
        one.verify()
        write(place, "d1", ("b1", "c1"), "pass")
        assert one.upgrade() == ("d1",)
        one.verify()


def test_drift_leaves_the_ledger_out(place, url):
    import sqlalchemy as sa

    metadata = sa.MetaData()
    sa.Table(
        "users",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20)),
    )
    sa.Table("houses", metadata, sa.Column("id", sa.Integer, primary_key=True))
    with migrator(place, url) as (one, _):
        one.upgrade()
        assert one.drift(metadata) == ()
        sa.Table("more", metadata, sa.Column("id", sa.Integer, primary_key=True))
        [(kind, table)] = one.drift(metadata)
        assert (kind, table.name) == ("add_table", "more")


def test_lock_that_is_not_to_be_had_is_told(place, url, tmp_path):
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (place / "migrations" / "env.py").write_text(
        ENV.replace(
            "poolclass=pool.NullPool)", "poolclass=pool.NullPool, connect_args={'timeout': 0.01})"
        ),
        "utf-8",
    )
    with (
        migrator(place, url, patience=0.1) as (one, _),
        pytest.raises(MigrationError, match="lock"),
    ):
        one.upgrade()
    other.close()
    with migrator(place, url, patience=0.1) as (one, _):
        assert one.upgrade() == ("a1", "a2", "a3")


def test_statement_that_needs_no_transaction_is_told_on_sqlite(tmp_path, url):
    place = project(tmp_path / "app", (("a1", USERS, "pass"),))
    write(place, "a2", "a1", "with op.get_context().autocommit_block():\n    op.execute('VACUUM')")
    with migrator(place, url) as (one, _):
        with pytest.raises(MigrationError):
            one.upgrade()
        assert "users" not in tables(tmp_path)
