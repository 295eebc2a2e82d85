"""Programs that reach a raw call in every form there is, for `test_raw_forms`.

Each is written once and filled in for each library: `{mod}` is its module, `{root}` the first part
of that, `{fn}` its function and `{more}` what it is given besides the file. A program does its call
when `go(p)` is called.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A function that is not to be called as it is."""

    mod: str
    fn: str = "load"
    more: str = ""
    needs: str = ""  # an import that `more` needs

    def fill(self, form: str) -> str:
        """Return a form as a program."""
        text = form.lstrip("\n")
        for name, value in (
            ("{root}", self.mod.partition(".")[0]), ("{last}", self.mod.rpartition(".")[2]),
            ("{mod}", self.mod), ("{fn}", self.fn), ("{more}", self.more),
        ):  # fmt: skip
            text = text.replace(name, value)
        return f"{self.needs}\n{text}" if self.needs else text


FAMILIES = {
    "pickle": Family("pickle"),
    "pickle.loads": Family("pickle", "loads"),
    "pickle.Unpickler": Family("pickle", "Unpickler"),
    "cPickle": Family("cPickle"),
    "_pickle": Family("_pickle"),
    "dill": Family("dill"),
    "cloudpickle": Family("cloudpickle"),
    "joblib": Family("joblib"),
    "joblib.dump": Family("joblib", "dump"),
    "shelve": Family("shelve", "open"),
    "marshal": Family("marshal", "loads"),
    "torch": Family("torch", "load", ", weights_only=False"),
    "torch.save": Family("torch", "save"),
    "torch.serialization": Family("torch.serialization", "load"),
    "torch.jit": Family("torch.jit", "load"),
    "numpy": Family("numpy", "load", ", allow_pickle=True"),
    "pandas": Family("pandas", "read_pickle"),
    "yaml.load": Family("yaml", "load", ", Loader=Loader", "from yaml import Loader"),
    "yaml.unsafe_load": Family("yaml", "unsafe_load"),
    "jsonpickle": Family("jsonpickle", "decode"),
    "mlflow": Family("mlflow.pyfunc", "load_model"),
    "keras": Family("keras.models", "load_model"),
    "diskcache": Family("diskcache", "Cache"),
}

FORMS = {
    "module": """
import {mod}
def go(p):
    return {mod}.{fn}(p{more})
""",
    "alias": """
import os, {mod} as m
def go(p):
    return m.{fn}(p{more})
""",
    "from": """
from {mod} import {fn}
def go(p):
    return {fn}(p{more})
""",
    "from with a name": """
from {mod} import (
    {fn} as read,  # noqa: S301
)
def go(p):
    return read(p{more})
""",
    "star": """
from {mod} import *
def go(p):
    return {fn}(p{more})
""",
    "function-local": """
def go(p):
    import {mod}
    return {mod}.{fn}(p{more})
""",
    "function-local from": """
def go(p):
    from {mod} import {fn} as read
    return read(p{more})
""",
    "conditional": """
try:
    import no_such_module as m
except ImportError:
    import {mod} as m
def go(p):
    return m.{fn}(p{more})
""",
    "conditional names": """
try:
    from no_such_module import {fn}
except ImportError:
    from {mod} import {fn}
def go(p):
    return {fn}(p{more})
""",
    "for types and at run time": """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import {mod}
def go(p):
    import {mod}
    return {mod}.{fn}(p{more})
""",
    "alias of a function": """
from {mod} import {fn} as other
read = other
def go(p):
    return read(p{more})
""",
    "alias that others use": """
from {mod} import {fn} as other
read = other
def go(p):
    return globals()["re" + "ad"](p{more})
""",
    "alias of a module": """
import {mod} as m
n = m
def go(p):
    return n.{fn}(p{more})
""",
    "class attribute": """
import {mod}
class A:
    read = staticmethod({mod}.{fn})
def go(p):
    return A.read(p{more})
""",
    "class attribute, bare": """
import {mod}
class A:
    read = {mod}.{fn}
    @classmethod
    def get(cls, p):
        return cls.read(p{more})
def go(p):
    return A.get(p)
""",
    "class attribute of the same name": """
from {mod} import {fn}
class A:
    {fn} = {fn}
def go(p):
    return A.{fn}(p{more})
""",
    "module as class attribute": """
import {mod} as m
class A:
    m = m
    def get(self, p):
        return self.m.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module as class attribute, other name": """
import {mod} as m
class A:
    lib = m
def go(p):
    return A.lib.{fn}(p{more})
""",
    "import in a class": """
class A:
    import {mod} as lib
    def get(self, p):
        return self.lib.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "from in a class": """
class A:
    from {mod} import {fn} as read
def go(p):
    return A.read(p{more})
""",
    "module as class attribute of a base": """
import {mod} as m
class Base:
    lib = m
class A(Base):
    def get(self, p):
        return self.lib.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "nested class": """
import {mod} as m
class A:
    class B:
        lib = m
        def get(self, p):
            return self.lib.{fn}(p{more})
def go(p):
    return A.B().get(p)
""",
    "instance attribute": """
import {mod}
class A:
    def __init__(self):
        self.read = {mod}.{fn}
    def get(self, p):
        return self.read(p{more})
def go(p):
    return A().get(p)
""",
    "module as instance attribute": """
import {mod} as m
class A:
    def __init__(self):
        self.m = m
    def get(self, p):
        return self.m.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module as annotated instance attribute": """
import {mod} as m
class A:
    def __init__(self) -> None:
        self.m: object = m
    def get(self, p):
        return self.m.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module as attribute set by name": """
import {mod} as m
class A:
    pass
def go(p):
    a = A()
    setattr(a, "lib", m)
    return a.lib.{fn}(p{more})
""",
    "module as attribute of another object": """
import types
import {mod} as m
box = types.SimpleNamespace()
box.lib = m
def go(p):
    return box.lib.{fn}(p{more})
""",
    "module as attribute, then a local name": """
import {mod} as m
class A:
    def __init__(self):
        self._m = m
    def get(self, p):
        lib = self._m
        return lib.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module imported in a method": """
class A:
    def __init__(self):
        import {mod} as m
        self.m = m
    def get(self, p):
        return self.m.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module from a property": """
class A:
    @property
    def lib(self):
        import {mod} as m
        return m
    def get(self, p):
        return self.lib.{fn}(p{more})
def go(p):
    return A().get(p)
""",
    "module from a function": """
def lib():
    import {mod} as m
    return m
def go(p):
    return lib().{fn}(p{more})
""",
    "module from a function, kept": """
def lib():
    import {mod} as m
    return m
def go(p):
    m = lib()
    return m.{fn}(p{more})
""",
    "function from a function": """
def lib():
    from {mod} import {fn}
    return {fn}
def go(p):
    return lib()(p{more})
""",
    "module from a table": """
import {mod} as m
TABLE = {"lib": m}
def go(p):
    return TABLE["lib"].{fn}(p{more})
""",
    "function from a table": """
import {mod}
TABLE = {"read": {mod}.{fn}}
def go(p):
    return TABLE["read"](p{more})
""",
    "function put into a table": """
import {mod}
TABLE = {}
TABLE["read"] = {mod}.{fn}
def go(p):
    return TABLE["read"](p{more})
""",
    "module put into a table": """
import {mod} as m
TABLE = {}
TABLE["lib"] = m
def go(p):
    return TABLE["lib"].{fn}(p{more})
""",
    "tuple unpacking": """
import {mod} as m
read, n = m.{fn}, m
def go(p):
    return read(p{more})
""",
    "tuple of modules": """
import {mod} as m
n, o = m, None
def go(p):
    return n.{fn}(p{more})
""",
    "unpacked from a tuple": """
import {mod} as m
both = (m, None)
n, o = both
def go(p):
    return n.{fn}(p{more})
""",
    "starred": """
import {mod} as m
n, *rest = m, 1, 2
def go(p):
    return n.{fn}(p{more})
""",
    "loop": """
import {mod} as m
def go(p):
    for n in (m,):
        return n.{fn}(p{more})
""",
    "loop over functions": """
import {mod}
def go(p):
    for read in [{mod}.{fn}]:
        return read(p{more})
""",
    "comprehension": """
import {mod}
def go(p):
    return [{mod}.{fn}(q{more}) for q in [p]]
""",
    "comprehension over modules": """
import {mod} as m
def go(p):
    return [n.{fn}(p{more}) for n in [m]]
""",
    "default argument": """
import {mod}
def go(p, read={mod}.{fn}):
    return read(p{more})
""",
    "module as default argument": """
import {mod} as m
def go(p, *, lib=m):
    return lib.{fn}(p{more})
""",
    "module as argument": """
import {mod} as m
def get(lib, p):
    return lib.{fn}(p{more})
def go(p):
    return get(m, p)
""",
    "module as argument by keyword": """
import {mod} as m
def get(p, lib=None):
    return lib.{fn}(p{more})
def go(p):
    return get(p, lib=m)
""",
    "module as argument of a class": """
import {mod} as m
class A:
    def __init__(self, lib):
        self.lib = lib
    def get(self, p):
        return self.lib.{fn}(p{more})
def go(p):
    return A(m).get(p)
""",
    "callback": """
import {mod}
def go(p):
    return list(map({mod}.{fn}, [p]))
""",
    "callback from": """
from {mod} import {fn}
def go(p):
    return list(map({fn}, [p]))
""",
    "getattr": """
import {mod} as m
def go(p):
    return getattr(m, "{fn}")(p{more})
""",
    "getattr kept": """
import {mod} as m
read = getattr(m, "{fn}", None)
def go(p):
    return read(p{more})
""",
    "getattr of a made name": """
import {mod} as m
def go(p):
    return getattr(m, "".join(["{fn}"]))(p{more})
""",
    "attrgetter": """
import operator
import {mod} as m
def go(p):
    return operator.attrgetter("{fn}")(m)(p{more})
""",
    "methodcaller": """
import operator
import {mod} as m
def go(p):
    return operator.methodcaller("{fn}", p{more})(m)
""",
    "vars": """
import {mod} as m
def go(p):
    return vars(m)["{fn}"](p{more})
""",
    "__dict__": """
import {mod} as m
def go(p):
    return m.__dict__["{fn}"](p{more})
""",
    "__getattribute__": """
import {mod} as m
def go(p):
    return m.__getattribute__("{fn}")(p{more})
""",
    "__call__": """
import {mod} as m
def go(p):
    return m.{fn}.__call__(p{more})
""",
    "partial": """
import functools
import {mod}
read = functools.partial({mod}.{fn}{more})
def go(p):
    return read(p)
""",
    "partialmethod": """
from functools import partialmethod
from {mod} import {fn}
class A:
    def other(self, p{more}):
        return {fn}(p{more})
    get = partialmethod(other)
def go(p):
    return A().get(p)
""",
    "import_module": """
import importlib
m = importlib.import_module("{mod}")
def go(p):
    return m.{fn}(p{more})
""",
    "import_module at once": """
from importlib import import_module
def go(p):
    return import_module("{mod}").{fn}(p{more})
""",
    "__import__": """
def go(p):
    return __import__("{mod}", fromlist=["x"]).{fn}(p{more})
""",
    "sys.modules": """
import sys, {mod}
def go(p):
    return sys.modules["{mod}"].{fn}(p{more})
""",
    "sys.modules.get": """
import sys, {mod}
def go(p):
    return sys.modules.get("{mod}").{fn}(p{more})
""",
    "globals": """
import {mod} as m
def go(p):
    return globals()["m"].{fn}(p{more})
""",
    "walrus": """
import {mod}
def go(p):
    return found if (found := {mod}.{fn}(p{more})) else None
""",
    "walrus of a module": """
import {mod} as m
def go(p):
    return n.{fn}(p{more}) if (n := m) else None
""",
    "match": """
import {mod}
def go(p):
    match p:
        case q:
            return {mod}.{fn}(q{more})
""",
    "match of a module": """
import {mod} as m
def go(p):
    match m:
        case n:
            return n.{fn}(p{more})
""",
    "match of a sequence": """
import {mod} as m
def go(p):
    match (m, p):
        case (n, q):
            return n.{fn}(q{more})
""",
    "with": """
import contextlib
import {mod} as m
def go(p):
    with contextlib.nullcontext(m) as n:
        return n.{fn}(p{more})
""",
    "async": """
import asyncio
import {mod}
async def get(p):
    return {mod}.{fn}(p{more})
def go(p):
    return asyncio.run(get(p))
""",
    "decorator": """
import functools
import {mod}
def around(function):
    @functools.wraps(function)
    def inner(p):
        return {mod}.{fn}(p{more})
    return inner
@around
def go(p):
    pass
""",
    "decorated with": """
import {mod}
def calls(function):
    return lambda _: lambda p: function(p{more})
@calls({mod}.{fn})
def go(p):
    pass
""",
    "many lines": """
import {mod}  # models
def go(p):
    return {mod}.{fn}(  # noqa: S301
        # the file
        p{more},
    )
""",
    "attribute over lines": """
import {mod} as m
def go(p):
    return (
        m  # the library
        .{fn}(p{more})
    )
""",
    "in parentheses": """
import {mod} as m
def go(p):
    return (m).{fn}(p{more})
""",
    "lambda": """
import {mod}
go = lambda p: {mod}.{fn}(p{more})
""",
    "lambda of a module": """
import {mod} as m
def go(p):
    return (lambda n: n.{fn}(p{more}))(m)
""",
    "formatted string": """
import {mod}
def go(p):
    return f"{{mod}.{fn}(p{more})}"
""",
    "type comment": """
import {mod}  # type: ignore
def go(p):  # type: (str) -> object
    return {mod}.{fn}(p{more})  # nosec
""",
    "global": """
m = None
def setup():
    global m
    import {mod} as m
def go(p):
    setup()
    return m.{fn}(p{more})
""",
    "global assigned": """
m = None
def setup():
    global m
    import {mod} as n
    m = n
def go(p):
    setup()
    return m.{fn}(p{more})
""",
    "nonlocal": """
def go(p):
    m = None
    def setup():
        nonlocal m
        import {mod} as m
    setup()
    return m.{fn}(p{more})
""",
    "exec'd name": """
import {mod}
read = {mod}.{fn}
__all__ = ["read"]
def go(p):
    return globals()["read"](p{more})
""",
    "ternary": """
import {mod} as m
def go(p):
    return (m if p else None).{fn}(p{more})
""",
    "or": """
import {mod} as m
def go(p, lib=None):
    return (lib or m).{fn}(p{more})
""",
    "or kept": """
import {mod} as m
def go(p, lib=None):
    lib = lib or m
    return lib.{fn}(p{more})
""",
    "inherited": """
import {mod}
class Reader:
    def get(self, p):
        return {mod}.{fn}(p{more})
class Own(Reader):
    def get(self, p):
        return super().get(p)
def go(p):
    return Own().get(p)
""",
    "yielded": """
import {mod} as m
def libs():
    yield m
def go(p):
    return next(libs()).{fn}(p{more})
""",
    "in a finally": """
import {mod}
def go(p):
    try:
        pass
    finally:
        return {mod}.{fn}(p{more})
""",
    "one line": """
import os; import {mod}; go = lambda p: {mod}.{fn}(p{more}); x = 1
""",
    "spread": """
import {mod}
def go(p):
    return {mod}.{fn}(*[p], **dict(){more})
""",
    "in a class body": """
import {mod}
def go(p):
    class A:
        value = {mod}.{fn}(p{more})
""",
    "dataclass field": """
import dataclasses
import {mod} as m
@dataclasses.dataclass
class A:
    read: object = m.{fn}
def go(p):
    return A().read(p{more})
""",
    "module in a dataclass field": """
import dataclasses
import {mod} as m
@dataclasses.dataclass
class A:
    lib: object = m
def go(p):
    return A().lib.{fn}(p{more})
""",
    "named tuple": """
import collections
import {mod} as m
Libs = collections.namedtuple("Libs", "lib")
def go(p):
    return Libs(m).lib.{fn}(p{more})
""",
    "thread": """
import threading
import {mod}
def go(p):
    work = threading.Thread(target={mod}.{fn}, args=(p,))
    work.run()
""",
    "submodule of a package": """
from {root} import {last}
def go(p):
    return {last}.{fn}(p{more})
""",
}
