"""The sources among what a scan is given: what they load, one report after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from safehold._cli._paths import is_source, repositories, size_of
from safehold.policy import Policy, default_policy
from safehold.scan import FileReport, Verdict
from safehold.scan.entries import Found
from safehold.scan.hub import find_in_repository
from safehold.scan.one import Settings, scan_data, scan_found, unreadable
from safehold.source import FileAudit, audit_file, audit_source, audit_tree
from safehold.source.check import unreadable as unreadable_source
from safehold.source.rules.unreadable import LARGEST, UNREADABLE
from safehold.source.tree import find_sources

SOURCE = "python"
"""The format of reports on sources."""


@dataclass(frozen=True, slots=True)
class Sources:
    """How sources are looked at.

    ``failed`` are the paths that the look at artifacts could not read: each is told once.
    """

    policy: Policy | None
    settings: Settings
    exclude: list[str]
    keep: Callable[[Found], bool]
    failed: frozenset[str] = frozenset()
    visited: Callable[[str, int], None] | None = None

    def counted(self, paths: Iterable[str], tell: Callable[[int], None]) -> tuple[int, int]:
        """Return how many sources there are below the directories, and their bytes."""
        files = size = 0
        for path in filter(os.path.isdir, paths):
            for name in find_sources(path, exclude=self.exclude, follow=True):
                files += 1
                size += size_of(os.path.join(path, name))
                tell(files)
        return files, size

    def below(self, path: str) -> Iterator[FileReport]:
        """Yield a report for each source below a directory."""
        known = self.policy or default_policy(path)
        cached = list(repositories(path))
        for repository in cached:
            yield from self._of_repository(repository, known)
        if path in cached:
            return
        names = [os.path.basename(repository) for repository in cached]
        try:
            for audit in audit_tree(
                path,
                policy=known,
                exclude=[*self.exclude, *names],
                progress=self._progress(path),
                keep=lambda name: self.keep(Found(os.path.join(path, name), named=False)),
                follow=True,
                plans=False,
            ):
                yield from self._told(report_of(audit, os.path.join(path, audit.path)))
        except OSError as error:
            yield from self._told(unreadable(path, error.strerror or str(error)))

    def named(self, path: str) -> Iterator[FileReport]:
        """Yield what a file is besides a source, since a loader may be given any name; then it."""
        if not self.keep(Found(path, named=True)):
            return
        yield from _hidden(scan_found(Found(path, named=False), self.settings))
        known = self.policy or default_policy(os.path.dirname(path) or ".")
        yield report_of(audit_file(path, policy=known), path)

    def stream(self, file: IO[bytes], name: str) -> Iterator[FileReport]:
        """Yield the report of a source that comes from a pipe."""
        data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            reason = f"larger than {LARGEST // 2**20} MiB"
            yield report_of(unreadable_source(name, reason), name)
            return
        yield from _hidden(scan_data(data, name, self.settings, named=False))
        yield report_of(
            audit_source(data, name, self.policy or default_policy("."), plans=False), name
        )

    def _of_repository(self, repository: str, policy: Policy) -> Iterator[FileReport]:
        for found in find_in_repository(repository, self.exclude):
            if is_source(found.shown) and not found.problem and self.keep(found):
                audit = audit_file(found.path, policy=policy, name=found.shown)
                yield from self._told(report_of(audit, found.shown))

    def _progress(self, path: str) -> Callable[[str], None] | None:
        visited = self.visited
        if visited is None:
            return None
        return lambda name: visited(name, size_of(os.path.join(path, name)))

    def _told(self, report: FileReport) -> Iterator[FileReport]:
        if report.verdict is not Verdict.ERROR or report.path not in self.failed:
            yield report


def report_of(audit: FileAudit, path: str) -> FileReport:
    """Return what was found in a source as the report of a file."""
    unread = any(finding.rule.id == UNREADABLE.rule.id for finding in audit.findings)
    verdict = Verdict.SUSPICIOUS if audit.findings else Verdict.CLEAN
    return FileReport(path, SOURCE, Verdict.ERROR if unread else verdict, audit.findings)


def _hidden(report: FileReport | None) -> Iterator[FileReport]:
    if report is not None and report.verdict is not Verdict.ERROR:
        yield report
