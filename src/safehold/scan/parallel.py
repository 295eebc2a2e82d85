"""Scans many files by several workers of joblib; reports come in the order of the files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from safehold.errors import MissingExtra
from safehold.scan.entries import Found
from safehold.scan.one import Settings, scan_found
from safehold.scan.report import FileReport

# A task of a worker ends at so many files or bytes: small files cost less than handing them over,
# and nobody should wait for one worker that got all the large ones.
_MOST_FILES: Final = 64
_MOST_BYTES: Final = 16 * 2**20


def scan_in_parallel(
    found: Iterable[Found], settings: Settings, jobs: int
) -> Iterator[FileReport | None]:
    """Yield the report of each file, as soon as it and those before it are there.

    Raises:
        MissingExtra: joblib is not installed.
    """
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise MissingExtra("joblib", "joblib") from error
    worker = replace(settings, expendable=True)
    tasks = (delayed(scan_batch)(batch, worker) for batch in batches(found))
    for reports in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        yield from reports


def batches(found: Iterable[Found]) -> Iterator[list[Found]]:
    """Group files into tasks, in their order."""
    batch: list[Found] = []
    size = 0
    for one in found:
        more = _size(one)
        if batch and (len(batch) == _MOST_FILES or size + more > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += more
    if batch:
        yield batch


def scan_batch(batch: list[Found], settings: Settings) -> list[FileReport | None]:
    """Scan the files of one task."""
    return [scan_found(one, settings) for one in batch]


def _size(found: Found) -> int:
    if found.root or found.problem:
        return found.size or 0
    try:
        return os.stat(found.path).st_size
    except (OSError, ValueError):
        return 0
