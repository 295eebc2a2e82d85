"""lightgbm: a model as text, lines of keys and values, then the parameters of its training.

``Booster.refit`` trains with these parameters again: it opens the files that some of them name, and
talks to the machines that one lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from safehold.scan import rules
from safehold.scan.documents import LARGEST
from safehold.scan.values import Data
from safehold.scan.visit import Source, Visit

FIRSTS: Final = b"t"
_BEGIN: Final = re.compile(rb"tree\r?\n(?:[^\n]{0,200}\n){0,2}?(?:version=v\d|num_class=\d)")
_LINE: Final = re.compile(rb"([^\n]*)(\n|\Z)")
_ENTRY: Final = re.compile(rb"[A-Za-z_]\w{0,99}=[^\x00-\x08\x0e-\x1f]*\Z")
_FLAG: Final = re.compile(rb"[a-z_]{1,99}\Z")  # average_output of a forest
_TREE: Final = re.compile(rb"Tree=(\d{1,9})\Z")
_GAIN: Final = re.compile(rb"[^\x00-\x1f]*=[-+\d.eE]+\Z")
_IMPORTANCES: Final = re.compile(rb"feature[ _]importances:?\Z")
_PARAMETER: Final = re.compile(rb"\[(\w{1,99}): ?([^\x00-\x1f]*)\]\Z")
_MOST_LINES: Final = 2_000_000
# A line takes as long as so many steps of the budget.
_STEPS: Final = 4
_PANDAS: Final = b"pandas_categorical:"
_FILES: Final = frozenset({b"forcedsplits_filename", b"forcedbins_filename"})
_MACHINES: Final = frozenset({b"machines", b"machine_list_filename"})


class _BrokenError(ValueError):
    pass


def read(source: Source, visit: Visit) -> str | None:
    """Read a model to its end and look for parameters that reach files or machines."""
    if not _BEGIN.match(source.data):
        return None
    reader = _Reader(source, visit)
    try:
        reader.read()
    except _BrokenError as error:
        message = f"the model is broken: {error}"
        visit.note(source, rules.UNREADABLE_STREAM, message, reader.at)
    return "lightgbm"


class _Reader:
    def __init__(self, source: Source, visit: Visit) -> None:
        self._source = source
        self._visit = visit
        self._data: Data = source.data
        self._lines = self._split()
        self._sizes: list[int] = []
        self.at = 0

    def read(self) -> None:
        self._head()
        self._after()

    def _split(self) -> Iterator[bytes]:
        """Yield lines, or the beginnings of long ones."""
        stop = 0
        for _ in range(_MOST_LINES):
            if stop >= len(self._data):
                return
            self._visit.budget.spend(_STEPS)
            self.at = stop
            found = _LINE.match(self._data, stop)
            if found is None:  # every byte begins a line
                return
            stop = found.end()
            end = found.end(1)
            if end > self.at and self._data[end - 1] == 13:
                end -= 1
            yield bytes(self._data[self.at : end])
        raise _BrokenError("more lines than any model needs")

    def _head(self) -> None:
        """Read what stands before the first tree, the trees, and the line that ends them."""
        trees = 0
        begin = 0
        for line in self._lines:
            tree = _TREE.match(line)
            if line == b"end of trees":
                self._check_place(trees, begin)
                if self._sizes and trees != len(self._sizes):
                    raise _BrokenError("another number of trees than of sizes")
                return
            if tree is not None:
                self._check_place(trees, begin)
                begin = self.at
                if int(tree[1]) != trees:
                    raise _BrokenError("a tree of another number")
                trees += 1
            elif line.startswith(b"tree_sizes="):
                self._sizes = self._numbers(line)
            elif line and not (_ENTRY.match(line) or (not trees and _FLAG.match(line))):
                raise _BrokenError("a line that is no entry")
        raise _BrokenError("it ends inside the trees")

    def _numbers(self, line: bytes) -> list[int]:
        words = line.partition(b"=")[2].split()
        if not all(word.isdigit() and len(word) < 19 for word in words):
            raise _BrokenError("sizes that are no numbers")
        return [int(word) for word in words]

    def _check_place(self, trees: int, begin: int) -> None:
        """Trees are cut by their sizes where those are given: both must be the same places."""
        if (
            trees
            and self._sizes
            and (trees > len(self._sizes) or self.at - begin != self._sizes[trees - 1])
        ):
            raise _BrokenError("a tree of another size than is said")

    def _after(self) -> None:
        """Read importances, parameters and categories; an older model has none of them."""
        in_parameters = False
        for line in self._lines:
            if in_parameters:
                if line == b"end of parameters":
                    in_parameters = False
                elif line:
                    self._parameter(line)
            elif line == b"parameters:":
                in_parameters = True
            elif line.startswith(_PANDAS):
                self._categories(line.removeprefix(_PANDAS))
            elif line and not (_GAIN.match(line) or _IMPORTANCES.match(line)):
                raise _BrokenError("a line that belongs nowhere")
        if in_parameters:
            raise _BrokenError("it ends inside the parameters")

    def _parameter(self, line: bytes) -> None:
        found = _PARAMETER.match(line)
        if found is None:
            raise _BrokenError("a line that is no parameter")
        name, value = found[1], found[2].strip()
        if not value or name not in _FILES | _MACHINES:
            return
        text = value[:200].decode("utf-8", "backslashreplace")
        what = "a file that it opens" if name in _FILES else "machines that it talks to"
        message = f"the parameter {name.decode()}, by which refit is told {what}"
        self._visit.note(
            self._source, rules.UNKNOWN_GLOBAL, message, self.at, {name.decode(): text}
        )

    def _categories(self, text: bytes) -> None:
        if len(text) > LARGEST:
            raise _BrokenError("more categories than are read here")
        try:
            json.loads(text)
        except RecursionError:
            self._visit.depends()
            raise _BrokenError("categories that are nested too deeply") from None
        except ValueError:
            raise _BrokenError("categories that are no JSON") from None
