"""Paths, bytes and open files: what is asked for becomes reports, one after the other."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

from safehold.allow import AllowList
from safehold.errors import ConfigError
from safehold.policy import Limits
from safehold.scan.cache import Cache
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_data, scan_found, too_large, unreadable
from safehold.scan.parallel import BACKENDS, scan_in_parallel
from safehold.scan.remote import find_objects, is_url, local_path
from safehold.scan.report import FileReport, Scan, Verdict
from safehold.scan.spool import Spool
from safehold.scan.visit import SourceCheck
from safehold.scan.walk import find_files

Progress = Callable[[FileReport], None]
_CHUNK = 2**20
_Kept = Cache | str | os.PathLike[str] | None


def scan_path(
    path: str | os.PathLike[str],
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
    paranoid: bool = False,
    cache: _Kept = None,
) -> Scan:
    """Scan a file, or every artifact below a directory or URL.

    Args:
        path: what to scan. Text may be a URL, which needs the extra `remote`.
        limits: bounds on what is read; those of the default policy if not given.
        allow: what artifacts may name; all presets if not given.
        own: exact dotted names of the caller's own classes. They may be instantiated and given
            state, but not called with arguments: any constructor could be misused that way.
        exclude: glob patterns of names, or of paths below ``path``, to leave out.
        paranoid: read pickles that seem harmless a second time, with CPython's own loader in a
            confined process; all others are read so in any case.
        cache: where to look for what an earlier scan of the same bytes under the same name
            found, and to keep what this one finds.

    Raises:
        ConfigError: the cache is no directory, has something else in it, or lies in what is
            scanned: whoever made that could have brought the cache as well.
    """
    found = scan_paths(
        [path],
        limits,
        allow=allow,
        own=own,
        exclude=exclude,
        paranoid=paranoid,
        cache=cache,
    )
    return Scan(tuple(found))


def scan_paths(  # noqa: PLR0913  all but two are options by keyword
    paths: Iterable[str | os.PathLike[str]],
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
    paranoid: bool = False,
    jobs: int = 1,
    backend: str = "loky",
    progress: Progress | None = None,
    digests: bool = False,
    hub_names: bool = True,
    sources: SourceCheck | None = None,
    keep: Callable[[Found], bool] | None = None,
    visited: Callable[[Found], None] | None = None,
    cache: _Kept = None,
) -> Iterator[FileReport]:
    """Scan several paths and yield each file's report as soon as it is there.

    Args:
        paths: what to scan, as for `scan_path`.
        limits: as for `scan_path`.
        allow: as for `scan_path`.
        own: as for `scan_path`.
        exclude: as for `scan_path`.
        paranoid: as for `scan_path`.
        jobs: workers to use; -1 for as many as there are cores.
        backend: of joblib, where the workers are: processes (``loky``), ``threading``, or the
            cluster of a client that exists (``dask``, ``ray``).
        progress: called with each report before it is yielded.
        hub_names: call a file in a cache of Hugging Face ``ORG/NAME@REVISION/FILE`` and read it
            once, whatever number of snapshots has it.
        digests: say what the SHA-256 of each artifact is.
        sources: looks at Python sources that are members of archives, as `safehold.source.Members`.
        keep: says of each local file that is found whether to scan it; all if not given.
        visited: called with each file after it was scanned or left out, artifact or not.
        cache: as for `scan_path`.

    Raises:
        MissingExtra: more than one job is asked for and joblib, or what the backend needs, is
            not installed.
        ConfigError: the backend is unknown or has no workers, or as for `scan_path`.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"no backend {backend!r}: one of {', '.join(BACKENDS)}")
    settings = Settings.of(
        limits,
        allow,
        own,
        digests=digests,
        paranoid=paranoid,
        sources=sources,
        cache=cache,
    )
    paths = _apart(paths, settings.cache)
    handed: deque[Found] = deque()

    def chosen() -> Iterator[Found]:
        for path in paths:
            for one in _find(path, exclude, hub_names=hub_names):
                if keep is None or one.problem or one.root or keep(one):
                    if visited is not None:
                        handed.append(one)
                    yield one
                elif visited is not None:
                    visited(one)

    one_by_one = (scan_found(one, settings) for one in chosen())
    for report in one_by_one if jobs == 1 else scan_in_parallel(chosen(), settings, jobs, backend):
        if visited is not None:
            visited(handed.popleft())  # reports come in the order of the files
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
    paranoid: bool = False,
    cache: _Kept = None,
) -> FileReport:
    """Scan bytes that have no path; ``name`` stands in the report.

    The options are those of `scan_path`. A cache is asked about ``bytes`` only: others may change.
    """
    settings = Settings.of(limits, allow, own, paranoid=paranoid, cache=cache)
    most = settings.limits.artifact
    whole = bytes(data) if isinstance(data, bytearray) else data
    if isinstance(whole, memoryview):
        whole = whole.cast("B") if whole.c_contiguous and whole.nbytes else whole.tobytes()
    if len(whole) > most:
        return too_large(name, len(whole), settings.limits)
    report = scan_data(whole, name, settings, named=True)
    return report or FileReport(name, "unknown", Verdict.CLEAN)


def scan_file(  # noqa: PLR0913  as scan_paths
    file: IO[bytes],
    name: str = "<file>",
    limits: Limits | None = None,
    *,
    allow: AllowList | None = None,
    own: frozenset[str] = frozenset(),
    digests: bool = False,
    paranoid: bool = False,
    cache: _Kept = None,
) -> FileReport:
    """Scan what an open binary file holds from where it stands to its end.

    It need not be seekable. More than a few MiB go to a temporary file, and more than the
    limit is not read.
    """
    settings = Settings.of(limits, allow, own, digests=digests, paranoid=paranoid, cache=cache)
    return scan_open(file, name, settings)


def scan_open(file: IO[bytes], name: str, settings: Settings) -> FileReport:
    """Scan an open file as `scan_file` does, by settings that are made already."""
    most = settings.limits.artifact
    spool = Spool()
    try:
        while spool.size <= most:
            chunk = file.read(min(_CHUNK, most + 1 - spool.size))
            if chunk is None:  # as a handle says that would have to wait
                raise BlockingIOError(errno.EAGAIN, "it has no data at the moment")
            if not chunk:
                break
            spool.write(chunk)
    except Exception as error:  # noqa: BLE001  whatever the file is, it could not be read
        spool.close()
        reason = error.strerror if isinstance(error, OSError) else None
        return unreadable(name, reason or type(error).__name__)
    if spool.size > most:
        spool.close()
        return too_large(name, spool.size, settings.limits)
    report = scan_data(spool.data(), name, settings, named=True)
    return report or FileReport(name, "unknown", Verdict.CLEAN)


def _apart(
    paths: Iterable[str | os.PathLike[str]], cache: Cache | None
) -> Iterable[str | os.PathLike[str]]:
    """Return the paths, of which none holds the cache. Raises ConfigError."""
    if cache is None:
        return paths
    given = tuple(paths)
    cache.check_apart(filter(None, map(_local, given)))
    return given


def _local(path: str | os.PathLike[str]) -> str | None:
    """Return the path of what stands in a file system of this machine; None for other URLs."""
    return local_path(path) if isinstance(path, str) and is_url(path) else os.fsdecode(path)


def _find(
    path: str | os.PathLike[str], exclude: Sequence[str], *, hub_names: bool
) -> Iterator[Found]:
    """Yield what a path or URL names. Only text can be a URL."""
    if isinstance(path, str) and is_url(path):
        return find_objects(path, exclude)
    return find_files(os.fsdecode(path), exclude, hub_names=hub_names)
