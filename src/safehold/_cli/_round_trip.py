"""The proof that a converted file holds the object of its original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safehold._cli._converting import Step
from safehold._cli._same_value import is_same_value
from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts.codecs import CODECS, Reading, codec_named
from safehold.artifacts.container import Buffer, Sealed
from safehold.artifacts.objects import decode_archive, pickle_in_array
from safehold.context import Context
from safehold.errors import EncodeError, MissingExtra, TypeNotAllowed
from safehold.policy import Policy, Zone
from safehold.report.assessment import PACKINGS


def check_round_trip(step: Step, original: Path, hold: Context, store: Store) -> None:
    """Compare what is there now with the original.

    What was sealed holds the very bytes of the original, and loads with the zone's allow-list
    where its classes can be imported. What was converted loads as an equal value.

    Raises:
        EncodeError: it is another object. Otherwise as `Store.load`.
    """
    path = hold.policy.root / step.path
    found = _containers(step, path, store)
    if step.action == "convert":
        _check_value(step, original, found[0], hold.policy)
        return
    if b"".join(sealed.segments[0] for sealed in found) != _payload(step, original):
        message = f"{step.path}: what was sealed is not what the original holds"
        raise EncodeError(message)
    if step.library != "torch":  # whose own reader loads it, from the same bytes
        for sealed in found:
            _check_loads(sealed, hold.policy)


def reading_in(zone: Zone, policy: Policy, *, raw: bool) -> Reading:
    """Return what a decoder may do in a zone."""
    allow = AllowList.of((*zone.allow, "joblib"))
    imports = zone.trust == "internal"
    depth, limits = policy.limits.depth, policy.limits
    return Reading(allow, depth, raw=raw, limits=limits, imports=imports)


def decoded(sealed: Sealed, policy: Policy) -> Any:
    """Return the value of a verified container. Raises as `Store.load`."""
    header = sealed.header
    reading = reading_in(policy.zone_named(header.zone), policy, raw=header.raw)
    return codec_named(header.codec).decode(sealed.segments, reading)


def _containers(step: Step, path: Path, store: Store) -> list[Sealed]:
    if step.as_bytes:
        return [store.container(path.read_bytes())]
    return store.containers(path, packing=PACKINGS.get(step.packing))


def _payload(step: Step, original: Path) -> Buffer:
    if step.codec == "npy" and step.action == "seal":
        return pickle_in_array(original.read_bytes())
    data = original.read_bytes()
    return PACKINGS[step.packing].unpack(data) if step.packing else data


def _check_value(step: Step, original: Path, sealed: Sealed, policy: Policy) -> None:
    data = _payload(step, original)
    if step.library == "numpy":
        reading = reading_in(policy.zone_for(step.path), policy, raw=True)
        old: object = decode_archive(data, reading)
    else:
        reading = Reading(AllowList.of(("numpy", "joblib")), policy.limits.depth, raw=True)
        old = codec_named(step.codec).decode([memoryview(data)], reading)
    if not is_same_value(old, decoded(sealed, policy)):
        message = f"{step.path}: what was converted does not load as the value of the original"
        raise EncodeError(message)


def _check_loads(sealed: Sealed, policy: Policy) -> None:
    """Load what was sealed. Raises as `Store.load`, but not for libraries that are not here."""
    if not CODECS[sealed.header.codec].carries_code:
        return
    try:
        decoded(sealed, policy)
    except MissingExtra:
        return
    except TypeNotAllowed as error:
        if not isinstance(error.__cause__, ImportError):
            raise
