"""The pickle machine against CPython's loaders over generated streams.

    python -m tests.fuzz --streams 5000000 --seed 1 --jobs 2
    python -m tests.fuzz --streams 100000 --python /path/to/python3.13
    python -m tests.fuzz --streams 1000000 --loader python

The same seed gives the same streams. A difference is made smaller and printed; see
`tests.fuzz.compare` for what is one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from tests.fuzz.running import CHUNK, Found, run_chunk


def main() -> int:
    """Run, print, and return 1 if there is any difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--python", default=sys.executable, help="whose loader to compare with")
    parser.add_argument("--loader", choices=("c", "python"), default="c")
    parser.add_argument("--most", type=int, default=10, help="stop after so many differences")
    options = parser.parse_args()
    chunks = iter(range(-(-options.streams // CHUNK)))
    counts: Counter[str] = Counter()
    found: list[Found] = []
    started = shown = time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:

        def more() -> set[Future[tuple[Counter[str], list[Found]]]]:
            chunk = next(chunks, None)
            if chunk is None or len(found) >= options.most:
                return set()
            seed = options.seed * 2**32 + chunk
            return {pool.submit(run_chunk, seed, options.python, options.loader == "python")}

        waiting = more()
        for _ in range(2 * options.jobs):
            waiting |= more()
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                tally, differences = future.result()
                counts += tally
                found += differences
                for one in differences:
                    print(one, flush=True)  # noqa: T201
                waiting |= more()
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                rate = counts["streams"] / (shown - started)
                print(f"{counts['streams']:,} streams, {rate:,.0f}/s", file=sys.stderr, flush=True)  # noqa: T201
    print(dict(counts), f"{len(found)} differences, {time.monotonic() - started:.0f} s")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
