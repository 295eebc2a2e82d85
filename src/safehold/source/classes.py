"""Which of the names in artifacts are the tree's own plain classes.

Such a class may be allowed in an internal zone by its exact name. Only classes whose
construction from a pickle runs no code of theirs count: no ``__reduce__``, ``__setstate__``
and the like in their body, no metaclass, no decorator but dataclass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

_RUNS_CODE = frozenset(
    "__new__ __reduce__ __reduce_ex__ __setstate__ __getattr__ __getattribute__ __setattr__ "
    "__getnewargs__ __getnewargs_ex__ __del__ __set_name__ __init_subclass__ "
    "__class_getitem__ __hash__ __eq__ __setitem__ append extend add".split()
)
_DATACLASS = frozenset({"dataclass", "dataclasses.dataclass"})
_PREFIXES = ("", "src", "lib", "app")


def own_classes(root: Path, names: Iterable[str]) -> frozenset[str]:
    """Return the names (``package.module.Class``) that the tree's sources define plainly."""
    return frozenset(name for name in names if _is_own_plain_class(root, name))


def classes_at_hand(root: Path, files: Iterable[str]) -> frozenset[str]:
    """Return the tree's own plain classes that these source files define or import by name.

    What a file that writes artifacts has at hand is what it may put into them.
    """
    names: set[str] = set()
    for file in files:
        tree = _parsed(root / file)
        for module in _module_names(root, file):
            names.update(_at_hand(tree, module, is_package=file.endswith("__init__.py")))
    return own_classes(root, names)


def _at_hand(tree: ast.Module | None, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ClassDef):
            yield f"{module}.{node.name}"
        elif isinstance(node, ast.ImportFrom):
            package = _imported_from(node, module, is_package=is_package)
            yield from (f"{package}.{alias.name}" for alias in node.names)


def _module_names(root: Path, file: str) -> Iterator[str]:
    """Yield the dotted names under which a source file of the tree may be imported."""
    parts = list(Path(file).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    starts = [parts]
    if len(parts) > 1 and parts[0] in _PREFIXES and not (root / parts[0] / "__init__.py").exists():
        starts.append(parts[1:])
    yield from (
        ".".join(start) for start in starts if start and all(part.isidentifier() for part in start)
    )


def _imported_from(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    kept = len(parts) - node.level + (1 if is_package else 0)
    return ".".join([*parts[: max(kept, 0)], *([node.module] if node.module else [])])


def _is_own_plain_class(root: Path, name: str) -> bool:
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    for split in range(len(parts) - 1, 0, -1):
        file = _module_file(root, parts[:split])
        if file is not None:
            found = _find_class(_parsed(file), parts[split:])
            return found is not None and _is_plain(found)
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


def _find_class(tree: ast.Module | None, path: list[str]) -> ast.ClassDef | None:
    body: list[ast.stmt] = [] if tree is None else tree.body
    found: ast.ClassDef | None = None
    for name in path:
        matches = [item for item in body if isinstance(item, ast.ClassDef) and item.name == name]
        if len(matches) != 1:
            return None  # missing, or defined twice: which one counts is decided at run time
        found = matches[0]
        body = found.body
    return found


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
