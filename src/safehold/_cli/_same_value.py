"""Whether two loaded objects are equal with all that they hold, by what pickle would store."""

from __future__ import annotations

import copyreg
import struct
from typing import Any

_ATOMS = (int, str, bytes, bytearray, bool, type(None))


def is_same_value(one: object, two: object) -> bool:
    """Say whether two objects are of the same types and values throughout; a NaN equals itself.

    Asks the objects' classes for their state, so it is for what an allow-list has let through.
    """
    return _Comparison({}).holds(one, two)


class _Comparison:
    """One comparison; pairs that are being compared count as equal, for objects in cycles."""

    def __init__(self, pairs: dict[tuple[int, int], tuple[object, object]]) -> None:
        self._pairs = pairs

    def holds(self, one: Any, two: Any) -> bool:
        kind = type(one)
        if one is two or kind is not type(two):
            return one is two
        if kind in _ATOMS:
            return bool(one == two)
        if kind is float:
            return struct.pack("d", one) == struct.pack("d", two)
        pair = (id(one), id(two))
        if pair in self._pairs:
            return True
        self._pairs[pair] = one, two  # kept alive: an id is one object's for as long
        if kind in (list, tuple):
            return len(one) == len(two) and all(map(self.holds, one, two))
        if kind is dict:
            return self.holds(list(one.items()), list(two.items()))
        if kind in (set, frozenset):
            return self._is_same_set(one, two)
        if isinstance(one, type) or hasattr(one, "__code__"):
            return False  # named objects are themselves or others
        return self.holds(_state(one), _state(two))

    def _is_same_set(self, one: Any, two: Any) -> bool:
        """Find a partner for each element, as the order of a set means nothing."""
        if all(type(element) in _ATOMS for element in one):
            return {(type(item), item) for item in one} == {(type(item), item) for item in two}
        left = list(two)
        for element in one:
            found = next((i for i, other in enumerate(left) if self._tried(element, other)), None)
            if found is None:
                return False
            del left[found]
        return not left

    def _tried(self, one: object, two: object) -> bool:
        """Compare without believing afterwards what was only assumed meanwhile."""
        return _Comparison(dict(self._pairs)).holds(one, two)


def _state(value: Any) -> Any:
    """Return what pickle stores of an object: a name, or what makes it again."""
    reduce = copyreg.dispatch_table.get(type(value))
    made: Any = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    if isinstance(made, str):
        return made
    return tuple(list(part) if hasattr(part, "__next__") else part for part in made)
