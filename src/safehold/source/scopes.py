"""Scopes and bindings of a module: which binding does a name mean, by Python's rules.

Flow is ignored: a name that is bound twice in one scope (try/except, if/else) means both.
The walk keeps its own stack, since `a + b + c + ...` nests as deep as it is long.
"""

from __future__ import annotations

import ast
import enum
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
# Fields without a node, or with one that stands for itself everywhere, as `ast.Load()`.
_PLAIN = frozenset(
    "id attr ctx op ops arg kind module level asname type_comment conversion simple is_async rest "
    "kwd_attrs tag".split()
)
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in kind._fields if name not in _PLAIN)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_CHILDLESS = frozenset({ast.Constant, ast.Pass, ast.Break, ast.Continue})


class Kind(enum.Enum):
    """What opens a scope; a class's names are not seen from the functions inside it."""

    MODULE = enum.auto()
    CLASS = enum.auto()
    FUNCTION = enum.auto()
    COMPREHENSION = enum.auto()


class How(enum.Enum):
    """How a name gets its value."""

    IMPORT = enum.auto()  # import a.b, import a.b as c
    FROM = enum.auto()  # from a import b
    ASSIGN = enum.auto()  # value
    PARAMETER = enum.auto()  # value: the default, evaluated outside
    WITH = enum.auto()  # value: the context manager
    LOOP = enum.auto()  # value: what is iterated
    OTHER = enum.auto()  # anything that is not followed


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that gives a name a value."""

    how: How
    line: int
    value: ast.expr | None = None
    statement: ast.Import | ast.ImportFrom | None = None
    alias: ast.alias | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a module, class, function or comprehension."""

    kind: Kind
    node: ast.AST
    parent: Scope | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: dict[str, bool] = field(default_factory=dict)  # name -> is it `global`

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def enclosing_class(self) -> Scope | None:
        """The nearest class around this scope."""
        scope: Scope | None = self
        while scope is not None and scope.kind is not Kind.CLASS:
            scope = scope.parent
        return scope

    def lookup(self, name: str) -> Iterator[tuple[Scope, Binding]]:
        """Yield every binding that a name read in this scope can mean."""
        scope: Scope | None = self
        while scope is not None:
            visible = scope.kind is not Kind.CLASS or scope is self
            if visible and name in scope.bindings:
                for binding in scope.bindings[name]:
                    yield scope, binding
                if scope.kind is not Kind.CLASS:
                    return  # before its own binding runs, a class body sees the outer name
            if scope.elsewhere.get(name):
                module = scope.module
                for binding in module.bindings.get(name, ()):
                    yield module, binding
                return
            scope = scope.parent


Bound = tuple[list[str], list[tuple[ast.expr, Scope]]]
"""The full names that a name is imported as, and the values that it is given; see `calls`."""


@dataclass(slots=True)
class Module:
    """A parsed module with its scopes and what the rules ask about.

    ``renamed``: real names of what it takes from other modules of its tree, by spelled ones;
    ``settled``: those of the spelled ones that are pointed at a facade where they are bound;
    ``plain``: those that one import binds there, whatever is installed.
    """

    tree: ast.Module
    scope: Scope
    parents: dict[ast.AST, ast.AST]
    loads: dict[str, list[tuple[ast.Name, Scope]]]
    calls: list[tuple[ast.Call, Scope]]
    subscripts: list[tuple[ast.Subscript, Scope]]
    stars: list[ast.ImportFrom]
    attributes: dict[tuple[Scope, str], list[tuple[ast.expr, Scope]]]
    scopes: list[Scope]
    bound: dict[tuple[Scope, str], Bound] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()

    def real(self, dotted: str) -> str:
        """Return the name of a library's that another module of the tree hands on, as it is."""
        if not self.renamed:
            return dotted
        head, rest = dotted, ""
        while head and head not in self.renamed:
            head, _, last = head.rpartition(".")
            rest = f".{last}{rest}"
        return f"{self.renamed[head]}{rest}" if head else dotted


def analyse(tree: ast.Module) -> Module:
    """Find every scope, binding and use in a module."""
    walk = _Walk(tree)
    walk.run()
    return walk.module


class _Walk:
    """One pass over the tree; `self._stack` holds what is still to be visited."""

    def __init__(self, tree: ast.Module) -> None:
        top = Scope(Kind.MODULE, tree)
        self.module = Module(tree, top, {}, defaultdict(list), [], [], [], defaultdict(list), [top])
        self._stack: list[tuple[ast.AST, Scope]] = [(tree, top)]

    def run(self) -> None:
        stack, visits, children = self._stack, _VISITS, self._children
        while stack:
            node, scope = stack.pop()
            visit = visits.get(type(node))
            if visit is None:
                children(node, scope)
            else:
                visit(self, node, scope)
        for scope in self.module.scopes:
            _move_declared(scope)

    def _children(self, node: ast.AST, scope: Scope) -> None:
        # As `ast.iter_child_nodes`, written out: this is where the time of an analysis goes.
        found: list[tuple[ast.AST, Scope]] = []
        parents = self.module.parents
        for name in _FIELDS[type(node)]:
            value = getattr(node, name, None)
            if type(value) is list:
                for item in value:
                    if item is not None:
                        parents[item] = node
                        if type(item) not in _CHILDLESS:
                            found.append((item, scope))
            elif isinstance(value, ast.AST):
                parents[value] = node
                if type(value) not in _CHILDLESS:
                    found.append((value, scope))
        if found:
            found.reverse()
            self._stack += found

    def _push(self, parent: ast.AST, nodes: Sequence[ast.AST], scope: Scope) -> None:
        parents = self.module.parents
        for node in nodes:
            parents[node] = parent
        for node in reversed(nodes):
            if type(node) not in _CHILDLESS:
                self._stack.append((node, scope))

    def _open(self, kind: Kind, node: ast.AST, parent: Scope) -> Scope:
        scope = Scope(kind, node, parent)
        self.module.scopes.append(scope)
        return scope

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        scope.bindings[name].append(binding)

    def _other(self, scope: Scope, name: str | None, node: ast.AST) -> None:
        if name is not None:
            self._bind(scope, name, Binding(How.OTHER, getattr(node, "lineno", 0)))

    # -- visits

    def visit_name(self, node: ast.Name, scope: Scope) -> None:
        if isinstance(node.ctx, ast.Load):
            self.module.loads[node.id].append((node, scope))
        elif isinstance(node.ctx, ast.Store):
            self._other(scope, node.id, node)

    def visit_call(self, node: ast.Call, scope: Scope) -> None:
        self.module.calls.append((node, scope))
        self._children(node, scope)

    def visit_subscript(self, node: ast.Subscript, scope: Scope) -> None:
        self.module.subscripts.append((node, scope))
        self._children(node, scope)

    def visit_function(self, node: Function, scope: Scope) -> None:
        inner = self._open(Kind.FUNCTION, node, scope)
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, ast.expr] = {}
        for parameter, default in zip(
            positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True
        ):
            defaults[parameter.arg] = default
        for parameter, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if value is not None:
                defaults[parameter.arg] = value
        extra = [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
        for parameter in [*positional, *arguments.kwonlyargs, *extra]:
            value = defaults.get(parameter.arg)
            how = How.OTHER if value is None else How.PARAMETER
            self._bind(inner, parameter.arg, Binding(how, parameter.lineno, value))
        self.module.parents[arguments] = node
        body: list[ast.AST]
        outside: list[ast.AST] = []
        if isinstance(node, ast.Lambda):
            body = [node.body]
        else:
            self._other(scope, node.name, node)
            self._type_parameters(node, inner)
            outside.extend(node.decorator_list)
            if node.returns is not None:
                outside.append(node.returns)
            body = list(node.body)
        self._push(node, body, inner)
        self._push(node, outside, scope)
        self._push(arguments, list(ast.iter_child_nodes(arguments)), scope)

    def visit_class(self, node: ast.ClassDef, scope: Scope) -> None:
        self._other(scope, node.name, node)
        inner = self._open(Kind.CLASS, node, scope)
        self._type_parameters(node, inner)
        self._push(node, list(node.body), inner)
        self._push(node, [*node.decorator_list, *node.bases, *node.keywords], scope)

    def _type_parameters(self, node: ast.AST, inner: Scope) -> None:
        for parameter in getattr(node, "type_params", ()):  # Python 3.12
            self._other(inner, parameter.name, parameter)
            self._push(node, [parameter], inner)

    def visit_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> None:
        inner = self._open(Kind.COMPREHENSION, node, scope)
        for index, generator in enumerate(node.generators):
            self.module.parents[generator] = node
            self._target(generator.target, generator.iter, How.LOOP, generator, inner)
            self._push(generator, [*generator.ifs], inner)
            # The first iterable is evaluated where the comprehension stands.
            self._push(generator, [generator.iter], inner if index else scope)
        if isinstance(node, ast.DictComp):
            self._push(node, [node.key, node.value], inner)
        else:
            self._push(node, [node.elt], inner)

    def _target(
        self, target: ast.expr, value: ast.expr, how: How, parent: ast.AST, scope: Scope
    ) -> None:
        """Bind the names of an assignment's left side."""
        self.module.parents[target] = parent
        if isinstance(target, ast.Name):
            self._bind(scope, target.id, Binding(how, target.lineno, value))
        elif (
            isinstance(target, ast.Tuple | ast.List)
            and how is How.ASSIGN
            and isinstance(value, ast.Tuple | ast.List)
            and len(target.elts) == len(value.elts)
            and not any(isinstance(item, ast.Starred) for item in (*target.elts, *value.elts))
        ):
            for part, part_value in zip(target.elts, value.elts, strict=True):
                self._target(part, part_value, how, target, scope)
        else:
            owner = scope.enclosing_class
            if (
                owner is not None
                and how is How.ASSIGN
                and isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id in ("self", "cls")
            ):
                self.module.attributes[owner, target.attr].append((value, scope))
            self._push(parent, [target], scope)

    def visit_assign(self, node: ast.Assign, scope: Scope) -> None:
        self._push(node, [node.value], scope)
        for target in node.targets:
            self._target(target, node.value, How.ASSIGN, node, scope)

    def visit_annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        self._push(node, [node.annotation], scope)
        if node.value is None:
            self._push(node, [node.target], scope)
        else:
            self._push(node, [node.value], scope)
            self._target(node.target, node.value, How.ASSIGN, node, scope)

    def visit_walrus(self, node: ast.NamedExpr, scope: Scope) -> None:
        outer = scope
        while outer.kind is Kind.COMPREHENSION and outer.parent is not None:
            outer = outer.parent
        self.module.parents[node.target] = node
        self._bind(outer, node.target.id, Binding(How.ASSIGN, node.lineno, node.value))
        self._push(node, [node.value], scope)

    def visit_for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        self._push(node, [node.iter, *node.body, *node.orelse], scope)
        self._target(node.target, node.iter, How.LOOP, node, scope)

    def visit_with_item(self, node: ast.withitem, scope: Scope) -> None:
        self._push(node, [node.context_expr], scope)
        if node.optional_vars is not None:
            self._target(node.optional_vars, node.context_expr, How.WITH, node, scope)

    def visit_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            binding = Binding(How.IMPORT, node.lineno, None, node, alias)
            self._bind(scope, name, binding)

    def visit_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.module.stars.append(node)
            else:
                binding = Binding(How.FROM, node.lineno, None, node, alias)
                self._bind(scope, alias.asname or alias.name, binding)

    def visit_declared(self, node: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        for name in node.names:
            scope.elsewhere[name] = isinstance(node, ast.Global)

    def visit_named(
        self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar, scope: Scope
    ) -> None:
        self._other(scope, node.name, node)
        self._children(node, scope)

    def visit_mapping(self, node: ast.MatchMapping, scope: Scope) -> None:
        self._other(scope, node.rest, node)
        self._children(node, scope)


def _move_declared(scope: Scope) -> None:
    """Hand the bindings of `global` and `nonlocal` names to the scope that owns them."""
    for name, is_global in scope.elsewhere.items():
        moved = scope.bindings.pop(name, [])
        owner = scope.module if is_global else _nonlocal_owner(scope, name)
        if owner is not None and owner is not scope:
            owner.bindings[name].extend(moved)


def _nonlocal_owner(scope: Scope, name: str) -> Scope | None:
    outer = scope.parent
    while outer is not None:
        if outer.kind is Kind.FUNCTION and name in outer.bindings:
            return outer
        outer = outer.parent
    return None


_VISITS: dict[type[ast.AST], Callable[[_Walk, Any, Scope], None]] = {
    ast.Name: _Walk.visit_name,
    ast.Call: _Walk.visit_call,
    ast.Subscript: _Walk.visit_subscript,
    ast.FunctionDef: _Walk.visit_function,
    ast.AsyncFunctionDef: _Walk.visit_function,
    ast.Lambda: _Walk.visit_function,
    ast.ClassDef: _Walk.visit_class,
    ast.Assign: _Walk.visit_assign,
    ast.AnnAssign: _Walk.visit_annotated,
    ast.NamedExpr: _Walk.visit_walrus,
    ast.For: _Walk.visit_for,
    ast.AsyncFor: _Walk.visit_for,
    ast.withitem: _Walk.visit_with_item,
    ast.Import: _Walk.visit_import,
    ast.ImportFrom: _Walk.visit_from,
    ast.Global: _Walk.visit_declared,
    ast.Nonlocal: _Walk.visit_declared,
    ast.ExceptHandler: _Walk.visit_named,
    ast.MatchAs: _Walk.visit_named,
    ast.MatchStar: _Walk.visit_named,
    ast.MatchMapping: _Walk.visit_mapping,
    **dict.fromkeys(_COMPREHENSIONS, _Walk.visit_comprehension),
}
