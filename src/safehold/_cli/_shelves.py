"""Shelves: databases of dbm whose values are pickles, sealed value by value."""

from __future__ import annotations

import dbm
import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from safehold._cli._converting import Step
from safehold._cli._round_trip import decoded, reading_in
from safehold._cli._same_value import is_same_value
from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts.codecs import codec_named
from safehold.context import Context
from safehold.errors import DecodeError, EncodeError
from safehold.policy import Policy
from safehold.report.assessment import ORIGINAL_SUFFIX
from safehold.scan import scan_bytes
from safehold.sfh1 import is_sealed
from safehold.source import Journal

CODEC = "shelve"
_SUFFIXES = (".dat", ".dir", ".bak", ".db", ".pag")
_KINDS = ("dbm.dumb", "dbm.gnu", "dbm.ndbm", "dbm.sqlite3")
_PREFER = "pickle"  # as the facade
# What modules of dbm raise for a database that is damaged, or made to be.
_DAMAGED = (*dbm.error, ValueError, SyntaxError, TypeError, LookupError, AttributeError,
            RecursionError, MemoryError)  # fmt: skip


def shelf_of(path: Path) -> Path | None:
    """Return the name by which `shelve.open` knows the database that a file belongs to."""
    candidates = [path, path.with_suffix("")] if path.suffix in _SUFFIXES else [path]
    return next((base for base in candidates if dbm.whichdb(os.fspath(base)) in _KINDS), None)


def files_of(base: Path) -> list[Path]:
    """Return the files of a database."""
    names = [base, *(base.with_name(base.name + suffix) for suffix in _SUFFIXES)]
    return [path for path in names if path.is_file()]


def shelf_step(base: Path, policy: Policy) -> Step | None:
    """Look at every value of a shelf, load none; None where all are sealed.

    Nothing is converted when there is one value that is not a clean pickle.
    """
    name = os.path.relpath(base, policy.root)
    zone = policy.zone_for(name)
    allow = AllowList.of((*zone.allow, "joblib"))
    count = 0
    try:
        for key, value in _values(base):
            if is_sealed(value):
                continue
            count += 1
            report = scan_bytes(value, f"{name}[{key!a}]", policy.limits, allow=allow)
            if report.verdict != "clean" or report.format != "pickle":
                why = report.findings[0].message if report.findings else f"is {report.format}"
                reason = f"the value of {key!a} is {report.verdict}: {why}"
                return Step("leave", name, reason, remedy="Nothing of this shelf was loaded.")
    except _DAMAGED as error:
        return Step("leave", name, f"a database of dbm that cannot be read: {error}")
    if not count:
        return None
    return Step("convert", name, f"shelf with {count} values that are not sealed", CODEC)


def convert_shelf(step: Step, journal: Journal, store: Store, hold: Context) -> None:
    """Write a shelf anew with sealed values, and put its files in the place of the old ones.

    No process may have it open meanwhile.

    Raises:
        SafeholdError, OSError: nothing was replaced then.
    """
    base = hold.policy.root / step.path
    before = files_of(base)
    room = journal.directory / "shelf"
    room.mkdir()
    try:
        made = _sealed_copy(step, base, room, store, hold)
        for path in before:
            journal.keep(path, path.with_name(path.name + ORIGINAL_SUFFIX))
        for new in made:
            target = base.with_name(new.name)
            data = new.read_bytes()
            journal.replace(target, data) if target in before else journal.create(target, data)
        for path in before:
            if path.name not in {new.name for new in made}:
                journal.remove(path)
    finally:
        shutil.rmtree(room)


def verify_shelf(base: Path, store: Store, hold: Context) -> None:
    """Verify every value. Raises as `Store.loads`; DecodeError when the database is damaged."""
    zone, name = store.place_of(base)
    try:
        for key, value in _values(base):
            if decoded(store.container(value, zone=zone.name), hold.policy)[:2] != (name, key):
                message = f"the value of {key!a} was stored under another key or in another shelf"
                raise DecodeError(message)
    except _DAMAGED as error:
        message = f"a database of dbm that cannot be read: {error}"
        raise DecodeError(message) from error


def _sealed_copy(step: Step, base: Path, room: Path, store: Store, hold: Context) -> list[Path]:
    zone, name = store.place_of(base)
    reading = reading_in(zone, hold.policy, raw=True)
    library: Any = import_module(str(dbm.whichdb(os.fspath(base))))
    with library.open(os.fspath(room / base.name), "n") as copy:
        for key, data in _values(base):
            if is_sealed(data):
                copy[key.encode()] = data
                continue
            report = scan_bytes(data, name, hold.policy.limits, allow=reading.allow)
            if report.verdict != "clean" or report.format != "pickle":
                message = f"{step.path}: the value of {key!a} changed since it was looked at"
                raise EncodeError(message)
            value = codec_named("pickle").decode([memoryview(data)], reading)
            sealed = store.dumps((name, key, value), zone=zone.name, prefer=_PREFER)
            found: Any = decoded(store.container(sealed, zone=zone.name), hold.policy)
            if not is_same_value(found, (name, key, value)):
                message = f"{step.path}: the value of {key!a} does not come back as it was"
                raise EncodeError(message)
            copy[key.encode()] = sealed
    return sorted(room.iterdir())


def _values(base: Path) -> Iterator[tuple[str, bytes]]:
    """Yield keys and values; a database that was opened for reading is not changed."""
    library: Any = import_module(str(dbm.whichdb(os.fspath(base))))
    with library.open(os.fspath(base), "r") as found:
        for key in found.keys():  # noqa: SIM118  (not all kinds can be iterated)
            yield key.decode(), found[key]
