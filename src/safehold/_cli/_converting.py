"""Data files that a service reads, each looked at, then sealed, converted, set aside or left."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from safehold._cli._reads import Reads
from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts.codecs import CODECS, Encoded, Reading, codec_named
from safehold.artifacts.marks import Marks
from safehold.artifacts.objects import decode_archive, pickle_in_array
from safehold.artifacts.sidecar import SUFFIX
from safehold.artifacts.writing import is_read_by
from safehold.context import Context
from safehold.errors import ConfigError, EncodeError, SafeholdError, VerificationError
from safehold.events import Event
from safehold.policy import Policy
from safehold.report.assessment import PACKINGS, QUARANTINE_SUFFIX, is_code_carrying
from safehold.scan import FileReport, scan_bytes, scan_paths
from safehold.scan.rules import UNKNOWN_GLOBAL
from safehold.source import Journal

_DATA = "msgpack"
_MODEL_SUFFIXES = CODECS["joblib"].suffixes


@dataclass(frozen=True, slots=True)
class Step:
    """What will happen to one artifact.

    `codec` is that of the plain file, `packing` the compression around it. `as_bytes` when
    the code reads the file's bytes and loads those, so that its seal names no path. `library`
    is what reads the file where its codec does not. `remedy` is what its owner can do about it.
    """

    action: Literal["seal", "convert", "quarantine", "leave"]
    path: str
    reason: str
    codec: str = ""
    packing: str = ""
    as_bytes: bool = False
    library: str = ""
    remedy: str = ""


def place_step(report: FileReport, policy: Policy, reads: Reads, own: frozenset[str]) -> Step:
    """Leave what this run cannot or must not touch; decide about the rest."""
    path = policy.root / report.path
    if not path.resolve().is_relative_to(policy.root):
        return Step("leave", report.path, "a link that leads out of the tree")
    stem, dot, _ = report.path.rpartition(".dat")
    if dot and (policy.root / f"{stem}.dir").exists():  # its blocks are pickles
        reason = "belongs to a shelve or dbm database; of a shelf: safehold migrate PATH --data DIR"
        return Step("leave", report.path, reason)
    return _step(report, policy, reads, own)


def scanned_again(report: FileReport, policy: Policy, own: frozenset[str]) -> FileReport:
    """Scan once more, with the service's own plain classes known."""
    allow = AllowList.of({name for zone in policy.zones for name in zone.allow} | {"joblib"})
    path = policy.root / report.path
    scans = scan_paths([path], policy.limits, allow=allow, own=own)
    return next((replace(again, path=report.path) for again in scans), report)


def _step(report: FileReport, policy: Policy, reads: Reads, own: frozenset[str]) -> Step:
    if report.verdict != "clean":
        reason = f"{report.verdict}: {report.findings[0].rule.id} {report.findings[0].message}"
        return Step(
            "quarantine", report.path, reason, remedy=_quarantine_remedy(report, policy, own)
        )
    if (kind := reads.reads_as(report)) and not is_code_carrying(report):
        return _step_of_arrays(report, policy, kind)
    wrapper, _, kind = report.format.rpartition("+")
    name = PurePosixPath(report.path).name
    codec = "joblib" if kind == "joblib" or _is_joblib_name(name) else "pickle"
    packing = wrapper if codec == "pickle" else ""
    if packing and packing not in PACKINGS:
        return Step("leave", report.path, f"{report.format} has no sealed form in this version")
    other = reads.without_facade(report)
    if other:
        return Step("leave", report.path, f"read or written by {other}, which has no facade")
    if reads.is_as_bytes(report.path):
        if packing:
            return Step("leave", report.path, "packed, and read as bytes: seal it by hand")
        return Step("seal", report.path, "read as bytes", codec, as_bytes=True)
    external = policy.zone_for(report.path).trust == "external"
    if external and plain_value(policy, report.path, codec, packing) is not None:
        return Step("convert", report.path, "plain data", codec, packing)
    return Step("seal", report.path, f"clean {report.format}", codec, packing)


def _step_of_arrays(report: FileReport, policy: Policy, kind: str) -> Step:
    """Decide about a file that the facade of torch or numpy reads."""
    if kind == "torch":
        return Step("seal", report.path, "clean torch", "pickle", library="torch")
    if not report.globals and plain_value(policy, report.path, kind, "") is not None:
        return Step("convert", report.path, "arrays of numbers", kind)
    if kind == "npy" and pickle_in_array((policy.root / report.path).read_bytes()):
        return Step("seal", report.path, "array of objects", "npy", library="numpy")
    if kind == "npz" and archive_of_objects(policy, report.path) is not None:
        return Step("convert", report.path, "arrays of objects", "npz", library="numpy")
    reason = f"{report.format} with arrays that have no sealed form here; write it anew"
    return Step("leave", report.path, reason)


def _quarantine_remedy(report: FileReport, policy: Policy, own: frozenset[str]) -> str:
    """Say how a file that its owner knows gets back: by its names, or by being made again."""
    again = "If it is yours, make it again with the hardened service"
    names = {str(finding.detail.get("global", "")) for finding in report.findings}
    is_unknown = all(finding.rule.id == UNKNOWN_GLOBAL.id for finding in report.findings)
    if is_unknown and scanned_again(report, policy, own | names).verdict == "clean":
        options = " ".join(f"--allow {name}" for name in sorted(names))
        return f"{again}, or vouch for what it names: {options}"
    return f"{again}, else delete it."


def _is_joblib_name(name: str) -> bool:
    return any(suffix in name for suffix in _MODEL_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that came back the same from the data codec."""

    value: object


def plain_value(policy: Policy, path: str, codec: str, packing: str) -> Plain | None:
    """Load a file if the scanner finds it clean, and return its value if data can hold it.

    The very bytes that are loaded are scanned, whatever was scanned before under this name.
    Loads with builtins and numpy alone. The proof of no loss is that the value which comes
    back from the codec has the same encoding.
    """
    data = (policy.root / path).read_bytes()
    if packing:
        data = PACKINGS[packing].unpack(data)
    depth = policy.limits.depth
    reading = Reading(AllowList.of(("numpy", "joblib")), depth, raw=True)
    report = scan_bytes(data, path, policy.limits, allow=reading.allow)
    if report.verdict != "clean" or not is_read_by(codec, report.format):
        return None
    msgpack = codec_named(_DATA)
    try:
        value = codec_named(codec).decode([memoryview(data)], reading)
        encoded = msgpack.encode(value, depth)
        views = [memoryview(segment) for segment in encoded.segments]
        again = msgpack.encode(msgpack.decode(views, reading), depth)
    except (SafeholdError, ImportError):
        return None
    return Plain(value) if again.segments == encoded.segments else None


def archive_of_objects(policy: Policy, path: str) -> Plain | None:
    """Load an npz file of an internal zone, as `plain_value` does, but with the zone's list."""
    zone = policy.zone_for(path)
    data = (policy.root / path).read_bytes()
    reading = Reading(AllowList.of(zone.allow), policy.limits.depth, raw=True, limits=policy.limits)
    report = scan_bytes(data, path, policy.limits, allow=reading.allow)
    if zone.trust == "external" or report.verdict != "clean" or report.format != "npz":
        return None
    try:
        return Plain(decode_archive(data, reading))
    except (SafeholdError, ImportError):
        return None


# --- applying ------------------------------------------------------------------------------


def check_marks(steps: Iterable[Step], hold: Context) -> None:
    """Find out before the first change whether seals can be made: a rollback leaves the marks.

    Raises:
        ConfigError: there are marks that this key did not make.
    """
    directory = hold.policy.root / hold.policy.marks
    marks = Marks(directory, hold.keyring)
    for step in steps:
        if step.action in ("seal", "convert") and not step.as_bytes:
            try:
                marks.read(hold.policy.zone_for(step.path).name, step.path)
            except UnicodeError:
                continue  # a name that seals cannot hold: the step itself says so
            except VerificationError as error:
                message = (
                    f"{directory} holds marks of an earlier run that this key did not make; set "
                    f"the earlier key, or, when it is lost, remove that directory ({error})"
                )
                raise ConfigError(message) from error


def apply_step(step: Step, journal: Journal, store: Store, hold: Context) -> None:
    """Do one step; what is there before it is kept by the journal.

    Raises:
        SafeholdError: the file is not what was looked at, or has no sealed form after all.
        OSError
    """
    path = hold.policy.root / step.path
    packing = PACKINGS.get(step.packing)
    if step.action == "leave":
        return
    if step.action == "quarantine":
        hold.recorder.record(
            Event(
                action="quarantine",
                outcome="refused",
                artifact=step.path,
                zone=hold.policy.zone_for(step.path).name,
                reason=step.reason,
            )
        )
        journal.rename(path, _free_name(path))
    elif step.action == "convert":
        of_objects = step.library == "numpy"
        plain = (
            archive_of_objects(hold.policy, step.path)
            if of_objects
            else plain_value(hold.policy, step.path, step.codec, step.packing)
        )
        if plain is None:
            message = f"{step.path} changed since it was looked at"
            raise EncodeError(message)
        journal.adopt(path)
        _announce_sidecar(step, journal, hold)
        store.dump(plain.value, path, codec="pickle" if of_objects else _DATA, packing=packing)
    elif step.as_bytes:
        data = store.seal_bytes(path.read_bytes(), codec=step.codec)
        journal.replace(path, data)
    elif step.codec == "npy":
        stream = pickle_in_array(path.read_bytes())
        journal.adopt(path)
        _announce_sidecar(step, journal, hold)
        store.dump(object(), path, prefer="pickle", encode=lambda: Encoded([stream], raw=True))
    elif step.action == "seal":
        if not stays_plain(step, hold.policy):
            journal.adopt(path)
        _announce_sidecar(step, journal, hold)
        store.seal(path, codec=step.codec, packing=packing)


def stays_plain(step: Step, policy: Policy) -> bool:
    """Say whether the file of a step keeps its bytes, and its seal is a sidecar."""
    as_it_is = step.action == "seal" and not step.as_bytes and step.codec != "npy"
    return as_it_is and not step.packing and policy.zone_for(step.path).sidecar


def _announce_sidecar(step: Step, journal: Journal, hold: Context) -> None:
    if not step.packing and hold.policy.zone_for(step.path).sidecar:
        beside = hold.policy.root / f"{step.path}{SUFFIX}"
        if os.path.lexists(beside):
            journal.adopt(beside)
        else:
            journal.will_create(beside)


def _free_name(path: Path) -> Path:
    """Return where a quarantined file goes: beside itself, under a name nothing loads."""
    candidate = path.with_name(path.name + QUARANTINE_SUFFIX)
    number = 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}.{number}{QUARANTINE_SUFFIX}")
    return candidate
