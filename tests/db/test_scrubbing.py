"""Errors of drivers that have no server here, and what is left of them."""

from __future__ import annotations

import pickle
import sqlite3

import pytest

pytestmark = pytest.mark.extras

import psycopg
import pymysql

from safehold.db.guarding.scrubbing import is_from_driver, scrubbed

SECRET = "Tr0ub4dor"


class Odd(Exception):
    """An error that is not made of texts."""

    def __init__(self, *, orig):
        super().__init__(orig)
        self.orig = orig


Odd.__mro__[0].__name__ = "Error"


@pytest.mark.parametrize(
    "error",
    [
        pymysql.err.IntegrityError(1062, f"Duplicate entry '{SECRET}' for key 'users.name'"),
        pymysql.err.ProgrammingError(1064, f"You have an error ... near '{SECRET}'"),
        psycopg.errors.InvalidTextRepresentation(f'invalid input syntax: "{SECRET}"'),
        psycopg.OperationalError(f"connection failed: password {SECRET}"),
        sqlite3.OperationalError(f"no such column: {SECRET}"),
        sqlite3.ProgrammingError(f"Error binding parameter '{SECRET}'"),
        UnicodeEncodeError("utf-8", SECRET, 0, 1, "surrogates not allowed"),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "invalid start byte"),
        Odd(orig=SECRET),
    ],
)
def test_no_value_is_left(error):
    assert is_from_driver(error)
    clean = scrubbed(error)
    assert type(clean) is type(error)
    assert SECRET not in f"{clean} {clean!r} {vars(clean)} {clean.__cause__} {clean.__context__}"
    if type(error) is not Odd:
        assert SECRET.encode() not in pickle.dumps(clean)


def test_numbers_and_names_are_left():
    assert scrubbed(pymysql.err.IntegrityError(1062, "x")).args[0] == 1062
    assert scrubbed(psycopg.errors.InvalidTextRepresentation("x")).sqlstate == "22P02"
    assert str(scrubbed(sqlite3.OperationalError("database is locked"))) == "database is locked"


def test_does_nothing_to_errors_of_a_program():
    assert not is_from_driver(ZeroDivisionError("x"))
    assert not is_from_driver(KeyError("x"))
