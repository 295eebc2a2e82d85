"""Another key for a sealed array, against sealing it anew."""

from __future__ import annotations

from collections.abc import Iterator

from bench._clocks import in_turn
from bench._rows import Row, left_out, ratio, value
from bench._subjects import ARRAYS, array, lacking, named, workspace
from safehold.artifacts import Store
from safehold.context import Context
from safehold.events import Event, Recorder
from safehold.keys import Key, Keyring, generate_key
from safehold.policy import default_policy

_GOAL = 20e-3  # seconds, for the largest array


def rows() -> Iterator[Row]:
    """Yield a rotation of each array."""
    for size in ARRAYS:
        with workspace() as root:
            label = f"rotate an array of {named(size)}, HS256"
            goal = _GOAL if size == max(ARRAYS) else None
            if why := lacking(root, 4 * size, 3 * size):
                yield left_out(label, why, goal=goal)
                continue
            keys = [Key(name, generate_key().encode()) for name in ("a", "b")]
            policy = default_policy(root)
            path = str(root / "models" / "big.pkl")
            contexts = [
                Context(policy, Keyring(*order), Recorder(_Nowhere()))
                for order in (keys, keys[::-1])
            ]
            there, back = (Store(hold) for hold in contexts)
            there.dump(array(size), path)

            def twice(path: str = path, there: Store = there, back: Store = back) -> None:
                back.rotate("a", "b", [path])
                there.rotate("b", "a", [path])

            def anew(path: str = path, there: Store = there) -> None:
                there.renew(path)
                there.renew(path)

            pairs = in_turn(twice, anew, rounds=5)
            wall = pairs.medians("wall")[0] / 2
            yield value(f"{label}, wall", wall, goal=goal)
            yield ratio(f"{label}, twice", pairs, "wall", against="seal --renew, twice")
            for hold in contexts:
                hold.close()


class _Nowhere:
    """A trail that keeps nothing, so that the file alone is measured."""

    def export(self, event: Event) -> None:
        pass
