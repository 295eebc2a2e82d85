"""Rules of databases: connections, what a migration would do, what of one has run."""

from __future__ import annotations

from typing import Final

from safehold.dsn import LOGIN_PASSWORD, NO_TLS, SUPERUSER
from safehold.findings import Rule, Severity

_OUTAGE: Final = "CVSS:4.0/AV:L/AC:L/AT:P/PR:H/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"
_LOCKED: Final = "CVSS:4.0/AV:L/AC:L/AT:P/PR:H/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N"
_LOSS: Final = "CVSS:4.0/AV:L/AC:L/AT:P/PR:H/UI:N/VC:N/VI:H/VA:H/SC:N/SI:N/SA:N"
_CHANGED: Final = "CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:H/VA:H/SC:N/SI:N/SA:N"

NOT_NULL: Final = Rule(
    id="SH241",
    name="not-null-without-default",
    title="A migration adds a column that may not be NULL and has no default",
    why="On a table that has rows the statement fails, and a service that still runs the code of "
    "before cannot insert.",
    remedy="Give it a server_default, or add the column as nullable, fill it, and set NOT NULL in "
    "a later revision.",
    severity=Severity.MEDIUM,
    cwe=1188,
    cvss=_OUTAGE,
    score=5.6,
)
BLOCKING_INDEX: Final = Rule(
    id="SH242",
    name="blocking-index",
    title="A migration builds an index while nobody can write",
    why="Without CONCURRENTLY, PostgreSQL keeps every writer of the table waiting until the index "
    "is built.",
    remedy="op.create_index(..., postgresql_concurrently=True) inside "
    "op.get_context().autocommit_block().",
    severity=Severity.LOW,
    cwe=667,
    cvss=_LOCKED,
    score=1.8,
)
REWRITE: Final = Rule(
    id="SH243",
    name="table-rewrite",
    title="A migration changes the type of a column",
    why="The server writes the whole table anew, and nobody can read it meanwhile; values that do "
    "not fit make it fail at the end.",
    remedy="Add a column of the new type, copy in batches, then rename.",
    severity=Severity.MEDIUM,
    cwe=667,
    cvss=_OUTAGE,
    score=5.6,
)
LOSS: Final = Rule(
    id="SH244",
    name="data-loss",
    title="A migration drops a table, a column or all rows",
    why="What is dropped is gone when the transaction ends: `downgrade` makes the column again, "
    "not what was in it.",
    remedy="Stop using it in one release and drop it in a later one, after a backup.",
    severity=Severity.MEDIUM,
    cwe=404,
    cvss=_LOSS,
    score=5.7,
)
VALIDATED: Final = Rule(
    id="SH245",
    name="blocking-constraint",
    title="A migration checks a new constraint while tables are locked",
    why="PostgreSQL reads the whole table under a lock that keeps writers out.",
    remedy="Add it with NOT VALID, and VALIDATE CONSTRAINT in a later revision.",
    severity=Severity.LOW,
    cwe=667,
    cvss=_LOCKED,
    score=1.8,
)
REVISION_CHANGED: Final = Rule(
    id="SH246",
    name="revision-changed",
    title="A revision is not what it was when it ran",
    why="The file says another schema than the one that the database has: the next database gets "
    "another one, and nobody sees it.",
    remedy="Put the file back, and make the change in a new revision. If the change is harmless: "
    "safehold db restamp.",
    severity=Severity.MEDIUM,
    cwe=494,
    cvss=_CHANGED,
    score=6.9,
)
LEDGER_FORGED: Final = Rule(
    id="SH247",
    name="ledger-forged",
    title="The record of a revision that ran is not authentic",
    why="Somebody without the key has written it, or a key is gone.",
    remedy="Compare the schema (safehold db drift); when it is right: safehold db restamp.",
    severity=Severity.MEDIUM,
    cwe=345,
    cvss=_CHANGED,
    score=6.9,
)
NOT_RECORDED: Final = Rule(
    id="SH248",
    name="revision-not-recorded",
    title="A revision ran that is not recorded, or is recorded and did not run",
    why="Something else than safehold has changed the schema or the version: what it did is not "
    "known.",
    remedy="When the schema is right (safehold db drift): safehold db restamp.",
    severity=Severity.MEDIUM,
    cwe=353,
    cvss=_CHANGED,
    score=6.9,
)
NOT_SHOWN: Final = Rule(
    id="SH249",
    name="migration-not-shown",
    title="What a migration will run cannot be said without running it",
    why="Its statements depend on what is in the database, so that they were not judged.",
    remedy="Read it, and try it on a copy of the database.",
    severity=Severity.LOW,
    cwe=1059,
    cvss=_LOCKED,
    score=1.8,
)

_RIGHTS: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
_WAITS: Final = "CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N"

SCHEMA_RIGHTS: Final = Rule(
    id="SH254",
    name="database-schema-rights",
    title="A service may change the schema at run time",
    why="An injected statement can drop or alter tables, and who owns a table is held by no "
    "missing GRANT.",
    remedy="Run migrations as an owner, the service as a role with SELECT, INSERT, UPDATE and "
    "DELETE on what it uses; REVOKE CREATE ON SCHEMA public FROM PUBLIC.",
    severity=Severity.MEDIUM,
    cwe=250,
    cvss=_RIGHTS,
    score=7.7,
)
NO_TIMEOUT: Final = Rule(
    id="SH255",
    name="database-without-timeout",
    title="A statement or a lock may take for ever",
    why="A few slow requests, or one lock, take every connection of the pool.",
    remedy="ALTER ROLE service SET statement_timeout = '10s'; the same for lock_timeout.",
    severity=Severity.LOW,
    cwe=400,
    cvss=_WAITS,
    score=2.3,
)

RULES: Final = (
    NO_TLS,
    LOGIN_PASSWORD,
    SUPERUSER,
    SCHEMA_RIGHTS,
    NO_TIMEOUT,
    NOT_NULL,
    BLOCKING_INDEX,
    REWRITE,
    LOSS,
    VALIDATED,
    REVISION_CHANGED,
    LEDGER_FORGED,
    NOT_RECORDED,
    NOT_SHOWN,
)
