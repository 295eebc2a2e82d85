"""Imports a facade beside what a module imports already, so that no line is added."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from safehold.source.rewrite import Change, NotProvenError, Span
from safehold.source.scopes import Binding, How, Module
from safehold.source.text import Lines

if TYPE_CHECKING:
    from safehold.source.unit import Unit


def facade_name(facade: str) -> str:
    """Return the name under which a module has a facade."""
    return f"safehold_{facade.rpartition('.')[2]}"


def is_facade(binding: Binding, facade: str) -> bool:
    """Whether a binding is the import of a facade."""
    return binding.how is How.IMPORT and binding.alias is not None and binding.alias.name == facade


def import_facade(rule: str, facade: str, unit: Unit) -> Change | None:
    """Return what imports a facade for the whole module; None when it has it.

    Raises:
        NotProvenError: its name means something else, or the module has no import at its top.
    """
    name, module = facade_name(facade), unit.module
    for scope in module.scopes:
        if not all(is_facade(item, facade) for item in scope.bindings.get(name, ())):
            raise NotProvenError(f"{name} means something else here")
    if module.scope.bindings.get(name):
        return None
    library = facade.rpartition(".")[2]
    first: Change | None = None
    for node in module.tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == library:
                    return clause(rule, node, alias, facade, unit.lines)
            first = first or clause(rule, node, node.names[-1], facade, unit.lines)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            first = first or statement(rule, node, facade, module, unit.lines)
    if first is None:
        raise NotProvenError("the module has no import beside which the facade could be imported")
    return first


def clause(rule: str, node: ast.Import, alias: ast.alias, facade: str, lines: Lines) -> Change:
    """Import the facade after a name of an import statement."""
    name = facade_name(facade)
    end = lines.offset(alias.end_lineno or alias.lineno, alias.end_col_offset or 0)
    added = ast.alias(name=facade, asname=name)

    def insert() -> None:
        node.names.insert(node.names.index(alias) + 1, added)

    return Change(rule, (Span(end, end, f", {facade} as {name}"),), insert)


def statement(rule: str, node: ast.ImportFrom, facade: str, module: Module, lines: Lines) -> Change:
    """Import the facade in a statement of its own, behind one."""
    name = facade_name(facade)
    end = lines.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
    added = ast.Import(names=[ast.alias(name=facade, asname=name)])
    added.lineno = node.end_lineno or node.lineno

    def insert() -> None:
        for _, value in ast.iter_fields(module.parents[node]):
            if isinstance(value, list) and node in value:
                value.insert(value.index(node) + 1, added)

    return Change(rule, (Span(end, end, f"; import {facade} as {name}"),), insert)
