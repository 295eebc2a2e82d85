"""How much memory the values of a pickle take, about, and when that is too much for its file."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final, Protocol

from safehold.scan.budget import Budget
from safehold.scan.memo import Memo
from safehold.scan.outcome import Exhausted

MAX_KEPT: Final = 352 * 2**20
"""Bytes that may be kept for each share of the file."""
# What is counted for a block of the interpreter's, a place on the stack or in what was read of a
# run, an entry of the memo beside the block of its index, and an item of a tuple or dict.
_BLOCK: Final = 80
_PLACE: Final = 9
_ENTRY: Final = 24
_ITEM: Final = 16


class Keeping(Protocol):
    """What keeps values: the machine."""

    budget: Budget
    stack: list[Any]
    marks: list[int]
    kept: Memo
    replayed: int
    items: int


def check(m: Keeping) -> None:
    """Raise Exhausted if more is kept than a file of this size may need."""
    blocks, shared = sys.getallocatedblocks(), m.budget
    if shared.blocks is None:
        # It takes a walk through the heap, so it is first done where there may be some.
        shared.blocks = blocks
    # Values inside values count as well; the interpreter knows how many blocks there are, of all
    # threads together.
    size = _BLOCK * (blocks - shared.blocks) // threading.active_count()
    size += _PLACE * (len(m.stack) + len(m.marks) + m.replayed)
    size += _ENTRY * (len(m.kept.known) + len(m.kept.log)) + _ITEM * m.items
    if size > MAX_KEPT * shared.shares:
        raise Exhausted(f"keeps more than {MAX_KEPT * shared.shares >> 20} MiB of values")
