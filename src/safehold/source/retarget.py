"""Decides what happens to each entry, and writes the change of the import that does it.

Pointing the import at a facade leaves every call, callback, default argument and class
attribute as it is. Entries that bind the same name in the same scope (try/except, if/else) are
decided together: half a change would bind the name to two different modules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from safehold.source.contexts import Context
from safehold.source.entries import Entry, Form
from safehold.source.rewrite import Change, NotProvenError, Span
from safehold.source.row import Library, Use
from safehold.source.scopes import Module
from safehold.source.sites import Site, Sites
from safehold.source.text import Lines

_GAP = rb"(?:[ \t\f]|\\(?:\r\n|\r|\n))*"
_NAME = rb"[^\s.,;#\\()*]+"
_DOTTED = re.compile(_NAME + rb"(?:" + _GAP + rb"\." + _GAP + _NAME + rb")*")
_FROM = re.compile(rb"from" + _GAP)
_ACTIVE = (Context.CALL, Context.BASE, Context.HANDED, Context.PATCHED)


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that are decided together, with the uses that reach them."""

    entries: tuple[Entry, ...]
    sites: tuple[Site, ...]
    exported: bool

    @property
    def active(self) -> tuple[Site, ...]:
        """The uses for which the import has to change."""
        return tuple(
            site
            for site in self.sites
            if site.context in _ACTIVE
            and (
                site.use in (Use.READ, Use.WRITE, Use.BEYOND)
                if site.member or self.by_use
                else True
            )
        )

    @property
    def by_use(self) -> bool:
        """Whether the imports stay and the uses are rewritten."""
        return bool(self.entries) and all(entry.library.by_use for entry in self.entries)

    def unsettled(self) -> Group:
        """Leave out what is rewritten where another module imports it."""
        left = tuple(entry for entry in self.entries if entry.form is not Form.SETTLED)
        sites = tuple(site for site in self.sites if not set(site.entries).isdisjoint(left))
        return Group(left, sites, self.exported)

    def obstacle(self) -> str | None:
        """Say why the imports cannot be retargeted, None when they can."""
        if self.by_use:
            return None
        if any(entry.library.by_use for entry in self.entries):
            return f"line {self.entries[0].node.lineno}: one name stands for two libraries"
        for site in self.sites:
            if site.use in (Use.BEYOND, Use.ABSENT):
                return f"line {site.line}: {site.library.facade} has no {site.member}"
        for entry in self.entries:
            if entry.form is Form.FIXED:
                return f"line {entry.node.lineno}: this form of import cannot be retargeted"
        return None


def group_entries(
    entries: list[Entry], sites: Sites, module: Module, taken: frozenset[str]
) -> list[Group]:
    """Group entries that share a bound name in a scope; other modules import the `taken` names."""
    leader: dict[Entry, Entry] = {entry: entry for entry in entries}

    def find(entry: Entry) -> Entry:
        while leader[entry] is not entry:
            entry = leader[entry]
        return entry

    owner: dict[tuple[object, str], Entry] = {}
    for entry in entries:
        for name in entry.names:
            other = owner.setdefault((entry.scope, name), entry)
            leader[find(entry)] = find(other)
    # The clauses of `from six.moves import cPickle, range` stand in one statement.
    for entry in entries:
        if entry.form is Form.MEMBER:
            other = owner.setdefault((entry.node, ""), entry)
            leader[find(entry)] = find(other)
    grouped: dict[Entry, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(find(entry), []).append(entry)
    unused = {entry for entry, name in sites.unused() if offers(entry, name, module)}
    return [
        Group(
            tuple(members),
            tuple(site for site in sites.all if not set(site.entries).isdisjoint(members)),
            any(entry in unused or _is_taken(entry, taken, module) for entry in members),
        )
        for members in grouped.values()
    ]


def _is_taken(entry: Entry, taken: frozenset[str], module: Module) -> bool:
    """Say whether another module of the tree imports the library from this one."""
    return (
        entry.scope is module.scope
        and entry.form in (Form.IMPORT, Form.MEMBER, Form.FROM)
        and not entry.library.by_use
        and not taken.isdisjoint(entry.names)
    )


def offers(entry: Entry, name: str, module: Module) -> bool:
    """Say whether an unread name hands the library to whoever imports this module."""
    if entry.form in (Form.IMPORT, Form.MEMBER):
        return not entry.library.by_use
    if entry.form not in (Form.FROM, Form.FIXED) or not isinstance(entry.node, ast.ImportFrom):
        return False
    members = {alias.asname or alias.name: alias.name for alias in entry.node.names}
    member = members.get(name, "")
    if entry.form is Form.FIXED:
        submodules = [item for item in entry.library.modules if entry.dotted.startswith(f"{item}.")]
        below = entry.dotted[len(max(submodules, key=len)) + 1 :] if submodules else ""
        return entry.library.use(f"{below}.{member}".strip(".")) is Use.BEYOND
    condition = entry.library.only_if.get(member)
    return entry.library.use(member) in (Use.READ, Use.WRITE) and (
        condition is None or condition(None, entry.scope, module)
    )


def changes(
    group: Group, facade: Callable[[Library], str], module: Module, lines: Lines, utf8: bytes
) -> Iterator[Change]:
    """Yield the changes that point a group's imports at their facades.

    Raises:
        NotProvenError: a form that cannot be written without touching more than its span.
    """
    writer = _Writer(module, lines, utf8)
    members: dict[ast.ImportFrom, list[Entry]] = {}
    for entry in group.entries:
        target = facade(entry.library)
        if entry.form is Form.MEMBER and isinstance(entry.node, ast.ImportFrom):
            members.setdefault(entry.node, []).append(entry)
        elif isinstance(entry.node, ast.Import) and entry.alias is not None:
            yield writer.clause(entry, entry.node, entry.alias, target)
        elif isinstance(entry.node, ast.ImportFrom):
            yield module_change(entry.row.rule.id, entry.node, target, lines, utf8)
        elif isinstance(entry.node, ast.Call):
            change = string_change(
                entry.row.rule.id, entry.node.args[0], target, len(entry.dotted), lines, utf8
            )
            if change is None:
                raise NotProvenError(f"line {entry.node.lineno}: the name is no plain string")
            yield change
    for node, entries in members.items():
        yield writer.members(node, entries, facade)


class _Writer:
    """Writes one change for one entry."""

    def __init__(self, module: Module, lines: Lines, utf8: bytes) -> None:
        self._module = module
        self._lines = lines
        self._utf8 = utf8

    def clause(self, entry: Entry, node: ast.Import, alias: ast.alias, target: str) -> Change:
        """`import pickle` and `import joblib.parallel`."""
        start = self._lines.offset(alias.lineno, alias.col_offset)
        end = _end(_DOTTED, self._utf8, start)
        rule = entry.row.rule.id
        bound = entry.names[0]
        if entry.form is Form.ROOT:
            added = ast.alias(name=target, asname=bound)

            def insert() -> None:
                node.names.insert(node.names.index(alias) + 1, added)

            return Change(rule, (Span(end, end, f", {target} as {bound}"),), insert)
        new = target if alias.asname else f"{target} as {bound}"

        def rename() -> None:
            alias.name, alias.asname = target, bound

        return Change(rule, (Span(start, end, new),), rename)

    def members(
        self, node: ast.ImportFrom, entries: list[Entry], facade: Callable[[Library], str]
    ) -> Change:
        """`from six.moves import cPickle as pickle`, alone or among other names."""
        ours = {entry.alias: facade(entry.library) for entry in entries}
        rule = entries[0].row.rule.id
        if len(ours) < len(node.names):
            return self._split(rule, node, ours)
        package = next(iter(ours.values())).rpartition(".")[0]
        spans = [_module_span(node, package, self._lines, self._utf8)]
        for alias, target in ours.items():
            if alias is not None:
                start = self._lines.offset(alias.lineno, alias.col_offset)
                last = target.rpartition(".")[2]
                new = last if alias.asname else f"{last} as {alias.name}"
                spans.append(Span(start, _end(_DOTTED, self._utf8, start), new))

        def rename() -> None:
            node.module = package
            for alias, target in ours.items():
                if alias is not None:
                    alias.asname = alias.asname or alias.name
                    alias.name = target.rpartition(".")[2]

        return Change(rule, tuple(spans), rename)

    def _split(self, rule: str, node: ast.ImportFrom, ours: dict[ast.alias | None, str]) -> Change:
        """Take some names out of a statement and import them in one that follows it."""
        start = self._lines.offset(node.lineno, node.col_offset)
        end = self._lines.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        kept = [alias for alias in node.names if alias not in ours]
        moved = [
            ast.alias(name=target, asname=alias.asname or alias.name)
            for alias, target in ours.items()
            if alias is not None
        ]
        first = ast.ImportFrom(module=node.module, names=kept, level=0)
        second = ast.Import(names=moved)
        first.lineno = second.lineno = node.lineno
        if b"\n" in self._utf8[start:end] or b"(" in self._utf8[start:end]:
            raise NotProvenError("the import spans lines; give the library its own import")

        def replace() -> None:
            for _, value in ast.iter_fields(self._module.parents[node]):
                if isinstance(value, list) and node in value:
                    index = value.index(node)
                    value[index : index + 1] = [first, second]

        new = f"{ast.unparse(first)}; {ast.unparse(second)}"
        return Change(rule, (Span(start, end, new),), replace)


def module_change(
    rule: str, node: ast.ImportFrom, target: str, lines: Lines, utf8: bytes
) -> Change:
    """Rename the module in `from pickle import load` and `from pickle import *`."""

    def rename() -> None:
        node.module = target

    return Change(rule, (_module_span(node, target, lines, utf8),), rename)


def _module_span(node: ast.ImportFrom, target: str, lines: Lines, utf8: bytes) -> Span:
    start = _end(_FROM, utf8, lines.offset(node.lineno, node.col_offset))
    return Span(start, _end(_DOTTED, utf8, start), target)


def string_change(
    rule: str, node: ast.expr, target: str, length: int, lines: Lines, utf8: bytes
) -> Change | None:
    """Replace the first `length` characters of a plain string literal."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return None
    start = lines.offset(node.lineno, node.col_offset)
    end = lines.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
    value = node.value
    literal = utf8[start:end]
    if literal not in (f'"{value}"'.encode(), f"'{value}'".encode()):
        return None  # escapes, prefixes, joined literals: not worth a guess

    def change() -> None:
        node.value = target + value[length:]

    return Change(rule, (Span(start + 1, start + 1 + length, target),), change)


def _end(pattern: re.Pattern[bytes], utf8: bytes, start: int) -> int:
    match = pattern.match(utf8, start)
    return start if match is None else match.end()


def bound_names(entries: Iterable[Entry]) -> frozenset[str]:
    """Return what a group's imports take from their libraries by name."""
    return frozenset(
        alias.name
        for entry in entries
        if isinstance(entry.node, ast.ImportFrom) and entry.form is not Form.MEMBER
        for alias in entry.node.names
    )
