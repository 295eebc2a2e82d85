"""The ways in which a module gets hold of a library that a rule knows.

Entries are import statements in all their forms, and the calls that import by name.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from safehold.source.row import Library, SourceRule, Use
from safehold.source.scopes import How, Module, Scope

_IMPORTERS = frozenset({"import_module", "__import__", "importorskip"})


class Form(enum.Enum):
    """How an entry is written; each form is retargeted in its own way."""

    IMPORT = enum.auto()  # import pickle, import pickle as p
    ROOT = enum.auto()  # import joblib.parallel: binds `joblib`
    FROM = enum.auto()  # from pickle import load
    MEMBER = enum.auto()  # from six.moves import cPickle
    STAR = enum.auto()  # from pickle import *
    CALL = enum.auto()  # importlib.import_module("pickle")
    FIXED = enum.auto()  # import six, __import__("pickle"), ...: followed, never rewritten
    SETTLED = enum.auto()  # from .compat import pickle, where the import of `compat` is rewritten


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry. `dotted` is what the bound name stands for; of a FROM, the module."""

    form: Form
    dotted: str
    node: ast.Import | ast.ImportFrom | ast.Call | ast.Subscript
    scope: Scope
    row: SourceRule
    library: Library
    alias: ast.alias | None = None
    names: tuple[str, ...] = ()


class Libraries:
    """Looks up libraries by dotted name."""

    def __init__(self, rows: Iterable[SourceRule]) -> None:
        self.by_module = {
            module: (row, row.library)
            for row in rows
            if row.library is not None
            for module in row.library.modules
        }
        self.by_use = frozenset(
            name for name, (_, library) in self.by_module.items() if library.by_use
        )
        self._prefixes = {
            ".".join(parts[:count]): module
            for module in self.by_module
            for parts in [module.split(".")]
            for count in range(1, len(parts))
        }

    def split(self, dotted: str) -> tuple[SourceRule, Library, str] | None:
        """Return the library that a dotted name leads into, and the rest of the name."""
        head = dotted
        while head:
            if head in self.by_module:
                row, library = self.by_module[head]
                return row, library, dotted[len(head) + 1 :]
            head = head.rpartition(".")[0]
        return None

    def below(self, dotted: str) -> tuple[SourceRule, Library] | None:
        """Return a library that lies below a package, as cPickle below six.moves."""
        module = self._prefixes.get(dotted)
        return None if module is None else self.by_module[module]


def find_entries(module: Module, libraries: Libraries) -> list[Entry]:
    """Return every entry of a module."""
    found: dict[ast.AST, Entry] = {}
    for scope in module.scopes:
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                statement, alias = binding.statement, binding.alias
                if alias is None:
                    continue
                entry = None
                if module.renamed and statement is not None:
                    entry = _handed_on(statement, alias, name, scope, module, libraries)
                if entry is not None:
                    pass
                elif isinstance(statement, ast.Import) and not _is_rebound(statement, alias, name):
                    entry = _import(statement, alias, name, scope, libraries)
                elif isinstance(statement, ast.ImportFrom) and binding.how is How.FROM:
                    entry = _from(statement, alias, name, scope, libraries)
                if entry is not None:
                    found.setdefault(alias, entry)
    return [
        *_merged(found.values()),
        *_stars_handed_on(module, libraries),
        *_stars(module, libraries),
        *_calls(module, libraries),
    ]


def _handed_on(
    statement: ast.Import | ast.ImportFrom,
    alias: ast.alias,
    name: str,
    scope: Scope,
    module: Module,
    libraries: Libraries,
) -> Entry | None:
    """Return the entry of a name that another module of the tree takes from a library."""
    written = spelled(statement, alias)
    if written is None:
        return None
    real = module.renamed.get(written)
    if real is not None and isinstance(statement, ast.ImportFrom):
        form = _handed_form([written], module, libraries)
        hit = libraries.split(real)
        if hit is None:
            return None
        return Entry(form, real, statement, scope, hit[0], hit[1], alias, (name,))
    below = sorted(item for item in module.renamed if item.startswith(f"{written}."))
    hits = [hit for item in below if (hit := libraries.split(module.renamed[item])) is not None]
    if not hits:
        return None
    dotted = written
    if isinstance(statement, ast.Import) and not alias.asname:
        dotted = name
    row, library, _ = hits[0]
    form = _handed_form(below, module, libraries)
    return Entry(form, dotted, statement, scope, row, library, alias, (name,))


def _handed_form(names: list[str], module: Module, libraries: Libraries) -> Form:
    """Say how names of another module are dealt with: there, by their uses here, or not at all."""
    if all(name in module.settled for name in names):
        return Form.SETTLED
    found = {module.renamed[name] for name in names}
    if len(found) == 1 and module.plain.issuperset(names) and found <= libraries.by_use:
        return Form.MEMBER
    return Form.FIXED


def _is_rebound(statement: ast.Import, alias: ast.alias, name: str) -> bool:
    """Say whether a later clause of the same statement binds the name again."""
    later = statement.names[statement.names.index(alias) + 1 :]
    return any((item.asname or item.name.partition(".")[0]) == name for item in later)


def _import(
    statement: ast.Import, alias: ast.alias, name: str, scope: Scope, libraries: Libraries
) -> Entry | None:
    dotted = alias.name if alias.asname else name
    if (hit := libraries.split(dotted)) is not None:
        row, library, rest = hit
        form = Form.IMPORT
        if rest:
            form = Form.FIXED
        elif dotted != alias.name:
            form = Form.ROOT
        return Entry(form, dotted, statement, scope, row, library, alias, (name,))
    if (under := libraries.below(dotted)) is not None:
        return Entry(Form.FIXED, dotted, statement, scope, *under, alias, (name,))
    return None


def _from(
    statement: ast.ImportFrom, alias: ast.alias, name: str, scope: Scope, libraries: Libraries
) -> Entry | None:
    if statement.level or statement.module is None:
        return None
    if (hit := libraries.split(statement.module)) is not None:
        row, library, rest = hit
        form = Form.FROM if _has_all_names(statement, library, rest) else Form.FIXED
        return Entry(form, statement.module, statement, scope, row, library, alias, (name,))
    dotted = f"{statement.module}.{alias.name}"
    if (whole := libraries.by_module.get(dotted)) is not None:
        return Entry(Form.MEMBER, dotted, statement, scope, *whole, alias, (name,))
    if (under := libraries.below(dotted)) is not None:
        return Entry(Form.FIXED, dotted, statement, scope, *under, alias, (name,))
    return None


def _has_all_names(statement: ast.ImportFrom, library: Library, rest: str) -> bool:
    """Say whether the facade has all that is imported here."""
    for alias in statement.names:
        if rest and f"{rest}.{alias.name}" not in library.same:
            return False
        if not rest and library.use(alias.name) in (Use.BEYOND, Use.ABSENT):
            return False
    return True


def _merged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Make one entry of the names of one `from` statement: it has one module to retarget."""
    by_statement: dict[ast.AST, list[Entry]] = {}
    for entry in entries:
        node = entry.node
        if isinstance(node, ast.ImportFrom) and node.module == entry.dotted:
            by_statement.setdefault(node, []).append(entry)
        else:
            yield entry
    for group in by_statement.values():
        first = group[0]
        names = tuple(name for entry in group for name in entry.names)
        yield Entry(
            first.form, first.dotted, first.node, first.scope, first.row, first.library, None, names
        )


def _stars(module: Module, libraries: Libraries) -> Iterator[Entry]:
    for node in module.stars:
        dotted = node.module if not node.level else None
        hit = libraries.split(dotted) if dotted else None
        if dotted and hit is not None:
            row, library, rest = hit
            yield Entry(Form.FIXED if rest else Form.STAR, dotted, node, module.scope, row, library)


def _stars_handed_on(module: Module, libraries: Libraries) -> Iterator[Entry]:
    """Yield the names of libraries that come with all others of a module of the tree."""
    for node in module.stars if module.renamed else ():
        prefix = (spelled(node, node.names[0]) or "").removesuffix("*")
        for name in module.renamed:
            hit = libraries.split(module.renamed[name])
            if hit is not None and name.rpartition(".")[0] + "." == prefix:
                form = Form.SETTLED if name in module.settled else Form.FIXED
                last = name.rpartition(".")[2]
                dotted = module.renamed[name]
                yield Entry(form, dotted, node, module.scope, hit[0], hit[1], None, (last,))


def _calls(module: Module, libraries: Libraries) -> Iterator[Entry]:
    places: Iterable[tuple[ast.Call | ast.Subscript, Scope]] = (*module.calls, *module.subscripts)
    for node, scope in places:
        dotted = imported_by_name(node)
        hit = libraries.split(dotted) if dotted else None
        if dotted and hit is not None:
            row, library, rest = hit
            form = Form.FIXED
            if isinstance(node, ast.Call) and last_name(node.func) == "import_module" and not rest:
                form = Form.CALL
            yield Entry(form, dotted, node, scope, row, library)


def imported_by_name(node: ast.AST) -> str | None:
    """Return the module of `importlib.import_module("pickle")` and `sys.modules["pickle"]`."""
    if isinstance(node, ast.Subscript):
        is_import = last_name(node.value) == "modules" and isinstance(node.ctx, ast.Load)
        return literal(node.slice) if is_import else None
    if not isinstance(node, ast.Call) or not node.args:
        return None
    func = node.func
    is_import = last_name(func) in _IMPORTERS
    if isinstance(func, ast.Attribute) and func.attr == "get":
        is_import = last_name(func.value) == "modules"
    return literal(node.args[0]) if is_import else None


def last_name(node: ast.expr) -> str:
    """Return the last part of `a.b.c`, empty for other expressions."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def literal(node: ast.expr) -> str | None:
    """Return the value of a string literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def spelled(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str | None:
    """Return what an alias imports, as it is written: `.compat.torch` is of a module beside."""
    if isinstance(statement, ast.Import):
        return alias.name
    dots = "." * statement.level
    if not statement.module:
        return f"{dots}{alias.name}" if dots else None
    return f"{dots}{statement.module}.{alias.name}"
