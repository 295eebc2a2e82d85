"""Which values can be put into a statement without harm: constants, numbers, quoted identifiers.

A name is a constant when every value that the module gives it is one. Names in capitals that are
imported are taken for constants, as PEP 8 has it; so is what a model says of its own table.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cached_property

from safehold.source.entries import last_name, literal
from safehold.source.scopes import Binding, How, Kind, Module, Scope
from safehold.source.sql.expressions import (
    MADE_OF_PARTS,
    is_clock,
    is_counted,
    is_doubling,
    parts_of,
)
from safehold.source.sql.functions import (
    annotation_of,
    calls_of,
    default,
    functions_of,
    given,
    given_anew,
    is_nested,
    last_given,
    returns_of,
)
from safehold.source.sql.types import NUMBERS, Types

# What quotes an identifier, by its name: quote_name, escape_sqlite, _quote_id, qn, sql.Identifier.
_QUOTES = re.compile(
    r"_*(?:(?:\w+_)?(?:quoted?|escaped?|sanitize|valid)_(?:\w+_)?(?:id|ident|identifier|name|column|table"
    r"|schema|sqlite|sqlite_name)s?"
    r"|qn|ident|Identifier|quoted_name|format_table|format_column|compile)"
    r"|_*(?:\w+_)?placeholders|as_sql|m2m_column_name|m2m_reverse_name"
)
# What may quote values as well: an identifier, where a name stands.
_QUOTES_NAMES = re.compile(r"_*quote(?:_\w+)?")
_TEXTS = frozenset(
    "join lower upper strip lstrip rstrip title replace format dedent str repr sorted list tuple "
    "set enumerate reversed zip items values keys split dict range get frozenset text bool "
    "removeprefix removesuffix iter f max min pop".split()
)
_SCHEMA = re.compile(r"__tablename__|_meta|__table__|db_table|\bfield\.column$|\bcolumn\.key$")
_CAPITALS = re.compile(r"_*[A-Z][A-Z0-9_]+")
_DEPTH = 12
_REQUESTS = frozenset("GET POST PUT PATCH DELETE COOKIES META FILES REQUEST DATA HEADERS".split())
_GROWS = frozenset(("append", "extend", "insert", "add", "update"))


class Constants(Types):
    """Judges the values of one module."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self._asked: set[tuple[ast.expr, Scope]] = set()
        self._is_name = False
        self._anew: dict[Scope, dict[str, list[tuple[int, int]]]] = {}

    def is_constant(self, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
        """Whether an expression holds nothing but what stands in the source, or a number."""
        following = depth + 1
        if depth > _DEPTH:
            return False
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._name(node, scope, following)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope, following)
        if isinstance(node, ast.Call):
            return self._call(node, scope, following)
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Mult) and self._is_repeated(node, scope, following):
                return True
            return self.is_constant(node.left, scope, following) and self.is_constant(
                node.right, scope, following
            )
        if isinstance(node, ast.Subscript):
            value = _entry(node, scope) or node.value
            return self.is_constant(value, scope, following)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
            inner = self._scopes.get(node)
            return inner is not None and self.is_constant(node.elt, inner, following)
        return all(self.is_constant(part, scope, following) for part in parts_of(node)) and bool(
            isinstance(node, MADE_OF_PARTS)
        )

    def is_name(self, node: ast.expr, scope: Scope) -> bool:
        """Whether an expression is a constant, or was quoted, where a name stands."""
        self._is_name = True
        try:
            return self.is_constant(node, scope)
        finally:
            self._is_name = False

    # -- names

    def _name(self, node: ast.Name, scope: Scope, depth: int) -> bool:
        if (node, scope) in self._asked:
            return True  # it depends on itself: `name = name.lower()`
        found = [
            (owner, binding)
            for owner, binding in scope.lookup(node.id)
            if not self._is_later(binding, owner, node, scope)
            and binding.line >= self._since(node, owner, scope)
        ]
        if not found:
            return False
        self._asked.add((node, scope))
        try:
            return all(
                self._binding(node.id, owner, binding, depth) for owner, binding in found
            ) and self._stays(node.id, found[0][0], depth)
        finally:
            self._asked.discard((node, scope))

    def _binding(self, name: str, owner: Scope, binding: Binding, depth: int) -> bool:
        if binding.alias is not None:
            return name[:1].isupper() or bool(_CAPITALS.fullmatch(name))  # a constant or class
        if binding.how in (How.ASSIGN, How.LOOP) and binding.value is not None:
            return self._value(binding.value, owner, depth)
        if binding.how is How.PARAMETER or annotation_of(name, owner) is not None:
            return self._parameter(name, owner, depth)
        targets = [item for item in self._stores[name] if item.lineno == binding.line]
        if targets:
            return all(self._stored(item, owner, depth) for item in targets)
        return self._parameter(name, owner, depth)

    def _since(self, node: ast.Name, owner: Scope, scope: Scope) -> int:
        """Return the line of the last value that a name surely got before it is read."""
        if owner is not scope or scope.kind is not Kind.FUNCTION:
            return 0
        if scope not in self._anew:
            self._anew[scope] = given_anew(scope, self._module)
        return last_given(self._anew[scope].get(node.id, []), node.lineno)

    def _is_later(self, binding: Binding, owner: Scope, node: ast.Name, scope: Scope) -> bool:
        """Whether a value is given after the name is read: below it, and in no loop with it."""
        if owner is not scope or scope.kind is not Kind.FUNCTION or binding.line <= node.lineno:
            return False
        parent = self._module.parents.get(node)
        while parent is not None and parent is not scope.node:
            if isinstance(parent, ast.For | ast.AsyncFor | ast.While):
                return False
            parent = self._module.parents.get(parent)
        return True

    def _value(self, value: ast.expr, owner: Scope, depth: int) -> bool:
        """Judge a value where it stands; the first iterable of a comprehension stands outside."""
        outer = owner.parent if owner.kind is Kind.COMPREHENSION and owner.parent else owner
        return self.is_constant(value, owner, depth) or (
            outer is not owner and self.is_constant(value, outer, depth)
        )

    def _stored(self, target: ast.Name, owner: Scope, depth: int) -> bool:
        """Judge what a name gets in `for a, b in ...`, `name += ...` and the like."""
        child: ast.AST = target
        parent = self._module.parents.get(child)
        while isinstance(parent, ast.Tuple | ast.List | ast.Starred):
            child, parent = parent, self._module.parents.get(parent)
        if isinstance(parent, ast.For | ast.AsyncFor | ast.comprehension):
            return child is parent.target and self._value(parent.iter, owner, depth)
        if isinstance(parent, ast.Assign) and child is not target:
            given = self._unpacked(target, parent, owner)
            if given:
                return all(self.is_constant(value, where, depth) for value, where in given)
        if isinstance(parent, ast.AugAssign | ast.Assign):
            return self.is_constant(parent.value, owner, depth)
        # `name: str` alone gives no value; a loop's body or a `with` does.
        return isinstance(parent, ast.AnnAssign) and parent.value is None

    def _unpacked(
        self, target: ast.Name, parent: ast.Assign, owner: Scope
    ) -> list[tuple[ast.expr, Scope]]:
        """Return what `text, values = function()` gives a name; nothing where it is not shown."""
        names = parent.targets[0]
        if not isinstance(names, ast.Tuple) or not isinstance(parent.value, ast.Call):
            return []
        found: list[tuple[ast.expr, Scope]] = []
        for function in functions_of(parent.value.func, owner, self._module):
            for value in returns_of(function):
                if not isinstance(value, ast.Tuple) or len(value.elts) != len(names.elts):
                    return []
                found.append((value.elts[names.elts.index(target)], function))
        return found

    def _parameter(self, name: str, owner: Scope, depth: int) -> bool:
        """Whether a function that only this module calls gets nothing but constants."""
        node = owner.node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return False
        arguments = [*node.args.posonlyargs, *node.args.args]
        names = [item.arg for item in arguments]
        if name not in names and name not in [item.arg for item in node.args.kwonlyargs]:
            return False
        if not (node.name.startswith("_") or self._is_migration or is_nested(owner)):
            return False
        calls = calls_of(node, owner, self._module)
        if not calls:
            return False
        for call, scope, skipped in calls:
            value = given(call, name, names[skipped:])
            if value is None:
                value = default(node, name)
            if value is None or not self.is_constant(value, scope, depth):
                return False
        return True

    def _stays(self, name: str, owner: Scope, depth: int) -> bool:
        """Whether nothing but constants is put into a list or mapping that a name holds."""
        for use, scope in self._module.loads.get(name, ()):
            if next((item for item, _ in scope.lookup(name)), None) is not owner:
                continue
            parent = self._module.parents.get(use)
            above = self._module.parents.get(parent) if parent is not None else None
            put: list[ast.expr] = []
            if isinstance(parent, ast.Attribute) and isinstance(above, ast.Call):
                put = above.args if parent.attr in _GROWS else []
            elif (
                isinstance(parent, ast.Subscript)
                and parent.value is use
                and isinstance(parent.ctx, ast.Store)
            ):
                if not isinstance(above, ast.Assign):
                    return False
                put = [above.value]
            if not all(self.is_constant(item, scope, depth) for item in put):
                return False
        return True

    # -- other expressions

    def _attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> bool:
        if node.attr in ("value", "name") and isinstance(node.value, ast.Attribute | ast.Name):
            return self.is_constant(node.value, scope, depth)
        if _SCHEMA.search(ast.unparse(node)) or self._is_in_capitals(node, scope):
            return True
        if node.attr == "hex" and isinstance(node.value, ast.Call):
            return last_name(node.value.func).startswith("uuid")
        if not isinstance(node.value, ast.Name):
            return False
        if node.value.id in ("self", "cls") and (owner := scope.enclosing_class) is not None:
            return self._member(owner, node.attr, depth)
        found = [item for item in self._module.scopes if item.kind is Kind.CLASS]
        for item in found:
            if isinstance(item.node, ast.ClassDef) and item.node.name == node.value.id:
                return self._member(item, node.attr, depth)
        return False

    def _is_in_capitals(self, node: ast.Attribute, scope: Scope) -> bool:
        """`settings.TABLE`, `cls.TABLE`; what hangs on a parameter can be a request's."""
        if not _CAPITALS.fullmatch(node.attr) or node.attr in _REQUESTS:
            return False
        root = node.value
        if isinstance(root, ast.Name) and root.id in ("self", "cls"):
            return True
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id == "request":
            return False
        found = [item for _, item in scope.lookup(root.id)]
        return bool(found) and all(item.alias is not None for item in found)

    def _member(self, owner: Scope, name: str, depth: int) -> bool:
        """Whether an attribute of a class of this module has constants alone."""
        values = [*self._module.attributes.get((owner, name), ())]
        bindings = owner.bindings.get(name, [])
        if not values and not bindings:
            return False
        return all(self.is_constant(value, scope, depth) for value, scope in values) and all(
            item.how is How.ASSIGN
            and item.value is not None
            and self.is_constant(item.value, owner, depth)
            for item in bindings
        )

    def _call(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        name = last_name(node.func)
        if name in NUMBERS or _QUOTES.fullmatch(name) or name.startswith(("uuid", "utcnow")):
            return True
        if self._is_name and isinstance(node.func, ast.Name) and _QUOTES_NAMES.fullmatch(name):
            return True
        if name == "replace" and is_doubling(node.args):
            return True  # of a quoted identifier
        if name == "quote" and isinstance(node.func, ast.Attribute):
            return last_name(node.func.value).endswith(("preparer", "db", "conn", "connection"))
        if name in ("scalar", "scalar_one") and isinstance(node.func, ast.Attribute):
            return is_counted(node.func.value, scope)
        if name in ("isoformat", "strftime", "timestamp", "hexdigest"):
            return is_clock(node.func, scope)
        skipped = 1 if name in ("get", "pop") else 0  # the key chooses among constants
        parts = [*node.args[skipped:], *(item.value for item in node.keywords)]
        if isinstance(node.func, ast.Attribute):
            if name == "join" and len(node.args) == 1:
                return self.is_constant(node.func.value, scope, depth) and self.is_constant(
                    node.args[0], scope, depth
                )
            parts.append(node.func.value)
        if name in _TEXTS:
            return all(self.is_constant(part, scope, depth) for part in parts)
        if name == "map" and len(node.args) == 2 and last_name(node.args[0]) in NUMBERS:
            return True
        return self._gives_constants(node.func, scope, depth)

    def _gives_constants(self, func: ast.expr, scope: Scope, depth: int) -> bool:
        """Whether a function of this module returns nothing but constants."""
        found = [
            (value, function)
            for function in functions_of(func, scope, self._module)
            for value in returns_of(function)
        ]
        return bool(found) and all(self.is_constant(value, owner, depth) for value, owner in found)

    def _is_repeated(self, node: ast.BinOp, scope: Scope, depth: int) -> bool:
        """`"?" * n`, `["%s"] * len(ids)`: the count does no harm."""
        return any(
            isinstance(side, ast.List | ast.Tuple | ast.Constant | ast.JoinedStr)
            and not isinstance(getattr(side, "value", ""), int | float)
            and self.is_constant(side, scope, depth)
            for side in (node.left, node.right)
        )

    @cached_property
    def _scopes(self) -> dict[ast.AST, Scope]:
        return {scope.node: scope for scope in self._module.scopes}

    def scope_of(self, node: ast.AST) -> Scope | None:
        """Return the scope that a comprehension or function opens."""
        return self._scopes.get(node)

    @cached_property
    def _stores(self) -> dict[str, list[ast.Name]]:
        found: dict[str, list[ast.Name]] = defaultdict(list)
        for node in self._module.parents:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found[node.id].append(node)
        return found

    @cached_property
    def _is_migration(self) -> bool:
        """Whether it is one of Alembic's: nobody imports those."""
        return {"revision", "down_revision"} <= set(self._module.scope.bindings)


def _entry(node: ast.Subscript, scope: Scope) -> ast.expr | None:
    """Return what a mapping that is written out has under a key."""
    key = literal(node.slice)
    if key is None or not isinstance(node.value, ast.Name):
        return None
    found = list(scope.lookup(node.value.id))
    mapping = found[0][1].value if len(found) == 1 else None
    if not isinstance(mapping, ast.Dict) or found[0][0] is not scope:
        return None
    values = dict(zip(map(_text, mapping.keys), mapping.values, strict=True))
    return values.get(key)


def _text(node: ast.expr | None) -> str | None:
    return None if node is None else literal(node)
