"""Rewrites single uses of a library: `torch.load` becomes the facade's, `import torch` stays.

For libraries of which reading and writing is a small part, so that a facade in the place of the
whole module would stand in the way of all the rest. The facade is imported where the library is,
in the same statement, so no line is added and whatever a use can reach has both or neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.source.calls import attribute_by_name
from safehold.source.contexts import Context
from safehold.source.entries import Entry, Form, literal
from safehold.source.imports import clause, facade_name, is_facade, statement
from safehold.source.retarget import Group, module_change
from safehold.source.rewrite import Change, NotProvenError, Span
from safehold.source.row import Library, Use
from safehold.source.scopes import How, Kind, Module, Scope
from safehold.source.sites import Site
from safehold.source.text import Lines

_RENAMED = (Context.CALL, Context.BASE, Context.HANDED, Context.PATCHED, Context.ALIAS)
_MOST_ALIASES = 20


def use_changes(group: Group, module: Module, lines: Lines, utf8: bytes) -> Iterator[Change]:
    """Yield the changes for the uses of a group, and for the imports that they need.

    Raises:
        NotProvenError: a use that cannot be rewritten; then none of the group may be, since what
            one use writes another reads.
    """
    writer = _Writer(module, lines, utf8)
    used: dict[Entry, None] = {}
    for site in group.sites:
        if site.member and site.use in (Use.READ, Use.WRITE) and _is_renamed(site):
            used.update(dict.fromkeys(site.entries))
            yield from writer.use(site)
    for site in group.sites:
        if not site.member and site.context is Context.PATCHED:
            for change in writer.patched(site):
                used.update(dict.fromkeys(site.entries))
                yield change
    if group.exported:
        taken = (entry for entry in group.entries if entry.form in (Form.FROM, Form.FIXED))
        used.update(dict.fromkeys(taken))
    for entry in used:
        yield from writer.entry(entry)


def _is_renamed(site: Site) -> bool:
    """Whether the name is for more than a look at the function."""
    return site.context in _RENAMED or site.named is not site.node


class _Writer:
    """Writes the changes of one module."""

    def __init__(self, module: Module, lines: Lines, utf8: bytes) -> None:
        self._module = module
        self._lines = lines
        self._utf8 = utf8

    def use(self, site: Site) -> Iterator[Change]:
        """Give a use the facade's name; one that came in by name has it already."""
        if isinstance(site.named, ast.Name):
            return  # bound by an import or an assignment, which is a place of its own
        member = site.library.same.get(site.member, site.member)
        if not self._is_module(_root(site.named), site.scope):
            raise _refused(site, "what it is taken from can be something else")
        self._check_reached(site)
        yield self._named(site, f"{facade_name(site.library.facade)}.{member}", member)

    def patched(self, site: Site) -> Iterator[Change]:
        """`mock.patch.object(torch, "load")`: what is called by migrated code is the facade's."""
        parent = self._module.parents.get(site.node)
        if (
            not isinstance(parent, ast.Call)
            or len(parent.args) < 2
            or parent.args[0] is not site.node
        ):
            return
        if site.library.use(literal(parent.args[1]) or "") in (Use.READ, Use.WRITE):
            self._check_reached(site)
            yield self._named(site, facade_name(site.library.facade), "")

    def entry(self, entry: Entry) -> Iterator[Change]:
        """Import the facade where the library is imported."""
        facade = entry.library.facade
        node, rule = entry.node, entry.row.rule.id
        if isinstance(node, ast.ImportFrom) and entry.form in (Form.FROM, Form.STAR):
            yield module_change(rule, node, facade, self._lines, self._utf8)
        elif isinstance(node, ast.Import) and entry.alias is not None:
            if not self._has_facade(entry.scope, facade):
                yield clause(rule, node, entry.alias, facade, self._lines)
        elif isinstance(node, ast.ImportFrom) and entry.form is Form.MEMBER:
            yield statement(rule, node, facade, self._module, self._lines)
        else:
            raise NotProvenError(f"line {node.lineno}: this form of import cannot be followed")

    def _check_reached(self, site: Site) -> None:
        """See that the facade's name means the facade where the use stands."""
        name = facade_name(site.library.facade)
        for entry in site.entries:
            if entry.form not in (Form.IMPORT, Form.ROOT, Form.MEMBER):
                raise _refused(site, "its import cannot be followed")
            if self._is_declared_elsewhere(entry):
                raise _refused(site, "its import binds a name of another scope")
            scope: Scope | None = site.scope
            while scope is not None and scope is not entry.scope:
                if name in scope.bindings or name in scope.elsewhere:
                    raise _refused(site, f"{name} means something else there")
                scope = scope.parent
            hidden = entry.scope.kind is Kind.CLASS and site.scope is not entry.scope
            if scope is None or hidden or not self._is_free(entry.scope, name, site.library):
                raise _refused(site, f"{name} cannot be imported for it")

    def _is_declared_elsewhere(self, entry: Entry) -> bool:
        """Whether an import stands where its name is `global` or `nonlocal`, and no other is."""
        if entry.alias is None:
            return False
        name = entry.alias.asname or entry.alias.name.partition(".")[0]
        line = entry.node.lineno
        return any(
            name in scope.elsewhere and scope.node.lineno <= line <= (scope.node.end_lineno or line)
            for scope in self._module.scopes
            if isinstance(scope.node, ast.stmt)
        )

    def _is_module(self, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
        """Whether an expression is the library, or None, whatever happened before."""
        if isinstance(node, ast.Constant) and node.value is None:
            return True
        if not isinstance(node, ast.Name) or depth > _MOST_ALIASES:
            return False
        found = list(scope.lookup(node.id))
        return bool(found) and all(
            binding.alias is not None
            or (
                binding.how is How.ASSIGN
                and binding.value is not None
                and self._is_module(binding.value, owner, depth + 1)
            )
            for owner, binding in found
        )

    def _is_free(self, scope: Scope, name: str, library: Library) -> bool:
        return all(is_facade(item, library.facade) for item in scope.bindings.get(name, ()))

    def _has_facade(self, scope: Scope, facade: str) -> bool:
        return any(is_facade(item, facade) for item in scope.bindings.get(facade_name(facade), ()))

    def _named(self, site: Site, new: str, member: str) -> Change:
        """Replace an expression by a name: the first part of `torch.load`, else all of it."""
        node = site.named
        facade = facade_name(site.library.facade)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr == member
        ):
            node, new, member = node.value, facade, ""
        start = self._lines.offset(node.lineno, node.col_offset)
        end = self._lines.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        old = self._utf8[start:end]
        if b"\n" in old or b"\r" in old:
            raise _refused(site, "it spans lines")
        if not _reads_as(old, node):
            raise _refused(site, "its place in the source is not known")
        value: ast.expr = ast.Name(id=facade, ctx=ast.Load())
        if member:
            value = ast.Attribute(value=value, attr=member, ctx=getattr(node, "ctx", ast.Load()))

        def replace() -> None:
            put(self._module, node, value)

        return Change(site.row.rule.id, (Span(start, end, new),), replace)


def _root(node: ast.expr) -> ast.expr:
    """Return what a chain of attributes begins with."""
    while True:
        if isinstance(node, ast.Attribute):
            node = node.value
        elif (inner := attribute_by_name(node)) is not None:
            node = inner[0]
        else:
            return node


def put(module: Module, node: ast.AST, new: ast.AST) -> None:
    """Put a node in the place of another one in its tree."""
    parent = module.parents[node]
    for name, value in ast.iter_fields(parent):
        if value is node:
            setattr(parent, name, new)
        elif isinstance(value, list) and any(item is node for item in value):
            value[[item is node for item in value].index(True)] = new
    module.parents[new] = parent


def _reads_as(old: bytes, node: ast.expr) -> bool:
    """Whether bytes are the source of an expression: places in formatted strings can be wrong."""
    try:
        parsed = ast.parse(old.decode("utf-8"), mode="eval").body
    except (SyntaxError, ValueError):
        return False
    return ast.dump(parsed).replace("Load()", "") == ast.dump(node).replace("Load()", "").replace(
        "Store()", ""
    ).replace("Del()", "")


def _refused(site: Site, why: str) -> NotProvenError:
    return NotProvenError(f"line {site.line}: {site.name} cannot be renamed: {why}")
