"""What `safehold harden` decides and does: a plan made by looking, then applied with a journal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from safehold._cli._notes import notes_on
from safehold._cli._reads import Reads
from safehold._cli._zones import allowing, at_hand_in, extended, trusted_code
from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts import rules as artifact_rules
from safehold.artifacts.codecs import CODECS, Encoded, Reading, codec_named
from safehold.artifacts.marks import Marks
from safehold.artifacts.writing import is_read_by
from safehold.context import Context
from safehold.errors import ConfigError, EncodeError, SafeholdError, VerificationError
from safehold.events import Event
from safehold.findings import Finding, Location
from safehold.policy import Policy
from safehold.policy.toml import render_policy
from safehold.report.assessment import (
    PACKINGS,
    QUARANTINE_SUFFIX,
    Assessment,
    Progress,
    is_code_carrying,
)
from safehold.scan import FileReport, scan_bytes, scan_paths
from safehold.scan.rules import UNKNOWN_GLOBAL
from safehold.source import FileAudit, Journal, audit_tree, migrate_file
from safehold.source.classes import own_classes

POLICY_NAME = "safehold.toml"
_DATA = "msgpack"
_MODEL_SUFFIXES = CODECS["joblib"].suffixes


@dataclass(frozen=True, slots=True)
class Step:
    """What will happen to one artifact.

    `codec` is that of the plain file, `packing` the compression around it. `as_bytes` when
    the code reads the file's bytes and loads those, so that its seal names no path. `remedy`
    is what its owner can do about it.
    """

    action: Literal["seal", "convert", "quarantine", "leave"]
    path: str
    reason: str
    codec: str = ""
    packing: str = ""
    as_bytes: bool = False
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `--write` would do; `notes` say what the service will meet afterwards."""

    policy: Policy
    writes_policy: bool
    steps: tuple[Step, ...]
    audits: tuple[FileAudit, ...]
    findings: tuple[Finding, ...] = ()
    own: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def edits(self) -> tuple[FileAudit, ...]:
        """The source files that change."""
        return tuple(audit for audit in self.audits if audit.after is not None)

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to change; a run without changes would hide the last one."""
        acts = any(step.action != "leave" for step in self.steps)
        return not (self.writes_policy or self.edits or acts)


@dataclass(slots=True)
class Done:
    """What was done, and what could not be."""

    steps: list[Step] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


# --- planning ------------------------------------------------------------------------------


def make_plan(
    before: Assessment,
    policy: Policy,
    *,
    allow: Sequence[str] = (),
    exclude: Sequence[str],
    progress: Progress,
) -> Plan:
    """Decide what to do with what was found; reads only.

    `allow` holds names that the operator vouches for, besides those found plain.
    """
    root = policy.root
    given = policy.path is not None  # an operator's own policy is followed, not rewritten
    unknown = {
        str(finding.detail.get("global", ""))
        for finding in before.findings
        if finding.rule.id == UNKNOWN_GLOBAL.id
    }
    own = own_classes(root, unknown) | frozenset(allow)
    reads = Reads.of(before.sources)
    reports = [
        _again(report, policy, own) if report.findings and own else report
        for report in before.artifacts
        if is_code_carrying(report) or reads.reads_as(report)
    ]
    at_hand = at_hand_in(before)
    steps = [_placed(report, policy, reads, own) for report in reports]
    found = [step.path for step in steps if _holds_objects_outside(step, policy)]
    findings = [
        Finding.of(
            artifact_rules.MODELS_IN_EXTERNAL,
            "holds objects that have no form as plain data",
            Location(path=path),
        )
        for path in found
    ]
    if given:
        reason = "holds objects, but its zone is external; give it an internal zone"
        steps = [Step("leave", step.path, reason) if step.path in found else step for step in steps]
    else:
        places = [*found, *_unknown_outside(reports, steps, policy)]
        policy = extended(policy, before, reports, places, own, at_hand.plain)
        policy = replace(
            policy,
            zones=tuple(
                allowing(zone, allow) if zone.trust == "internal" else zone for zone in policy.zones
            ),
            memory=allowing(policy.memory, allow),
        )
    audits = tuple(
        audit_tree(
            root,
            policy=policy,
            exclude=exclude,
            progress=lambda path: progress("plan", path),
            migrated_alone=True,
        )
    )
    if not given:
        policy = replace(policy, trusted=trusted_code(audits))
    refused = frozenset() if given else at_hand.others - frozenset(allow)
    notes = tuple(notes_on(before, policy, reads, _changed_files(steps), refused))
    return Plan(policy, not given, tuple(steps), audits, tuple(findings), own, notes)


def _changed_files(steps: Sequence[Step]) -> list[str]:
    return [step.path for step in steps if step.action in ("seal", "convert")]


def _holds_objects_outside(step: Step, policy: Policy) -> bool:
    external = policy.zone_for(step.path).trust == "external"
    return step.action == "seal" and external and not step.as_bytes


def _unknown_outside(
    reports: Sequence[FileReport], steps: Sequence[Step], policy: Policy
) -> Iterator[str]:
    """Yield what is set aside for unknown names alone: when made again, it holds objects."""
    for report, step in zip(reports, steps, strict=True):
        rules = {finding.rule.id for finding in report.findings}
        is_external = policy.zone_for(report.path).trust == "external"
        if is_external and step.action == "quarantine" and rules == {UNKNOWN_GLOBAL.id}:
            yield report.path


def _placed(report: FileReport, policy: Policy, reads: Reads, own: frozenset[str]) -> Step:
    """Leave what this run cannot or must not touch; decide about the rest."""
    path = policy.root / report.path
    if not path.resolve().is_relative_to(policy.root):
        return Step("leave", report.path, "a link that leads out of the tree")
    stem, dot, _ = report.path.rpartition(".dat")
    if dot and (policy.root / f"{stem}.dir").exists():  # its blocks are pickles
        reason = "belongs to a shelve or dbm database, whose values the service has to write anew"
        return Step("leave", report.path, reason)
    return _step(report, policy, reads, own)


def _again(report: FileReport, policy: Policy, own: frozenset[str]) -> FileReport:
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
        return Step("seal", report.path, "clean torch", "pickle")
    if not report.globals and plain_value(policy, report.path, kind, "") is not None:
        return Step("convert", report.path, "arrays of numbers", kind)
    if kind == "npy" and pickle_of_array(policy.root / report.path):
        return Step("seal", report.path, "array of objects", "npy")
    reason = f"{report.format} with arrays that have no sealed form here; write it anew"
    return Step("leave", report.path, reason)


def pickle_of_array(path: Path) -> bytes:
    """Return the pickle that a npy file of objects is behind its header; empty if it is none.

    NumPy's format: magic, version, length of the header, header, and then a pickle of the array.
    """
    data = path.read_bytes()
    size = 2 if data[6:7] == b"\x01" else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    header, stream = data[8 + size : start], data[start:]
    return stream if data.startswith(b"\x93NUMPY") and b"|O" in header else b""


def _quarantine_remedy(report: FileReport, policy: Policy, own: frozenset[str]) -> str:
    """Say how a file that its owner knows gets back: by its names, or by being made again."""
    again = "If it is yours, make it again with the hardened service"
    names = {str(finding.detail.get("global", "")) for finding in report.findings}
    is_unknown = all(finding.rule.id == UNKNOWN_GLOBAL.id for finding in report.findings)
    if is_unknown and _again(report, policy, own | names).verdict == "clean":
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


# --- applying ------------------------------------------------------------------------------


def apply_plan(plan: Plan, hold: Context, progress: Progress) -> Done:
    """Do what the plan says; every change can be rolled back, also after a kill.

    Raises:
        ConfigError: an earlier run was cut off and must be rolled back first, or marks of
            another key stand in the way. Nothing was changed then.
    """
    root = plan.policy.root
    done = Done()
    if plan.is_empty:
        return done
    _check_marks(plan, hold)
    with Journal.begin(root) as journal:
        if plan.writes_policy:
            journal.create(root / POLICY_NAME, render_policy(plan.policy).encode())
            done.files.append(POLICY_NAME)
        for audit in plan.edits:
            progress("sources", audit.path)
            problem = migrate_file(journal, root, audit)
            if problem is None:
                done.files.append(audit.path)
            else:
                done.problems.append(f"{audit.path}:{problem.line}: {problem.message}")
        store = Store(hold)
        for step in plan.steps:
            progress("artifacts", step.path)
            try:
                _apply(step, journal, store, hold)
            except (SafeholdError, OSError) as error:
                done.problems.append(f"{step.path}: {type(error).__name__}: {error}")
            else:
                done.steps.append(step)
    return done


def _check_marks(plan: Plan, hold: Context) -> None:
    """Find out before the first change whether seals can be made: a rollback leaves the marks."""
    directory = hold.policy.root / hold.policy.marks
    marks = Marks(directory, hold.keyring)
    for step in plan.steps:
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


def _apply(step: Step, journal: Journal, store: Store, hold: Context) -> None:
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
        plain = plain_value(hold.policy, step.path, step.codec, step.packing)
        if plain is None:
            message = f"{step.path} changed since it was looked at"
            raise EncodeError(message)
        journal.adopt(path)
        store.dump(plain.value, path, codec=_DATA, packing=packing)
    elif step.as_bytes:
        data = store.seal_bytes(path.read_bytes(), codec=step.codec)
        journal.replace(path, data)
    elif step.codec == "npy":
        stream = pickle_of_array(path)
        journal.adopt(path)
        store.dump(object(), path, prefer="pickle", encode=lambda: Encoded([stream], raw=True))
    elif step.action == "seal":
        journal.adopt(path)
        store.seal(path, codec=step.codec, packing=packing)


def _free_name(path: Path) -> Path:
    """Return where a quarantined file goes: beside itself, under a name nothing loads."""
    candidate = path.with_name(path.name + QUARANTINE_SUFFIX)
    number = 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}.{number}{QUARANTINE_SUFFIX}")
    return candidate
