"""Which of the names in artifacts are the tree's own plain classes.

Such a class may be allowed in an internal zone by its exact name. Only classes whose
construction from a pickle runs no code of theirs count: no ``__reduce__``, ``__setstate__``
and the like in their body or that of their bases in the tree, no base that the dangers list,
no metaclass, no decorator but dataclass. Other bases from libraries are taken for harmless.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from safehold import dangers

_RUNS_CODE = frozenset(
    "__new__ __reduce__ __reduce_ex__ __setstate__ __getattr__ __getattribute__ __setattr__ "
    "__getnewargs__ __getnewargs_ex__ __del__ __set_name__ __init_subclass__ "
    "__class_getitem__ __hash__ __eq__ __setitem__ append extend add".split()
)
_DATACLASS = frozenset({"dataclass", "dataclasses.dataclass"})
_NAMED_TUPLE = frozenset({"namedtuple", "collections.namedtuple"})
_PREFIXES = ("", "src", "lib", "app")
_MAIN = "__main__"
_TESTS = frozenset({"test", "tests"})
_MOST_OF_CALLERS = 200
_MOST_BASES = 16
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<origin>[.\w]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n;#]*)"
    r"|import[ \t]+(?P<plain>[^\n;#]*))",
    re.MULTILINE,
)
_WORD = re.compile(r"\w+(?:\.\w+)*")
_DEFINES = re.compile(rb"^(?:class[ \t]|\w+[ \t]*=.*namedtuple)", re.MULTILINE)


def own_classes(root: Path, names: Iterable[str]) -> frozenset[str]:
    """Return the names (``package.module.Class``) that the tree's sources define plainly."""
    return frozenset(name for name in names if _own_class(root, name))


@dataclass(frozen=True, slots=True)
class AtHand:
    """Classes of the tree that may end up in artifacts; loading the `others` runs their code."""

    plain: frozenset[str]
    others: frozenset[str]


def classes_at_hand(root: Path, writers: Sequence[str], files: Sequence[str] = ()) -> AtHand:
    """Return the tree's own classes that may end up in what some source files write.

    Those are the classes that a writer defines or imports by name. What it writes often comes
    from its callers, so those at hand in the other `files` that import a writer, directly or
    through others, count too, unless they are so many that nobody would read the list.
    """
    names: dict[str, bool] = {}
    for file in writers:
        names |= _of_file(root, file)
    more: dict[str, bool] = {}
    for file in _callers(root, writers, files):
        if len(more.keys() - names.keys()) > _MOST_OF_CALLERS:
            break
        if not _is_test(file):
            more |= _of_file(root, file)
    if len(more.keys() - names.keys()) <= _MOST_OF_CALLERS:
        names |= more
    return AtHand(
        frozenset(name for name, is_plain in names.items() if is_plain),
        frozenset(name for name, is_plain in names.items() if not is_plain),
    )


def _of_file(root: Path, file: str) -> dict[str, bool]:
    """Return the names of classes that a file defines or imports, and whether they are plain."""
    names: dict[str, bool] = {}
    tree = _parsed(root / file)
    for module in _module_names(root, file):
        names |= _at_hand(root, tree, module, is_package=file.endswith("__init__.py"))
    return names


def _is_test(file: str) -> bool:
    *directories, name = Path(file).parts
    return name.startswith("test_") or name == "conftest.py" or not _TESTS.isdisjoint(directories)


def _at_hand(
    root: Path, tree: ast.Module | None, module: str, *, is_package: bool
) -> dict[str, bool]:
    names: dict[str, bool] = {}
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ImportFrom):
            package = _imported_from(node, module, is_package=is_package)
            for alias in node.names:
                name = f"{package}.{alias.name}"
                if (is_plain := _own_class(root, name)) is not None:
                    names[name] = is_plain
    for path in _class_paths(tree):
        here = _Place(root, module, is_package)
        names[".".join([module, *path])] = _is_plain_in(tree, path, here) is True
    return names


def _class_paths(tree: ast.Module | None) -> Iterator[list[str]]:
    """Yield the names, outer ones first, of what a module defines as classes."""
    stack: list[tuple[list[str], list[ast.stmt]]] = [([], tree.body if tree else [])]
    while stack:
        outer, body = stack.pop()
        for item in body:
            if isinstance(item, ast.ClassDef):
                yield [*outer, item.name]
                stack.append(([*outer, item.name], item.body))
            elif not outer and (name := _named_tuple(item)):
                yield [name]


# --- who can reach a writer ----------------------------------------------------------------


def _callers(root: Path, writers: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return the files that import a writer, directly or through others."""
    importers: dict[str, set[str]] = defaultdict(set)
    for file in files if writers else ():
        for imported in _imports(root, file):
            importers[imported].add(file)
    reached = dict.fromkeys(writers)
    waiting = list(writers)
    while waiting:
        for module in _module_names(root, waiting.pop()):
            for file in sorted(importers[module] - reached.keys()):
                reached[file] = None
                waiting.append(file)
    return [file for file in reached if file not in writers]


def _imports(root: Path, file: str) -> Iterator[str]:
    """Yield the dotted names that a file may import, or more: whole trees are not parsed."""
    try:
        text = (root / file).read_bytes().decode("utf-8", "replace")
    except OSError:
        return
    modules = list(_module_names(root, file))
    is_package = file.endswith("__init__.py")
    for match in _IMPORT.finditer(text):
        if match["plain"] is not None:
            yield from _WORD.findall(match["plain"])
            continue
        origin = match["origin"].lstrip(".")
        node = ast.ImportFrom(origin or None, [], len(match["origin"]) - len(origin))
        for module in modules:
            base = _imported_from(node, module, is_package=is_package)
            yield base
            yield from (f"{base}.{name}" for name in _WORD.findall(match["names"]))


# --- names of modules ----------------------------------------------------------------------


def _module_names(root: Path, file: str) -> Iterator[str]:
    """Yield the dotted names under which a source file of the tree may be imported.

    Besides the path from the root and from a source directory, that is the path from the
    first directory that is no package, as for scripts and tests; a script is `__main__` too.
    """
    parts = list(Path(file).with_suffix("").parts)
    directories = parts[:-1]
    is_package = parts[-1] == "__init__"
    if is_package:
        parts.pop()
    starts = [parts]
    if len(parts) > 1 and parts[0] in _PREFIXES and not (root / parts[0] / "__init__.py").exists():
        starts.append(parts[1:])
    top = len(directories)
    while top and root.joinpath(*directories[:top], "__init__.py").exists():
        top -= 1
    starts.append(parts[top:])
    if not is_package and top == len(directories) and _is_script(root / file, directories):
        starts.append([_MAIN])
    yield from dict.fromkeys(
        ".".join(start) for start in starts if start and all(part.isidentifier() for part in start)
    )


def _is_script(file: Path, directories: list[str]) -> bool:
    """Say whether a file may be run by its name: it stands at the root or speaks of it."""
    if not directories:
        return True
    try:
        return _MAIN.encode() in file.read_bytes()
    except OSError:
        return False


def _imported_from(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    kept = len(parts) - node.level + (1 if is_package else 0)
    return ".".join([*parts[: max(kept, 0)], *([node.module] if node.module else [])])


def _own_class(root: Path, name: str, depth: int = 0) -> bool | None:
    """Say whether a class of the tree is plain; None when the tree has no such class."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    if parts[0] == _MAIN:
        return _is_plain_in_scripts(root, parts[1:])
    for split in range(len(parts) - 1, 0, -1):
        file = _module_file(root, parts[:split])
        if file is not None:
            here = _Place(root, ".".join(parts[:split]), file.name == "__init__.py", depth)
            return _is_plain_in(_parsed(file), parts[split:], here)
    return None


def _is_plain_in_scripts(root: Path, path: list[str]) -> bool | None:
    """Say whether every script at the root that defines such a class defines it plainly."""
    trees = [_parsed(file) for file in sorted(root.glob("*.py")) if _defines(file)]
    found = [tree for tree in trees if tree is not None and _defined(tree.body, path[0])]
    here = _Place(root, _MAIN, is_package=False)
    return all(_is_plain_in(tree, path, here) for tree in found) if found else None


def _defines(file: Path) -> bool:
    try:
        return _DEFINES.search(file.read_bytes()) is not None
    except OSError:
        return False


def _module_file(root: Path, module: list[str]) -> Path | None:
    for prefix in _PREFIXES:
        base = root.joinpath(prefix, *module)
        for file in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if file.is_file():
                return file
    return None


@lru_cache(maxsize=64)
def _parsed(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# --- what is plain -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """The module in which a class stands, and how many classes led to it as their base."""

    root: Path
    module: str
    is_package: bool
    depth: int = 0


def _is_plain_in(tree: ast.Module | None, path: list[str], here: _Place) -> bool | None:
    """Say whether a module's class is plain; None when the module has no such class."""
    if tree is None or here.depth > _MOST_BASES:
        return None if tree is None else False
    body = tree.body
    for position, name in enumerate(path):
        matches = _defined(body, name)
        if not matches:
            return None
        is_last = position == len(path) - 1
        found = matches[0]
        if len(matches) > 1:
            return False  # which one counts is decided at run time
        if not isinstance(found, ast.ClassDef):
            return True if is_last else None  # a named tuple
        if position == 0 and name in _changed(tree):
            return False
        if is_last:
            return _is_plain(found) and all(
                _is_plain_base(base, tree, here) for base in found.bases
            )
        body = found.body
    return None


@lru_cache(maxsize=64)
def _changed(tree: ast.Module) -> frozenset[str]:
    """Return the names that a module may bind anew, or whose methods it may replace."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                names.add(node.id)
        elif isinstance(node, ast.Attribute):
            if not isinstance(node.ctx, ast.Load) and node.attr in _RUNS_CODE:
                names.add(_plain_name(node.value))
        elif isinstance(node, ast.Call):
            if _plain_name(node.func) == "setattr" and node.args:
                names.add(_plain_name(node.args[0]))
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            below = ast.iter_child_nodes(node)
            names.update(item.name for item in below if isinstance(item, ast.ClassDef))
    return frozenset(names)


def _plain_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_plain_base(node: ast.expr, tree: ast.Module, here: _Place) -> bool:
    """Say whether a class may inherit from this: plain in the tree, or of no known danger."""
    if isinstance(node, ast.Subscript):  # Generic[T]
        node = node.value
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).rpartition(".")[2] in ("namedtuple", "NamedTuple")
    dotted = ast.unparse(node)
    if not _WORD.fullmatch(dotted):
        return False
    first, _, rest = dotted.partition(".")
    deeper = replace(here, depth=here.depth + 1)
    if _defined(tree.body, first):
        return _is_plain_in(tree, dotted.split("."), deeper) is True
    name = ".".join(filter(None, [_origin(tree, first, here), rest]))
    own = _own_class(here.root, name, deeper.depth)
    if own is not None:
        return own
    parts = name.split(".")
    borders = range(1, len(parts)) if len(parts) > 1 else ()
    if not borders:
        return dangers.lookup("builtins", name) is None
    return all(
        dangers.lookup(".".join(parts[:border]), ".".join(parts[border:])) is None
        for border in borders
    )


def _origin(tree: ast.Module, name: str, here: _Place) -> str:
    """Return what a module's imports bind a name to, or the name itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = _imported_from(node, here.module, is_package=here.is_package)
                    return f"{package}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname == name:
                    return alias.name
    return name


def _defined(body: list[ast.stmt], name: str) -> list[ast.stmt]:
    return [
        item
        for item in body
        if (isinstance(item, ast.ClassDef) and item.name == name) or _named_tuple(item) == name
    ]


def _named_tuple(item: ast.stmt) -> str:
    """Return the name in `Point = namedtuple("Point", "x y")`, empty for other statements."""
    if not isinstance(item, ast.Assign) or not isinstance(item.value, ast.Call):
        return ""
    names = [target.id for target in item.targets if isinstance(target, ast.Name)]
    if len(names) != 1 or ast.unparse(item.value.func) not in _NAMED_TUPLE:
        return ""
    return names[0]


def _is_plain(node: ast.ClassDef) -> bool:
    if node.keywords or not all(_is_dataclass(item) for item in node.decorator_list):
        return False
    return not any(_RUNS_CODE & _bound(item) for item in node.body)


def _is_dataclass(node: ast.expr) -> bool:
    function = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(function) in _DATACLASS


def _bound(item: ast.stmt) -> set[str]:
    """Return the names that a statement of a class body binds."""
    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {item.name}
    return {
        node.id
        for node in ast.walk(item)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
