"""What ``safehold scan`` reads: artifacts first, then sources, one report after the other."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from safehold._cli import _output, _shared
from safehold._cli._paths import Once, distinct, hub, is_source, results, size_of
from safehold._cli._progress import Gauge
from safehold._cli._recorded import scanned
from safehold._cli._since import Revision
from safehold._cli._sources import Sources
from safehold.allow import PRESETS, AllowList
from safehold.errors import ConfigError, MissingExtra
from safehold.policy import Policy, default_policy
from safehold.scan import Cache, FileReport, Verdict, scan_open, scan_paths
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_found
from safehold.scan.remote import is_url
from safehold.scan.walk import find_files
from safehold.source import Members

STDIN = "-"


def reports(options: argparse.Namespace, gauge: Gauge | None = None) -> Generator[FileReport]:
    """Yield a report for everything that the command line asks for.

    Raises:
        ConfigError: the policy or the cache cannot be used.
        MissingExtra: an option needs a package that is not installed.
        TrailError: what was found cannot be recorded.
    """
    cache = None if options.cache is None else Cache(options.cache or results())
    problem = ""
    named = options.policy or os.environ.get(_shared.VARIABLE)
    policy = Policy.load(named) if named else None
    every = _reports(options, policy, gauge, cache)
    with contextlib.closing(scanned(policy, every, quiet=options.quiet)) as found:
        for report in found:
            problem = problem or report.cache_problem
            yield report
    problem = problem or (cache.problem if cache is not None else "")
    if problem and not options.quiet:
        line = f"safehold: warning: cache: {problem}; nothing was left out of the scan"
        print(_shared.printable(line), file=sys.stderr)


def dependencies(options: argparse.Namespace) -> Iterator[FileReport]:
    """Yield a report for each lock below the paths.

    Raises:
        ConfigError: nothing to look at, options that do not belong to it, no usable database.
        MissingExtra: pip-audit is not installed.
    """
    from safehold.dependencies.check import check_dependencies

    if not options.deps:
        raise ConfigError("--deps-database and --deps-environment belong to --deps")
    if not options.paths or STDIN in options.paths or any(map(is_url, options.paths)):
        raise ConfigError("--deps looks at files: name a directory or locks")
    if options.since:
        raise ConfigError("--deps looks at whole locks: leave out --since")
    for path in options.paths:
        yield from check_dependencies(
            path,
            database=options.deps_database,
            environment=options.deps_environment,
            exclude=options.exclude,
        )


def _reports(
    options: argparse.Namespace,
    policy: Policy | None,
    gauge: Gauge | None,
    cache: Cache | None,
) -> Generator[FileReport]:
    limits = policy.limits if policy is not None else None
    allow = AllowList.of({*PRESETS, *(_own_names(policy) if policy is not None else ())})
    digests = _output.wants_digests(options)
    members = Members(policy or default_policy("."))
    settings = Settings.of(
        limits,
        allow,
        digests=digests,
        paranoid=options.paranoid,
        sources=members,
        cache=cache,
    )
    paths, changed = _wanted(options)
    if cache is not None:
        cache.check_apart(path for path in paths if not is_url(path))
    sources = Sources(policy, settings, options.exclude, _both(Once(paths), changed))
    if STDIN in options.paths:
        yield from _piped(options.stdin_name, sources)
    artifacts = [path for path in paths if not is_source(path) or os.path.isdir(path)]
    if options.skip_others:
        # What is not there, or no file, is an error as ever.
        for path in filter(os.path.isfile, artifacts):
            if changed(Found(path, named=True)):
                yield from _given(scan_found(Found(path, named=False), settings))
        artifacts = [path for path in artifacts if not os.path.isfile(path)]
    keep = _both(Once(paths), changed)
    total = None if gauge is None else _counted(artifacts, options.exclude, gauge)
    if gauge is not None:
        gauge.begin("artifacts", total)
        if options.jobs in (None, 1):  # else another thread asks, ahead of the workers
            keep = _both(keep, _opened(gauge))
    failed: set[str] = set()
    with _cluster(options.backend):
        for report in scan_paths(
            artifacts,
            limits,
            allow=allow,
            exclude=options.exclude,
            jobs=options.jobs or (1 if options.backend == "loky" else -1),
            backend=options.backend,
            digests=digests,
            paranoid=options.paranoid,
            sources=members,
            keep=keep,
            visited=None if gauge is None else _done(gauge),
            cache=cache,
        ):
            if report.verdict is Verdict.ERROR:
                failed.add(report.path)
            yield report
    yield from _audited(paths, sources, failed, gauge)


def _wanted(options: argparse.Namespace) -> tuple[list[str], Callable[[Found], bool]]:
    """Return the paths to look at, each once, and what says whether a file has changed.

    Raises:
        ConfigError: there is nothing to scan, or nothing to compare with.
    """
    paths = [path for path in options.paths if path != STDIN]
    if options.hf_cache is not None:
        paths.append(options.hf_cache or hub())
    changed: Callable[[Found], bool] = _everything
    if options.since is not None:
        paths, changed = _changed(options.since, paths, options)
    if not options.paths and not paths:
        raise ConfigError("nothing to scan: name a file, a directory, a URL or -")
    return distinct(paths), changed


def _piped(name: str, sources: Sources) -> Iterator[FileReport]:
    """Yield the reports of what comes from standard input."""
    file, settings = sys.stdin.buffer, sources.settings
    if is_source(name):
        yield from sources.stream(file, name)
    else:
        yield scan_open(file, name, settings)


def _audited(
    paths: Sequence[str], sources: Sources, failed: Iterable[str], gauge: Gauge | None
) -> Iterator[FileReport]:
    """Yield the reports of all sources among the paths."""
    if gauge is not None:
        gauge.begin("sources", sources.counted(paths, gauge.counting))
    known = replace(
        sources, failed=frozenset(failed), visited=None if gauge is None else gauge.done
    )
    for path in paths:
        if os.path.isdir(path):
            yield from known.below(path)
        elif is_source(path):
            yield from known.named(path)


def _everything(_found: Found) -> bool:
    return True


def _both(
    first: Callable[[Found], bool], second: Callable[[Found], bool]
) -> Callable[[Found], bool]:
    return lambda found: first(found) and second(found)


def _opened(gauge: Gauge) -> Callable[[Found], bool]:
    def tell(found: Found) -> bool:
        gauge.opened(found.shown, _size(found))
        return True

    return tell


def _done(gauge: Gauge) -> Callable[[Found], None]:
    return lambda found: gauge.done(found.shown, _size(found))


def _counted(paths: Sequence[str], exclude: Sequence[str], gauge: Gauge) -> tuple[int, int] | None:
    """Return how many files there are to look at, and their bytes; None if URLs are among them."""
    if any(map(is_url, paths)):
        return None
    files = size = 0
    for path in paths:
        for found in find_files(path, exclude):
            files += 1
            size += _size(found)
            gauge.counting(files)
    return files, size


def _size(found: Found) -> int:
    return found.size or 0 if found.root or found.problem else size_of(found.path)


def _changed(
    since: str, paths: list[str], options: argparse.Namespace
) -> tuple[list[str], Callable[[Found], bool]]:
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
    chosen = left if paths else [os.path.relpath(revision.top)]
    return chosen, lambda found: revision.differs(found.path)


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


def _own_names(policy: Policy) -> Iterator[str]:
    """Exact names that the zones allow; presets count anyway, and ``*`` would hide everything."""
    for zone in policy.zones:
        yield from (name for name in zone.allow if "." in name)
