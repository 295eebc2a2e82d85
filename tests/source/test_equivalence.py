"""Migrated modules call the facade exactly where they called the library."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

import pytest

# Stands in for the library, and then for the facade: it records what is called, and how.
FAKE = """
import json, os
HIGHEST_PROTOCOL = DEFAULT_PROTOCOL = 5
class PickleError(Exception): pass
class PicklingError(PickleError): pass
class UnpicklingError(PickleError): pass
CALLS = []
def _note(name):
    def call(*args, **kwargs):
        CALLS.append([name, len(args), sorted(kwargs)])
        if name == "loads" and args and args[0] == b"bad":
            raise UnpicklingError("bad")
        return {"from": name}
    call.__name__ = name
    return call
load, loads, dump, dumps = map(_note, ["load", "loads", "dump", "dumps"])
class Memory:
    def __init__(self, *args, **kwargs): CALLS.append(["Memory", len(args), sorted(kwargs)])
    def cache(self, function): return function
class Unpickler:
    def __init__(self, *args, **kwargs): CALLS.append(["Unpickler", len(args), sorted(kwargs)])
    def load(self): return self.find_class("a", "b")
    def find_class(self, module, name): return "base"
class Pickler(Unpickler): pass
def Parallel(*a, **k): return list
def delayed(f): return f
__all__ = ["load", "loads", "dump", "dumps", "Unpickler", "Pickler", "HIGHEST_PROTOCOL",
           "PickleError", "PicklingError", "UnpicklingError", "Memory", "Parallel", "delayed"]
"""

MODULES = {
    "module": """
        import joblib
        out = [joblib.load("models/a"), joblib.dump(1, "models/b", compress=3)]
    """,
    "alias and default": """
        import cPickle as P
        def read(data, loader=P.loads, **kw): return loader(data, **kw)
        out = [read(b""), read(b"", encoding="latin1"), P.HIGHEST_PROTOCOL]
    """,
    "from with names": """
        from joblib import load as jl, dump, Parallel, delayed
        out = [jl("x", mmap_mode="r"), dump(1, "y"), Parallel(2)(delayed(abs)(i) for i in [1, -2])]
    """,
    "star": """
        from cPickle import *
        out = [loads(b""), dumps(1), HIGHEST_PROTOCOL]
    """,
    "fallback": """
        try:
            import no_such_module as cp
        except ImportError:
            import cPickle as cp
        out = cp.loads(b"", fix_imports=True)
    """,
    "function": """
        def f():
            import joblib, os
            return joblib.load(os.sep)
        out = [f(), f()]
    """,
    "class": """
        class Repository:
            import cPickle
            load = staticmethod(cPickle.loads)
            def __init__(self): self.p = self.cPickle
            def go(self): return [self.load(b""), self.p.dumps(1), Repository.cPickle.loads(b"")]
        out = Repository().go()
    """,
    "global": """
        def setup():
            global cPickle
            import cPickle
        setup()
        out = [cPickle.loads(x) for x in (b"1", b"2")]
    """,
    "callbacks": """
        import functools, cPickle
        dump = functools.partial(cPickle.dumps, protocol=2)
        out = [list(map(cPickle.loads, [b"", b""])), dump(3), getattr(cPickle, "loads")(b"")]
    """,
    "walrus and lambda": """
        import cPickle
        f = lambda x: (q := cPickle).loads(x)
        out = [f(b""), [(p := cPickle) and p.loads(b"") for _ in "ab"]]
    """,
    "subclass": """
        import cPickle
        class Mine(cPickle.Unpickler):
            def find_class(self, module, name):
                return [module, name, cPickle.Unpickler.find_class(self, module, name)]
        out = [Mine(None).load(), issubclass(Mine, cPickle.Unpickler)]
    """,
    "errors": """
        import cPickle
        try:
            cPickle.loads(b"bad")
        except cPickle.UnpicklingError as error:
            out = [str(error), cPickle.PickleError.__name__]
    """,
    "several in one line": """
        import os, cPickle as a, sys, joblib as b; out = [a.loads(b""), b.load("m"), os.sep]
    """,
    "decorator and memory": """
        import joblib
        memory = joblib.Memory("cache", verbose=0)
        @memory.cache
        def double(x): return 2 * x
        out = double(4)
    """,
    "dotted": """
        import joblib.parallel
        out = [joblib.load("m"), joblib.parallel.WORKERS]
    """,
    "dynamic": """
        import importlib
        m = importlib.import_module("cPickle")
        out = [m.loads(b""), importlib.import_module('joblib').load("x")]
    """,
    "type hints and match": """
        from __future__ import annotations
        import cPickle
        def f(p: cPickle.Unpickler | None = None) -> cPickle.Pickler | None:
            match cPickle.loads(b""):
                case {"from": name}: return name
        out = f()
    """,
}

RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import {library} as fake
namespace = {{"__name__": "module"}}
with open(sys.argv[2], "rb") as file:
    exec(compile(file.read(), "module", "exec"), namespace)
calls = [call for name in {modules!r} if name in sys.modules for call in sys.modules[name].CALLS]
print(json.dumps([namespace["out"], sorted(calls)], default=repr))
"""


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two places to import from: fakes of the libraries alone, and of the facades alone."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    (before / "cPickle.py").write_text(FAKE)
    joblib = before / "joblib"
    joblib.mkdir()
    (joblib / "__init__.py").write_text(FAKE)
    (joblib / "parallel.py").write_text("WORKERS = 3\n")
    facade = after / "safehold" / "compat"
    facade.mkdir(parents=True)
    (after / "safehold" / "__init__.py").write_text("")
    (facade / "__init__.py").write_text("")
    (facade / "pickle.py").write_text(FAKE)
    (facade / "joblib.py").write_text(FAKE + "from joblib import parallel\n")
    raw = after / "joblib"  # the real library still exists, but must not be called
    raw.mkdir()
    (raw / "__init__.py").write_text("def load(*args): raise SystemExit('raw call')\n")
    (raw / "parallel.py").write_text("WORKERS = 3\n")
    return before, after


def run(tree, source: bytes, library: str, modules: list[str]) -> str:
    path = tree / "module_under_test.py"
    path.write_bytes(source)
    code = RUN.format(library=library, modules=modules)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tree, path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_a_migrated_module_does_what_it_did_through_the_facade(name, trees, look):
    before, after = trees
    source = textwrap.dedent(MODULES[name]).encode()
    audit = look(source)
    assert audit.after is not None
    assert all(not item.is_open for item in audit.diagnostics)
    facades = ["safehold.compat.pickle", "safehold.compat.joblib"]
    expected = run(before, source, "cPickle", ["cPickle", "joblib"])
    assert run(after, audit.after, facades[0], facades) == expected
    assert expected.count('"') > 2 or "4" in expected


def test_the_fakes_are_not_the_installed_libraries():
    assert importlib.util.find_spec("cPickle") is None
