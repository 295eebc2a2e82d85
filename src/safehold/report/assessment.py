"""What is wrong with a service's tree right now: sources, artifacts, seals and the policy.

An assessment is made by looking; what a report says "after" comes from looking again.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from safehold.allow import AllowList
from safehold.artifacts import Packing, Store
from safehold.artifacts import rules as artifact_rules
from safehold.artifacts.sidecar import SUFFIX
from safehold.context import Context
from safehold.errors import SafeholdError
from safehold.findings import Finding, Location, Severity
from safehold.policy import Policy
from safehold.scan import FileReport, scan_paths
from safehold.sfh1 import PREFIX, decode_header, shape_of
from safehold.source import FileAudit, audit_tree
from safehold.source.tree import SKIPPED

QUARANTINE_SUFFIX = ".quarantined"
ORIGINAL_SUFFIX = ".unsealed"
"""End of the name of an original that lies beside what it was sealed or converted to."""

Progress = Callable[[str, str], None]
"""(stage, path): called for every file."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that was found in one look at a tree."""

    root: Path
    made: datetime
    sources: tuple[FileAudit, ...]
    artifacts: tuple[FileReport, ...]
    sealed: tuple[FileReport, ...]
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity, worst first."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity.label: counted[severity] for severity in reversed(Severity)}

    @property
    def worst(self) -> Finding | None:
        """The most severe finding, by the CVSS 4.0 score of its rule among equals."""
        return max(
            self.findings, key=lambda finding: (finding.severity, finding.rule.score), default=None
        )

    @property
    def worst_score(self) -> str:
        """The CVSS 4.0 score of the worst finding; its severity if that is below its rule's."""
        worst = self.worst
        if worst is None:
            return "none"
        if worst.severity < worst.rule.severity:
            return worst.severity.label
        return str(worst.rule.score)


def assess(
    policy: Policy,
    *,
    hold: Context | None = None,
    own: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Assessment:
    """Look at the tree below the policy's root; reads only.

    With `hold` the seals are verified as well. `own` names the tree's own plain classes.
    """
    tell = progress or (lambda _stage, _path: None)
    root = policy.root
    sources = tuple(
        audit_tree(
            root, policy=policy, exclude=exclude, progress=lambda path: tell("sources", path)
        )
    )
    allow = AllowList.of({name for zone in policy.zones for name in zone.allow} | {"joblib"})

    def scan(path: Path) -> Iterator[FileReport]:
        return scan_paths([path], policy.limits, allow=allow, own=own)

    reports: list[FileReport] = []
    sealed: list[FileReport] = []
    for report in scan_paths(
        [root],
        policy.limits,
        allow=allow,
        own=own,
        exclude=(*exclude, *SKIPPED, f"*{QUARANTINE_SUFFIX}", f"*{ORIGINAL_SUFFIX}"),
        hub_names=False,  # each is a path to act on
    ):
        tell("artifacts", report.path)
        name = _relative(report.path, root)
        if report.format.rpartition("+")[2] == _SEALED_FORMAT:
            sealed.append(_located(report, name))
        else:
            reports.append(_located(report, name))
    reports, paired = _told_apart(reports)
    sealed += paired
    findings = [
        *policy.check(),
        *(finding for audit in sources for finding in audit.findings),
        *(finding for report in (*reports, *paired) for finding in report.findings),
        *_kept(reports, policy),
        *_seals(sealed, hold, tell),
        *_quarantined(root, scan),
    ]
    findings.sort(key=lambda item: (-item.severity, item.rule.id, item.location.path))
    return Assessment(
        root, datetime.now(UTC), sources, tuple(reports), tuple(sealed), tuple(findings)
    )


def is_code_carrying(report: FileReport) -> bool:
    """Say whether a scanned file is of a format that can name classes."""
    return report.format.rpartition("+")[2] in _CODE_FORMATS


_SEALED_FORMAT = "sfh1"
_SIDECAR_FORMAT = "sidecar"
PACKINGS: Mapping[str, Packing] = {
    "gzip": Packing(gzip.decompress, gzip.compress),
    "bz2": Packing(bz2.decompress, bz2.compress),
    "xz": Packing(lzma.decompress, lzma.compress),
}
"""Compressions that services open by themselves around a pickle, by the scanner's name."""
_CODE_FORMATS = frozenset({"pickle", "joblib"})


def _relative(path: str, root: Path) -> str:
    return os.path.relpath(path, root)


def _located(report: FileReport, name: str) -> FileReport:
    """Name the file relative to the root, also in its findings."""
    findings = tuple(
        replace(item, location=replace(item.location, path=name)) for item in report.findings
    )
    return replace(report, path=name, findings=findings)


def _told_apart(reports: Sequence[FileReport]) -> tuple[list[FileReport], list[FileReport]]:
    """Return the files without a sidecar, then those with one; leave the sidecars out."""
    sidecars = {report.path for report in reports if report.format == _SIDECAR_FORMAT}
    files = [report for report in reports if report.path not in sidecars]
    paired = [report for report in files if report.path + SUFFIX in sidecars]
    return [report for report in files if report not in paired], paired


def _kept(reports: Sequence[FileReport], policy: Policy) -> Iterator[Finding]:
    """Say of each plain pickle or joblib file what its zone would want instead."""
    for report in reports:
        if not is_code_carrying(report):
            continue
        zone = policy.zone_for(report.path)
        where = Location(path=report.path)
        detail = {"zone": zone.name, "format": report.format, "verdict": str(report.verdict)}
        if zone.trust == "internal":
            message = f"{report.format} in zone {zone.name!r} is not sealed"
            yield Finding.of(artifact_rules.UNSEALED, message, where, detail=detail)
        else:
            message = f"{report.format} in zone {zone.name!r}, which holds plain data only"
            yield Finding.of(artifact_rules.EXTERNAL_CODE, message, where, detail=detail)


def _seals(
    sealed: Sequence[FileReport], hold: Context | None, tell: Callable[[str, str], None]
) -> Iterator[Finding]:
    if hold is None:
        return
    store = Store(hold)
    for report in sealed:
        tell("seals", report.path)
        try:
            verify_sealed(store, hold.policy.root / report.path, report.format)
        except (SafeholdError, OSError) as error:
            message = f"{type(error).__name__}: {error}"
            yield Finding.of(artifact_rules.BROKEN_SEAL, message, Location(path=report.path))


def verify_sealed(store: Store, path: Path, form: str) -> None:
    """Verify a file that the scanner calls `form`. Raises as `Store.verify`."""
    wrapper, _, kind = form.rpartition("+")
    packing = PACKINGS.get(wrapper) if kind == _SEALED_FORMAT else None
    if packing is not None:
        store.verify(path, packing=packing)
    elif is_for_memory(path):
        store.verify_bytes(path.read_bytes())
    else:
        store.verify(path)


def is_for_memory(path: Path) -> bool:
    """Say whether a container claims to belong to no path, before any of it is verified."""
    with open(path, "rb") as file:
        shape = shape_of(file.read(PREFIX.size))
        if shape is None:
            return False
        try:
            file.seek(shape.start)
            return not decode_header(file.read(shape.text)).name
        except msgspec.MsgspecError:
            return False


def _quarantined(root: Path, scan: Callable[[Path], Iterator[FileReport]]) -> Iterator[Finding]:
    """Say of each file that was set aside why, by scanning it again."""
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in SKIPPED)
        for name in sorted(names):
            if name.endswith(QUARANTINE_SUFFIX):
                path = Path(directory, name)
                reasons = [item.message for report in scan(path) for item in report.findings]
                message = "what reads it under its old name finds no file; the scanner says: " + (
                    reasons[0] if reasons else "clean"
                )
                where = Location(path=_relative(str(path), root))
                yield Finding.of(artifact_rules.QUARANTINED, message, where)
