"""Unpicklers that are the program's own: what they look names up with, and what they are given."""

from __future__ import annotations

from tests.guard.ways import each, ways

_LOOK = "lambda m, n: getattr(sys.modules[m], n)"
_OVERRIDES = {
    "no-super": "class U(B):\n    def find_class(self, m, n): return getattr(sys.modules[m], n)",
    "super": "class U(B):\n    def find_class(self, m, n): return super().find_class(m, n)",
    "super-fallback": "class U(B):\n    def find_class(self, m, n):\n"
    "        try: return super().find_class(m, n)\n"
    "        except Exception: return getattr(sys.modules[m], n)",
    "none": "class U(B): pass",
    "later": f"class U(B): pass\nU.find_class = lambda self, m, n: ({_LOOK})(m, n)",
    "static": f"class U(B):\n    find_class = staticmethod({_LOOK})",
    "class": "class U(B):\n    @classmethod\n"
    "    def find_class(cls, m, n): return getattr(sys.modules[m], n)",
    "property": f"class U(B):\n    @property\n    def find_class(self): return {_LOOK}",
    "getattribute": "class U(B):\n    def __getattribute__(self, key):\n"
    f"        if key == 'find_class': return {_LOOK}\n"
    "        return super().__getattribute__(key)",
    "setattr": "class U(B):\n    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "    def __setattr__(self, key, value):\n"
    "        if key != 'find_class': super().__setattr__(key, value)",
    "metaclass": "class M(type):\n    def __getattribute__(cls, key):\n"
    "        if key == 'find_class': return B.find_class\n"
    "        return super().__getattribute__(key)\n"
    "class U(B, metaclass=M):\n"
    "    def find_class(self, m, n): return getattr(sys.modules[m], n)",
    "mixin": "class Mix:\n    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "class U(Mix, B): pass",
    "slots": "class U(B):\n    __slots__ = ()\n"
    "    def find_class(self, m, n): return getattr(sys.modules[m], n)",
    "descriptor": "class D:\n    def __get__(self, one, kind=None):\n"
    f"        return {_LOOK}\n    def __set__(self, one, value): pass\n"
    "class U(B): find_class = D()",
    "forged-function": "class U(B):\n    def find_class(self, m, n):\n"
    "        f = lambda *args: getattr(sys.modules[m], n)(*args)\n"
    "        f.__module__, f.__qualname__, f.__name__ = 'builtins', 'list', 'list'\n"
    "        return f",
    "partial": "import functools\nclass U(B):\n"
    "    def find_class(self, m, n): return functools.partial(getattr(sys.modules[m], n))",
    "callable": "class C:\n    def __init__(self, f): self.f = f\n"
    "    def __call__(self, *args): return self.f(*args)\n"
    "class U(B):\n    def find_class(self, m, n): return C(getattr(sys.modules[m], n))",
    "load-too": "class U(B):\n    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "    def load(self): return super().load()",
}
_FROM = {
    "c": "B = pickle.Unpickler",
    "python": "B = pickle._Unpickler",
    "raw": "B = pickle.Unpickler.__mro__[-2]",
}
_OWN = "\n".join(
    each(
        f"{base}\n@\nU(io.BytesIO(EVIL)).load()\n",
        {f"{kind}-{how}": text for how, text in _OVERRIDES.items()
         if not (kind == "raw" and how in ("none", "super", "later", "load-too", "mixin"))},
    )
    for kind, base in _FROM.items()
)  # fmt: skip

# A value that a name did not bring in is called with the path of the marker.
_GIVEN = {
    "persistent": "class U(B):\n    def persistent_load(self, pid): return os.mkfifo\n"
    "u = U(F(b'Px\\n' + called(Part(b''), MARK) + b'.'))",
    "persistent-system": "class U(B):\n    def persistent_load(self, pid): return os.system\n"
    "u = U(F(b'Px\\n' + called(Part(b''), 'touch ' + MARK) + b'.'))",
    "persistent-binary": "class U(B):\n    def persistent_load(self, pid):\n"
    "        return getattr(sys.modules[pid[0]], pid[1])\n"
    "u = U(F(b'\\x80\\x02' + part('posix') + part('mkfifo') + b'\\x86Q' + part(MARK)"
    " + b'\\x85R.'))",
    "persistent-acts": "class U(B):\n    def persistent_load(self, pid): return eval(pid)\n"
    "u = U(F(b'P__import__(\"os\").mkfifo(MARK)\\n.'))",
    "persistent-on-instance": "class U(B): pass\nu = U(F(b'Px\\n' + called(Part(b''), MARK)"
    " + b'.'))\nu.persistent_load = lambda pid: os.mkfifo",
    "memo": "u = B(F(b'g0\\n' + called(Part(b''), MARK) + b'.'))\nu.memo = {0: os.mkfifo}",
    "buffers": "u = B(F(b'\\x80\\x05\\x97' + called(Part(b''), MARK) + b'.'), buffers=[os.mkfifo])",
    "instance-attribute": f"class U(B): pass\nu = U(F(EVIL))\nu.find_class = {_LOOK}",
    "changed-while-loading": "class U(B):\n    def persistent_load(self, pid):\n"
    f"        self.find_class = {_LOOK}\n"
    "u = U(F(b'Px\\n0' + EVIL))",
    "class-changed-while-loading": "class U(B):\n    def persistent_load(self, pid):\n"
    "        U.find_class = lambda self, m, n: getattr(sys.modules[m], n)\n"
    "        self.__dict__.pop('find_class', None)\n"
    "u = U(F(b'Px\\n0' + EVIL))",
}
_KINDS = {
    "bytes": "F = io.BytesIO",
    "file": "F = lambda data: open(file(data), 'rb')",
}
_HANDED = "\n".join(
    each(
        f"{_FROM[base]}\n{handle}\n@\nu.load()\n",
        {f"{base}-{kind}-{how}": text for how, text in _GIVEN.items()
         if (base, how) != ("c", "memo")},
    )
    for base in ("c", "python")
    for kind, handle in _KINDS.items()
)  # fmt: skip
_ALSO = r"""
### loads-buffers
pickle.loads(b"\x80\x05\x97" + called(Part(b""), MARK) + b".", buffers=[os.mkfifo])
### loads-buffers-generator
def late():
    yield os.mkfifo
pickle.load(io.BytesIO(b"\x80\x05\x97" + called(Part(b""), MARK) + b"."), buffers=late())
### plain-c-persistent
import _pickle
u = _pickle.Unpickler(io.BytesIO(b"Px\n" + called(Part(b""), MARK) + b"."))
try: u.persistent_load = lambda pid: os.mkfifo
except AttributeError:  # only 3.13.0 does not let it be set
    class U(_pickle.Unpickler): persistent_load = lambda self, pid: os.mkfifo
    u = U(io.BytesIO(b"Px\n" + called(Part(b""), MARK) + b"."))
u.load()
### dispatch-global
class U(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)
    def load_global(self):
        module, name = self.readline()[:-1].decode(), self.readline()[:-1].decode()
        self.append(getattr(sys.modules[module], name))
    dispatch[ord("c")] = load_global
U(io.BytesIO(EVIL)).load()
### dispatch-of-class
def load_global(self):
    module, name = self.readline()[:-1].decode(), self.readline()[:-1].decode()
    self.append(getattr(sys.modules[module], name))
pickle._Unpickler.dispatch[ord("c")] = load_global
pickle._loads(EVIL)
### dispatch-reduce
class U(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)
    def load_reduce(self):
        args = self.stack.pop()
        self.stack[-1] = getattr(os, self.stack[-1])(*args)
    dispatch[ord("R")] = load_reduce
U(io.BytesIO(called(part("mkdir"), MARK) + b".")).load()
### load-global-method
class U(pickle._Unpickler):
    def get_extension(self, code):
        self.append(os.mkfifo)
U(io.BytesIO(b"\x80\x02\x82\x07" + called(Part(b""), MARK) + b".")).load()
### own-loop
class U(pickle._Unpickler):
    def find_class(self, m, n):
        return getattr(sys.modules[m], n)
    def load(self):
        self._unframer = pickle._Unframer(self._file_read, self._file_readline)
        self.read, self.readline = self._unframer.read, self._unframer.readline
        self.readinto = self._unframer.readinto
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        try:
            while True:
                self.dispatch[self.read(1)[0]](self)
        except pickle._Stop as stop:
            return stop.value
U(io.BytesIO(EVIL)).load()
### dispatch-raw
raw_reduce = pickle._Unpickler.load_reduce
class U(pickle._Unpickler):
    dispatch = {**pickle._Unpickler.dispatch, ord("R"): raw_reduce}
    def get_extension(self, code): self.append(os.mkfifo)
U(io.BytesIO(b"\x80\x02\x82\x07" + called(Part(b""), MARK) + b".")).load()
### stack-preset outside=the program itself puts the call on the stack; no byte names it
u = pickle._Unpickler(io.BytesIO(EVIL))
u.stack, u.metastack = [os.mkfifo, (MARK,)], []
u.append = u.stack.append
pickle._Unpickler.load_reduce(u)
### restricted-example
import builtins
class Restricted(pickle.Unpickler):
    def find_class(self, module, name):
        if module == "builtins" and hasattr(builtins, name):
            return getattr(builtins, name)
        raise pickle.UnpicklingError("forbidden")
Restricted(io.BytesIO(raw("builtins", "eval", f"__import__('os').mkfifo({MARK!r})"))).load()
### allow-list-of-modules
class Allowing(pickle.Unpickler):
    def find_class(self, module, name):
        if module.split(".")[0] in {"collections", "posix"}:
            __import__(module)
            return getattr(sys.modules[module], name)
        raise pickle.UnpicklingError("forbidden")
Allowing(io.BytesIO(EVIL)).load()
### remapped
class Renaming(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class({"old": "posix"}.get(module, module), name)
Renaming(io.BytesIO(raw("old", "mkfifo", MARK))).load()
### remapped-no-super
class Renaming(pickle.Unpickler):
    def find_class(self, module, name):
        return getattr(sys.modules[{"collections": "posix"}.get(module, module)],
                       {"OrderedDict": "mkfifo"}.get(name, name))
Renaming(io.BytesIO(raw("collections", "OrderedDict", MARK))).load()
### c-subclass-of-python-subclass
class A(pickle._Unpickler):
    pass
class U(A):
    find_class = lambda self, m, n: getattr(__import__(m), n)
U(io.BytesIO(EVIL)).load()
### two-unpicklers
class Inner(pickle.Unpickler):
    def find_class(self, m, n):
        return getattr(sys.modules[m], n)
class Outer(pickle.Unpickler):
    def persistent_load(self, pid):
        return Inner(io.BytesIO(EVIL)).load()
Outer(io.BytesIO(b"Px\n.")).load()
### shared-by-threads
import threading
class U(pickle.Unpickler.__mro__[-2]):
    __slots__ = ()
    def find_class(self, m, n):
        return getattr(sys.modules[m], n)
started, ended = threading.Event(), threading.Event()
class Slow:
    def __init__(self, data): self.file, self.first = io.BytesIO(data), True
    def readline(self):
        return self.file.readline()
    def read(self, n):
        if self.first:
            self.first = False
            started.set(); ended.wait(5)
        return self.file.read(n)
t = threading.Thread(target=lambda: U(Slow(b"N.")).load()); t.start()
started.wait(5)
def other():
    u = U(Slow2(EVIL))
    u.load()
class Slow2(Slow):
    def read(self, n):
        ended.set(); t.join()
        return self.file.read(n)
other()
"""

# What calls or changes the thing on the stack, which came there unasked.
_OPCODES = """
class Evil:
    def __new__(cls, path): os.mkfifo(path)
    __setstate__ = staticmethod(os.mkfifo)
class U(pickle._Unpickler):
    def get_extension(self, code): self.append(Evil)
U(io.BytesIO(b"\\x80\\x04" + @ + b".")).load()
"""
_CALLED = {
    "newobj": "b'\\x82\\x07(' + part(MARK) + b't\\x81'",
    "newobj-ex": "b'\\x82\\x07(' + part(MARK) + b't}\\x92'",
    "obj": "b'(\\x82\\x07' + part(MARK) + b'o'",
    "build": "b'\\x82\\x07' + part(MARK) + b'b'",
}

WAYS = ways("unpicklers", "\n".join((_OWN, _HANDED, _ALSO, each(_OPCODES, _CALLED, "opcode-"))))
