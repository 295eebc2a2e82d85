"""Every place where a module uses what an entry brought in, through aliases."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from safehold.source.calls import attribute_by_name, attributes_read
from safehold.source.carried import NAMESPACES, Carried
from safehold.source.contexts import PATCHERS, Context, is_passed_on, quiet_context
from safehold.source.entries import Entry, Form, Libraries, last_name
from safehold.source.row import Library, SourceRule, Use
from safehold.source.scopes import How, Kind, Module, Scope

if TYPE_CHECKING:
    from safehold.source.row import Condition

_MAX_ALIASES = 40
_WHOLE = frozenset({"__dict__", "__getattribute__"})
"""Attributes of a module that give all others."""


@dataclass(frozen=True, slots=True)
class Site:
    """One use. `member` is empty when the module itself is used.

    `named` is the part of `node` that spells it: of `(read := pickle.load)`, `pickle.load`.
    """

    node: ast.expr
    scope: Scope
    context: Context
    use: Use
    row: SourceRule
    library: Library
    member: str
    entries: tuple[Entry, ...]
    named: ast.expr
    call: ast.Call | None = None

    @property
    def is_unsafe(self) -> bool:
        """Say whether this is a finding."""
        if self.context not in (Context.CALL, Context.BASE, Context.HANDED):
            return False
        if not self.member:
            return self.context is Context.HANDED and not self.library.by_use
        return self.use in (Use.READ, Use.WRITE, Use.BEYOND)

    @property
    def name(self) -> str:
        """The canonical name, as `pickle.load`."""
        return f"{self.library.name}.{self.member}" if self.member else self.library.name

    @property
    def line(self) -> int:
        return self.node.lineno


class Sites:
    """Finds the sites of a module.

    `all` has them in source order; `unused` the (entry, name) pairs that nothing reads.
    """

    def __init__(self, module: Module, entries: list[Entry], libraries: Libraries) -> None:
        self._module = module
        self._libraries = libraries
        self._entries = entries
        self._by_alias: dict[ast.AST, Entry] = {}
        self._by_node: dict[ast.AST, Entry] = {}
        self._stars = [entry for entry in entries if _is_star(entry) and not entry.names]
        self._with_star: dict[str, Entry] = {}
        for entry in entries:
            if isinstance(entry.node, ast.Call | ast.Subscript):
                self._by_node[entry.node] = entry
            elif entry.alias is not None:
                self._by_alias[entry.alias] = entry
            elif _is_star(entry) and entry.names:
                self._with_star[entry.names[0]] = entry
            else:
                self._by_alias.update(dict.fromkeys(entry.node.names, entry))
        self._aliases = _alias_values(module)
        self._read: set[tuple[Scope, str]] = set()
        self._pending: list[str] = []  # names whose uses are still to be looked at
        self._memo: dict[ast.AST, frozenset[tuple[Entry, str]]] = {}
        found = list(self._find())
        found.extend(self._carried(found))
        self.all = sorted(
            self._settled(found), key=lambda site: (site.node.lineno, site.node.col_offset)
        )

    def unused(self) -> Iterator[tuple[Entry, str]]:
        """Yield names of module and class level that only other modules can use."""
        for entry in self._entries:
            if entry.scope.kind in (Kind.MODULE, Kind.CLASS):
                for name in entry.names:
                    if (entry.scope, name) not in self._read:
                        yield entry, name

    def resolve(self, node: ast.expr, scope: Scope, depth: int = 0) -> frozenset[tuple[Entry, str]]:
        """Return the (entry, dotted name) pairs that an expression can mean."""
        if node in self._memo:
            return self._memo[node]
        if depth > _MAX_ALIASES:
            return frozenset()
        self._memo[node] = frozenset()  # an alias of itself ends here
        found = frozenset(self._resolve(node, scope, depth + 1))
        self._memo[node] = found
        return found

    def _resolve(self, node: ast.expr, scope: Scope, depth: int) -> Iterator[tuple[Entry, str]]:
        if node in self._by_node:
            entry = self._by_node[node]
            yield entry, entry.dotted
        elif isinstance(node, ast.Name):
            yield from self._resolve_name(node.id, scope, depth)
        elif isinstance(node, ast.Attribute):
            for entry, dotted in self.resolve(node.value, scope, depth):
                yield entry, self._module.real(f"{dotted}.{node.attr}")
        elif (inner := attribute_by_name(node)) is not None:
            for entry, dotted in self.resolve(inner[0], scope, depth):
                yield entry, self._module.real(f"{dotted}.{inner[1]}")
        elif isinstance(node, ast.NamedExpr):
            yield from self.resolve(node.value, scope, depth)
        elif isinstance(node, ast.IfExp):
            yield from self.resolve(node.body, scope, depth)
            yield from self.resolve(node.orelse, scope, depth)
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self.resolve(value, scope, depth)

    def _resolve_name(self, name: str, scope: Scope, depth: int) -> Iterator[tuple[Entry, str]]:
        bound = False
        for owner, binding in scope.lookup(name):
            bound = True
            self._read.add((owner, name))
            if binding.alias is not None:
                entry = self._by_alias.get(binding.alias)
                if entry is not None:
                    yield entry, _dotted(entry, binding.alias)
            elif binding.value is not None and binding.how is How.ASSIGN:
                yield from self.resolve(binding.value, owner, depth)
            elif binding.value is not None and binding.how is How.PARAMETER:
                yield from self.resolve(binding.value, owner.parent or owner, depth)
        if not bound:
            if (taken := self._with_star.get(name)) is not None:
                self._read.add((taken.scope, name))
                yield taken, taken.dotted
            for entry in self._stars:
                hit = self._libraries.split(f"{entry.dotted}.{name}")
                if hit is not None and hit[1].use(hit[2]) in (Use.READ, Use.WRITE, Use.BEYOND):
                    yield entry, f"{entry.dotted}.{name}"

    def _find(self) -> Iterator[Site]:
        for entry in self._entries:
            self._pending.extend(entry.names)
            if isinstance(entry.node, ast.Call | ast.Subscript):
                yield from self._sites(entry.node, entry.scope)
        for entry in self._stars:
            self._pending.extend(_members(entry.library))
        seen: set[str] = set()
        while self._pending:
            name = self._pending.pop()
            if name not in seen:
                seen.add(name)
                for node, scope in self._module.loads.get(name, ()):
                    yield from self._sites(node, scope)

    def _sites(self, start: ast.expr, scope: Scope) -> Iterator[Site]:
        origins = self.resolve(start, scope)
        if origins:
            node, named, attributes = self._outermost(start)
            real = self._module.real
            pairs = [(entry, real(".".join([dotted, *attributes]))) for entry, dotted in origins]
            yield from self._at(node, named, scope, pairs)

    def _at(
        self, node: ast.expr, named: ast.expr, scope: Scope, pairs: Iterable[tuple[Entry, str]]
    ) -> Iterator[Site]:
        """Yield the uses that an expression is, by what it can mean."""
        by_member: dict[tuple[str, str], list[tuple[Entry, SourceRule, Library]]]
        by_member = defaultdict(list)
        for entry, dotted in pairs:
            hit = self._libraries.split(dotted)
            if hit is not None:
                row, library, member = hit
                if member.rpartition(".")[2] in _WHOLE:
                    member = member.rpartition(".")[0]
                by_member[library.facade, member].append((entry, row, library))
        # One finding for each use: of cPickle and pickle in a try/except, the lower rule id.
        for (_, member), hits in sorted(by_member.items(), key=lambda item: item[0]):
            _, row, library = min(hits, key=lambda hit: hit[1].rule.id)
            entries = tuple(sorted({hit[0] for hit in hits}, key=lambda item: item.node.lineno))
            context, call = self._context(node, library.same.get(member, member), library)
            if isinstance(node, ast.Attribute) and node.attr in _WHOLE:
                context, call = Context.HANDED, None
            use = library.use(member)
            condition = library.only_if.get(library.same.get(member, member))
            if condition is not None and not self._holds(condition, node, call, scope):
                use = Use.OTHER
            if (
                member in library.same
                and not library.by_use
                and not all(_is_submodule_import(item) for item in entries)
            ):
                use = Use.BEYOND  # the facade has the name, but not the submodule
            yield Site(node, scope, context, use, row, library, member, entries, named, call)

    def _carried(self, found: list[Site]) -> Iterator[Site]:
        """Find the uses of modules that are kept somewhere or passed on.

        Of libraries whose imports stay: for others, a module that is handed on is a finding, and
        the import is what changes.
        """
        libraries = {site.library.name: site.library for site in found if _is_kept(site)}
        by_name = any(last_name(call.func) in NAMESPACES for call, _ in self._module.calls)
        for entry in self._entries:
            if by_name or (entry.library.by_use and entry.scope.kind is Kind.CLASS):
                libraries[entry.library.name] = entry.library
        wanted = frozenset(name for library in libraries.values() for name in _members(library))
        if not wanted:
            return
        carried = Carried(self._module, self.resolve)
        for node, base, name in attributes_read(self._module, wanted):
            scope = carried.scope_of(node)
            if not self.resolve(node, scope):
                origins = carried.of(base, scope)
                pairs = [
                    (entry, f"{dotted}.{name}")
                    for entry, dotted in origins
                    if entry.library.name in libraries
                ]
                yield from self._at(node, node, scope, pairs)

    def _outermost(self, start: ast.expr) -> tuple[ast.expr, ast.expr, list[str]]:
        """Climb from a name to the whole of `name.a.b`, through what only passes it on."""
        node = named = start
        attributes: list[str] = []
        parents = self._module.parents
        while True:
            self._pending.extend(name for _, name in self._aliases.get(node, ()))
            parent = parents.get(node)
            if isinstance(parent, ast.Attribute) and parent.attr == "__call__":
                node = parent
                continue
            if isinstance(parent, ast.Attribute):
                attributes.append(parent.attr)
            elif parent is not None and (inner := attribute_by_name(parent)) and inner[0] is node:
                attributes.append(inner[1])
            elif not is_passed_on(parent, node):
                return node, named, attributes
            else:
                node = cast("ast.expr", parent)
                continue
            node = named = cast("ast.expr", parent)

    def _context(
        self, node: ast.expr, member: str, library: Library
    ) -> tuple[Context, ast.Call | None]:
        parent = self._module.parents.get(node)
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return Context.PATCHED, None
        if node in self._aliases:
            return Context.ALIAS, None
        if "." in member and member not in library.beyond:
            return Context.PATCHED, None
        if isinstance(parent, ast.Call) and parent.func is node:
            return Context.CALL, parent
        if isinstance(parent, ast.ClassDef):
            return (Context.BASE if node in parent.bases else Context.HANDED), None
        if _is_patched(parent, node):
            return Context.PATCHED, None
        return quiet_context(node, self._module), None

    def _holds(
        self, condition: Condition, node: ast.expr, call: ast.Call | None, scope: Scope
    ) -> bool:
        """Ask about a call, or about what a partial object is given along with a function."""
        parent = self._module.parents.get(node)
        if call is None and isinstance(parent, ast.Call) and last_name(parent.func) == "partial":
            call = parent
        return condition(call, scope, self._module)

    def _settled(self, sites: list[Site]) -> Iterator[Site]:
        """Turn an alias that nothing in this module uses into a thing handed on."""
        for site in sites:
            if site.context is Context.ALIAS and not self._is_used(site.node):
                yield Site(
                    site.node, site.scope, Context.HANDED, site.use, site.row, site.library,
                    site.member, site.entries, site.named,
                )  # fmt: skip
            else:
                yield site

    def _is_used(self, value: ast.expr) -> bool:
        """Say whether all names that get the value are read here, or die with a function."""
        parent = self._module.parents.get(value)
        if isinstance(parent, ast.Assign) and not all(
            isinstance(target, ast.Name) for target in parent.targets
        ):
            return False
        dies = not isinstance(parent, ast.arguments)
        # `pickle = pickle` in a class body reads the outer name: others read the class's attribute.
        itself = value.id if isinstance(value, ast.Name) else None
        return all(
            ((scope, name) in self._read and not (scope.kind is Kind.CLASS and name == itself))
            or (dies and scope.kind is Kind.FUNCTION)
            for scope, name in self._aliases[value]
        )


def _alias_values(module: Module) -> dict[ast.AST, list[tuple[Scope, str]]]:
    """Map each value that a name simply stands for to the scope and name."""
    found: dict[ast.AST, list[tuple[Scope, str]]] = defaultdict(list)
    for scope in module.scopes:
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                if binding.value is not None and binding.how in (How.ASSIGN, How.PARAMETER):
                    found[binding.value].append((scope, name))
    return dict(found)


def _is_submodule_import(entry: Entry) -> bool:
    """Tell `from joblib.numpy_pickle import load` from `joblib.numpy_pickle.load`."""
    return entry.form is Form.FROM and entry.dotted not in entry.library.modules


def _dotted(entry: Entry, alias: ast.alias) -> str:
    """Return what the name bound by an alias stands for."""
    if isinstance(entry.node, ast.ImportFrom) and entry.alias is None:
        return f"{entry.dotted}.{alias.name}"
    return entry.dotted


def _is_star(entry: Entry) -> bool:
    node = entry.node
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _is_patched(parent: ast.AST | None, node: ast.expr) -> bool:
    """Say whether a call replaces an attribute of what it is given first."""
    return (
        isinstance(parent, ast.Call)
        and last_name(parent.func) in PATCHERS
        and parent.args[:1] == [node]
    )


def _is_kept(site: Site) -> bool:
    """Whether a site is a module, or a part of one with uses in it, that is used elsewhere."""
    library, below = site.library, f"{site.member}."
    return library.by_use and (
        not site.member
        or (
            site.context in (Context.HANDED, Context.ALIAS)
            and any(name.startswith(below) for name in (*library.beyond, *library.same))
        )
    )


def _members(library: Library) -> Iterator[str]:
    yield from library.reads
    yield from library.writes
    yield from (name.rpartition(".")[2] for name in library.beyond)
