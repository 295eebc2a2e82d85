"""The guard before PyMySQL, and mysqlclient where it is installed, on a stand-in for a server."""

from __future__ import annotations

import importlib.util
import threading

import pytest

pytestmark = pytest.mark.extras

import pymysql
import pymysql.cursors
import sqlalchemy as sa

from safehold import db
from safehold.errors import ConfigError, MissingExtra, QueryRefused
from tests.db.guarding import make_hold, summary
from tests.db.mysql_server import error, serving
from tests.db.test_guard import ATTACK, PLANTED, everything_of

HAS_CLIENT = importlib.util.find_spec("MySQLdb") is not None
TEXT = f"SELECT id FROM users WHERE name = '{ATTACK}'"
INSERT = "INSERT INTO users (name) VALUES (%s)"
TWICE = error(1062, "23000", f"Duplicate entry '{PLANTED}' for key 'name'")


@pytest.fixture
def server():
    with serving() as found:
        found.answers["SELECT id"] = ["1", "2"]
        yield found


@pytest.fixture(params=["pymysql", *(["mysqlclient"] if HAS_CLIENT else [])])
def plain(request, server, tmp_path):
    hold, events = make_hold(tmp_path)
    connect = db.connection_class(request.param, hold, mode="enforce", slow_ms=60_000)
    connection = connect(
        host="127.0.0.1", port=server.port, user="me", password=PLANTED, database="shop"
    )
    server.sent.clear()
    yield connection, events
    connection.close()


def test_does_nothing_to_bound_values(plain, server):
    connection, events = plain
    cursor = connection.cursor()
    with db.request_inputs([ATTACK, "a"]):
        cursor.execute(INSERT, (ATTACK,))
        cursor.execute("SELECT id FROM users WHERE name = %(name)s", {"name": ATTACK})
        assert [row[0] for row in cursor.fetchall()] == ["1", "2"]
        cursor.executemany(INSERT, [("a",), ("b",)])
        cursor.executemany("UPDATE users SET name = %s", [("a",), ("b",)])
        connection.commit()
    assert summary(events) == ["statement done"] * 4 + ["commit done"]
    assert len(server.sent) in (6, 7)  # mysqlclient makes two of an insert of two
    assert events.rows[0].caller.startswith(__file__)
    assert events.rows[1].size == 2
    assert "OR 1=1" not in repr(events.rows)


def test_an_input_that_leaves_its_literal_is_not_sent(plain, server):
    connection, events = plain
    cursor = connection.cursor()
    with db.request_inputs([ATTACK]):
        for run in (
            lambda: cursor.execute(TEXT),
            lambda: cursor.execute(TEXT.encode()),
            lambda: cursor.executemany(TEXT, [()]),
            lambda: connection.query(TEXT),
        ):
            with pytest.raises(QueryRefused, match="SH510"):
                run()
    assert summary(events) == ["statement refused SH510"] * 4
    assert server.sent == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("SELECT sleep(5)", "SH224"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "SH226"),
        ("SELECT load_file('/etc/hostname')", "SH226"),
        ("CREATE USER other", "SH229"),
    ],
)
def test_what_no_service_does_is_not_sent(plain, server, text, rule):
    connection, _ = plain
    with pytest.raises(QueryRefused, match=rule):
        connection.cursor().execute(text)
    assert server.sent == []


def test_cursors_of_a_class_of_its_own_are_guarded(plain):
    connection, _ = plain
    kind = pymysql.cursors.DictCursor
    if not isinstance(connection, pymysql.connections.Connection):
        from MySQLdb.cursors import DictCursor as kind  # noqa: N813
    cursor = connection.cursor(kind)
    cursor.execute("SELECT id FROM users")
    assert cursor.fetchone() == {"a": "1"}
    with pytest.raises(QueryRefused):
        cursor.execute("CREATE USER other")


def test_a_procedure_is_one_operation(plain, server):
    connection, events = plain
    connection.cursor().callproc("buy", (PLANTED,))
    assert len(server.sent) == 2
    assert summary(events) == ["statement done"]
    assert "Tr0ub4dor" not in repr(events.rows)


def test_a_rollback_of_nothing_is_not_told(plain):
    connection, events = plain
    connection.rollback()
    connection.cursor().execute("SELECT 1")
    connection.rollback()
    connection.commit()
    assert summary(events) == ["statement done", "rollback done"]


def test_a_planted_secret_is_in_no_error_or_event(plain, server):
    connection, events = plain
    server.answers["INSERT"] = TWICE
    server.answers["SELECT bad"] = error(1064, "42000", f"syntax to use near '{PLANTED}'")
    server.answers["COMMIT"] = error(1180, "HY000", f"got {PLANTED} during COMMIT")
    cursor = connection.cursor()
    runs = (
        lambda: cursor.execute(INSERT, (PLANTED,)),
        lambda: cursor.executemany(INSERT, [(PLANTED,), (PLANTED,)]),
        lambda: cursor.execute(f"SELECT bad '{PLANTED}' AND"),
        lambda: connection.query(f"SELECT bad '{PLANTED}'"),
        lambda: cursor.execute(INSERT, (PLANTED + "\ud800",)),
        lambda: cursor.execute("SELECT %s, %s", (PLANTED,)),
    )
    for run in runs:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            run()
        assert "Tr0ub4dor" not in everything_of(caught.value)
    assert summary(events) == ["statement failed"] * len(runs)
    assert "Tr0ub4dor" not in repr(events.rows) + repr(connection) + repr(cursor)


def test_an_error_is_still_of_its_class_and_says_what_it_may(plain, server):
    connection, _ = plain
    server.answers["INSERT"] = TWICE
    server.answers["SELECT gone"] = error(1146, "42S02", "Table 'shop.gone' doesn't exist")
    with pytest.raises(Exception, match="withheld") as caught:
        connection.cursor().execute(INSERT, ("a",))
    assert type(caught.value).__name__ == "IntegrityError"
    assert caught.value.args[0] == 1062
    with pytest.raises(Exception, match=r"Table 'shop\.gone' doesn't exist"):
        connection.cursor().execute("SELECT gone")


def test_a_commit_that_fails_is_told(server, tmp_path):
    hold, events = make_hold(tmp_path)
    connection = db.connection_class("pymysql", hold)(host="127.0.0.1", port=server.port, user="me")
    server.answers["COMMIT"] = error(1180, "HY000", f"got {PLANTED} during COMMIT")
    connection.cursor().execute("SELECT 1")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connection.commit()
    assert "Tr0ub4dor" not in everything_of(caught.value)
    assert summary(events) == ["statement done", "commit failed"]
    connection.close()


def test_an_error_amid_rows_that_are_read_later_does_not_quote(server, tmp_path):
    hold, _ = make_hold(tmp_path)
    connection = db.connection_class("pymysql", hold)(
        host="127.0.0.1", port=server.port, user="me", cursorclass=pymysql.cursors.SSCursor
    )
    server.answers["SELECT id"] = ["1", error(1292, "22007", f"Incorrect value: '{PLANTED}'")]
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM users")
    with pytest.raises(pymysql.err.Error) as caught:
        cursor.fetchall()
    assert "Tr0ub4dor" not in everything_of(caught.value)
    connection._force_close()


@pytest.mark.parametrize("driver", ["pymysql", *(["mysqlclient"] if HAS_CLIENT else [])])
def test_reading_only_is_said_to_the_server_and_writing_refused(server, tmp_path, driver):
    hold, _ = make_hold(tmp_path)
    connect = db.connection_class(driver, hold, read_only=True)
    connection = connect(host="127.0.0.1", port=server.port, user="me")
    assert "SET SESSION TRANSACTION READ ONLY" in server.sent
    for text, rule in ((INSERT, "SH231"), ("SET SESSION TRANSACTION READ WRITE", "SH230")):
        with pytest.raises(QueryRefused, match=rule):
            connection.cursor().execute(text, ("a",) if "%" in text else None)
    connection.close()


def test_limits_that_cannot_be_held_are_not_taken(tmp_path):
    hold, _ = make_hold(tmp_path)
    for limit in ({"max_rows": 1}, {"statement_timeout_ms": 1}):
        with pytest.raises(ConfigError, match="max_execution_time"):
            db.connection_class("pymysql", hold, **limit)


@pytest.mark.skipif(HAS_CLIENT, reason="mysqlclient is installed")
def test_a_driver_that_is_missing_is_named(tmp_path):
    with pytest.raises(MissingExtra, match="mysqlclient"):
        db.connection_class("mysqlclient", make_hold(tmp_path)[0])


def guarded(server, tmp_path):
    hold, events = make_hold(tmp_path)
    url = f"mysql+pymysql://me@127.0.0.1:{server.port}/shop"
    server.answers["SELECT VERSION"] = ["8.0.40"]
    engine = db.guard(url, hold, mode="enforce", slow_ms=60_000)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    events.rows.clear()
    return engine, events


def test_sqlalchemy_above_is_counted_once(server, tmp_path):
    engine, events = guarded(server, tmp_path)
    query = sa.text("INSERT INTO users (name) VALUES (:name)")
    with engine.begin() as connection:
        connection.execute(query, {"name": "a"})
        connection.execute(query, [{"name": "b"}, {"name": "c"}])
    server.answers["INSERT"] = TWICE
    with pytest.raises(sa.exc.IntegrityError) as caught, engine.begin() as connection:
        connection.execute(query, {"name": PLANTED})
    assert "Tr0ub4dor" not in everything_of(caught.value)
    raw = engine.raw_connection()
    with db.request_inputs([ATTACK]), pytest.raises(QueryRefused):
        raw.cursor().execute(TEXT)
    raw.close()
    assert summary(events) == [
        "statement done", "statement done", "commit done",
        "statement failed", "rollback done", "statement refused SH510",
    ]  # fmt: skip
    engine.dispose()


def test_threads_make_one_record_for_each_operation(server, tmp_path):
    engine, events = guarded(server, tmp_path)

    def work():
        for at in range(10):
            with engine.begin() as connection:
                connection.execute(sa.text("INSERT INTO users (name) VALUES (:n)"), {"n": str(at)})
                connection.execute(sa.text("SELECT 1"))

    with engine.connect() as one, engine.connect() as two, engine.connect() as three:
        for connection in (one, two, three):
            connection.execute(sa.text("SELECT 1"))
    events.rows.clear()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = summary(events)
    assert {kind: found.count(kind) for kind in set(found)} == {
        "statement done": 60, "commit done": 30,
    }  # fmt: skip
    engine.dispose()
