"""Which expressions the source itself fixes: made of literals, numbers and quoted words alone.

What is not shown to be fixed counts as data. Names are followed to everything that is bound to
them; parameters are data, whatever their default.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import Any

from safehold.source.calls import names_of
from safehold.source.scopes import Binding, How, Kind, Module, Scope

_DEPTH = 16
# What these give is harmless in a command or expression, whatever they are given: one quoted
# word, or a number.
_QUOTING = frozenset({"shlex.quote", "shlex.join", "pipes.quote", "subprocess.list2cmdline"})
_NUMBERS = frozenset(
    "builtins.int builtins.float builtins.len builtins.ord builtins.hash builtins.id builtins.bool "
    "builtins.round os.getpid os.getppid os.getuid os.cpu_count time.time".split()
)
# Of the interpreter and of where the program lies, which nobody else chooses.
_PLACES = frozenset(
    "sys.executable sys.prefix sys.base_prefix sys.platform sys.version_info sys.byteorder "
    "os.sep os.pathsep os.linesep os.devnull os.name os.curdir".split()
)
_PURE = frozenset(
    "builtins.str builtins.bytes builtins.list builtins.tuple builtins.set builtins.sorted "
    "builtins.reversed builtins.range builtins.enumerate builtins.zip builtins.repr builtins.dict "
    "builtins.ascii builtins.chr builtins.min builtins.max "
    "os.path.join os.path.dirname os.path.abspath os.path.realpath os.path.basename "
    "os.path.normpath textwrap.dedent textwrap.indent shlex.split shutil.which copy.copy "
    "pathlib.Path builtins.compile".split()
)
_METHODS = frozenset(
    "format join strip lstrip rstrip lower upper title capitalize replace encode decode split "
    "rsplit splitlines partition removeprefix removesuffix zfill ljust rjust center copy keys "
    "values items get as_posix resolve absolute with_name with_suffix joinpath hex".split()
)
_CHANGING = frozenset("append extend insert update add setdefault __setitem__".split())
_NUMERIC = re.compile(r"(?:%%|%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?[diouxXeEfFgG]|[^%])*", re.DOTALL)
_NUMERIC_SPEC = re.compile(r"[-+ #0,_<>=^]*\d*,?(?:\.\d+)?[bdoxXeEfFgGn]")


class Fixed:
    """Judges expressions of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._seen: set[ast.expr] = set()

    def is_fixed(self, node: ast.expr, scope: Scope) -> bool:
        """Say whether the source shows all that an expression can be."""
        self._seen.clear()
        return self._is(node, scope)

    def _is(self, node: ast.expr | None, scope: Scope, depth: int = 0) -> bool:
        """Every part has to be fixed; one that is asked about again has been, or is being."""
        if node is None or isinstance(node, ast.Constant) or node in self._seen:
            return True
        self._seen.add(node)
        return depth <= _DEPTH and self._judged(node, scope, depth + 1)

    def _judged(self, node: ast.expr, scope: Scope, depth: int) -> bool:
        judge = _JUDGES.get(type(node))
        if judge is not None:
            return judge(self, node, scope, depth)
        return self._all(_parts(node), scope, depth) if type(node) in _MADE else False

    def _all(self, nodes: Iterable[ast.expr | None], scope: Scope, depth: int) -> bool:
        return all(self._is(node, scope, depth) for node in nodes)

    def of_name(self, node: ast.Name, scope: Scope, depth: int) -> bool:
        bindings = list(scope.lookup(node.id))
        if not bindings:
            return node.id in ("__file__", "__name__", "__package__", "__version__")
        if not all(self._binding(binding, owner, depth) for owner, binding in bindings):
            return False
        return not any(
            self._is_changed(use, inner, depth)
            for use, inner in self._module.loads.get(node.id, ())
            if use is not node
        )

    def _binding(self, binding: Binding, owner: Scope, depth: int) -> bool:
        return (
            binding.how in (How.ASSIGN, How.LOOP)
            and binding.value is not None
            and self._is(binding.value, owner, depth)
        )

    def _is_changed(self, use: ast.Name, scope: Scope, depth: int) -> bool:
        """Say whether a use of a list or mapping puts data into it."""
        parent = self._module.parents.get(use)
        above = self._module.parents.get(parent) if parent is not None else None
        if isinstance(parent, ast.Attribute) and isinstance(above, ast.Call):
            parts = [*above.args, *(item.value for item in above.keywords)]
            return parent.attr in _CHANGING and not self._all(parts, scope, depth)
        if isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store):
            value = above.value if isinstance(above, ast.Assign) else None
            return value is None or not self._is(value, scope, depth)
        return False

    def of_attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> bool:
        if any(name in _PLACES for name in names_of(node, scope, self._module)):
            return True
        if node.attr in ("__name__", "__qualname__", "__module__"):
            return True  # names of code
        owner = scope.enclosing_class
        if owner is None or not isinstance(node.value, ast.Name):
            return False
        if node.value.id not in ("self", "cls"):
            return False
        given = self._module.attributes.get((owner, node.attr), ())
        bound = owner.bindings.get(node.attr, ())
        return (
            bool(given or bound)
            and all(self._is(value, inner, depth) for value, inner in given)
            and all(self._binding(binding, owner, depth) for binding in bound)
        )

    def of_call(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        names = set(names_of(node.func, scope, self._module))
        if names and names <= _QUOTING | _NUMBERS:
            return True
        parts = [*node.args, *(item.value for item in node.keywords)]
        if names and names <= _PURE:
            return self._all(parts, scope, depth)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            return self._all([node.func.value, *parts], scope, depth)
        return self._is_own(node, scope, depth)

    def _is_own(self, node: ast.Call, scope: Scope, depth: int) -> bool:
        """A function of the module that returns literals, whatever it is given."""
        if not isinstance(node.func, ast.Name):
            return False
        found = [
            inner
            for inner in self._module.scopes
            if inner.kind is Kind.FUNCTION and getattr(inner.node, "name", "") == node.func.id
        ]
        bound = list(scope.lookup(node.func.id))
        if len(found) != 1 or len(bound) != 1 or not isinstance(found[0].node, ast.FunctionDef):
            return False
        returned = [item for item in ast.walk(found[0].node) if isinstance(item, ast.Return)]
        return bool(returned) and self._all((item.value for item in returned), found[0], depth + 3)

    def of_percent(self, node: ast.BinOp, scope: Scope, depth: int) -> bool:
        left = node.left
        if (
            isinstance(node.op, ast.Mod)
            and isinstance(left, ast.Constant)
            and isinstance(left.value, str)
            and _NUMERIC.fullmatch(left.value)
        ):
            return True
        if isinstance(node.op, ast.Mult):  # a text so many times
            return self._is(left, scope, depth)
        return self._all((left, node.right), scope, depth)

    def of_formatted(self, node: ast.FormattedValue, scope: Scope, depth: int) -> bool:
        spec = node.format_spec
        if isinstance(spec, ast.JoinedStr) and len(spec.values) == 1:
            only = spec.values[0]
            if isinstance(only, ast.Constant) and _NUMERIC_SPEC.fullmatch(str(only.value)):
                return True  # anything but a number raises
        return self._is(node.value, scope, depth)

    def of_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, _: Scope, depth: int
    ) -> bool:
        inner = next((item for item in self._module.scopes if item.node is node), None)
        return inner is not None and self._is(node.elt, inner, depth)


_MADE = frozenset(
    {ast.JoinedStr, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.NamedExpr,
     ast.Starred, ast.Subscript, ast.UnaryOp, ast.Compare}
)  # fmt: skip
_JUDGES: dict[type[ast.expr], Callable[[Fixed, Any, Scope, int], bool]] = {
    ast.Name: Fixed.of_name,
    ast.Attribute: Fixed.of_attribute,
    ast.Call: Fixed.of_call,
    ast.BinOp: Fixed.of_percent,
    ast.FormattedValue: Fixed.of_formatted,
    ast.ListComp: Fixed.of_comprehension,
    ast.SetComp: Fixed.of_comprehension,
    ast.GeneratorExp: Fixed.of_comprehension,
}


def _parts(node: ast.expr) -> Iterable[ast.expr | None]:
    """Return the parts that what an expression gives is made of."""
    if isinstance(node, ast.IfExp):
        return node.body, node.orelse
    if isinstance(node, ast.NamedExpr | ast.Starred | ast.Subscript):
        return (node.value,)  # of fixed things any one is fixed
    if isinstance(node, ast.Compare):
        return ()
    if isinstance(node, ast.UnaryOp):
        return (node.operand,)
    if isinstance(node, ast.Dict):
        return (*node.keys, *node.values)
    if isinstance(node, ast.BoolOp | ast.JoinedStr):
        return node.values
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else ()
