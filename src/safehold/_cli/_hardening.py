"""What `safehold harden` decides and does: a plan made by looking, then applied with a journal."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal

from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts import rules as artifact_rules
from safehold.artifacts.codecs import CODECS, Reading, codec_named
from safehold.context import Context
from safehold.errors import EncodeError, SafeholdError
from safehold.events import Event
from safehold.findings import Finding, Location
from safehold.policy import Policy, Zone
from safehold.policy.toml import render_policy
from safehold.report.assessment import (
    PACKINGS,
    QUARANTINE_SUFFIX,
    Assessment,
    Progress,
    is_code_carrying,
)
from safehold.scan import FileReport, scan_paths
from safehold.scan.rules import UNKNOWN_GLOBAL
from safehold.source import ArtifactUse, FileAudit, Journal, audit_tree, migrate_file
from safehold.source.classes import classes_at_hand, own_classes

POLICY_NAME = "safehold.toml"
_DATA = "msgpack"
_UNSPELLABLE = re.compile(r"[*?\[\]\\\x00-\x1f\x7f\ud800-\udfff]")
_PRESETS = ("numpy", "pandas", "scipy", "sklearn")
_FOUND_ZONE = "found-models"
_MODEL_SUFFIXES = CODECS["joblib"].suffixes


@dataclass(frozen=True, slots=True)
class Step:
    """What will happen to one artifact.

    `codec` is that of the plain file, `packing` the compression around it. `as_bytes` when
    the code reads the file's bytes and loads those, so that its seal names no path.
    """

    action: Literal["seal", "convert", "quarantine", "leave"]
    path: str
    reason: str
    codec: str = ""
    packing: str = ""
    as_bytes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `--write` would do."""

    policy: Policy
    writes_policy: bool
    steps: tuple[Step, ...]
    audits: tuple[FileAudit, ...]
    findings: tuple[Finding, ...] = ()
    own: frozenset[str] = frozenset()

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
    before: Assessment, policy: Policy, *, exclude: Sequence[str], progress: Progress
) -> Plan:
    """Decide what to do with what was found; reads only."""
    root = policy.root
    given = policy.path is not None  # an operator's own policy is followed, not rewritten
    unknown = {
        str(finding.detail.get("global", ""))
        for finding in before.findings
        if finding.rule.id == UNKNOWN_GLOBAL.id
    }
    own = own_classes(root, unknown)
    reports = [
        _again(report, policy, own) if report.findings and own else report
        for report in before.artifacts
        if is_code_carrying(report)
    ]
    uses = [use for audit in before.sources for use in audit.artifacts]
    steps: list[Step] = []
    found: list[str] = []
    findings: list[Finding] = []
    for report in reports:
        step = _step(report, policy, uses)
        external = policy.zone_for(report.path).trust == "external"
        if step.action == "seal" and external and not step.as_bytes:
            if given:
                reason = "holds objects, but its zone is external; give it an internal zone"
                step = Step("leave", report.path, reason)
            found.append(report.path)
            where = Location(path=report.path)
            message = f"{report.path} holds objects that have no form as plain data"
            findings.append(Finding.of(artifact_rules.MODELS_IN_EXTERNAL, message, where))
        steps.append(step)
    if not given:
        policy = _extended(policy, before, reports, found, own)
    audits = tuple(
        audit_tree(
            root, policy=policy, exclude=exclude, progress=lambda path: progress("plan", path)
        )
    )
    if not given:
        policy = replace(policy, trusted=_trusted(audits))
    return Plan(policy, not given, tuple(steps), audits, tuple(findings), own)


def _again(report: FileReport, policy: Policy, own: frozenset[str]) -> FileReport:
    """Scan once more, with the service's own plain classes known."""
    allow = AllowList.of({name for zone in policy.zones for name in zone.allow} | {"joblib"})
    path = policy.root / report.path
    scans = scan_paths([path], policy.limits, allow=allow, own=own)
    return next((replace(again, path=report.path) for again in scans), report)


def _step(report: FileReport, policy: Policy, uses: Sequence[ArtifactUse]) -> Step:
    if report.verdict != "clean":
        reason = f"{report.verdict}: {report.findings[0].rule.id} {report.findings[0].message}"
        return Step("quarantine", report.path, reason)
    wrapper, _, kind = report.format.rpartition("+")
    name = PurePosixPath(report.path).name
    codec = "joblib" if kind == "joblib" or _is_joblib_name(name) else "pickle"
    packing = wrapper if codec == "pickle" else ""
    if packing and packing not in PACKINGS:
        return Step("leave", report.path, f"{report.format} has no sealed form in this version")
    ways = {use.via == "bytes" for use in uses if _matches(report.path, use)}
    if ways == {True}:
        if packing:
            return Step("leave", report.path, "packed, and read as bytes: seal it by hand")
        return Step("seal", report.path, "read as bytes", codec, as_bytes=True)
    external = policy.zone_for(report.path).trust == "external"
    if external and plain_value(policy, report.path, codec, packing) is not None:
        return Step("convert", report.path, "plain data", codec, packing)
    return Step("seal", report.path, f"clean {report.format}", codec, packing)


def _matches(path: str, use: ArtifactUse) -> bool:
    """Say whether the source shows that it reads this file; a pattern of stars shows nothing."""
    if use.kind != "read" or not use.pattern.strip("*/"):
        return False
    return fnmatchcase(path, use.pattern)


def _is_joblib_name(name: str) -> bool:
    return any(suffix in name for suffix in _MODEL_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Plain:
    """A value that came back the same from the data codec."""

    value: object


def plain_value(policy: Policy, path: str, codec: str, packing: str) -> Plain | None:
    """Load a file that the scanner found clean and return its value if data can hold it.

    Loads with builtins and numpy alone. The proof of no loss is that the value which comes
    back from the codec has the same encoding.
    """
    data = (policy.root / path).read_bytes()
    if packing:
        data = PACKINGS[packing].unpack(data)
    depth = policy.limits.depth
    reading = Reading(AllowList.of(("numpy", "joblib")), depth, raw=True)
    msgpack = codec_named(_DATA)
    try:
        value = codec_named(codec).decode([memoryview(data)], reading)
        encoded = msgpack.encode(value, depth)
        views = [memoryview(segment) for segment in encoded.segments]
        again = msgpack.encode(msgpack.decode(views, reading), depth)
    except (SafeholdError, ImportError):
        return None
    return Plain(value) if again.segments == encoded.segments else None


def _extended(
    policy: Policy,
    before: Assessment,
    reports: Sequence[FileReport],
    found: Sequence[str],
    own: frozenset[str],
) -> Policy:
    """Add what the service needs: a zone for models in data directories, its own classes."""
    zones = list(policy.zones)
    patterns = sorted({*map(_pattern, found), *_written_models(before, policy)})
    if patterns:
        base = next(zone for zone in zones if zone.trust == "internal")
        zones.insert(0, replace(base, name=_FOUND_ZONE, paths=tuple(patterns)))
    policy = replace(policy, zones=tuple(zones))
    writers = [audit.path for audit in before.sources if _writes(audit)]
    at_hand = classes_at_hand(policy.root, writers)
    needed = {zone.name: set(at_hand) for zone in zones if zone.trust == "internal"}
    for report in reports:
        zone = policy.zone_for(report.path)
        if report.verdict == "clean" and zone.name in needed:
            needed[zone.name].update({use.name for use in report.globals} & own)
    return replace(
        policy,
        zones=tuple(_allowing(zone, needed.get(zone.name, set())) for zone in zones),
        # What a service pickles to bytes and reads back is of the same kinds as its files.
        memory=_allowing(policy.memory, {*_PRESETS, *at_hand}),
    )


def _writes(audit: FileAudit) -> bool:
    """Say whether the source shows that it writes artifacts, to a path or not."""
    return any(finding.detail.get("use") == "write" for finding in audit.findings)


def _pattern(path: str) -> str:
    """Return a pattern for one path; `?` stands for what a pattern cannot spell."""
    return _UNSPELLABLE.sub("?", path)


def _allowing(zone: Zone, names: set[str]) -> Zone:
    return replace(zone, allow=(*zone.allow, *sorted(names - set(zone.allow))))


def _written_models(before: Assessment, policy: Policy) -> set[str]:
    """Paths where the source shows that a model is written into an external zone."""
    return {
        use.pattern
        for audit in before.sources
        for use in audit.artifacts
        if use.kind == "write"
        and use.is_model
        and use.is_sure
        and not use.pattern.startswith("/")
        and ".." not in use.pattern.split("/")
        and use.pattern.rpartition("/")[2].strip("*")
        and policy.zone_for(use.pattern).trust == "external"
    }


def _trusted(audits: Sequence[FileAudit]) -> tuple[str, ...]:
    """The places of the source files that read or write artifacts."""
    patterns = set()
    for audit in audits:
        if audit.artifacts or audit.findings:
            top, slash, _ = audit.path.partition("/")
            patterns.add(f"{_pattern(top)}/**" if slash else _pattern(top))
    return tuple(sorted(patterns))


# --- applying ------------------------------------------------------------------------------


def apply_plan(plan: Plan, hold: Context, progress: Progress) -> Done:
    """Do what the plan says; every change can be rolled back, also after a kill.

    Raises:
        ConfigError: an earlier run was cut off and must be rolled back first.
    """
    root = plan.policy.root
    done = Done()
    if plan.is_empty:
        return done
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
