"""A forest against skops: what a load and a save cost, verified and not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio
from bench._subjects import context, forest, workspace
from safehold.artifacts import Store

_GOAL = 0.15


def rows() -> Iterator[Row]:
    """Yield load and save by the codec `joblib`, then by the codec `skops` itself."""
    try:
        from skops import io as skops_io
    except ImportError:
        yield left_out("load, forest", "skops is not installed", goal=_GOAL)
        return
    model = forest()
    for suite in ("HS256", "GMAC"):
        yield from _rows(model, suite, skops_io)


def _rows(model: Any, suite: str, skops_io: Any) -> Iterator[Row]:
    with workspace() as root, context(root, suite) as hold:
        store = Store(hold)
        plain = str(root / "models" / "f.plain")
        skops_io.dump(model, plain)
        trusted = skops_io.get_untrusted_types(file=plain)
        load: Any = partial(skops_io.load, plain, trusted=trusted)
        save: Any = partial(skops_io.dump, model, plain)
        for suffix, goal in (("joblib", _GOAL), ("skops", None)):
            sealed = str(root / "models" / f"f.{suffix}")
            store.dump(model, sealed)
            for clock in ("cpu", "wall"):
                pairs = in_turn(partial(store.load, sealed), load, rounds=5)
                wanted = goal if clock == "cpu" else None
                label = f"load, forest, codec {suffix}, {suite}"
                yield ratio(label, pairs, clock, against="skops.io.load", goal=wanted)
                pairs = in_turn(partial(store.dump, model, sealed), save, rounds=5)
                label = f"save, forest, codec {suffix}, {suite}"
                yield ratio(label, pairs, clock, against="skops.io.dump", goal=wanted)
