"""The one table of names that run code, start processes or touch files, network or interpreter.

A row is a dotted name and covers everything below it: ``subprocess`` covers ``subprocess.Popen``.
Underscores at the ends of a component do not count, so one row serves ``_io.open`` and
``io.open``, or ``numpy._core`` and ``numpy.core``. Nothing here imports what it names.

The table is for naming an attack, never for deciding that something is harmless: a name without
a row is unknown, and only the presets of `safehold.allow` make a name known.
"""

from __future__ import annotations

# Plain dictionaries with which CPython itself reads Python 2 pickles.
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
import enum
from dataclasses import dataclass
from functools import lru_cache


class Power(enum.Flag):
    """What a callable can do for whoever chooses its arguments."""

    RUN_CODE = enum.auto()
    PROCESS = enum.auto()
    FILE = enum.auto()
    NETWORK = enum.auto()
    INTERPRETER = enum.auto()
    IMPORT = enum.auto()
    DESERIALIZE = enum.auto()
    ATTRIBUTE = enum.auto()

    @property
    def label(self) -> str:
        """Lower-case names joined by commas, as findings show them."""
        return ", ".join(str(power.name).lower().replace("_", " ") for power in self)


@dataclass(frozen=True, slots=True)
class Danger:
    """The row that a name matched: what it can do, why it is listed, where that is documented."""

    name: str
    powers: Power
    cwe: int
    why: str
    source: str


_RUN, _PROC, _FILE, _NET = Power.RUN_CODE, Power.PROCESS, Power.FILE, Power.NETWORK
_INT, _IMP, _DES, _ATTR = Power.INTERPRETER, Power.IMPORT, Power.DESERIALIZE, Power.ATTRIBUTE

_STDLIB = "Python library reference"

# (powers, CWE, why, source, names)
_ROWS: tuple[tuple[Power, int, str, str, str], ...] = (
    (_RUN, 95, "runs text or code objects as Python", _STDLIB, """
        builtins.eval builtins.exec builtins.execfile builtins.compile code codeop
        types.CodeType types.FunctionType types.LambdaType types.new_class types.coroutine
        timeit cProfile profile lsprof trace bdb pdb doctest pydoc cgitb idlelib lib2to3
        interpreters xxsubinterpreters interpqueues interpchannels testcapi testinternalcapi
        """),
    (_PROC, 78, "starts programs or handles processes", _STDLIB, """
        os posix nt subprocess pty commands popen2 posixsubprocess winapi multiprocessing
        platform.popen platform.syscmd_ver uuid.get_command_stdout uuid.popen
        aix_support osx_support pyrepl pydoc.pipepager pydoc.tempfilepager webbrowser antigravity
        asyncio ensurepip venv pip distutils setuptools pkg_resources imaplib.IMAP4_stream
        """),
    (_IMP, 470, "imports modules or resolves names chosen by the data", _STDLIB, """
        builtins.import importlib imp runpy pkgutil zipimport zipapp pydoc.locate
        frozen_importlib frozen_importlib_external site unittest logging.config
        """),
    (_ATTR, 470, "reads, sets or calls attributes chosen by the data", _STDLIB, """
        builtins.getattr builtins.setattr builtins.delattr builtins.vars builtins.globals
        builtins.locals builtins.dir builtins.apply operator inspect functools.partial
        functools.partialmethod functools.reduce types.MethodType string.Formatter
        """),
    (_FILE, 73, "opens, writes or removes files", _STDLIB, """
        builtins.open builtins.file io.open io.open_code io.FileIO codecs.open shutil tempfile
        fileinput linecache tarfile zipfile gzip.open gzip.GzipFile bz2.open bz2.BZ2File lzma.open
        lzma.LZMAFile pathlib.Path pathlib.PosixPath pathlib.WindowsPath glob mmap sqlite3 dbm
        shelve logging.FileHandler logging.handlers
        """),
    (_NET, 918, "connects to the network", _STDLIB, """
        socket ssl socketserver http urllib urllib2 httplib ftplib smtplib smtpd telnetlib poplib
        nntplib imaplib xmlrpc xmlrpclib wsgiref requests aiohttp httpx urllib3 paramiko
        """),
    (_INT, 94, "changes or stops the running interpreter", _STDLIB, """
        sys builtins.breakpoint builtins.input builtins.raw_input builtins.exit builtins.quit
        builtins.memoryview types.ModuleType types.CellType ctypes cffi gc signal faulthandler
        atexit threading thread concurrent.futures resource weakref.finalize
        """),
    (_DES, 502, "loads another serialized payload", _STDLIB, """
        pickle cPickle marshal dill cloudpickle jsonpickle joblib.load torch.load
        numpy.load pandas.read_pickle
        """),
    (_RUN | _IMP, 95, "imports or runs what its arguments name", "numpy source", """
        numpy.core.ufunc_reconstruct numpy.f2py numpy.ctypeslib numpy.distutils
        numpy.testing.private.utils.runstring
        """),
)

# Below a row, yet only values: enumerations, exceptions and plain records.
_VALUES = frozenset(
    """
    os.stat_result os.terminal_size signal.Signals signal.Handlers http.HTTPStatus http.HTTPMethod
    socket.AddressFamily socket.SocketKind subprocess.CalledProcessError subprocess.TimeoutExpired
    """.split()
)

# Modules whose object must not be reached through another module ("random._os").
_REACHED = frozenset(
    "os posix nt sys subprocess builtins importlib socket shutil ctypes pty runpy marshal".split()
)
# Rows that are also ordinary function or class names; alone they say nothing ("numpy.trace").
_ORDINARY = frozenset(
    "code commands trace profile signal site inspect resource glob http interpreters test".split()
)

_DUNDERS = frozenset({"__newobj__", "__newobj_ex__"})
# Longest honest names have some ten components; a longer one is there to exhaust the reader.
_MAX_COMPONENTS = 64
_MAX_LENGTH = 1024


def _plain(name: str) -> str:
    return ".".join(part.strip("_") for part in name.split("."))


def _table() -> dict[str, Danger]:
    return {
        _plain(name): Danger(name, powers, cwe, why, source)
        for powers, cwe, why, source, names in _ROWS
        for name in names.split()
    }


_TABLE = _table()
_DEPTH = max(name.count(".") for name in _TABLE) + 1

_DUNDER_WHY = "walks through an attribute of the object model"
_LONG = Danger("(long name)", _INT, 400, "is longer than any real name", "limit of this table")


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
            return row or Danger(part, _ATTR | _INT, 470, _DUNDER_WHY, "Python data model")
    above = _plain(module).split(".")
    parts = above + [part.strip("_") for part in raw]
    if len(parts) > _MAX_COMPONENTS:
        return _LONG
    if ".".join(parts) in _VALUES:
        return None
    for start in range(len(parts)):
        found = _match(parts, start, len(above))
        if found is not None:
            return found
    return None


def _match(parts: list[str], start: int, border: int) -> Danger | None:
    """Match rows at one component; ``border`` is where the module ends and attributes begin."""
    for end in range(start + 1, min(start + _DEPTH, len(parts)) + 1):
        row = _TABLE.get(".".join(parts[start:end]))
        if row is None:
            continue
        if start == 0:
            return row
        if start < border:
            # "pkg.os" may be a re-export; "scipy.signal" is a package of its own.
            if end > border or parts[start] in _REACHED:
                return row
        elif end < len(parts) or end - start > 1 or parts[start] not in _ORDINARY:
            return row
    return None
