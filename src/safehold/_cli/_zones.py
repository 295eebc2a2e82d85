"""The policy that `safehold harden` writes: the default one, and what this tree needs besides."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from safehold.allow import PRESETS
from safehold.policy import OUTSIDE, Policy, Zone
from safehold.report.assessment import Assessment
from safehold.scan import FileReport
from safehold.source import ArtifactUse, FileAudit
from safehold.source.classes import AtHand, classes_at_hand

_UNSPELLABLE = re.compile(r"[*?\[\]\\\x00-\x1f\x7f\ud800-\udfff]")
_FOUND_ZONE = "found-models"
_MOST_SINGLE_FILES = 20  # of one directory; more are a cache, whose next file has another name


def extended(
    policy: Policy,
    before: Assessment,
    reports: Sequence[FileReport],
    found: Sequence[str],
    own: frozenset[str],
    at_hand: frozenset[str],
) -> Policy:
    """Add a zone for models in directories that the policy calls external, and own classes.

    `own` are names that artifacts hold, `at_hand` those that the service may write.
    """
    zones = list(policy.zones)
    patterns = _joined([*_places(found, policy), *_written_models(before, policy)])
    if patterns:
        base = next(zone for zone in zones if zone.trust == "internal")
        zones.insert(0, replace(base, name=_FOUND_ZONE, paths=tuple(patterns)))
    policy = replace(policy, zones=tuple(zones))
    needed = {zone.name: set(at_hand) for zone in zones if zone.trust == "internal"}
    # What a service pickles to bytes is of the same libraries as its files.
    presets = {name for zone in zones if zone.trust == "internal" for name in zone.allow}
    in_memory = {*presets.intersection(PRESETS), *at_hand}
    for report in reports:
        if report.verdict == "clean":
            names = {use.name for use in report.globals} & own
            in_memory |= names  # what a service pickles to bytes is of the same kinds as its files
            zone = policy.zone_for(report.path)
            if zone.name in needed:
                needed[zone.name] |= names
    return replace(
        policy,
        zones=tuple(allowing(zone, needed.get(zone.name, set())) for zone in zones),
        memory=allowing(policy.memory, in_memory),
    )


def at_hand_in(before: Assessment) -> AtHand:
    """Return the tree's classes that what it writes may hold."""
    writers = [audit.path for audit in before.sources if _writes(audit)]
    return classes_at_hand(before.root, writers, [audit.path for audit in before.sources])


def allowing(zone: Zone, names: Iterable[str]) -> Zone:
    """Return the zone with more names allowed."""
    return replace(zone, allow=(*zone.allow, *sorted(set(names) - set(zone.allow))))


def trusted_code(audits: Sequence[FileAudit]) -> tuple[str, ...]:
    """Return the places of the source files that read or write artifacts."""
    patterns = set()
    for audit in audits:
        if audit.artifacts or audit.findings:
            top, slash, _ = audit.path.partition("/")
            patterns.add(f"{_spelled(top)}/**" if slash else _spelled(top))
    return tuple(sorted(patterns))


def _spelled(path: str) -> str:
    """Return a pattern for one path; `?` stands for what a pattern cannot spell."""
    return _UNSPELLABLE.sub("?", path)


def _writes(audit: FileAudit) -> bool:
    """Say whether the source shows that it writes artifacts, to a path or not."""
    return any(finding.detail.get("use") == "write" for finding in audit.findings)


def _places(found: Sequence[str], policy: Policy) -> Iterator[str]:
    """Yield patterns for files that hold objects in external zones.

    A directory that no zone names becomes internal as a whole, since the service's next file
    has another name; in a zone for data a file stands alone.
    """
    by_directory: dict[str, list[str]] = defaultdict(list)
    for path in found:
        by_directory[posixpath.dirname(path)].append(path)
    for directory, paths in by_directory.items():
        is_named = policy.zone_for(paths[0]).name != OUTSIDE.name
        if not directory or (is_named and len(paths) <= _MOST_SINGLE_FILES):
            yield from map(_spelled, paths)
        else:
            yield f"{_spelled(directory)}/*"


def _written_models(before: Assessment, policy: Policy) -> Iterator[str]:
    """Yield places where the source shows that objects are written into an external zone."""
    for audit in before.sources:
        for use in audit.artifacts:
            inside = not use.pattern.startswith("/") and ".." not in use.pattern.split("/")
            if (
                inside
                and not use.without_facade
                and use.pattern.partition("/")[0].strip("*")
                and (_is_cache(use) or (use.kind == "write" and use.is_model))
                and policy.zone_for(use.pattern).trust == "external"
            ):
                yield use.pattern


def _is_cache(use: ArtifactUse) -> bool:
    """Tell the directory of a `joblib.Memory`, which the source reads and writes as a whole."""
    return use.codec == "joblib" and use.pattern.endswith("/**")


def _joined(patterns: Iterable[str]) -> list[str]:
    """Leave out what a pattern for the whole directory covers."""
    unique = set(patterns)
    trees = tuple(pattern[:-2] for pattern in unique if pattern.endswith("/**"))
    return sorted(
        pattern
        for pattern in unique
        if not any(pattern.startswith(tree) and pattern != f"{tree}**" for tree in trees)
        and (pattern.endswith("/*") or f"{posixpath.dirname(pattern)}/*" not in unique)
    )
