"""Scans many files by several workers of joblib; reports come in the order of the files.

A worker that dies takes what was handed out and not answered with it. Those files are read again,
one at a time: the one that kills its worker is an error, the others have their reports.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from safehold.errors import ConfigError, MissingExtra
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_found, unreadable
from safehold.scan.report import FileReport

BACKENDS: Final = ("loky", "threading", "dask", "ray")
"""Where workers run: processes here, threads here, an existing cluster."""
# A task of a worker ends at so many files or bytes: small files cost less than handing them over,
# and nobody should wait for one worker that got all the large ones. The first is one file, each
# further one may hold one more, so that a few files that take long are shared out as well.
_MOST_FILES: Final = 64
_MOST_BYTES: Final = 16 * 2**20


def scan_in_parallel(
    found: Iterable[Found], settings: Settings, jobs: int, backend: str = "loky"
) -> Iterator[FileReport | None]:
    """Yield the report of each file, as soon as it and those before it are there.

    Raises:
        ConfigError: the backend has no workers.
        MissingExtra: the package of the backend is not installed.
    """
    workers = _workers(backend)
    # Threads share their process, which nobody would notice to be gone.
    worker = replace(settings, expendable=backend != "threading")
    source = batches(map(_placed, found))
    while True:
        tasks = _Tasks(source)
        made: Iterator[Any] = ((scan_batch, (batch, worker), {}) for batch in tasks)
        try:
            results = workers(jobs, return_as="generator")(made)
            yield from _answers(results, tasks)
        except _WorkerLost as error:
            # No file raises: this is a worker that is gone, or that never was there.
            if not tasks.handed_out:
                raise ConfigError(f"no worker of {backend}: {error}") from error
        except ValueError as error:  # as of a cluster without a client
            raise ConfigError(f"no worker of {backend}: {error}") from error
        if tasks.failure is not None:
            raise tasks.failure
        if not tasks.handed_out:
            return
        for batch in tasks.handed_out:
            for one in batch:
                yield from _alone(one, worker, workers)


class _WorkerLost(Exception):
    """The workers have no more answers."""


class _Tasks:
    """Batches on their way to the workers: an iterator that remembers what it gave."""

    def __init__(self, source: Iterator[list[Found]]) -> None:
        self.handed_out: deque[list[Found]] = deque()
        self.failure: Exception | None = None
        self.ended = False
        self._source = source

    def __iter__(self) -> Iterator[list[Found]]:
        return self

    def __next__(self) -> list[Found]:
        if self.ended:
            raise StopIteration
        try:
            batch = next(self._source)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error  # a thread of joblib asks: for it, this is the end
            raise StopIteration from error
        self.handed_out.append(batch)
        return batch


def _answers(results: Any, tasks: _Tasks) -> Iterator[FileReport | None]:
    """Yield what the workers found. Raises _WorkerLost."""
    try:
        while True:
            try:
                reports = next(results, None)
            except Exception as error:
                raise _WorkerLost(str(error)[:300]) from error
            if reports is None:
                return
            tasks.handed_out.popleft()
            yield from reports
    finally:
        # Nothing new for workers that are ended; what they say to that does not matter.
        tasks.ended = True
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's advice to those who stop early
            results.close()


def _alone(
    found: Found, settings: Settings, workers: Callable[..., Any]
) -> list[FileReport | None]:
    """Scan one file by a worker that has nothing else to do."""
    try:
        # Two, as one job would be this process itself.
        [reports] = workers(2)([(scan_batch, ([found], settings), {})])
    except Exception:  # noqa: BLE001  as above; what it is depends on the backend
        return [unreadable(found.shown, "the worker that read it was ended")]
    answer: list[FileReport | None] = reports
    return answer


def _workers(backend: str) -> Callable[..., Any]:
    """Return what makes workers of a number. Raises MissingExtra."""
    try:
        from joblib import Parallel, parallel_config
    except ImportError as error:
        raise MissingExtra("joblib", "joblib") from error
    if backend == "dask":
        try:
            import distributed  # noqa: F401  joblib finds its client
        except ImportError as error:
            raise MissingExtra("distributed", "dask") from error
    if backend == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError as error:
            raise MissingExtra("ray", "ray") from error
        register_ray()

    def make(jobs: int, **options: Any) -> Any:
        with parallel_config(backend=backend, n_jobs=jobs):
            return Parallel(n_jobs=jobs, **options)

    return make


def batches(found: Iterable[Found]) -> Iterator[list[Found]]:
    """Group files into tasks, in their order."""
    batch: list[Found] = []
    size, most = 0, 1
    for one in found:
        more = _size(one)
        if batch and (len(batch) == most or size + more > _MOST_BYTES):
            yield batch
            batch, size = [], 0
            most = min(most + 1, _MOST_FILES)
        batch.append(one)
        size += more
    if batch:
        yield batch


def scan_batch(batch: list[Found], settings: Settings) -> list[FileReport | None]:
    """Scan the files of one task."""
    return [scan_found(one, settings) for one in batch]


def _placed(found: Found) -> Found:
    """Return a file by its whole path: workers are kept, and stay where they were started."""
    if found.root or found.problem or os.path.isabs(found.path):
        return found
    return replace(found, path=os.path.join(os.getcwd(), found.path), label=found.shown)


def _size(found: Found) -> int:
    if found.root or found.problem:
        return found.size or 0
    try:
        return os.stat(found.path).st_size
    except (OSError, ValueError):
        return 0
