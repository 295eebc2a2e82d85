"""The one table of names that run code, start processes or touch files, network or interpreter.

A row is a dotted name and covers everything below it: ``subprocess`` covers ``subprocess.Popen``.
A leading underscore of a component does not count, so one row serves ``_io.open`` and
``io.open``, or ``numpy._core`` and ``numpy.core``. Nothing here imports what it names.

The table is for naming an attack, never for deciding that something is harmless: a name without
a row is unknown, and only the presets of `safehold.allow` make a name known.
"""

from __future__ import annotations

# Plain dictionaries with which CPython itself reads Python 2 pickles.
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from functools import lru_cache

from safehold.dangers._homes import homes, makers
from safehold.dangers._libraries import METHODS
from safehold.dangers._powers import Power
from safehold.dangers._rows import ROWS

__all__ = ["Danger", "Power", "homes", "lookup", "makers", "modern", "rows"]


@dataclass(frozen=True, slots=True)
class Danger:
    """The row that a name matched: what it can do, why it is listed, where that is documented.

    ``why`` continues a sentence that begins with the name: "runs text or code objects as Python".
    """

    name: str
    powers: Power
    cwe: int
    why: str
    source: str


# Values: they stand below a row, yet make nothing but an enumeration member or a plain record.
_VALUES = frozenset(
    """
    os.stat_result os.terminal_size os.times_result os.uname_result signal.Signals signal.Handlers
    signal.Sigmasks socket.AddressFamily socket.SocketKind subprocess.TimeoutExpired
    subprocess.CompletedProcess inspect.Signature inspect.Parameter inspect.ParameterKind
    inspect.BoundArguments inspect.empty inspect.FullArgSpec pathlib.Path pathlib.PosixPath
    pathlib.WindowsPath pathlib.local.Path pathlib.local.PosixPath pathlib.local.WindowsPath
    pathlib.local.PurePath pathlib.local.PurePosixPath pathlib.local.PureWindowsPath
    sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper
    torch.dynamo.eval_frame.OptimizedModule torch.distributed.distributed_c10d.ReduceOp
    """.split()
)
# Exceptions of listed modules travel in cached results; making one does nothing.
_EXCEPTIONS = ("Error", "Exception", "Warning")

# Modules whose object or members are dangerous under whatever path they are reached.
_REACHED = frozenset(
    "os posix nt sys subprocess builtins importlib socket shutil ctypes pty runpy marshal".split()
)
# First words of rows that are ordinary words too: below another module, alone or as a module of
# the same name, they say nothing ("numpy.trace", "shop.site.main").
_ORDINARY = frozenset(
    """
    bottle code commands conda dill docker fabric fire gc git glob graphviz grpc inspect invoke
    keyboard locale logging loky mako mmap nose nox optparse pip pipes platform profile readline
    resource select sh signal site sox test thread tokenize tox trace turtle types typing uu uuid
    venv wave
    wheel
    """.split()
)

_DUNDERS = frozenset({"__newobj__", "__newobj_ex__"})
# Longest honest names have some ten components; a longer one is there to exhaust the reader.
_MAX_COMPONENTS = 64
_MAX_LENGTH = 1024

_DUNDER_POWERS = Power.ATTRIBUTE | Power.INTERPRETER
_DUNDER_WHY = "walks through an attribute of the object model"
_LONG = Danger(
    "(long name)", Power.INTERPRETER, 400, "is longer than any real name", "limit of this table"
)


def _bare(part: str) -> str:
    """Drop a leading underscore, but keep a word such as ``__torch__`` what it is."""
    return part if part.startswith("__") else part.removeprefix("_")


def _plain(name: str) -> str:
    return ".".join(map(_bare, name.split(".")))


_TABLE = {
    _plain(name): Danger(name, powers, cwe, why, source)
    for powers, cwe, why, source, names in ROWS
    for name in names.split()
}
_METHODS = {
    (package, name): Danger(f"{package}.*.{name}", powers, cwe, why, source)
    for package, powers, cwe, why, source, names in METHODS
    for name in names.split()
}
_DEPTH = max(name.count(".") for name in _TABLE) + 1


def rows() -> tuple[Danger, ...]:
    """Return every row, in the order of the table."""
    return tuple(_TABLE.values())


def modern(module: str, qualname: str) -> tuple[str, str]:
    """Return the Python 3 place of a name, as CPython maps it for protocols below 3."""
    if (module, qualname) in NAME_MAPPING:
        return NAME_MAPPING[module, qualname]
    return IMPORT_MAPPING.get(module, module), qualname


def lookup(module: str, qualname: str) -> Danger | None:
    """Return the row for what a pickle names, or None when no row names it.

    The name is read component by component, so that a module reached through another one
    (``random._os.system``) or an attribute of the object model (``x.__globals__``) is seen.
    Never imports anything; None does not mean harmless.
    """
    if len(module) + len(qualname) > _MAX_LENGTH:
        return _LONG
    return _lookup(module, qualname)


@lru_cache(maxsize=4096)
def _lookup(module: str, qualname: str) -> Danger | None:
    found = _search(module, qualname)
    if found is None:
        mapped = modern(module, qualname)
        if mapped != (module, qualname):
            found = _search(*mapped)
    return found


def _search(module: str, qualname: str) -> Danger | None:
    raw = qualname.split(".")
    for part in raw:
        if part.startswith("__") and part.endswith("__") and part not in _DUNDERS:
            row = _TABLE.get(_plain(f"{module}.{part}"))
            return row or Danger(part, _DUNDER_POWERS, 470, _DUNDER_WHY, "Python data model")
    above = _plain(module).split(".")
    parts = above + [_bare(part) for part in raw]
    if len(parts) > _MAX_COMPONENTS:
        return _LONG
    if ".".join(parts) in _VALUES or (len(raw) == 1 and qualname.endswith(_EXCEPTIONS)):
        return None
    for start in range(len(parts)):
        found = _match(parts, start, len(above))
        if found is not None:
            return found
    # A method is reached through any class that inherits it.
    return _METHODS.get((parts[0], raw[-1])) if len(raw) > 1 else None


def _match(parts: list[str], start: int, border: int) -> Danger | None:
    """Match the longest row that begins here; from ``border`` on, parts are attributes."""
    for end in range(min(start + _DEPTH, len(parts)), start, -1):
        row = _TABLE.get(".".join(parts[start:end]))
        if row is not None and _counts(parts, start, end, border):
            return row
    return None


def _counts(parts: list[str], start: int, end: int, border: int) -> bool:
    """Whether a row found at this place says something about the whole name."""
    if start == 0 or parts[start] in _REACHED:
        return True
    if start < border:
        # "shop.codecs.open" may be a re-export; "scipy.signal" is a package of its own.
        return end > border and parts[start] not in _ORDINARY
    return end < len(parts) or end - start > 1 or parts[start] not in _ORDINARY
