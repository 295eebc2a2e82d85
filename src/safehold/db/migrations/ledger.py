"""The ledger: a table beside Alembic's own that says what each revision was when it ran.

A row is written in the transaction that runs the revision, so that there is one exactly when it
ran. Its MAC is HMAC-SHA256 under a key derived from the local key: who can write to the database
and has no key cannot make a changed revision look as if it had run like this.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safehold.db import rules
from safehold.errors import MigrationError, UnknownKey
from safehold.findings import Finding, Location
from safehold.keys import Keyring

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

TABLE: Final = "safehold_migrations"
_PURPOSE: Final = b"safehold db ledger v1"


@dataclass(frozen=True, slots=True)
class Row:
    """``digest``: SHA-256 of the revision's file in hex; ``applied``: when, in ISO 8601, UTC."""

    revision: str
    digest: str
    applied: str
    key: str
    mac: str


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a revision's file; line endings are those of the checkout, not of it.

    Raises:
        MigrationError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MigrationError(f"cannot read the revision {path}: {error.strerror}") from error
    return sha256(content.replace(b"\r\n", b"\n")).hexdigest()


class Ledger:
    """Reads and writes the rows through a connection of SQLAlchemy, in its transaction."""

    def __init__(self, keyring: Keyring, schema: str | None = None) -> None:
        """`schema` is where Alembic's version table is, too."""
        self._keyring = keyring
        self._schema = schema

    def rows(self, connection: Connection) -> dict[str, Row]:
        """Return the rows by revision; none where the table is not there."""
        from sqlalchemy import inspect, select

        if not inspect(connection).has_table(TABLE, schema=self._schema):
            return {}
        found = connection.execute(select(self._table()))
        return {row.revision: Row(*map(str, row)) for row in found}

    def write(self, connection: Connection, revision: str, digest: str) -> None:
        """Record that a revision ran, now, with a file of this digest."""
        table = self._table()
        table.create(connection, checkfirst=True)
        key = self._keyring.local
        applied = datetime.now(UTC).isoformat(timespec="seconds")
        connection.execute(table.delete().where(table.c.revision == revision))
        connection.execute(
            table.insert().values(
                revision=revision,
                digest=digest,
                applied=applied,
                key_id=key.id,
                mac=self._mac(key.id, revision, digest, applied),
            )
        )

    def remove(self, connection: Connection, revision: str) -> None:
        """Record that a revision was taken back."""
        table = self._table()
        table.create(connection, checkfirst=True)
        connection.execute(table.delete().where(table.c.revision == revision))

    def check(
        self, rows: Mapping[str, Row], applied: frozenset[str], files: Mapping[str, Path]
    ) -> Iterator[Finding]:
        """Yield where rows, what Alembic says has run, and the files do not agree."""
        for revision in sorted(applied - rows.keys()):
            message = f"revision {revision} ran and is not recorded"
            yield Finding.of(rules.NOT_RECORDED, message, _place(files.get(revision)))
        for revision, row in sorted(rows.items()):
            path = files.get(revision)
            if not self._is_authentic(row):
                message = f"the record of revision {revision} is not authentic"
                yield Finding.of(rules.LEDGER_FORGED, message, _place(path))
            elif revision not in applied:
                message = f"revision {revision} is recorded, and Alembic says that it did not run"
                yield Finding.of(rules.NOT_RECORDED, message, _place(path))
            elif path is None:
                message = f"revision {revision} ran, and its file is gone"
                yield Finding.of(rules.REVISION_CHANGED, message, _place(path))
            elif digest_of(path) != row.digest:
                message = f"revision {revision} was changed after it ran on {row.applied}"
                yield Finding.of(rules.REVISION_CHANGED, message, _place(path))

    def _is_authentic(self, row: Row) -> bool:
        try:
            expected = self._mac(row.key, row.revision, row.digest, row.applied)
        except UnknownKey:
            return False
        return hmac.compare_digest(expected.encode(), row.mac.encode("utf-8", "replace"))

    def _mac(self, key_id: str, revision: str, digest: str, applied: str) -> str:
        secret = self._keyring.local_by_id(key_id).derive(_PURPOSE)
        parts = [part.encode() for part in (self._schema or "", revision, digest, applied)]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(secret, message, "sha256").hex()

    def _table(self) -> Table:
        from sqlalchemy import Column, MetaData, String, Table

        return Table(
            TABLE,
            MetaData(),
            Column("revision", String(255), primary_key=True),
            Column("digest", String(64), nullable=False),
            Column("applied", String(32), nullable=False),
            Column("key_id", String(255), nullable=False),
            Column("mac", String(64), nullable=False),
            schema=self._schema,
        )


def _place(path: Path | None) -> Location:
    return Location(path="" if path is None else str(path))
