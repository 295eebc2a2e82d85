"""What ``safehold scan`` reads: artifacts first, then sources, one report after the other."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO

from safehold._cli import _output, _shared
from safehold._cli._since import Revision
from safehold.allow import PRESETS, AllowList
from safehold.errors import ConfigError, MissingExtra
from safehold.policy import Policy, default_policy
from safehold.scan import FileReport, Verdict, scan_file, scan_paths
from safehold.scan.entries import Found, list_directory
from safehold.scan.hub import find_in_repository, is_repository
from safehold.scan.one import Settings, scan_data, scan_found, unreadable
from safehold.scan.remote import is_url
from safehold.source import FileAudit, audit_file, audit_source, audit_tree
from safehold.source.check import unreadable as unreadable_source
from safehold.source.rules.unreadable import LARGEST, UNREADABLE

STDIN = "-"
SOURCE = "python"
"""The format of reports on sources."""
_SUFFIXES = (".py", ".pyw")


def reports(options: argparse.Namespace) -> Iterator[FileReport]:
    """Yield a report for everything that the command line asks for.

    Raises:
        ConfigError: the policy cannot be used.
        MissingExtra: an option needs a package that is not installed.
    """
    named = options.policy or os.environ.get(_shared.VARIABLE)
    policy = Policy.load(named) if named else None
    limits = policy.limits if policy is not None else None
    allow = AllowList.of({*PRESETS, *(_own_names(policy) if policy is not None else ())})
    digests = _output.wants_digests(options)
    paranoid = options.paranoid
    settings = Settings.of(limits, allow, digests=digests, paranoid=paranoid)
    paths = [path for path in options.paths if path != STDIN]
    if options.hf_cache is not None:
        paths.append(options.hf_cache or _hub())
    keep: Callable[[str], bool] = _everything
    if options.since is not None:
        paths, keep = _changed(options.since, paths, options)
    if not options.paths and not paths:
        raise ConfigError("nothing to scan: name a file, a directory, a URL or -")
    if STDIN in options.paths:
        if _is_source(options.stdin_name):
            yield from _source_from(sys.stdin.buffer, options.stdin_name, settings, policy)
        else:
            yield scan_file(
                sys.stdin.buffer,
                options.stdin_name,
                limits,
                allow=allow,
                digests=digests,
                paranoid=paranoid,
            )
    artifacts = [path for path in paths if not _is_source(path)]
    if options.skip_others:
        # What is not there, or no file, is an error as ever.
        for path in filter(keep, filter(os.path.isfile, artifacts)):
            yield from _given(scan_found(Found(path, named=False), settings))
        artifacts = [path for path in artifacts if not os.path.isfile(path)]
    with _cluster(options.backend):
        yield from scan_paths(
            artifacts,
            limits,
            allow=allow,
            exclude=options.exclude,
            jobs=options.jobs or (1 if options.backend == "loky" else -1),
            backend=options.backend,
            digests=digests,
            paranoid=paranoid,
            keep=keep,
        )
    for path in paths:
        if _is_source(path) and not os.path.isdir(path) and not keep(path):
            continue
        if _is_source(path):
            yield from _hidden(scan_found(Found(path, named=False), settings))
        yield from _sources(path, policy, options.exclude, keep)


def _everything(_path: str) -> bool:
    return True


def _changed(
    since: str, paths: list[str], options: argparse.Namespace
) -> tuple[list[str], Callable[[str], bool]]:
    """Return what of the paths is to be looked at, and what says whether a file has changed.

    Raises:
        ConfigError: there is nothing to compare with.
    """
    if STDIN in options.paths or any(map(is_url, paths)):
        raise ConfigError("--since compares files of a checkout: leave out URLs and -")
    revision = Revision.of(since)
    for path in paths:
        revision.check(path)
    # Of a path that is gone, the revision may know; other missing ones are an error as ever.
    left = [path for path in paths if os.path.lexists(path) or not revision.has(path)]
    return left if paths else [os.path.relpath(revision.top)], revision.differs


def _given(report: FileReport | None) -> Iterator[FileReport]:
    if report is not None:
        yield report


@contextlib.contextmanager
def _cluster(backend: str) -> Iterator[None]:
    """Connect to the cluster of Dask that its settings name, or start one on this machine."""
    if backend != "dask":
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra("distributed", "dask") from error
    with Client():
        yield


def _hidden(report: FileReport | None) -> Iterator[FileReport]:
    """Yield what a file is besides a source: a loader may be given any name."""
    if report is not None and report.verdict is not Verdict.ERROR:
        yield report


def _is_source(path: str) -> bool:
    return path.endswith(_SUFFIXES) and not is_url(path)


def _sources(
    path: str, policy: Policy | None, exclude: list[str], keep: Callable[[str], bool]
) -> Iterator[FileReport]:
    """Yield a report for a source file, or for those below a directory that have findings."""
    if os.path.isdir(path):
        known = policy or default_policy(path)
        cached = list(_repositories(path))
        for repository in cached:
            for found in find_in_repository(repository, exclude):
                if _is_source(found.shown) and not found.problem and keep(found.path):
                    audit = audit_file(found.path, policy=known, name=found.shown)
                    yield _report(audit, found.shown)
        if path in cached:
            return
        names = [os.path.basename(repository) for repository in cached]
        try:
            for audit in audit_tree(path, policy=known, exclude=[*exclude, *names]):
                if keep(os.path.join(path, audit.path)):
                    yield _report(audit, os.path.join(path, audit.path))
        except OSError as error:
            yield unreadable(path, error.strerror or str(error))
    elif _is_source(path):
        known = policy or default_policy(os.path.dirname(path) or ".")
        yield _report(audit_file(path, policy=known), path)


def _repositories(path: str) -> Iterator[str]:
    """Yield the repositories of Hugging Face that a directory is or holds."""
    if is_repository(path):
        yield path
        return
    for entry in list_directory(path):
        if not isinstance(entry, OSError) and is_repository(entry.path):
            yield entry.path


def _hub() -> str:
    """Return where the library of Hugging Face keeps its cache."""
    environment = os.environ
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return os.path.expanduser(environment[name])
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(cache, "huggingface")
    return os.path.expanduser(os.path.join(home, "hub"))


def _source_from(
    file: IO[bytes], name: str, settings: Settings, policy: Policy | None
) -> Iterator[FileReport]:
    """Yield the report of a source that comes from a pipe."""
    data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        yield _report(unreadable_source(name, f"larger than {LARGEST // 2**20} MiB"), name)
        return
    yield from _hidden(scan_data(data, name, settings, named=False))
    yield _report(audit_source(data, name, policy or default_policy(".")), name)


def _report(audit: FileAudit, path: str) -> FileReport:
    unread = any(finding.rule.id == UNREADABLE.rule.id for finding in audit.findings)
    verdict = Verdict.SUSPICIOUS if audit.findings else Verdict.CLEAN
    return FileReport(path, SOURCE, Verdict.ERROR if unread else verdict, audit.findings)


def _own_names(policy: Policy) -> Iterator[str]:
    """Exact names that the zones allow; presets count anyway, and ``*`` would hide everything."""
    for zone in policy.zones:
        yield from (name for name in zone.allow if "." in name)
