"""The files that migrated calls read: found, converted one by one, each with its original kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from safehold._cli._converting import Step, apply_step, place_step, stays_plain
from safehold._cli._reads import Reads
from safehold._cli._round_trip import check_round_trip
from safehold._cli._shelves import CODEC as SHELVE
from safehold._cli._shelves import convert_shelf, files_of, shelf_of, shelf_step, verify_shelf
from safehold.allow import AllowList
from safehold.artifacts import Store
from safehold.artifacts.pins import OBJECTS, Pin
from safehold.artifacts.sidecar import SUFFIX, is_sidecar
from safehold.artifacts.writing import names_of
from safehold.context import Context
from safehold.errors import ConfigError, EncodeError, SafeholdError
from safehold.policy import Policy
from safehold.report.assessment import (
    ORIGINAL_SUFFIX,
    PACKINGS,
    QUARANTINE_SUFFIX,
    is_code_carrying,
    verify_sealed,
)
from safehold.report.migration import DataFile
from safehold.scan import FileReport, scan_paths
from safehold.sfh1 import PREFIX
from safehold.source import FileAudit, Journal, audit_source
from safehold.source.tree import SKIPPED

Tell = Callable[[str, str], None]
_WILD = frozenset("*?[")
_ALLOW = "If it is yours, add what it names to the allow list of its zone; else delete it."
_FACADES = b"safehold.compat."
_SHELF = "shelve.open"
_UNLISTED = ((SHELVE, ""), ("npz", "numpy"))


def plan_data(
    policy: Policy,
    places: Sequence[Path],
    audits: Iterable[FileAudit],
    *,
    exclude: Sequence[str],
    tell: Tell,
) -> list[Step]:
    """Decide about each file below the given places, or named by a call; reads only.

    A file that the scanner does not find clean is left, and nothing of it is loaded.

    Raises:
        ConfigError: a place leads out of the policy's root.
    """
    root = policy.root
    for place in places:
        if not place.resolve().is_relative_to(root):
            message = f"{place} leads out of {root}; name a PATH, and a policy's root, above both"
            raise ConfigError(message)
        place.stat()  # a place that is missing is an error, not one without files
    reads = Reads.of([*audits, *_migrated_before(policy, audits)])
    named = list(_named(root, reads))
    paths = [*(place.resolve() for place in places), *named]
    steps: dict[str, Step] = {}
    for path in [*dict.fromkeys(paths)]:
        if not path.resolve().is_relative_to(root):
            name = os.path.relpath(path, root)
            steps[name] = Step("leave", name, "a link that leads out of the tree")
            continue
        for report in _reports(path, policy, exclude):
            tell("data", report.path)
            for step in _steps(report, policy, reads):
                steps.setdefault(step.path, step)
    return sorted(steps.values(), key=lambda step: step.path)


def _migrated_before(policy: Policy, audits: Iterable[FileAudit]) -> Iterator[FileAudit]:
    """Yield what sources that use the facades already read: as if they used what these replace."""
    for audit in audits:
        try:
            text = (policy.root / audit.path).read_bytes()
        except OSError:
            continue  # reported by the audit itself
        if audit.after is None and _FACADES in text:
            data = text.replace(_FACADES + b"data", b"pickle").replace(_FACADES, b"")
            yield audit_source(data, audit.path, policy)


def _named(root: Path, reads: Reads) -> Iterator[Path]:
    """Yield the files that exist and whose path is a literal in a call."""
    for use in reads.uses:
        if _WILD.isdisjoint(use.pattern):
            path = root / use.pattern
            if path.is_file():
                yield path
            else:
                yield from (file for file in files_of(path) if use.codec == "pickle")


def _reports(path: Path, policy: Policy, exclude: Sequence[str]) -> Iterator[FileReport]:
    names = {name for zone in policy.zones for name in zone.allow} | {"joblib"}
    left_out = (*exclude, *SKIPPED, f"*{QUARANTINE_SUFFIX}", f"*{ORIGINAL_SUFFIX}", f"*{SUFFIX}")
    return scan_paths(
        [path], policy.limits, allow=AllowList.of(names), exclude=left_out, hub_names=False
    )


def _steps(report: FileReport, policy: Policy, reads: Reads) -> Iterator[Step]:
    """Yield what is to be done about a file; nothing for one that no migrated call reads."""
    path = Path(report.path)
    if path.is_symlink() and not path.resolve().is_relative_to(policy.root):
        name = os.path.relpath(path, policy.root)
        yield Step("leave", name, "a link that leads out of the tree")
        return
    path = path.resolve()
    name = os.path.relpath(path, policy.root)
    base = shelf_of(path)
    if base is not None:
        yield from _shelf_steps(base, policy, reads)
        return
    if report.format.rpartition("+")[2] in ("sfh1", "sidecar") or _has_sidecar(path):
        return
    if is_code_carrying(report) or reads.reads_as(replace(report, path=name)):
        step = place_step(replace(report, path=name), policy, reads, frozenset())
        yield _checked(step, report, policy)


def _shelf_steps(base: Path, policy: Policy, reads: Reads) -> Iterator[Step]:
    if "shelve" in reads.libraries or any(
        use.without_facade == "shelve.open" for use in reads.uses
    ):
        step = shelf_step(base, policy)
        if step is not None:
            read_only = next((file for file in files_of(base) if _is_read_only(file)), None)
            yield step if read_only is None else _left_read_only(step)


def _has_sidecar(path: Path) -> bool:
    try:
        with open(path.with_name(path.name + SUFFIX), "rb") as file:
            return is_sidecar(file.read(PREFIX.size))
    except OSError:
        return False


def _is_read_only(path: Path) -> bool:
    return not path.stat().st_mode & 0o222


def _left_read_only(step: Step) -> Step:
    remedy = "Make the file writable and migrate again."
    return Step("leave", step.path, "the file is read-only", remedy=remedy)


def _checked(step: Step, report: FileReport, policy: Policy) -> Step:
    """Leave what the file's own zone would refuse, and what is not this run's to set aside."""
    zone = policy.memory if step.as_bytes else policy.zone_for(step.path)
    if step.action == "quarantine":
        return Step("leave", step.path, step.reason, remedy=_ALLOW)
    if step.action == "leave":
        return step
    if _is_read_only(policy.root / step.path):
        return _left_read_only(step)
    holds_objects = step.action == "seal" or step.library == "numpy"
    codec = "msgpack" if not holds_objects else "pickle" if step.library else step.codec
    if holds_objects and zone.trust == "external":
        reason = "holds objects, but its zone is external; give it an internal zone"
        return Step("leave", step.path, reason)
    if codec not in zone.codecs:
        reason = f"zone {zone.name!r} does not have the codec {codec!r}; add it to the policy"
        return Step("leave", step.path, reason)
    if step.action == "seal":
        allow = AllowList.of((*zone.allow, "joblib"))
        refused = [name for name in names_of(report) if not allow.permits_dotted(name)]
        if refused:
            reason = f"names {refused[0]}, which zone {zone.name!r} does not allow"
            return Step("leave", step.path, reason, remedy=_ALLOW)
    return step


# --- converting ----------------------------------------------------------------------------


def planned(step: Step, *, listed: bool = False) -> DataFile:
    """Return what a step will do."""
    outcome = {"seal": "seal", "convert": "convert"}.get(step.action, "leave")
    if listed and outcome != "leave":
        outcome = "list"
    return DataFile(step.path, outcome, step.reason, step.remedy)  # type: ignore[arg-type]


def listable(step: Step) -> Step:
    """Leave what a list cannot hold."""
    if step.action == "leave" or (step.codec, step.library) not in _UNLISTED:
        return step
    reason = f"{step.reason}: has no listed form; convert it when nothing old reads it any more"
    return Step("leave", step.path, reason)


def pin(step: Step, store: Store, hold: Context, until: date) -> tuple[DataFile, Pin | None]:
    """Scan a file once more and return what the list says of these very bytes."""
    if step.action == "leave":
        return DataFile(step.path, "left", step.reason, step.remedy), None
    form = OBJECTS if step.library == "numpy" else step.codec
    path, packing = hold.policy.root / step.path, PACKINGS.get(step.packing)
    try:
        found = store.pin(path, until, form=form, packing=packing, in_memory=step.as_bytes)
    except (SafeholdError, OSError) as error:
        return DataFile(step.path, "failed", f"{type(error).__name__}: {error}"), None
    return DataFile(step.path, "listed", f"{step.reason}, until {until.isoformat()}"), found


def convert(step: Step, journal: Journal, store: Store, hold: Context) -> DataFile:
    """Do a step and prove it; what fails is as it was before, and told."""
    if step.action == "leave":
        return DataFile(step.path, "left", step.reason, step.remedy)
    original = ""
    try:
        if step.codec == SHELVE:
            convert_shelf(step, journal, store, hold)
            original = f"{step.path}.*{ORIGINAL_SUFFIX}"
        elif stays_plain(step, hold.policy):
            apply_step(step, journal, store, hold)
            check_round_trip(step, hold.policy.root / step.path, hold, store)
        else:
            original = step.path + ORIGINAL_SUFFIX
            _convert_one(step, original, journal, store, hold)
    except (SafeholdError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
        return DataFile(step.path, "failed", reason, "The file is as it was.")
    outcome = "sealed" if step.action == "seal" else "converted"
    return DataFile(step.path, outcome, step.reason, original=original)  # type: ignore[arg-type]


def _convert_one(step: Step, name: str, journal: Journal, store: Store, hold: Context) -> None:
    path, original = hold.policy.root / step.path, hold.policy.root / name
    beside = path.with_name(path.name + SUFFIX)
    had_sidecar = os.path.lexists(beside)
    journal.keep(path, original)
    try:
        apply_step(step, journal, store, hold)
        check_round_trip(step, original, hold, store)
    except BaseException:  # also an interrupt: the original is what code reads
        journal.put_back(path, original)
        if not had_sidecar:
            beside.unlink(missing_ok=True)
        raise


def verify_converted(name: str, hold: Context, store: Store) -> None:
    """Verify a file that has an original beside it. Raises as `Store.verify`."""
    path = hold.policy.root / name
    base = shelf_of(path)
    if base is not None:
        verify_shelf(base, store, hold)
        return
    report = next(iter(scan_paths([path], hold.policy.limits, hub_names=False)), None)
    if report is None:
        message = f"{name} is gone; its original is all that is left"
        raise EncodeError(message)
    verify_sealed(store, path, report.format)
