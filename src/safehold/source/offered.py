"""What modules of a tree hand on of libraries, each parsed once and when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from safehold.source.entries import Libraries
from safehold.source.outcome import FileAudit
from safehold.source.reexports import Meaning, Reexports, offers_of
from safehold.source.rewrite import parse
from safehold.source.rules.unreadable import LARGEST
from safehold.source.scopes import Module, analyse
from safehold.source.text import UnreadableError, decode


class Offered:
    """Answers for the modules below one directory.

    `audit` plans the migration of a module, given its bytes and its path below that directory;
    None where nobody migrates.
    """

    def __init__(
        self,
        reexports: Reexports,
        root: str,
        libraries: Libraries,
        audit: Callable[[bytes, str], FileAudit] | None,
    ) -> None:
        self._tree = reexports
        self._root = root
        self._libraries = libraries
        self._audit = audit
        self._known: dict[str, Mapping[str, Meaning]] = {}

    def is_taker(self, here: str) -> bool:
        """Say whether a module may take names of libraries from others."""
        return here in self._tree.takers

    def taken(self, here: str) -> frozenset[str]:
        """Return the names of a module that others import from it, as far as they matter."""
        return self._tree.taken.get(here, frozenset())

    def name(self, module: Module, here: str) -> None:
        """Tell a module what the names mean that it takes from others."""
        found = self._tree.meanings(module, here, self._offers)
        module.renamed = {name: meant.dotted for name, meant in found.items()}
        module.settled = frozenset(name for name, meant in found.items() if meant.is_settled)
        module.plain = frozenset(name for name, meant in found.items() if meant.is_plain)

    def _offers(self, path: str) -> Mapping[str, Meaning]:
        if path not in self._known:
            self._known[path] = {}  # modules that import each other come back here
            self._known[path] = self._found(path)
        return self._known[path]

    def _found(self, path: str) -> Mapping[str, Meaning]:
        try:
            with open(os.path.join(self._root, path), "rb") as file:
                data = file.read(LARGEST + 1)
        except OSError:
            return {}  # that file gets its own finding
        offers = self._meant(data, path)
        if not offers or self._audit is None:
            return offers
        after = self._audit(data, path).after
        left = offers if after is None else self._meant(after, path)
        return {
            name: replace(meant, is_settled=meant.is_settled or name not in left)
            for name, meant in offers.items()
        }

    def _meant(self, data: bytes, path: str) -> dict[str, Meaning]:
        try:
            tree = parse(decode(data).utf8)
            module = analyse(tree)
        except (UnreadableError, RecursionError, MemoryError):
            return {}
        names = self._tree.offered.get(path, ())
        if self.is_taker(path) and not self._known[path]:
            # To those that it imports and that import it, it hands on what is its own.
            # Analysed by itself: what a name means is kept once it was asked for.
            self._known[path] = dict(offers_of(analyse(tree), names, self._libraries))
        self.name(module, path)
        found = dict(offers_of(module, names, self._libraries))
        return {
            name: replace(meant, is_settled=_is_settled(module, name, meant))
            for name, meant in found.items()
        }


def _is_settled(module: Module, name: str, meant: Meaning) -> bool:
    """Say whether a name that a module takes from a third one is rewritten in that one."""
    bindings = module.scope.bindings.get(name, ())
    settled = {module.renamed[item] for item in module.settled}
    return meant.dotted in settled and all(binding.alias is not None for binding in bindings)
