"""What an expression is by what makes it, or how it is annotated."""

from __future__ import annotations

import ast

from safehold.source.entries import last_name, literal
from safehold.source.scopes import How, Module, Scope
from safehold.source.sql.expressions import STRING_METHODS
from safehold.source.sql.functions import annotation_of, functions_of, is_numeric

NUMBERS = frozenset(
    "int float len bool abs round ord id hash time time_ns monotonic ceil floor getint getfloat "
    "getboolean true false null token_hex randint randrange getrandbits".split()
)
"""Functions that give a number, or nothing but digits."""
_DEPTH = 12


class Types:
    """Tells numbers and strings of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._computed: dict[tuple[Scope, str], bool] = {}

    def is_number(self, node: ast.expr, scope: Scope) -> bool:
        """Whether an expression is a number by what makes it or how it is annotated."""
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int | float)
        if isinstance(node, ast.BinOp):
            return self.is_number(node.left, scope) and self.is_number(node.right, scope)
        if isinstance(node, ast.Call):
            found = list(functions_of(node.func, scope, self._module))
            notes = [getattr(item.node, "returns", None) for item in found]
            return last_name(node.func) in NUMBERS or (
                bool(found) and all(is_numeric(note) for note in notes)
            )
        if isinstance(node, ast.Attribute) and (owner := scope.enclosing_class) is not None:
            values = self._module.attributes.get((owner, node.attr), [])
            is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
            return (
                is_own
                and bool(values)
                and all(
                    isinstance(value, ast.Name | ast.Constant) and self.is_number(value, where)
                    for value, where in values
                )
            )
        if isinstance(node, ast.Name) and self._is_computed(node.id, scope):
            return True
        return is_numeric(self.annotation(node, scope))

    def _is_computed(self, name: str, scope: Scope) -> bool:
        """Whether all that a name is given is computed of numbers, and not of itself."""
        key = scope, name
        if key not in self._computed:
            self._computed[key] = False
            found = list(scope.lookup(name))
            self._computed[key] = bool(found) and all(
                item.how is How.ASSIGN
                and item.value is not None
                and self.is_number(item.value, owner)
                for owner, item in found
            )
        return self._computed[key]

    def is_string(self, node: ast.expr, scope: Scope, depth: int = 0) -> bool:
        """Whether an expression is a string, and never None."""
        if isinstance(node, ast.JoinedStr) or literal(node) is not None:
            return True
        if isinstance(node, ast.Call):
            name = last_name(node.func)
            if isinstance(node.func, ast.Attribute):
                return name in STRING_METHODS
            return name in ("str", "repr", "input", "ascii", "chr", "hex")
        if isinstance(node, ast.BinOp):
            return self.is_string(node.left, scope) or self.is_string(node.right, scope)
        if isinstance(node, ast.Subscript):
            return ast.unparse(node.value) in ("sys.argv", "os.environ", "argv")
        if self.annotation(node, scope) == "str":
            return True
        if isinstance(node, ast.Name) and depth < _DEPTH:
            found = list(scope.lookup(node.id))
            return bool(found) and all(
                item.how is How.ASSIGN
                and item.value is not None
                and self.is_string(item.value, owner, depth + 1)
                for owner, item in found
            )
        return False

    def annotation(self, node: ast.expr, scope: Scope) -> str:
        """Return the annotation of the parameter that a name is and stays."""
        if not isinstance(node, ast.Name):
            return ""
        found = list(scope.lookup(node.id))
        if len(found) != 1:
            return ""
        note = annotation_of(node.id, found[0][0])
        return "" if note is None else ast.unparse(note).strip("'\"")
