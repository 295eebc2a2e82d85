"""The `skops` codec: what `skops.io.dumps` writes, loaded with an allow-list.

Before skops sees a file, its schema is judged as the scanner does (`safehold.scan.schema`): each
name has to be allowed, each loader may have only the types it is made for, and the members are
bounded. What skops itself does not trust it gets as ``trusted``, name by name.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from safehold.allow import AllowList
from safehold.artifacts.codecs import Encoded, Reading
from safehold.artifacts.codecs import npy as npy_codec
from safehold.artifacts.codecs import npz as npz_codec
from safehold.artifacts.codecs.members import INVALID, Members
from safehold.errors import (
    DecodeError,
    EncodeError,
    LimitExceeded,
    MissingExtra,
    SafeholdError,
    TypeNotAllowed,
)
from safehold.scan.names import Names
from safehold.scan.schema import File, Schema

try:
    import skops
    from skops import io as skops_io
except ImportError as error:
    package = "skops"
    raise MissingExtra(package, "skops") from error

_SCHEMA = "schema.json"
_ERRORS = (*INVALID, ArithmeticError, AttributeError, ImportError, MemoryError, TypeError)


def encode(value: object, depth: int) -> Encoded:  # noqa: ARG001  (skops recurses by itself)
    """Store `value`. Raises EncodeError, also for what could not be loaded again."""
    try:
        data = skops_io.dumps(value)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        message = f"skops cannot hold the value: {error}"
        raise EncodeError(message) from error
    schema = Schema(Names(AllowList.of(["*"])))
    schema.read(_parsed(Members(memoryview(data), Reading(AllowList.of(), 0))))
    for fault in schema.faults:
        if fault.kind != "dangerous":  # which the scan before the seal names
            message = f"skops would write what is not loaded again: {fault.message}"
            raise EncodeError(message)
    return Encoded([data], {"skops": skops.__version__})


def decode(segments: Sequence[memoryview], reading: Reading) -> object:
    """Load verified bytes. Raises DecodeError, LimitExceeded, TypeNotAllowed."""
    members = Members(segments[0], reading)
    schema = Schema(Names(reading.allow))
    schema.read(_parsed(members))
    _check(schema, reading.allow)
    _check_files(schema.files, members, reading)
    plain = io.BytesIO()
    members.copy_stored(plain)
    data = plain.getvalue()
    try:
        trusted = skops_io.get_untrusted_types(data=data)
        known = {f"{module}.{name}" for module, name in schema.types}
        for name in trusted:
            if name not in known:
                message = f"{name} is a type that only skops sees in the file"
                raise TypeNotAllowed(message, name=name)
        return skops_io.loads(data, trusted=trusted)
    except SafeholdError:
        raise
    except _ERRORS as error:
        message = f"skops cannot load the file: {type(error).__name__}: {error}"
        raise DecodeError(message) from error


def _parsed(members: Members) -> Any:
    if _SCHEMA not in members.infos:
        message = f"no skops file: it has no {_SCHEMA}"
        raise DecodeError(message)
    try:
        return json.loads(bytes(members.read(_SCHEMA)))
    except (ValueError, RecursionError) as error:
        message = f"the schema cannot be parsed: {error}"
        raise DecodeError(message) from error


def _check(schema: Schema, allow: AllowList) -> None:
    for fault in schema.faults:
        if fault.kind == "limit":
            raise LimitExceeded(fault.message)
        if fault.kind == "broken":
            raise DecodeError(fault.message)
        message = f"the skops file {fault.message}" if fault.kind != "attack" else fault.message
        raise TypeNotAllowed(message, name=fault.name)
    for module, name in schema.types:
        allow.resolve(module, name)


def _check_files(files: Sequence[File], members: Members, reading: Reading) -> None:
    """Refuse arrays that ask for more than they have, and members that are read again and again."""
    whole = 0
    checked = set()
    for file in files:
        info = members.infos.get(file.name)
        if info is None:
            message = f"the schema reads {file.name[:80]!r}, which the file does not have"
            raise DecodeError(message)
        whole += info.file_size
        if whole > members.most:
            message = f"the nodes read more than {members.most} bytes, the limit for the file"
            raise LimitExceeded(message)
        if file in checked:
            continue
        checked.add(file)
        if file.kind == "npy":
            npy_codec.decode([memoryview(members.read(file.name))], reading)
        elif file.kind == "npz":
            npz_codec.decode([memoryview(members.read(file.name))], reading)
