"""``load`` of the C type, taken before the guard was on, with classes that answer it in odd ways."""

from __future__ import annotations

import sys

from tests.guard.ways import ways

_FIND = "lambda m, n: getattr(sys.modules[m], n)"
_METHOD = "lambda self, m, n: getattr(sys.modules[m], n)"
_ASKS = ("    def __getattribute__(self, n):\n"
         f"        if n == 'find_class': return {_FIND}\n"
         "        return super().__getattribute__(n)\n")  # fmt: skip
_NAMELESS = "U(io.BytesIO(b'Px\\n' + called(Part(b''), MARK) + b'.'))"
_RAW = {
    "instance-attribute": ("class U(B): pass\n"
                           f"u = U(io.BytesIO(EVIL)); u.find_class = {_FIND}", "go(u)"),
    "instance-attribute-later": ("", "class U(B): pass\nu = U(io.BytesIO(EVIL))\n"
                                 f"u.find_class = {_FIND}; go(u)"),
    "slots": ("class U(B): __slots__ = ('find_class',)\n"
              f"u = U(io.BytesIO(EVIL)); u.find_class = {_FIND}", "go(u)"),
    "mixin": (f"class M: find_class = {_METHOD}\nclass U(M, B): pass",
              "go(U(io.BytesIO(EVIL)))"),
    "mixin-later": (f"class M: find_class = {_METHOD}",
                    "class U(M, B): pass\ngo(U(io.BytesIO(EVIL)))"),
    "mixin-changed": ("class M: pass\nclass U(M, B): pass",
                      f"M.find_class = {_METHOD}; go(U(io.BytesIO(EVIL)))"),
    "class-changed": ("class U(B): pass",
                      f"U.find_class = {_METHOD}; go(U(io.BytesIO(EVIL)))"),
    "static": (f"class U(B): find_class = staticmethod({_FIND})", "go(U(io.BytesIO(EVIL)))"),
    "property": (f"class U(B): find_class = property(lambda self: {_FIND})",
                 "go(U(io.BytesIO(EVIL)))"),
    "getattribute": (f"class U(B):\n{_ASKS}", "go(U(io.BytesIO(EVIL)))"),
    "getattribute-later": ("", f"class U(B):\n{_ASKS}go(U(io.BytesIO(EVIL)))"),
    "metaclass": (f"class M: find_class = {_METHOD}\n"
                  "class T(type):\n    def mro(cls): return [cls, M, *super().mro()[1:]]",
                  "class U(B, metaclass=T): pass\ngo(U(io.BytesIO(EVIL)))"),
    "init-subclass": ("class A(B):\n    def __init_subclass__(cls): pass",
                      f"class U(A): find_class = {_METHOD}\ngo(U(io.BytesIO(EVIL)))"),
    "bound": (f"class M: find_class = {_METHOD}\nclass U(M, B): pass\n"
              "go = U(io.BytesIO(EVIL)).load", "go()"),
    "map": (f"class M: find_class = {_METHOD}\nclass U(M, B): pass\n"
            "go = map(go, [U(io.BytesIO(EVIL))])", "next(go)"),
    "persistent": ("class U(B): persistent_load = lambda self, pid: os.mkfifo\n"
                   f"u = {_NAMELESS}", "go(u)"),
    "persistent-later": ("", "class U(B): persistent_load = lambda self, pid: os.mkfifo\n"
                         f"go({_NAMELESS})"),
    "persistent-of-nothing": ("class U(B):\n    def __getattr__(self, n):\n"
                              "        if n == 'persistent_load': return lambda pid: os.mkfifo\n"
                              "        raise AttributeError(n)", f"go({_NAMELESS})"),
    "getattribute-set": ("class U(B): pass", "def ask(self, n):\n"
                         f"    if n == 'find_class': return {_FIND}\n"
                         "    return object.__getattribute__(self, n)\n"
                         "U.__getattribute__ = ask; go(U(io.BytesIO(EVIL)))"),
    "getattribute-unseen": ("class A(B):\n    def __init_subclass__(cls): pass",
                            f"class U(A):\n{_ASKS}go(U(io.BytesIO(EVIL)))"),
}  # fmt: skip
if sys.version_info >= (3, 13):  # the type itself has a persistent_load, so nothing else is asked
    del _RAW["persistent-of-nothing"]
_RAW_OUTSIDE = {
    "getattribute-set": "the program puts a __getattribute__ into a class that was judged before",
    "getattribute-unseen": "a base class keeps from the guard that there is another class",
}


def _raw() -> str:
    parts = []
    for name, (before, after) in _RAW.items():
        text = f"go, B = pickle.Unpickler.load, pickle.Unpickler\n{before}\nguard()\n{after}\n"
        outside = f" outside={_RAW_OUTSIDE[name]}" if name in _RAW_OUTSIDE else ""
        parts.append(f"### {name} start=install{outside}\n{text}")
    return "\n".join(parts)


_PYTHON = """
### python-with-opcodes start=install
go, table = pickle._Unpickler.load, dict(pickle._Unpickler.dispatch)
class U(pickle._Unpickler):
    dispatch = table
    def find_class(self, m, n): return getattr(sys.modules[m], n)
guard()
go(U(io.BytesIO(EVIL)))
### python-with-opcodes-later start=install
go, table, B = pickle._Unpickler.load, dict(pickle._Unpickler.dispatch), pickle._Unpickler
guard()
class U(B):
    dispatch = table
    def persistent_load(self, pid): return os.mkfifo
go(U(io.BytesIO(b"Px\\n" + called(Part(b""), MARK) + b".")))
### zodbpickle start=install needs=zodbpickle outside=a function of a copy of the C type, which asks nobody but the class
from zodbpickle._pickle import Unpickler
class U(Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
go = Unpickler.load
guard()
go(U(io.BytesIO(EVIL)))
"""
WAYS = ways("raw", f"{_raw()}\n{_PYTHON}")
