"""One file: opened, read in every format, reported; never an exception for what it holds."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from safehold.allow import PRESETS, AllowList
from safehold.findings import Finding, Location, Rule
from safehold.policy import Limits
from safehold.scan import quick, rules
from safehold.scan.budget import MEMORY, Budget, Exceeded, spent
from safehold.scan.cache import Cache, cache_of
from safehold.scan.entries import Found
from safehold.scan.failures import FetchError
from safehold.scan.formats import PICKLES, PLAIN, otherwise, possible
from safehold.scan.isolated import Bounds, Died, is_possible, isolated
from safehold.scan.names import Names
from safehold.scan.reading import READ_WHOLE, Opened, TooLarge, open_regular
from safehold.scan.remote import fetch
from safehold.scan.report import FileReport, Verdict
from safehold.scan.values import Data
from safehold.scan.visit import Source, SourceCheck, Visit, is_artifact_name

_NOTHING: Final = frozenset({errno.ENOENT, errno.ELOOP})
_NO_MEMORY: Final = "takes more memory than a file of its size may"


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to every file of a scan.

    ``expendable``: this process may die of a file, as somebody else notices and goes on.
    ``paranoid``: harmless pickles are read twice, too, see inert.
    ``digests``: reports say what the SHA-256 of the bytes is.
    ``sources``: looks at Python sources in archives; nobody does if not given.
    """

    limits: Limits
    names: Names
    expendable: bool = False
    digests: bool = False
    paranoid: bool = False
    sources: SourceCheck | None = None
    cache: Cache | None = None

    @classmethod
    def of(
        cls,
        limits: Limits | None,
        allow: AllowList | None,
        own: frozenset[str] = frozenset(),
        *,
        digests: bool = False,
        paranoid: bool = False,
        sources: SourceCheck | None = None,
        cache: Cache | str | os.PathLike[str] | None = None,
    ) -> Settings:
        """Fill in the limits of the default policy and all presets where none are given.

        Raises:
            ConfigError: the cache is no directory, or has something else in it.
        """
        listed = AllowList.of(PRESETS) if allow is None else allow
        names = Names(listed, own)
        return cls(
            limits or Limits(),
            names,
            digests=digests,
            paranoid=paranoid,
            sources=sources,
            cache=cache_of(cache),
        )


def scan_found(found: Found, settings: Settings) -> FileReport | None:
    """Return the report of one file; None for one that is no artifact."""
    name = found.shown
    if found.problem:
        return unreadable(name, found.problem)
    most = settings.limits.artifact
    try:
        if found.root:
            return scan_data(fetch(found, most), name, settings, named=found.named)
        opened = open_regular(found.path)
        if opened is None:
            return unreadable(name, "not a regular file") if _is_wanted(found) else None
        with opened:
            return _scan_opened(opened, found, settings)
    except TooLarge as error:
        return too_large(name, error.size, settings.limits)
    except Died as error:
        return exceeded(name, str(error)) if error.limit else unreadable(name, str(error))
    except FetchError as error:
        return unreadable(name, str(error))
    except (OSError, ValueError) as error:
        # A link to nothing or to itself is nobody's artifact, unless its name says so.
        if isinstance(error, OSError) and error.errno in _NOTHING and not _is_wanted(found):
            return None
        reason = error.strerror if isinstance(error, OSError) else None
        if isinstance(error, FileNotFoundError) and os.path.islink(found.path):
            reason = "a link to nothing"
        return unreadable(name, reason or str(error))


def _is_wanted(found: Found) -> bool:
    return found.named or is_artifact_name(found.shown)


def _scan_opened(opened: Opened, found: Found, settings: Settings) -> FileReport | None:
    most = settings.limits.artifact
    name, named = found.shown, found.named
    if opened.size > most:
        raise TooLarge(opened.size)
    if opened.size <= READ_WHOLE:
        report = scan_data(opened.read(most), name, settings, named=named)
    elif settings.expendable:
        report = scan_data(opened.mapped(), name, settings, named=named)
    elif is_possible():
        mapped = opened.mapped()
        budget = Budget(settings.limits.seconds, opened.size)
        bounds = Bounds(budget.seconds, MEMORY * budget.shares, spent(budget.seconds))
        report = isolated(lambda: scan_data(mapped, name, settings, named=named), bounds)
    else:
        report = scan_data(opened.copied(), name, settings, named=named)
    if report is not None and opened.has_changed():
        unsure = replace(report, digest="")
        return noted(unsure, rules.UNREADABLE_FILE, "changed while it was read")
    return report


def scan_data(data: Data, path: str, settings: Settings, *, named: bool) -> FileReport | None:
    """Return the report of bytes; None if they are in no format and nobody asked for them."""
    cache = settings.cache
    if cache is None:
        return _read(data, path, settings, named=named)[0]
    report = _from_cache(cache, data, path, settings, named=named)
    if report is not None and cache.problem:
        return replace(report, cache_problem=cache.problem)
    return report


def _from_cache(
    cache: Cache, data: Data, path: str, settings: Settings, *, named: bool
) -> FileReport | None:
    question = cache.question(data, path, settings, named=named)
    if question is None:
        return _read(data, path, settings, named=named)[0]
    answer = cache.find(question, digests=settings.digests)
    if answer is not None:
        return answer.report
    report, settled = _read(data, path, settings, named=named)
    if settled:
        cache.keep(question, report)
    return report


def _read(
    data: Data, path: str, settings: Settings, *, named: bool
) -> tuple[FileReport | None, bool]:
    """Return the report of bytes, and whether they always give the same one."""
    try:
        asked = possible(data, path)
    except Exception:  # noqa: BLE001  what fails here does so below, where it leaves a finding
        asked = None
    if not (settings.paranoid or settings.digests):
        if asked is PLAIN:
            return FileReport(path, "pickle", Verdict.CLEAN, plain=True), True
        if asked is PICKLES and (report := _read_quickly(data, path, settings.names)):
            return report, True
    visit = Visit(path, settings.limits, settings.names, possible, otherwise)
    visit.budget = Budget(settings.limits.seconds, len(data))
    visit.budget.keep(data)
    visit.paranoid, visit.sources = settings.paranoid, settings.sources
    source = Source(data, path, named=named)
    try:
        name = visit.scan(source, asked)
    except (Exceeded, MemoryError) as error:
        # What was found before stays.
        visit.depends()
        visit.take_unread()
        visit.note(source, rules.LIMIT_EXCEEDED, str(error) or _NO_MEMORY)
        visit.recognised = True
        name = "unknown"
    except Exception as error:  # noqa: BLE001  the edge: a reader that fails leaves a finding
        message = f"the scanner failed: {type(error).__name__}"
        detail = {"error": str(error)[:200]}
        visit.note(source, rules.UNREADABLE_FILE, message, None, detail)
        visit.recognised = True
        name = "unknown"
    if visit.budget.over:
        # Who gave up without a word might have found something.
        visit.depends()
        if not any(finding.rule is rules.LIMIT_EXCEEDED for finding in visit.findings):
            visit.note(source, rules.LIMIT_EXCEEDED, spent(visit.budget.seconds))
            visit.recognised = True
    if not visit.recognised:
        return None, visit.settled
    findings = tuple(visit.findings)
    report = FileReport(
        path=path,
        format=name,
        verdict=Verdict.of(findings),
        findings=findings,
        globals=tuple(visit.uses),
        plain=visit.plain,
        digest=hashlib.sha256(data).hexdigest() if settings.digests else "",
        versions=tuple(sorted(visit.versions)),
    )
    return report, visit.settled


def _read_quickly(data: Data, path: str, names: Names) -> FileReport | None:
    """Return the report of a small pickle that nothing is to be noted of, or None."""
    try:
        judge = quick.read(data, names)
    except Exception:  # noqa: BLE001  the machine reads it again, and what fails there is noted
        return None
    if judge is None:
        return None
    versions = tuple(sorted(judge.versions))
    return FileReport(
        path, "pickle", Verdict.CLEAN, (), judge.globals, judge.plain, versions=versions
    )


def unreadable(path: str, reason: str) -> FileReport:
    """Return the report of what could not be read, with the reason."""
    empty = FileReport(path, "unknown", Verdict.ERROR)
    return noted(empty, rules.UNREADABLE_FILE, f"could not be read: {reason}")


def exceeded(path: str, reason: str, detail: Mapping[str, Any] | None = None) -> FileReport:
    """Return the report of what was not read because of a limit."""
    empty = FileReport(path, "unknown", Verdict.SUSPICIOUS)
    return noted(empty, rules.LIMIT_EXCEEDED, reason, detail)


def too_large(path: str, size: int, limits: Limits) -> FileReport:
    """Return the report of what is larger than the limit."""
    message = f"larger than the limit of {limits.artifact} bytes: raise limits.artifact"
    return exceeded(path, message, {"bytes": size})


def noted(
    report: FileReport, rule: Rule, message: str, detail: Mapping[str, Any] | None = None
) -> FileReport:
    """Return a report with one more finding, and the verdict that follows."""
    finding = Finding.of(rule, message, Location(report.path), detail=dict(detail or {}))
    findings = (*report.findings, finding)
    return replace(report, findings=findings, verdict=Verdict.of(findings))
