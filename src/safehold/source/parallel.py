"""Work on batches by several processes of joblib; answers come in the order of the batches.

A worker that dies or raises is an error: no file is left out in silence.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from safehold.errors import ConfigError, MissingExtra

_MOST: Final = 64
# Batches for each worker, so that one with large files keeps nobody waiting for long.
_EACH: Final = 8

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def batches(items: Sequence[_Item], jobs: int) -> list[Sequence[_Item]]:
    """Share items out, in their order; `jobs` may be -1 for all cores."""
    size = max(1, min(_MOST, len(items) // (_EACH * (jobs if jobs > 0 else 16))))
    return [items[start : start + size] for start in range(0, len(items), size)]


def in_workers(
    work: Callable[[Sequence[_Item]], list[_Answer]],
    shared: Sequence[Sequence[_Item]],
    jobs: int,
    name: Callable[[_Item], str],
) -> Iterator[list[_Answer]]:
    """Yield the answers for each batch.

    Raises:
        ConfigError: a worker was ended, or raised.
        MissingExtra: joblib is not installed.
    """
    try:
        from joblib import Parallel, parallel_config
    except ImportError as error:
        raise MissingExtra("joblib", "joblib") from error
    with parallel_config(backend="loky", n_jobs=jobs):
        results: Any = Parallel(return_as="generator")((work, (batch,), {}) for batch in shared)
    try:
        for batch in shared:
            try:
                answers = next(results)
            except Exception as error:
                # Whatever a worker or its end raises, perhaps before an earlier batch is done.
                what = str(error).partition("\n")[0] or type(error).__name__
                raise ConfigError(
                    f"a worker gave no answer for {name(batch[0])} or a file after it: {what}; "
                    "use fewer --jobs"
                ) from error
            yield answers
    finally:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's advice to those who stop early
            results.close()
