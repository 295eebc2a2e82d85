"""Other modules of the tree, for constants that one module defines and another uses as a path.

Nothing is imported: a module is found by its name, as Python would from the directories above
the importing file, and parsed.
"""

from __future__ import annotations

import os
import posixpath
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.source.rewrite import parse
from safehold.source.scopes import Module, analyse
from safehold.source.text import UnreadableError, decode

_KEPT = 32
_LARGEST = 2**20  # constants stand in small files


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A module of the tree and its path relative to the policy's root."""

    module: Module
    here: str


class Neighbours:
    """Finds modules below one directory, and keeps the last few."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kept: OrderedDict[str, Neighbour | None] = OrderedDict()

    def find(self, dotted: str, level: int, here: str) -> Neighbour | None:
        """Return the module that `here` would import, None when it is not in the tree."""
        for path in candidates(dotted, level, here):
            neighbour = self._load(path)
            if neighbour is not None:
                return neighbour
        return None

    def _load(self, path: str) -> Neighbour | None:
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        found = self._parsed(path)
        self._kept[path] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def _parsed(self, path: str) -> Neighbour | None:
        full = os.path.join(self._root, path)
        try:
            if not os.path.isfile(full) or os.path.getsize(full) > _LARGEST:
                return None
            with open(full, "rb") as file:
                return Neighbour(analyse(parse(decode(file.read()).utf8)), path)
        except (OSError, UnreadableError, RecursionError, MemoryError):
            return None  # that file gets its own finding; here a path just stays unknown


def candidates(dotted: str, level: int, here: str) -> Iterator[str]:
    """Yield paths at which a module may lie, the nearest directory first."""
    relative = dotted.replace(".", "/")
    directory = posixpath.dirname(here)
    if level:
        for _ in range(level - 1):
            directory = posixpath.dirname(directory)
        bases = [directory]
    else:
        bases = [directory]
        while directory:
            directory = posixpath.dirname(directory)
            bases.append(directory)
        bases.append("src")
    for base in bases:
        path = posixpath.normpath(posixpath.join(base, relative)) if relative else base
        yield f"{path}.py"
        yield posixpath.join(path, "__init__.py")
