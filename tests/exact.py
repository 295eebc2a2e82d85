"""Equality of values with their types, down to the bits of a NaN."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import datetime, time
from decimal import Decimal
from uuid import UUID


def same(one: object, two: object) -> bool:  # noqa: PLR0911  (one line per kind of value)
    """Say whether two values are equal and of the same types throughout."""
    kind = type(one)
    if kind is not type(two):
        return False
    if kind is float:
        return struct.pack(">d", one) == struct.pack(">d", two)
    if kind is complex:
        return same(one.real, two.real) and same(one.imag, two.imag)
    if kind in (list, tuple, deque):
        limits = (one.maxlen, two.maxlen) if kind is deque else (0, 0)
        return limits[0] == limits[1] and len(one) == len(two) and all(map(same, one, two))
    if kind in (set, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, two))  # a NaN is equal to nothing
    if kind in (dict, OrderedDict, Counter, defaultdict):
        factories = (one.default_factory, two.default_factory) if kind is defaultdict else (0, 0)
        return factories[0] is factories[1] and same(list(one.items()), list(two.items()))
    if kind in (datetime, time):
        zones = (one.tzinfo, two.tzinfo)
        plain = (one.replace(tzinfo=None), two.replace(tzinfo=None))
        return plain[0] == plain[1] and one.fold == two.fold and repr(zones[0]) == repr(zones[1])
    if kind is Decimal:
        return one.as_tuple() == two.as_tuple()
    if kind is UUID:
        return one == two and one.is_safe is two.is_safe
    if kind is slice:
        return same((one.start, one.stop, one.step), (two.start, two.stop, two.step))
    return one == two
