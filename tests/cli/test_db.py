"""`safehold db`: what it prints and how it exits."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.extras

from tests.db.projects import project, write  # noqa: E402


@pytest.fixture
def app(folder):
    return project(folder / "app")


@pytest.fixture
def url(folder):
    return f"sqlite:///{folder}/a.db"


def test_run_from_plan_to_verify(app, url, call):
    planned = call("db", "plan", app, "--url", url)
    assert (planned.code, planned.err) == (0, "")
    assert "CREATE TABLE users" in planned.out
    assert planned.out.endswith("3 revisions to run, 0 findings\n")
    assert call("db", "upgrade", app, "--url", url, "--to", "a2").out == (
        "ran: a1\nran: a2\n2 revisions ran\n"
    )
    assert call("db", "verify", app, "--url", url).out == "0 findings\n"
    taken = call("db", "downgrade", app, "--url", url, "--to", "base", "--format", "json")
    assert json.loads(taken.out) == {"schema": 1, "revisions": ["a2", "a1"]}


def test_database_may_be_named_by_the_environment(app, url, call, monkeypatch):
    monkeypatch.setenv("DATABASE", url)
    assert call("db", "upgrade", app, "--url", "env:DATABASE").code == 0
    monkeypatch.delenv("DATABASE")
    done = call("db", "upgrade", app, "--url", "env:DATABASE")
    assert done.code == 2
    assert "'DATABASE'" in done.err


def test_changed_revision_is_a_finding_and_refuses(app, url, call):
    call("db", "upgrade", app, "--url", url)
    path = app / "migrations" / "versions" / "a1_.py"
    path.write_text(path.read_text("utf-8") + "# changed\n", "utf-8")
    done = call("db", "verify", app, "--url", url)
    assert done.code == 1
    assert f"{path}: medium: SH246: " in done.out
    document = json.loads(call("db", "verify", app, "--url", url, "--format", "json").out)
    assert document["findings"][0]["location"]["path"] == str(path)
    refused = call("db", "upgrade", app, "--url", url)
    assert refused.code == 1
    assert "SH246" in refused.err
    assert call("db", "restamp", app, "--url", url).code == 0
    assert call("db", "verify", app, "--url", url).code == 0


def test_risk_is_told_and_refuses_when_asked_to(app, url, call):
    write(app, "a4", "a3", 'op.drop_table("users")')
    assert call("db", "lint", app, "--url", url).code == 1
    planned = json.loads(call("db", "plan", app, "--url", url, "--format", "json").out)
    rules = [one["rule"] for step in planned["steps"] for one in step["findings"]]
    assert rules == ["SH244"]
    strict = call("db", "upgrade", app, "--url", url, "--refuse", "medium")
    assert (strict.code, strict.out) == (1, "")
    assert strict.err.startswith("refused: nothing was run: SH244")
    accepted = ("--refuse", "medium", "--accept", "SH244")
    assert call("db", "upgrade", app, "--url", url, *accepted).code == 0


def test_difference_from_a_programs_tables(app, url, call, folder):
    (folder / "shop_tables.py").write_text(
        "import sqlalchemy as sa\nmetadata = sa.MetaData()\n"
        "sa.Table('users', metadata, sa.Column('id', sa.Integer, primary_key=True))\n",
        "utf-8",
    )
    call("db", "upgrade", app, "--url", url, "--to", "a1")
    drift = ("db", "drift", app, "--url", url, "--metadata")
    done = call(*drift, "shop_tables:metadata")
    assert (done.code, done.out) == (0, "0 differences\n")
    call("db", "upgrade", app, "--url", url)
    done = call(*drift, "shop_tables:metadata")
    assert done.code == 1
    assert "remove_table" in done.out
    for name in ("shop_tables", "shop_tables:nothing", "no_such_module:metadata"):
        assert call(*drift, name).code == 2


def test_bad_input_is_an_error(folder, app, url, call):
    assert call("db", "upgrade", folder / "nowhere", "--url", url).code == 2
    assert call("db", "downgrade", app, "--url", url).code == 2
    assert call("db", "upgrade", app, "--url", url, "--to", "zz").code == 2
