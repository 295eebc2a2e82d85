"""One module under examination: its text, tree and scopes, and its calls by full name.

A rule of `rules/` that is about calls asks here which calls mean what, and yields Items.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar, cast

from safehold.source.calls import Called, names_of
from safehold.source.entries import Libraries
from safehold.source.ignores import Ignores
from safehold.source.scopes import Module
from safehold.source.text import Lines, Text

if TYPE_CHECKING:
    from safehold.policy import Policy
    from safehold.source.facades import Accesses

_Node = TypeVar("_Node", bound=ast.AST)
_Made = TypeVar("_Made")
_TESTS = frozenset("test tests testing conftest.py unittests testdata benchmarks".split())
_PARTIAL = ("functools.partial", "functools.partialmethod")


@dataclass(frozen=True)
class Unit:
    """A module with what its rules ask about. `path` is the one that is reported.

    ``refused``: facades for which the uses of the library could not be rewritten.
    """

    path: str
    text: Text
    module: Module
    lines: Lines
    policy: Policy
    accesses: Accesses
    libraries: Libraries
    ignores: Ignores = field(default_factory=Ignores)
    known: frozenset[str] = frozenset()
    refused: set[str] = field(default_factory=set)

    def calls(self, *names: str) -> Iterator[Called]:
        """Yield the calls of these full names (``os.system``, ``builtins.eval``), in no order."""
        for name in names:
            yield from self._calls.get(name, ())

    def methods(self, *names: str) -> Iterator[Called]:
        """Yield the calls of attributes with these names, whatever they are attributes of."""
        for name in names:
            yield from self._methods.get(name, ())

    def names(self, called: Called) -> frozenset[str]:
        """Return the full names that what is called can stand for."""
        return frozenset(names_of(called.node.func, called.scope, self.module))

    def once(self, make: Callable[[Unit], _Made]) -> _Made:
        """Return what a function makes of this module; several rules share it."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("_Made", self._made[make])

    @cached_property
    def _made(self) -> dict[Callable[[Unit], Any], Any]:
        return {}

    def nodes(self, kind: type[_Node]) -> list[_Node]:
        """Return the nodes of a kind, in no order."""
        return cast("list[_Node]", self._nodes.get(kind, []))

    @cached_property
    def imported(self) -> frozenset[str]:
        """The packages that are imported anywhere in the module."""
        names = {alias.name for node in self.nodes(ast.Import) for alias in node.names}
        names.update(node.module or "" for node in self.nodes(ast.ImportFrom) if not node.level)
        return frozenset(name.partition(".")[0] for name in names)

    @cached_property
    def _nodes(self) -> dict[type[ast.AST], list[ast.AST]]:
        found: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in self.module.parents:
            found[type(node)].append(node)
        return dict(found)

    @cached_property
    def _calls(self) -> dict[str, list[Called]]:
        found: dict[str, list[Called]] = defaultdict(list)
        for node, scope in self.module.calls:
            for name in dict.fromkeys(names_of(node.func, scope, self.module)):
                if name in _PARTIAL and node.args:
                    for inner in dict.fromkeys(names_of(node.args[0], scope, self.module)):
                        partial = Called(
                            inner, node, scope, tuple(node.args[1:]), tuple(node.keywords)
                        )
                        found[inner].append(partial)
                else:
                    found[name].append(
                        Called(name, node, scope, tuple(node.args), tuple(node.keywords))
                    )
        return dict(found)

    @cached_property
    def _methods(self) -> dict[str, list[Called]]:
        found: dict[str, list[Called]] = defaultdict(list)
        for node, scope in self.module.calls:
            if isinstance(node.func, ast.Attribute):
                name = node.func.attr
                found[name].append(
                    Called(name, node, scope, tuple(node.args), tuple(node.keywords))
                )
        return dict(found)


def is_test(path: str) -> bool:
    """Say whether a path is of a test, by its names."""
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    return (
        not _TESTS.isdisjoint(parts)
        or name.startswith(("test_", "_test_"))
        or name.endswith("_test.py")
    )
