"""Every place where a module uses what an entry brought in, through aliases."""

from __future__ import annotations

import ast
import enum
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from safehold.source.calls import attribute_by_name
from safehold.source.entries import Entry, Form, Libraries, last_name
from safehold.source.row import Library, SourceRule, Use
from safehold.source.scopes import How, Kind, Module, Scope

if TYPE_CHECKING:
    from safehold.source.row import Condition

_PATCHERS = {"object", "setattr", "delattr", "multiple"}
_MAX_ALIASES = 40


class Context(enum.Enum):
    """What is done with the thing that is used."""

    CALL = enum.auto()
    BASE = enum.auto()  # class Mine(pickle.Unpickler)
    HANDED = enum.auto()  # passed, stored, returned: called somewhere else
    ALIAS = enum.auto()  # p = pickle; what `p` does is found by itself
    PATCHED = enum.auto()  # a test replaces it, or only an attribute of it is read
    TYPE = enum.auto()  # annotation, isinstance, except
    CHECK = enum.auto()  # if joblib is None


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
        self._stars = [entry for entry in entries if entry.form is Form.STAR]
        for entry in entries:
            if isinstance(entry.node, ast.Call | ast.Subscript):
                self._by_node[entry.node] = entry
            elif entry.alias is not None:
                self._by_alias[entry.alias] = entry
            else:
                self._by_alias.update(dict.fromkeys(entry.node.names, entry))
        self._aliases = _alias_values(module)
        self._read: set[tuple[Scope, str]] = set()
        self._pending: list[str] = []  # names whose uses are still to be looked at
        self._memo: dict[ast.AST, frozenset[tuple[Entry, str]]] = {}
        found = list(self._find())
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
                yield entry, f"{dotted}.{node.attr}"
        elif (inner := attribute_by_name(node)) is not None:
            for entry, dotted in self.resolve(inner[0], scope, depth):
                yield entry, f"{dotted}.{inner[1]}"
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
            for entry in self._stars:
                if entry.library.use(name) in (Use.READ, Use.WRITE):
                    yield entry, f"{entry.dotted}.{name}"

    def _find(self) -> Iterator[Site]:
        for entry in self._entries:
            self._pending.extend(entry.names)
            if isinstance(entry.node, ast.Call | ast.Subscript):
                yield from self._sites(entry.node, entry.scope)
        for entry in self._stars:
            self._pending.extend([*entry.library.reads, *entry.library.writes])
        seen: set[str] = set()
        while self._pending:
            name = self._pending.pop()
            if name not in seen:
                seen.add(name)
                for node, scope in self._module.loads.get(name, ()):
                    yield from self._sites(node, scope)

    def _sites(self, start: ast.expr, scope: Scope) -> Iterator[Site]:
        origins = self.resolve(start, scope)
        if not origins:
            return
        node, named, attributes = self._outermost(start)
        by_member: dict[tuple[str, str], list[tuple[Entry, SourceRule, Library]]]
        by_member = defaultdict(list)
        for entry, dotted in origins:
            hit = self._libraries.split(".".join([dotted, *attributes]))
            if hit is not None:
                row, library, member = hit
                by_member[library.facade, member].append((entry, row, library))
        # One finding for each use: of cPickle and pickle in a try/except, the lower rule id.
        for (_, member), hits in sorted(by_member.items(), key=lambda item: item[0]):
            _, row, library = min(hits, key=lambda hit: hit[1].rule.id)
            entries = tuple(sorted({hit[0] for hit in hits}, key=lambda item: item.node.lineno))
            context, call = self._context(node, library.same.get(member, member), library)
            use = library.use(member)
            condition = library.only_if.get(library.same.get(member, member))
            if condition is not None and not self._holds(condition, node, call, scope):
                use = Use.OTHER
            if member in library.same and not all(_is_submodule_import(item) for item in entries):
                use = Use.BEYOND  # the facade has the name, but not the submodule
            yield Site(node, scope, context, use, row, library, member, entries, named, call)

    def _outermost(self, start: ast.expr) -> tuple[ast.expr, ast.expr, list[str]]:
        """Climb from a name to the whole of `name.a.b`, through what only passes it on."""
        node = named = start
        attributes: list[str] = []
        parents = self._module.parents
        while True:
            self._pending.extend(name for _, name in self._aliases.get(node, ()))
            parent = parents.get(node)
            if isinstance(parent, ast.Attribute):
                attributes.append(parent.attr)
            elif parent is not None and (inner := attribute_by_name(parent)) and inner[0] is node:
                attributes.append(inner[1])
            elif not _passes_on(parent, node):
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
        if isinstance(parent, ast.Call) and last_name(parent.func) in _PATCHERS:
            return Context.PATCHED, None
        return self._quiet_context(node), None

    def _holds(
        self, condition: Condition, node: ast.expr, call: ast.Call | None, scope: Scope
    ) -> bool:
        """Ask about a call, or about what a partial object is given along with a function."""
        parent = self._module.parents.get(node)
        if call is None and isinstance(parent, ast.Call) and last_name(parent.func) == "partial":
            call = parent
        return condition(call, scope, self._module)

    def _quiet_context(self, node: ast.expr) -> Context:
        """Tell annotations, type checks and truth tests from real uses."""
        child: ast.AST = node
        parent = self._module.parents.get(child)
        if isinstance(parent, ast.Compare | ast.UnaryOp | ast.BoolOp | ast.Expr | ast.Assert):
            return Context.CHECK
        if isinstance(parent, ast.If | ast.While | ast.IfExp):
            return Context.CHECK
        while isinstance(parent, ast.Tuple | ast.Subscript | ast.BinOp | ast.List):
            child, parent = parent, self._module.parents.get(parent)
        if isinstance(parent, ast.arg | ast.ExceptHandler):
            return Context.TYPE
        if type(parent).__name__ in ("TypeAlias", "TypeVar"):  # since Python 3.12
            return Context.TYPE
        if isinstance(parent, ast.AnnAssign) and parent.annotation is child:
            return Context.TYPE
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) and parent.returns is child:
            return Context.TYPE
        if isinstance(parent, ast.Call) and last_name(parent.func) in ("isinstance", "issubclass"):
            return Context.TYPE
        return Context.HANDED

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


def _passes_on(parent: ast.AST | None, node: ast.expr) -> bool:
    """Say whether the value of an expression can be the value of the one around it."""
    if isinstance(parent, ast.NamedExpr):
        return parent.value is node
    if isinstance(parent, ast.IfExp):
        return parent.test is not node
    if isinstance(parent, ast.BoolOp):
        return isinstance(parent.op, ast.Or) or parent.values[-1] is node
    return False


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
