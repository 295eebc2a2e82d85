"""What an expression can be when a value is kept somewhere and fetched again, or passed on.

Attributes, tables, arguments, what functions return, loops, `with`, `match`. By names alone: an
attribute is what any object's attribute of that name is, a function every one of that name. So
what is found may not be so; it is asked about modules, which few keep anywhere.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from safehold.source.calls import attribute_by_name
from safehold.source.entries import last_name, literal
from safehold.source.scopes import Function, Kind, Module, Scope

_Meant = TypeVar("_Meant")
_Place = tuple[ast.expr, Scope]

_MOST: Final = 1000
"""Expressions that are followed for one."""
_MOST_IN_ALL: Final = 50_000
"""Expressions that are followed for one module; from then on, all that was met may be meant."""
_KEEPING: Final = frozenset("append add insert extend update setdefault put appendleft".split())
_FETCHING: Final = frozenset("get pop popitem values items copy setdefault __getitem__".split())
NAMESPACES: Final = frozenset({"globals", "locals", "vars"})
"""What gives names as a table."""
_PARTS: Final[dict[type[ast.expr], tuple[str, ...]]] = {
    ast.Tuple: ("elts",),
    ast.List: ("elts",),
    ast.Set: ("elts",),
    ast.Dict: ("values",),
    ast.Starred: ("value",),
    ast.Await: ("value",),
    ast.IfExp: ("body", "orelse"),
    ast.BoolOp: ("values",),
    ast.NamedExpr: ("value",),
    ast.ListComp: ("elt",),
    ast.SetComp: ("elt",),
    ast.GeneratorExp: ("elt",),
    ast.DictComp: ("value",),
}
_Functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Carried(Generic[_Meant]):
    """Follows values of one module; `exact` says what an expression means by itself."""

    def __init__(
        self, module: Module, exact: Callable[[ast.expr, Scope], Iterable[_Meant]]
    ) -> None:
        self._module = module
        self._exact = exact
        self._kept = _Kept(module)
        self._memo: dict[ast.expr, frozenset[_Meant]] = {}
        self._attributes: dict[str, frozenset[_Meant]] = {}
        self._met: set[_Meant] = set()
        self._followed = 0

    def of(self, node: ast.expr, scope: Scope) -> frozenset[_Meant]:
        """Return what an expression can mean."""
        if meant := frozenset(self._exact(node, scope)):
            return meant
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            return self._follow(node, scope)
        if node.attr not in self._attributes:  # of any object, so it is the same each time
            self._attributes[node.attr] = self._follow(node, scope)
        return self._attributes[node.attr] | self._follow(node.value, scope, is_inside=True)

    def _follow(
        self, node: ast.expr, scope: Scope, *, is_inside: bool = False
    ) -> frozenset[_Meant]:
        if self._followed > _MOST_IN_ALL:
            return frozenset(self._met)
        found: set[_Meant] = set()
        left: list[tuple[ast.expr, Scope, bool]] = [(node, scope, is_inside)]
        seen: set[tuple[ast.expr, bool]] = set()
        while left and len(seen) < _MOST:
            value, where, is_part = left.pop()
            if (value, is_part) in seen:
                continue
            seen.add((value, is_part))
            if value not in self._memo:
                self._memo[value] = frozenset(self._exact(value, where))
            found |= self._memo[value]
            if not self._memo[value]:
                left.extend(self._origins(value, where, is_inside=is_part))
        self._followed += len(seen)
        self._met |= found
        return frozenset(found)

    def scope_of(self, node: ast.AST) -> Scope:
        """Return the scope in which a node stands."""
        return self._kept.scope_of(node)

    def _origins(
        self, node: ast.expr, scope: Scope, *, is_inside: bool
    ) -> Iterator[tuple[ast.expr, Scope, bool]]:
        """Yield what an expression's value comes from; `is_inside`: it is a part of that."""
        if isinstance(node, ast.Name):
            for value, where in self._of_name(node.id, scope):
                yield value, where, is_inside
        elif isinstance(node, ast.Subscript):
            yield from self._of_subscript(node, scope)
        elif isinstance(node, ast.Call) and attribute_by_name(node) is None:
            yield from self._of_call(node, scope, is_inside=is_inside)
        elif (part := _attribute(node)) is not None:
            base, name = part
            for value, where in self._kept.attributes.get(name, ()):
                yield value, where, is_inside
            for value, where in self._kept.returned.get(name, ()):
                yield value, where, is_inside  # a property
            yield base, scope, True
        for name in _PARTS.get(type(node), ()):
            parts = getattr(node, name)
            for value in parts if isinstance(parts, list) else [parts]:
                yield value, scope, is_inside

    def _of_name(self, name: str, scope: Scope) -> Iterator[_Place]:
        for owner, binding in scope.lookup(name):
            if binding.value is not None:
                yield binding.value, self._kept.scope_of(binding.value)
            if isinstance(owner.node, _Functions):
                yield from self._kept.arguments(owner.node, name)
        yield from self._kept.names.get(name, ())

    def _of_subscript(
        self, node: ast.Subscript, scope: Scope
    ) -> Iterator[tuple[ast.expr, Scope, bool]]:
        named = literal(node.slice)
        if named and isinstance(node.value, ast.Call) and last_name(node.value.func) in NAMESPACES:
            yield ast.Name(named, ast.Load()), scope, False
        yield node.value, scope, True

    def _of_call(
        self, node: ast.Call, scope: Scope, *, is_inside: bool
    ) -> Iterator[tuple[ast.expr, Scope, bool]]:
        name = last_name(node.func)
        if isinstance(node.func, ast.Lambda):
            yield node.func.body, self._kept.scope_of(node.func.body), is_inside
        for value, where in self._kept.returned.get(name, ()):
            yield value, where, is_inside
        if isinstance(node.func, ast.Attribute) and name in _FETCHING:
            yield node.func.value, scope, True
        # What is not of this module may give back what it is given; a class, by the convention of
        # names, gives an object that has it.
        if self._kept.defines(name) or (name[:1].isupper() and not is_inside):
            return
        for value in _given(node):
            yield value, scope, is_inside


class _Kept:
    """Where a module keeps values: by the names of attributes, tables and functions."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._scopes = {scope.node: scope for scope in module.scopes}
        self.attributes: dict[str, list[_Place]] = defaultdict(list)
        self.names: dict[str, list[_Place]] = defaultdict(list)
        self.returned: dict[str, list[_Place]] = defaultdict(list)
        self._calls: dict[str, list[_Place]] = defaultdict(list)
        self._handed: dict[str, list[_Place]] = defaultdict(list)
        self._defined: set[str] = set()
        for scope in module.scopes:
            self._of_scope(scope)
        for call, scope in module.calls:
            self._of_call(call, scope)
        for node in module.parents:
            self._of_node(node)

    def scope_of(self, node: ast.AST) -> Scope:
        """Return the scope in which a node stands."""
        above: ast.AST | None = self._module.parents.get(node)
        while above is not None and above not in self._scopes:
            above = self._module.parents.get(above)
        return self._module.scope if above is None else self._scopes[above]

    def defines(self, name: str) -> bool:
        """Say whether the module has a function or class of a name."""
        return name in self._defined

    def arguments(self, function: ast.AST, name: str) -> Iterator[_Place]:
        """Yield what a parameter of a function is given in this module."""
        if not isinstance(function, _Functions):
            return
        positional = [item.arg for item in (*function.args.posonlyargs, *function.args.args)]
        everything = {*positional, *(item.arg for item in function.args.kwonlyargs)}
        everything |= {
            item.arg for item in (function.args.vararg, function.args.kwarg) if item is not None
        }
        if name not in everything:
            return
        place = positional.index(name) if name in positional else None
        for called in self._names_of(function):
            for call, scope in self._calls.get(called, ()):
                if isinstance(call, ast.Call):
                    for value in _passed(call, name, place, is_method=positional[:1] == ["self"]):
                        yield value, scope
            yield from self._handed.get(called, ())
        above = self._module.parents.get(function)
        if isinstance(function, ast.Lambda) and isinstance(above, ast.Call):
            for value in _given(above):
                if value is not function:
                    yield value, self.scope_of(above)

    def _names_of(self, function: Function) -> Iterator[str]:
        """Yield the names by which a function is called: that of its class, for a constructor."""
        above = self._module.parents.get(function)
        if isinstance(function, ast.Lambda):
            if isinstance(above, ast.Assign):
                yield from (last_name(target) for target in above.targets)
            return
        yield function.name
        if function.name in ("__init__", "__new__") and isinstance(above, ast.ClassDef):
            yield above.name
            yield "__init__"

    def _of_scope(self, scope: Scope) -> None:
        if scope.kind is not Kind.CLASS:
            return
        for name, bindings in scope.bindings.items():
            for binding in bindings:
                if binding.alias is not None:
                    self.attributes[name].append((ast.Name(name, ast.Load()), scope))
                elif binding.value is not None:
                    self.attributes[name].append((binding.value, scope))

    def _of_call(self, call: ast.Call, scope: Scope) -> None:
        name = last_name(call.func)
        self._calls[name].append((call, scope))
        given = _given(call)
        for keyword in call.keywords:
            if keyword.arg is not None:  # a field of what is made
                self.attributes[keyword.arg].append((keyword.value, scope))
        if name in ("setattr", "__setattr__") and len(call.args) > 1:
            attribute = literal(call.args[-2])
            if attribute:
                self.attributes[attribute].append((call.args[-1], scope))
        if isinstance(call.func, ast.Attribute) and name in _KEEPING:
            for value in given:
                self._keep(call.func.value, value, scope)
        for value in given:
            if handed := last_name(value):  # a function, which may be called with the rest
                self._handed[handed].extend((item, scope) for item in given if item is not value)

    def _of_node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, self.scope_of(node))
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, node.value, self.scope_of(node))
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign(node.target, node.iter, self.scope_of(node))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign(node.optional_vars, node.context_expr, self.scope_of(node))
        elif isinstance(node, ast.Match):
            self._match(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._defined.add(node.name)
        elif isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            self._return(node.value)
        elif isinstance(node, ast.Lambda):
            for name in self._names_of(node):
                self._defined.add(name)
                self.returned[name].append((node.body, self._scopes[node]))

    def _match(self, node: ast.Match) -> None:
        for case in node.cases:
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchAs | ast.MatchStar) and part.name is not None:
                    self.names[part.name].append((node.subject, self.scope_of(node)))

    def _return(self, value: ast.expr) -> None:
        scope = self.scope_of(value)
        if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.returned[scope.node.name].append((value, scope))

    def _assign(self, target: ast.expr, value: ast.expr, scope: Scope) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self._assign(part, value, scope)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, value, scope)
        elif isinstance(target, ast.Subscript):
            self._keep(target.value, value, scope)
        elif isinstance(target, ast.Attribute):
            self.attributes[target.attr].append((value, scope))
        elif isinstance(target, ast.Name) and isinstance(
            self._module.parents.get(target), ast.Tuple | ast.List | ast.Starred
        ):
            self.names[target.id].append((value, scope))

    def _keep(self, holder: ast.expr, value: ast.expr, scope: Scope) -> None:
        """Note that a table has a value."""
        if isinstance(holder, ast.Name):
            self.names[holder.id].append((value, scope))
        elif isinstance(holder, ast.Attribute):
            self.attributes[holder.attr].append((value, scope))


def _attribute(node: ast.expr) -> tuple[ast.expr, str] | None:
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    return attribute_by_name(node)


def _given(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(item.value for item in call.keywords)]


def _passed(call: ast.Call, name: str, place: int | None, *, is_method: bool) -> Iterator[ast.expr]:
    """Yield what a call gives a parameter; all of it, where that is not to be told."""
    named = [item.value for item in call.keywords if item.arg == name]
    yield from named
    if any(isinstance(item, ast.Starred) for item in call.args) or place is None:
        yield from call.args
    elif not named:
        yield from call.args[max(place - 1, 0) : place] if is_method else ()
        yield from call.args[place : place + 1]
