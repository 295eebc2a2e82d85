"""Reads artifacts without loading them: bytes in, findings out; nothing is imported or run.

    scan_path("models")            everything below a directory
    scan_bytes(data)               bytes that have no path
    scan_paths(paths, jobs=4)      a report after each file

Bad input never raises: a file that cannot be read is a report with the verdict ``error``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from safehold.allow import PRESETS, AllowList
from safehold.errors import MissingExtra
from safehold.policy import Limits
from safehold.scan import rules
from safehold.scan.formats import FORMATS, otherwise
from safehold.scan.judge import GlobalUse, Names
from safehold.scan.report import FileReport, Scan, Verdict
from safehold.scan.rules import RULES
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit, is_artifact_name
from safehold.scan.walk import Found, TooLarge, find_files, load_file

__all__ = [
    "RULES",
    "FileReport",
    "GlobalUse",
    "Scan",
    "Verdict",
    "is_artifact_name",
    "scan_bytes",
    "scan_path",
    "scan_paths",
]

Progress = Callable[[FileReport], None]
# Files per task of a worker: small files cost less than handing them over.
_BATCH = 64
_NOTHING = frozenset({errno.ENOENT, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class _Settings:
    """What applies to every file of a scan."""

    limits: Limits
    names: Names

    @classmethod
    def of(cls, limits: Limits | None, allow: AllowList | None, own: frozenset[str]) -> _Settings:
        listed = AllowList.of(PRESETS) if allow is None else allow
        return cls(limits or Limits(), Names(listed, own))


def scan_path(
    path: str | os.PathLike[str],
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
) -> Scan:
    """Scan a file, or every artifact below a directory.

    Args:
        path: what to scan.
        limits: bounds on what is read; those of the default policy if not given.
        allow: what artifacts may name; all presets if not given.
        own: exact dotted names of the caller's own classes. They may be instantiated and given
            state, but not called with arguments: any constructor could be misused that way.
        exclude: glob patterns of names, or of paths below ``path``, to leave out.
    """
    found = scan_paths([path], limits, allow=allow, own=own, exclude=exclude)
    return Scan(tuple(found))


def scan_paths(
    paths: Iterable[str | os.PathLike[str]],
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> Iterator[FileReport]:
    """Scan several paths and yield each file's report as soon as it is there.

    Raises:
        MissingExtra: more than one job is asked for and joblib is not installed.
    """
    settings = _Settings.of(limits, allow, own)
    found = (one for path in paths for one in find_files(os.fspath(path), exclude))
    one_by_one = (_scan_file(one, settings) for one in found)
    for report in one_by_one if jobs == 1 else _in_parallel(found, settings, jobs):
        if report is None:
            continue
        if progress is not None:
            progress(report)
        yield report


def scan_bytes(
    data: bytes | bytearray | memoryview,
    name: str = "<bytes>",
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
) -> FileReport:
    """Scan bytes that have no path; ``name`` stands in the report."""
    settings = _Settings.of(limits, allow, own)
    if len(data) > settings.limits.artifact:
        return _too_large(name, len(data), settings.limits)
    whole = bytes(data) if isinstance(data, bytearray) else data
    if isinstance(whole, memoryview):
        whole = whole.cast("B") if whole.contiguous else whole.tobytes()
    report = _scan_data(whole, name, settings, named=True)
    return report or FileReport(name, "unknown", Verdict.CLEAN)


def _in_parallel(
    found: Iterable[Found], settings: _Settings, jobs: int
) -> Iterator[FileReport | None]:
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise MissingExtra("joblib", "joblib") from error
    batches = _batches(found)
    tasks = (delayed(_scan_batch)(batch, settings) for batch in batches)
    for reports in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        yield from reports


def _batches(found: Iterable[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    for one in found:
        batch.append(one)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _scan_batch(batch: list[Found], settings: _Settings) -> list[FileReport | None]:
    return [_scan_file(one, settings) for one in batch]


def _scan_file(found: Found, settings: _Settings) -> FileReport | None:
    """Return the report of one file; None for one that is no artifact."""
    if found.problem:
        return _error(found.path, found.problem, settings)
    wanted = found.named or is_artifact_name(found.path)
    try:
        data = load_file(found.path, settings.limits.artifact)
    except TooLarge as error:
        return _too_large(found.path, error.size, settings.limits)
    except (OSError, ValueError) as error:
        # A link to nothing or to itself is nobody's artifact, unless its name says so.
        if isinstance(error, OSError) and error.errno in _NOTHING and not wanted:
            return None
        reason = error.strerror if isinstance(error, OSError) else None
        return _error(found.path, reason or str(error), settings)
    if data is None:
        return _error(found.path, "not a regular file", settings) if wanted else None
    return _scan_data(data, found.path, settings, named=found.named)


def _scan_data(data: Data, path: str, settings: _Settings, *, named: bool) -> FileReport | None:
    visit = Visit(path, settings.limits, settings.names, FORMATS, otherwise)
    source = Source(data, path, named=named)
    try:
        name = visit.scan(source)
    except Exception as error:  # noqa: BLE001  the edge: a reader that fails leaves a finding
        message = f"the scanner failed: {type(error).__name__}"
        detail = {"error": str(error)[:200]}
        visit.note(source, rules.UNREADABLE_FILE, message, None, detail)
        visit.recognised = True
        name = "unknown"
    if not visit.recognised:
        return None
    findings = tuple(visit.findings)
    return FileReport(
        path=path,
        format=name,
        verdict=Verdict.of(findings),
        findings=findings,
        globals=tuple(visit.uses),
        plain=visit.plain,
    )


def _error(path: str, reason: str, settings: _Settings) -> FileReport:
    visit = Visit(path, settings.limits, settings.names, FORMATS, otherwise)
    visit.note(Source(b"", path), rules.UNREADABLE_FILE, f"could not be read: {reason}")
    return FileReport(path, "unknown", Verdict.ERROR, tuple(visit.findings))


def _too_large(path: str, size: int, limits: Limits) -> FileReport:
    visit = Visit(path, limits, Names(AllowList.of()), FORMATS, otherwise)
    message = f"larger than the limit of {limits.artifact} bytes"
    visit.note(Source(b"", path), rules.LIMIT_EXCEEDED, message, None, {"bytes": size})
    return FileReport(path, "unknown", Verdict.SUSPICIOUS, tuple(visit.findings))
