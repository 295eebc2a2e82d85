"""xgboost's old binary format: structures of C in a row, each of a size that those before it tell.

It is what ``save_model`` wrote before 1.0, and under other suffixes than ``.json`` and ``.ubj`` up
to 2.0. The sizes are those of ``LearnerModelParamLegacy``, ``GBTreeModelParam``, ``TreeParam``,
``RegTree::Node`` and ``RTreeNodeStat`` in the source of 2.1.
"""

from __future__ import annotations

from typing import Final

from safehold.scan.budget import Budget
from safehold.scan.values import Data

_LEARNER: Final = 136
_EXTRA_ATTRIBUTES, _METRICS = 12, 16
_TREES: Final = 160
_LINEAR: Final = 136
_TREE: Final = 148
_NODE: Final = 20 + 16
_MOST_TREES: Final = 1_000_000
_MOST_TEXTS: Final = 100_000
# A part takes as long as so many steps of the budget.
_STEPS: Final = 2


class BrokenError(ValueError):
    """It is cut off, or no such file; the message says what is wrong."""


def read_binary(data: Data, start: int, budget: Budget | None = None) -> int:
    """Return where a model ends that begins with its parameters at ``start``.

    Raises:
        BrokenError: it is cut off, or no such file.
        OutOfTime: the time for the file is used up.
    """
    reader = _Reader(data, start, Budget() if budget is None else budget)
    learner = reader.take(_LEARNER)
    reader.text()  # the objective
    booster = bytes(data[(where := reader.text())[0] : where[1]])
    if booster == b"gblinear":
        reader.take(_LINEAR)
        reader.numbers()
    else:
        _read_trees(reader, weighted=booster == b"dart")
    for flag, pairs in ((_EXTRA_ATTRIBUTES, 2), (_METRICS, 1)):
        if reader.number(learner + flag, 4):
            _read_texts(reader, pairs)
    return reader.at


def _read_trees(reader: _Reader, *, weighted: bool) -> None:
    count = reader.number(reader.take(_TREES), 4)
    if count > _MOST_TREES:
        raise BrokenError("more trees than any model needs")
    for _ in range(count):
        tree = reader.take(_TREE)
        nodes, leaves = reader.number(tree + 4, 4), reader.number(tree + 20, 4)
        reader.take(nodes * _NODE)
        if leaves > 1:
            reader.numbers()
    reader.take(count * 4)  # the group of each
    if weighted and count:
        reader.numbers()


def _read_texts(reader: _Reader, pairs: int) -> None:
    count = reader.number(reader.take(8), 8)
    if count > _MOST_TEXTS:
        raise BrokenError("more texts than any model needs")
    for _ in range(count * pairs):
        reader.text()


class _Reader:
    def __init__(self, data: Data, at: int, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self.at = at

    def take(self, width: int) -> int:
        """Step over so many bytes and return where they begin."""
        self._budget.spend(_STEPS)
        start = self.at
        if width > len(self._data) - start:
            raise BrokenError("it ends early")
        self.at += width
        return start

    def number(self, at: int, width: int) -> int:
        """Return the number that stands somewhere."""
        return int.from_bytes(self._data[at : at + width], "little")

    def text(self) -> tuple[int, int]:
        """Step over a text and return its place."""
        length = self.number(self.take(8), 8)
        start = self.take(length)
        return start, self.at

    def numbers(self) -> None:
        """Step over an array of 32-bit numbers that says its length."""
        self.take(self.number(self.take(8), 8) * 4)
