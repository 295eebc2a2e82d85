"""Names that reach a callable through another module, a class or the object model."""

from __future__ import annotations

import marshal
from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source, stream
from tests.corpus.cases import Case
from tests.corpus.hostile.gadgets_process import shell, words

# Modules of the standard library that keep a module under a name of their own.
OS_MODULES = """
    random:_os logging:os posixpath:os ntpath:os genericpath:os glob:os shutil:os tempfile:_os
    subprocess:os zipfile:os tarfile:os linecache:os inspect:os pkgutil:os sysconfig:os runpy:os
    platform:os uuid:os fileinput:os filecmp:os mimetypes:os gettext:os socket:os ssl:os
    socketserver:os multiprocessing.util:os multiprocessing.context:os
    multiprocessing.process:os multiprocessing.connection:os concurrent.futures.thread:os
    concurrent.futures.process:os threading:_os asyncio.events:os unittest.loader:os
    unittest.main:os doctest:os pdb:os trace:os py_compile:os compileall:os zipapp:os netrc:os
    mailbox:os configparser:os email.utils:os http.server:os http.cookiejar:os urllib.request:os
    webbrowser:os pydoc:os modulefinder:os dbm:os dbm.dumb:_os ctypes:_os ctypes.util:os bdb:os
    cgitb:os xml.sax.saxutils:os importlib.metadata:os ensurepip:os venv:os pty:os getpass:os
    site:os argparse:_os optparse:os fnmatch:os pathlib:os distutils.util:os logging.handlers:os
    logging.config:os contextlib:os
""".split()
SYS_MODULES = """
    logging:sys collections:_sys enum:sys dataclasses:sys traceback:sys warnings:sys
    threading:_sys contextlib:sys inspect:sys typing:sys codecs:sys statistics:sys calendar:sys
    locale:sys ast:sys
""".split()
# Third-party modules that do, each with what it needs.
OTHERS = """
    joblib.numpy_pickle:os joblib.parallel:os joblib.memory:os joblib.disk:os torch.serialization:os
    torch.hub:os torch.utils.cpp_extension:os pandas.io.common:os sklearn.datasets._base:os
    sklearn.utils._testing:os scipy._lib._testutils:os
""".split()
# Other things that lead to code.
ELSEWHERE: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "subprocess-of-platform": (
        lambda m: call(named("multiprocessing.util", "os.system"), shell(m)),
        (),
    ),
    "subprocess-of-uuid": (lambda m: call(named("webbrowser", "subprocess.call"), words(m)), ()),
    "subprocess-of-asyncio": (
        lambda m: call(named("asyncio.base_events", "subprocess.call"), words(m)),
        (),
    ),
    "subprocess-of-ensurepip": (lambda m: call(named("ensurepip", "subprocess.run"), words(m)), ()),
    "subprocess-of-venv": (lambda m: call(named("venv", "subprocess.run"), words(m)), ()),
    "shutil-of-tarfile": (
        lambda m: call(named("tarfile", "shutil.os.system"), shell(m)),
        (),
    ),
    "builtins-of-io": (lambda m: call(named("gzip", "builtins.exec"), source(m)), ()),
    "builtins-of-bz2": (lambda m: call(named("bz2", "_builtin_open"), str(m), "w"), ()),
    "builtins-of-lzma": (lambda m: call(named("tokenize", "_builtin_open"), str(m), "w"), ()),
    "builtins-of-tarfile": (lambda m: call(named("tarfile", "bltn_open"), str(m), "w"), ()),
    "builtins-of-codecs": (lambda m: call(named("codecs", "builtins.open"), str(m), "w"), ()),
    "builtins-of-operator": (
        lambda m: call(named("pdb", "code.InteractiveConsole.runsource"), _console(), source(m)),
        (),
    ),
    "importlib-of-pkgutil": (
        lambda m: call(
            call(
                named("builtins", "getattr"),
                call(named("pkgutil", "importlib.import_module"), "os"),
                "system",
            ),
            shell(m),
        ),
        (),
    ),
    "pickle-of-multiprocessing": (
        lambda m: call(
            named("multiprocessing.reduction", "pickle.loads"),
            stream(call(named("posix", "system"), shell(m))),
        ),
        (),
    ),
    "marshal-of-pkgutil": (
        lambda m: call(
            named("builtins", "exec"),
            call(named("zipimport", "marshal.loads"), _code(m)),
        ),
        (),
    ),
    "ctypes-of-multiprocessing": (
        lambda m: call(
            named("multiprocessing.sharedctypes", "ctypes.pythonapi.PyRun_SimpleString"),
            source(m).encode(),
        ),
        (),
    ),
    "modules-get": (
        lambda m: call(
            call(
                named("builtins", "getattr"),
                call(named("collections", "_sys.modules.get"), "os"),
                "system",
            ),
            shell(m),
        ),
        (),
    ),
    "modules-getitem": (
        lambda m: call(
            call(
                named("builtins", "getattr"),
                call(named("sys", "modules.__getitem__"), "os"),
                "system",
            ),
            shell(m),
        ),
        (),
    ),
}


def _code(canary: Path) -> bytes:
    return marshal.dumps(compile(source(canary), "<payload>", "exec"))


def _console() -> Raw:
    return call(named("code", "InteractiveConsole"))


# Places from which `__builtins__` or `__globals__` can be had, dotted.
_GLOBALS = [
    ("copyreg", "_reconstructor.__builtins__.get"),
    ("copyreg", "_reconstructor.__globals__.get"),
    ("collections", "namedtuple.__builtins__.get"),
    ("functools", "wraps.__builtins__.get"),
    ("json", "loads.__builtins__.get"),
    ("random", "Random.__init__.__builtins__.get"),
    ("enum", "Enum.__new__.__builtins__.get"),
    ("datetime", "__builtins__.get"),
    ("collections", "__builtins__.get"),
    ("re", "__builtins__.get"),
    ("copyreg", "__builtins__.get"),
    ("functools", "__dict__.get"),
    ("types", "DynamicClassAttribute.__init__.__builtins__.get"),
    ("uuid", "UUID.__init__.__builtins__.get"),
    ("fractions", "Fraction.__new__.__builtins__.get"),
    ("weakref", "WeakSet.__init__.__builtins__.get"),
]


def _got(module: str, name: str) -> Gadget:
    """A function out of a mapping that a dotted name leads to."""

    def build(canary: Path) -> Raw:
        if "__globals__" in name or "__dict__" in name:
            builtins = call(named(module, name), "__builtins__")
            return call(call(named("operator", "getitem"), builtins, "exec"), source(canary))
        return call(call(named(module, name), "exec"), source(canary))

    return build


def _wrap_close(canary: Path) -> Raw:
    """The globals of a class of `os`, which ``object.__subclasses__`` would give too."""
    return call(call(named("os", "_wrap_close.__init__.__globals__.get"), "system"), shell(canary))


def _method(module: str, name: str) -> Gadget:
    """A slot method that calls."""
    return lambda canary: call(named(module, name), named("posix", "system"), shell(canary))


def _getattribute(canary: Path) -> Raw:
    module = call(named("importlib", "import_module"), "os")
    found = call(named("builtins", "object.__getattribute__"), module, "system")
    return call(found, shell(canary))


def _chained(*path: str) -> Gadget:
    """``getattr(getattr(random, "_os"), "system")`` and longer."""

    def build(canary: Path) -> Raw:
        found = call(named("importlib", "import_module"), "random")
        for part in path:
            found = call(named("builtins", "getattr"), found, part)
        return call(call(named("builtins", "getattr"), found, "system"), shell(canary))

    return build


DUNDERS: dict[str, Gadget] = {
    **{f"{module}-{name}": _got(module, name) for module, name in _GLOBALS},
    "wrap-close-globals": _wrap_close,
    "getattribute": _getattribute,
    "getattr-1": _chained("_os"),
    "getattr-3": _chained("_os", "path", "os"),
    "system-call": _method("posix", "system.__class__.__call__"),
    "open-self": lambda m: call(named("_io", "open.__self__.open"), str(m), "w"),
    "len-self": lambda m: call(named("builtins", "len.__self__.exec"), source(m)),
    "print-self": lambda m: call(named("builtins", "print.__self__.eval"), source(m)),
    "loader": lambda m: call(
        call(
            named("builtins", "getattr"),
            call(named("builtins", "__loader__.load_module"), "posix"),
            "system",
        ),
        shell(m),
    ),
    "spec-loader": lambda m: call(
        call(
            named("builtins", "getattr"),
            call(named("builtins", "__spec__.loader.load_module"), "posix"),
            "system",
        ),
        shell(m),
    ),
}


def _case(identity: str, gadget: Gadget, needs: tuple[str, ...] = (), protocol: int = 4) -> Case:
    def build(canary: Path) -> bytes:
        return stream(gadget(canary), protocol=protocol)

    return Case(f"walk-{identity}", "walks", build, needs=needs)


def _system_of(module: str, name: str) -> Gadget:
    return lambda canary: call(named(module, f"{name}.system"), shell(canary))


def _module_of(module: str, name: str) -> Gadget:
    """The module object itself, then an attribute."""
    return lambda canary: call(
        call(named("builtins", "getattr"), named(module, name), "system"), shell(canary)
    )


def _posix_of(module: str, name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        found = call(named(module, f"{name}.modules.get"), "posix")
        return call(call(named("builtins", "getattr"), found, "system"), shell(canary))

    return build


CASES = [
    *[_case(f"os-of-{row}", _system_of(*row.split(":")), (row,)) for row in OS_MODULES + OTHERS],
    *[_case(f"module-of-{row}", _module_of(*row.split(":")), (row,)) for row in OS_MODULES[:20]],
    *[_case(f"sys-of-{row}", _posix_of(*row.split(":")), (row,)) for row in SYS_MODULES],
    *[_case(name, gadget, needs) for name, (gadget, needs) in ELSEWHERE.items()],
    *[_case(f"dunder-{name}", gadget) for name, gadget in DUNDERS.items()],
]
