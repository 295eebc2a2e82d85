"""Names of libraries that one module of a tree takes from another one of it.

`from .compat import torch` and `from app.io import load_model` mean what `compat.py` and `io.py`
bind to these names. Before a tree is looked at, `find_reexports` reads the import statements of
all its files, as text, and keeps the few files that may take such a name; of those alone the other
module is parsed. Notebooks take no part, nor do names that are set on a module from elsewhere.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from safehold.source.calls import names_of
from safehold.source.entries import Libraries, literal, spelled
from safehold.source.neighbours import candidates
from safehold.source.row import Use
from safehold.source.scopes import Module

_ROUNDS: Final = 8
"""Modules that may hand a name on, one to the next."""
_ID: Final = rb"[\w\x80-\xff]"
_LISTED: Final = rb"(\((?:[^)#]|#[^\n\r]*)*\)|[^\n\r;#]*(?:\\\r?\n[^\n\r;#]*)*)"
_FROM: Final = re.compile(
    rb"(?<![\w.])from[ \t]*(\.*)[ \t]*(" + _ID + rb"[\w.\x80-\xff]*)?[ \t]+import[ \t]*" + _LISTED
)
_IMPORT: Final = re.compile(rb"(?<![\w.])import[ \t]+([^\n\r;#]+)")
_CLAUSE: Final = re.compile(r"([^\s,()\\]+)(?:\s+as\s+([^\s,()\\]+))?")
_COMMENT: Final = re.compile(rb"#[^\n\r]*")
# What stands behind a `=`: a name, or what is made of one.
_VALUE: Final = re.compile(
    rb"=[ \t]*(?:[\w.]*partial(?:method)?\(|getattr\(|staticmethod\()*([\w.]+)[ \t]*"
    rb"(?:,[ \t]*['\"](\w+)|[),#\r\n]|\Z|if |or )"
)
_MADE: Final = (b"partial(", b"getattr(", b"staticmethod(")
# Names that stand behind many a `=`, and what matters of them.
_LARGE: Final = frozenset({"np", "numpy", "pd", "pandas"})
_LARGE_MEMBERS: Final = ("load", "read_pickle")
_TARGET: Final = re.compile(rb"[ \t]{0,12}(\w+)[ \t]*(?::[^=]*)?")


class Import(NamedTuple):
    """`from module import names`, or `import module` when there are none."""

    level: int
    module: str
    names: tuple[tuple[str, str], ...]  # name, bound as
    bound: str = ""  # of a module without names


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a module's name stands for.

    `is_plain`: nothing but one import at the top of the module binds it. `in_star`: `import *`
    takes it along. `is_settled`: migration points it at a facade where it is bound.
    """

    dotted: str
    is_plain: bool
    in_star: bool = True
    is_settled: bool = False


@dataclass(frozen=True)
class Reexports:
    """The files of a tree that take names of libraries from other files of it.

    ``offered``: by path, the names with which a module may hand on a library; ``taken``: those of
    them that another module reads; ``takers``: the paths of these others.
    """

    paths: frozenset[str] = frozenset()
    offered: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taken: Mapping[str, frozenset[str]] = field(default_factory=dict)
    takers: frozenset[str] = frozenset()
    _found: dict[tuple[str, int, str], str | None] = field(default_factory=dict)

    def module_at(self, module: str, level: int, here: str) -> str | None:
        """Return the path of a module that `here` imports; None when it is not in the tree."""
        key = module, level, posixpath.dirname(here)
        if key not in self._found:
            found = candidates(module, level, here)
            self._found[key] = next((path for path in found if path in self.paths), None)
        return self._found[key]

    def meanings(self, module: Module, here: str, of: Offers) -> dict[str, Meaning]:
        """Return what names mean that a module takes from others, as they are spelled there."""
        found: dict[str, Meaning] = {}
        used = frozenset(_attributes(module))
        for statement, alias in _aliases(module):
            name = spelled(statement, alias)
            if name is None:
                continue
            if isinstance(statement, ast.Import):
                found.update(self._below(name, name, 0, here, of, used))
                continue
            level, owner = statement.level, statement.module or ""
            path = self.module_at(owner, level, here)
            if path is not None and path in self.offered and path != here:
                offers = of(path)
                if alias.name in offers:
                    found[name] = offers[alias.name]
                elif alias.name == "*":
                    prefix = name.removesuffix("*")
                    found.update(
                        (prefix + item, meant) for item, meant in offers.items() if meant.in_star
                    )
            if alias.name != "*":
                dotted = f"{owner}.{alias.name}" if owner else alias.name
                found.update(self._below(name, dotted, level, here, of, used))
        return found

    def _below(
        self, name: str, module: str, level: int, here: str, of: Offers, used: frozenset[str]
    ) -> Iterator[tuple[str, Meaning]]:
        path = self.module_at(module, level, here)
        if path is not None and path in self.offered and path != here:
            for item, meant in of(path).items():
                if item in used:
                    yield f"{name}.{item}", meant


Offers = Callable[[str], Mapping[str, Meaning]]
"""What the names of a module mean, by its path."""


def find_reexports(
    paths: Iterable[str], read: Callable[[str], bytes], libraries: Libraries
) -> Reexports:
    """Look at the imports of all files, given by their paths; `read` gives no bytes for some."""
    known = frozenset(paths)
    tops = frozenset(part.removesuffix(".py") for path in known for part in path.split("/"))
    roots = frozenset(_root(module) for module in libraries.by_module)
    places = tops - roots  # libraries are known by their own names, in a tree of theirs too
    members = frozenset(_members(libraries))
    words = [root.encode() for root in sorted(roots)]
    inner: dict[str, tuple[Import, ...]] = {}
    offered: dict[str, set[str]] = {}
    for path in known:
        data = read(path)
        if b"import" not in data:
            continue
        imports = list(_imports(data, roots | tops))
        ours = tuple(item for item in imports if item.level or _root(item.module) in places)
        if ours:
            inner[path] = ours
        if any(word in data for word in words):
            names = set(_of_libraries(imports, libraries))
            # What has such a name in another module may be a library, too.
            taken = {new for item in ours for old, new in item.names if old in roots | members}
            if (names or taken) and _may_assign(data, names | taken):
                names.update(_assigned(data, names | taken | members))
            if names:
                offered[path] = names
    return _linked(Reexports(known), inner, offered, read)


def _linked(
    tree: Reexports,
    inner: Mapping[str, tuple[Import, ...]],
    offered: dict[str, set[str]],
    read: Callable[[str], bytes],
) -> Reexports:
    """Follow names from module to module, until no module offers more than before."""
    taken: dict[str, set[str]] = {}
    takers: set[str] = set()
    stems = frozenset(map(_stem, offered))
    for _ in range(_ROUNDS):
        grown = False
        for here, imports in inner.items():
            for item in imports:
                for path, name, bound in _links(tree, item, here, offered, stems):
                    taken.setdefault(path, set()).add(name)
                    takers.add(here)
                    names = offered.setdefault(here, set())
                    grown = grown or bound not in names
                    names.add(bound)
        if not grown:
            break
        stems = frozenset(map(_stem, offered))
    for here, imports in inner.items():
        for path, name in _through_modules(tree, imports, here, offered, stems, read):
            taken.setdefault(path, set()).add(name)
            takers.add(here)
    return Reexports(
        tree.paths,
        {path: frozenset(offered[path]) for path in taken},
        {path: frozenset(names) for path, names in taken.items()},
        frozenset(takers),
    )


def _links(
    tree: Reexports,
    item: Import,
    here: str,
    offered: Mapping[str, set[str]],
    stems: frozenset[str],
) -> Iterator[tuple[str, str, str]]:
    """Yield the path, name and new name of what a statement takes by name."""
    if not item.names or (item.module and item.module.rpartition(".")[2] not in stems):
        return
    path = tree.module_at(item.module, item.level, here)
    if path is None or path == here or path not in offered:
        return
    names = offered[path]
    for name, bound in item.names:
        if name == "*":
            yield from ((path, each, each) for each in sorted(names))
        elif name in names:
            yield path, name, bound


def _through_modules(
    tree: Reexports,
    imports: Iterable[Import],
    here: str,
    offered: Mapping[str, set[str]],
    stems: frozenset[str],
    read: Callable[[str], bytes],
) -> Iterator[tuple[str, str]]:
    """Yield what is reached as `compat.torch`, where the module itself was imported."""
    text: bytes | None = None
    for item in imports:
        wanted = [
            (f"{item.module}.{name}" if item.module else name, bound) for name, bound in item.names
        ] or [(item.module, item.bound)]
        for module, bound in wanted:
            if module.rpartition(".")[2] not in stems:
                continue
            path = tree.module_at(module, item.level, here)
            if path is None or path == here or path not in offered:
                continue
            text = read(here) if text is None else text
            for name in offered[path]:
                if f"{bound}.{name}".encode() in text:
                    yield path, name


def _imports(data: bytes, tops: frozenset[str]) -> Iterator[Import]:
    """Yield the statements that import from the modules of the tree, or from libraries."""
    at = data.find(b"import")
    while at >= 0:
        start = max(data.rfind(b"\n", 0, at), data.rfind(b";", 0, at)) + 1
        word = data.find(b"from", start, at)
        match = _FROM.match(data, word) if word >= 0 else None
        if match is not None:
            level, module = len(match[1]), (match[2] or b"").decode("utf-8", "replace")
            if level or _root(module) in tops:
                names = _COMMENT.sub(b"", match[3]).decode("utf-8", "replace")
                yield Import(level, module, tuple((n, b or n) for n, b in _CLAUSE.findall(names)))
        elif (match := _IMPORT.match(data, at)) is not None:
            for module, bound in _CLAUSE.findall(match[1].decode("utf-8", "replace")):
                if _root(module) in tops:
                    yield _whole(module, bound)
        at = data.find(b"import", at + 6)


def _whole(module: str, bound: str) -> Import:
    """Read `import a.b as c` as `from a import b as c`, which means the same."""
    owner, _, name = module.rpartition(".")
    if owner and bound:
        return Import(0, owner, ((name, bound),))
    return Import(0, module, (), bound or module)


def _of_libraries(imports: Iterable[Import], libraries: Libraries) -> Iterator[str]:
    """Yield the names that are bound to a library, or to what reads or writes in one."""
    for item in imports:
        if item.level:
            continue
        if not item.names:
            # Of `import torch.nn` the name is that of the whole.
            name = item.module if item.bound != item.module else _root(item.module)
            if _is_unsafe(name, libraries):
                yield _root(item.bound)
        for name, bound in item.names:
            if name == "*":
                hit = libraries.split(item.module)
                yield from () if hit is None else (*hit[1].reads, *hit[1].writes)
            elif _is_unsafe(f"{item.module}.{name}", libraries):
                yield bound


def _assigned(data: bytes, meant: Container[str]) -> Iterator[str]:
    """Yield the names that are given a value with one of these names."""
    for match in _VALUE.finditer(data):
        if (match[2] or match[1].rpartition(b".")[2]).decode() in meant:
            start = data.rfind(b"\n", 0, match.start()) + 1
            target = _TARGET.fullmatch(data, start, match.start())
            if target is not None:
                yield target[1].decode()


def _root(module: str) -> str:
    return module.partition(".")[0]


def _may_assign(data: bytes, names: Iterable[str]) -> bool:
    """Say whether a name can be given one of these values: most files only call them."""
    values = [
        f"{name}.{member}" if name in _LARGE else name
        for name in names
        for member in (_LARGE_MEMBERS if name in _LARGE else ("",))
    ]
    given = (f"= {value}".encode() for value in values)
    return any(part in data for part in (*_MADE, *given))


def _members(libraries: Libraries) -> Iterator[str]:
    for _, library in libraries.by_module.values():
        for name in (*library.reads, *library.writes, *library.beyond):
            yield name.rpartition(".")[2]


def _stem(path: str) -> str:
    """Return the last part of a module's name."""
    name = posixpath.basename(path).removesuffix(".py")
    return posixpath.basename(posixpath.dirname(path)) if name == "__init__" else name


def _aliases(module: Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, ast.alias]]:
    for scope in module.scopes:
        for bindings in scope.bindings.values():
            for binding in bindings:
                if binding.statement is not None and binding.alias is not None:
                    yield binding.statement, binding.alias
    for star in module.stars:
        yield star, star.names[0]


def _attributes(module: Module) -> Iterator[str]:
    """Yield what is read of anything in a module, and what can be the name of it."""
    for node in module.parents:
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def offers_of(
    module: Module, names: Iterable[str], libraries: Libraries
) -> Iterator[tuple[str, Meaning]]:
    """Yield those of a module's names that stand for a library, or for what reads or writes."""
    listed = _listed(module)
    for name in names:
        in_star = name in listed if listed is not None else not name.startswith("_")
        for dotted in names_of(ast.Name(name, ast.Load()), module.scope, module):
            if _is_unsafe(dotted, libraries):
                yield name, Meaning(dotted, _is_plain(module, name), in_star)
                break


def _is_unsafe(dotted: str, libraries: Libraries) -> bool:
    hit = libraries.split(dotted)
    if hit is None:
        return libraries.below(dotted) is not None
    _, library, member = hit
    return not member or library.use(member) in (Use.READ, Use.WRITE, Use.BEYOND)


def _is_plain(module: Module, name: str) -> bool:
    bindings = module.scope.bindings.get(name, [])
    return len(bindings) == 1 and bindings[0].statement in module.tree.body


def _listed(module: Module) -> frozenset[str] | None:
    """Return what `__all__` lists; None without it."""
    for binding in module.scope.bindings.get("__all__", ()):
        if isinstance(binding.value, ast.List | ast.Tuple):
            return frozenset(filter(None, map(literal, binding.value.elts)))
    return None
