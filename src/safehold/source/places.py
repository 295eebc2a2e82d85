"""Paths that the source shows: literals, joins, constants and the handles opened on them.

A part that is not known becomes `*`; a path whose first part is not known is no path. What
a path names at run time may differ; the facades look at that, this is for reports and plans.
"""

from __future__ import annotations

import ast
import os.path
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from safehold.source.entries import last_name
from safehold.source.neighbours import Neighbours
from safehold.source.scopes import Binding, How, Module, Scope

_DEPTH = 16
_FIELD = re.compile(r"\{[^{}]*\}")
_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]")
_OPENERS = frozenset({"open", "GzipFile", "BZ2File", "LZMAFile", "FileIO", "File"})
_OPENING_MODULES = frozenset({"io", "gzip", "bz2", "lzma", "codecs", "builtins", "os"})
_PATH_CLASSES = frozenset(
    "Path PurePath PosixPath PurePosixPath AsyncPath abspath realpath normpath expanduser "
    "expandvars fspath str".split()
)
_SAME_PATH = frozenset("resolve absolute expanduser as_posix strip __str__".split())
_GLOBS = frozenset({"glob", "rglob", "iglob"})


@dataclass(frozen=True, slots=True)
class Shown:
    """A path that an expression shows, and whether it is reached through a handle or bytes.

    It is not `sure` when it is a default that a caller or the environment can replace.
    """

    pattern: str
    via: str = "path"
    sure: bool = True


class Places:
    """Evaluates path expressions of one module.

    `here` is the path of the source relative to the policy's root, for `__file__`; `root`
    makes absolute paths below it relative. Constants of other modules are followed when
    `neighbours` can find them.
    """

    def __init__(
        self, module: Module, here: str, root: str, neighbours: Neighbours | None = None
    ) -> None:
        self._module = module
        self._here = here
        self._root = root.rstrip("/") + "/"
        self._sure = True
        self._neighbours = neighbours

    def of_file(self, node: ast.expr, scope: Scope) -> Shown | None:
        """Return the path behind a file argument: a path, or a handle opened on one."""
        self._sure = True
        pattern, via = self._file(node, scope, 0)
        return self._shown(pattern, via)

    def of_bytes(self, node: ast.expr, scope: Scope) -> Shown | None:
        """Return the path whose content an expression is: `open(p).read()`, `p.read_bytes()`."""
        self._sure = True
        node, scope = self._single(node, scope)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "read_bytes":
                pattern = self._evaluate(node.func.value, scope, 0)
                return self._shown(pattern, "bytes")
            if node.func.attr == "read":
                shown = self.of_file(node.func.value, scope)
                return None if shown is None else Shown(shown.pattern, "bytes", shown.sure)
        return None

    def of_written_bytes(self, call: ast.Call, scope: Scope) -> Shown | None:
        """Return the path to which the result of a call is written at once."""
        above = self._module.parents.get(call)
        if not isinstance(above, ast.Call) or not isinstance(above.func, ast.Attribute):
            return None
        self._sure = True
        if above.func.attr == "write_bytes":
            pattern = self._evaluate(above.func.value, scope, 0)
            return self._shown(pattern, "bytes")
        if above.func.attr == "write":
            shown = self.of_file(above.func.value, scope)
            return None if shown is None else Shown(shown.pattern, "bytes", shown.sure)
        return None

    def _shown(self, pattern: str | None, via: str) -> Shown | None:
        if pattern is None or pattern.startswith("*"):
            return None  # the head decides about the zone
        relative = pattern.removeprefix(self._root)
        return Shown(posixpath.normpath(relative), via, self._sure)

    def _single(self, node: ast.expr, scope: Scope) -> tuple[ast.expr, Scope]:
        """Follow a name that is assigned once."""
        if isinstance(node, ast.Name):
            bindings = list(scope.lookup(node.id))
            if len(bindings) == 1 and bindings[0][1].how is How.ASSIGN and bindings[0][1].value:
                return bindings[0][1].value, bindings[0][0]
        return node, scope

    # -- handles

    def _file(self, node: ast.expr, scope: Scope, depth: int) -> tuple[str | None, str]:
        if depth > _DEPTH:
            return None, ""
        if isinstance(node, ast.Call) and (opened := _opened(node)) is not None:
            return self._evaluate(opened, scope, depth + 1), "handle"
        if isinstance(node, ast.Name):
            binding = _nearest(scope, node)
            if binding is not None and binding[1].how in (How.WITH, How.ASSIGN):
                owner, bound = binding
                value = bound.value
                if isinstance(value, ast.Call | ast.Name):
                    found = self._file(value, owner, depth + 1)
                    if found[0] is not None or bound.how is How.WITH:
                        return found
        return self._evaluate(node, scope, depth + 1), "path"

    # -- paths

    def _evaluate(self, node: ast.expr, scope: Scope, depth: int) -> str | None:
        if depth > _DEPTH:
            return None
        evaluate = _EVALUATORS.get(type(node))
        return None if evaluate is None else evaluate(self, node, scope, depth + 1)

    def part(self, node: ast.expr, scope: Scope, depth: int) -> str:
        """Evaluate a later part of a path, which may stay unknown."""
        found = self._evaluate(node, scope, depth)
        return "*" if found is None else found

    def constant(self, node: ast.Constant, scope: Scope, depth: int) -> str | None:
        """`"models/a.joblib"`."""
        del scope, depth
        if isinstance(node.value, str):
            return node.value
        return os.fsdecode(node.value) if isinstance(node.value, bytes) else None

    def joined(self, node: ast.JoinedStr, scope: Scope, depth: int) -> str | None:
        """`f"models/{name}.joblib"`."""
        parts = [
            self.part(piece.value if isinstance(piece, ast.FormattedValue) else piece, scope, depth)
            for piece in node.values
        ]
        return "".join(parts) or None

    def operation(self, node: ast.BinOp, scope: Scope, depth: int) -> str | None:
        """`base / name`, `base + name`, `"models/%s" % name`."""
        left = self._evaluate(node.left, scope, depth)
        if left is None:
            return None
        if isinstance(node.op, ast.Mod):
            return _PERCENT.sub("*", left)
        right = self.part(node.right, scope, depth)
        if isinstance(node.op, ast.Add):
            return left + right
        return posixpath.join(left, right) if isinstance(node.op, ast.Div) else None

    def choice(self, node: ast.IfExp | ast.BoolOp, scope: Scope, depth: int) -> str | None:
        """`path or "models/a.joblib"`: the part that the source shows, if it is one."""
        values = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
        self._sure = False
        found = {self._evaluate(value, scope, depth) for value in values} - {None}
        return found.pop() if len(found) == 1 else None

    def attribute(self, node: ast.Attribute, scope: Scope, depth: int) -> str | None:
        """`path.parent`, `self.directory`."""
        if node.attr == "parent":
            base = self._evaluate(node.value, scope, depth)
            return None if base is None else posixpath.dirname(base) or "."
        if isinstance(node.value, ast.Name) and node.value.id not in ("self", "cls"):
            return self._member(node.value.id, node.attr, scope, depth)
        owner = scope.enclosing_class
        if owner is None or not isinstance(node.value, ast.Name):
            return None
        return self._field(owner, node.attr, depth)

    def _field(self, owner: Scope, name: str, depth: int) -> str | None:
        """Return what a class keeps under a name."""
        found = {
            self._evaluate(value, inner, depth)
            for value, inner in self._module.attributes.get((owner, name), ())
        } | {
            self._evaluate(binding.value, owner, depth)
            for binding in owner.bindings.get(name, ())
            if binding.value is not None
        }
        return found.pop() if len(found) == 1 else None

    def subscript(self, node: ast.Subscript, scope: Scope, depth: int) -> str | None:
        """`Path(__file__).parents[1]`."""
        value = node.value
        if not isinstance(value, ast.Attribute) or value.attr != "parents":
            return None
        base = self._evaluate(value.value, scope, depth)
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if base is None or not isinstance(index, int):
            return None
        for _ in range(min(max(index, 0), _DEPTH) + 1):
            base = posixpath.dirname(base) or "."
        return base

    def name(self, node: ast.Name, scope: Scope, depth: int) -> str | None:
        """Follow a name to the constant that it holds."""
        if node.id == "__file__":
            return self._here
        bindings = list(scope.lookup(node.id))
        found = {self._bound(binding, owner, depth) for owner, binding in bindings}
        return found.pop() if len(found) == 1 else None

    def _member(self, base: str, name: str, scope: Scope, depth: int) -> str | None:
        """`settings.MODELS`: of a module, or a field of an object made of a class."""
        for owner, binding in scope.lookup(base):
            if binding.how is How.ASSIGN and isinstance(binding.value, ast.Call):
                return self._instance(binding.value, name, depth)
            if binding.alias is None:
                return None
            for dotted, level, inner in _imported(binding, base):
                found = self._foreign(dotted, level, (*inner, name), depth)
                if found is not None:
                    return found
            del owner
        return None

    def _instance(self, call: ast.Call, name: str, depth: int) -> str | None:
        """Return the default that a class of this module gives to a field."""
        self._sure = False
        for scope in self._module.scopes:
            if isinstance(scope.node, ast.ClassDef) and scope.node.name == last_name(call.func):
                return self._field(scope, name, depth)
        return None

    def _foreign(self, dotted: str, level: int, names: tuple[str, ...], depth: int) -> str | None:
        """Evaluate a name, or a name and its field, in another module of the tree."""
        if self._neighbours is None or depth > _DEPTH:
            return None
        neighbour = self._neighbours.find(dotted, level, self._here)
        if neighbour is None:
            return None
        there = Places(neighbour.module, neighbour.here, self._root, self._neighbours)
        scope = neighbour.module.scope
        if len(names) == 1:
            found = there.name(ast.Name(names[0], ast.Load()), scope, depth + 1)
        else:
            found = there._member(names[0], names[1], scope, depth + 1)
        self._sure = self._sure and there._sure
        return found

    def _bound(self, binding: Binding, owner: Scope, depth: int) -> str | None:
        value = binding.value
        if binding.how is How.FROM and isinstance(binding.statement, ast.ImportFrom):
            statement = binding.statement
            names = (binding.alias.name,) if binding.alias else ()
            return self._foreign(statement.module or "", statement.level, names, depth)
        if value is None or binding.how is How.WITH:
            return None
        if binding.how is How.LOOP:
            return self._looped(value, owner, depth)
        if binding.how is How.PARAMETER:
            self._sure = False
            return self._evaluate(value, owner.parent or owner, depth)
        return self._evaluate(value, owner, depth)

    def _looped(self, node: ast.expr, scope: Scope, depth: int) -> str | None:
        """`for path in Path("models").glob("*.pkl")`."""
        if isinstance(node, ast.Call) and last_name(node.func) == "sorted" and node.args:
            return self._looped(node.args[0], scope, depth)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr in _GLOBS and node.args:
            pattern = self.part(node.args[0], scope, depth)
            if last_name(node.func.value) == "glob":
                return pattern
            base = self._evaluate(node.func.value, scope, depth)
            deeper = "**" if node.func.attr == "rglob" else ""
            return None if base is None else posixpath.join(base, deeper, pattern)
        if node.func.attr == "iterdir":
            base = self._evaluate(node.func.value, scope, depth)
            return None if base is None else posixpath.join(base, "*")
        return None

    def call(self, node: ast.Call, scope: Scope, depth: int) -> str | None:
        """`os.path.join(...)`, `Path(...)`, `path.with_suffix(...)`, `os.getenv(..., "models")`."""
        name = last_name(node.func)
        if name in _PATH_CLASSES or (name == "join" and _is_path_module(node.func)):
            return self._join(node.args, scope, depth)
        if name == "dirname" and node.args:
            base = self._evaluate(node.args[0], scope, depth)
            return None if base is None else posixpath.dirname(base) or "."
        if _reads_environment(node.func) and len(node.args) == 2:
            self._sure = False
            return self._evaluate(node.args[1], scope, depth)
        if not isinstance(node.func, ast.Attribute):
            return None
        base = self._evaluate(node.func.value, scope, depth)
        return None if base is None else self._method(base, node, scope, depth)

    def _method(self, base: str, node: ast.Call, scope: Scope, depth: int) -> str | None:
        name = last_name(node.func)
        if name in _SAME_PATH:
            return base
        if name == "format":
            return _FIELD.sub("*", base)
        if name == "joinpath":
            parts = [self.part(argument, scope, depth) for argument in node.args]
            return posixpath.join(base, *parts)
        if name in ("with_suffix", "with_name", "with_stem") and node.args:
            part = self.part(node.args[0], scope, depth)
            stem, suffix = posixpath.splitext(base)
            if name == "with_suffix":
                return stem + part
            directory = posixpath.dirname(base)
            return posixpath.join(directory, part + (suffix if name == "with_stem" else ""))
        return None

    def _join(self, arguments: list[ast.expr], scope: Scope, depth: int) -> str | None:
        if not arguments or any(isinstance(item, ast.Starred) for item in arguments):
            return None
        first = self._evaluate(arguments[0], scope, depth)
        if first is None:
            return None
        return posixpath.join(first, *(self.part(item, scope, depth) for item in arguments[1:]))


def _imported(binding: Binding, name: str) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield the modules that an imported name can be: (dotted, level, names to look up in it)."""
    statement, alias = binding.statement, binding.alias
    if alias is None or statement is None:
        return
    if isinstance(statement, ast.Import):
        yield (alias.name if alias.asname else name), 0, ()
        return
    base = statement.module or ""
    yield (f"{base}.{alias.name}" if base else alias.name), statement.level, ()
    yield base, statement.level, (alias.name,)


def _opened(node: ast.Call) -> ast.expr | None:
    """Return what a call opens, None when it opens nothing."""
    name = last_name(node.func)
    if name not in _OPENERS:
        return None
    if isinstance(node.func, ast.Attribute) and name == "open":
        owner = last_name(node.func.value)
        if owner not in _OPENING_MODULES:
            return None if owner in ("fs", "tarfile", "zipfile", "storage") else node.func.value
    if node.args:
        return node.args[0]
    return next((item.value for item in node.keywords if item.arg in ("file", "filename")), None)


def _nearest(scope: Scope, node: ast.Name) -> tuple[Scope, Binding] | None:
    """Return the last binding before a use, else the only one there is."""
    bindings = list(scope.lookup(node.id))
    before = [item for item in bindings if item[1].line <= node.lineno and item[0] is scope]
    if before:
        return max(before, key=lambda item: item[1].line)
    return bindings[0] if len(bindings) == 1 else None


def _reads_environment(func: ast.expr) -> bool:
    """`os.getenv`, `os.environ.get`."""
    if isinstance(func, ast.Attribute) and func.attr == "get":
        return last_name(func.value) == "environ"
    return last_name(func) == "getenv"


def _is_path_module(func: ast.expr) -> bool:
    """Tell `os.path.join` and `join` from `", ".join`."""
    if isinstance(func, ast.Attribute):
        return last_name(func.value) in ("path", "posixpath", "osp", "op")
    return True


_EVALUATORS: dict[type[ast.expr], Callable[..., str | None]] = {
    ast.Constant: Places.constant,
    ast.JoinedStr: Places.joined,
    ast.BinOp: Places.operation,
    ast.IfExp: Places.choice,
    ast.BoolOp: Places.choice,
    ast.Attribute: Places.attribute,
    ast.Subscript: Places.subscript,
    ast.Name: Places.name,
    ast.Call: Places.call,
}
