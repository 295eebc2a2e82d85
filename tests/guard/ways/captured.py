"""References that the program took before the guard was on."""

from __future__ import annotations

from tests.guard.ways import each, ways

# A function of the program's own, which its own bytes may name by code, and no others.
_OWN_CODE = ("import copyreg, _pickle; go = _pickle.loads\ndef act(path): os.mkfifo(path)\n"
             "copyreg.add_extension('__main__', 'act', 7)")  # fmt: skip
_BY_CODE = "go(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')"
_TAKEN = {
    "loads": ("go = pickle.loads", "go(EVIL)"),
    "load": ("go = pickle.load", "go(io.BytesIO(EVIL))"),
    "load-file": ("go = pickle.load", "go(open(file(), 'rb'))"),
    "load-internal-zone": ("go = pickle.load", "go(open(file(path='models/x'), 'rb'))"),
    "python-loads": ("go = pickle._loads", "go(EVIL)"),
    "python-load": ("go = pickle._load", "go(io.BytesIO(EVIL))"),
    "type": ("go = pickle.Unpickler", "go(io.BytesIO(EVIL)).load()"),
    "type-file": ("go = pickle.Unpickler", "go(open(file(), 'rb')).load()"),
    "python-type": ("go = pickle._Unpickler", "go(io.BytesIO(EVIL)).load()"),
    "c-loads": ("import _pickle; go = _pickle.loads", "go(EVIL)"),
    "c-load": ("import _pickle; go = _pickle.load", "go(io.BytesIO(EVIL))"),
    "c-type": ("import _pickle; go = _pickle.Unpickler", "go(io.BytesIO(EVIL)).load()"),
    "star": ("from pickle import *", "loads(EVIL)"),
    "default-argument": ("def go(data, loads=pickle.loads): return loads(data)", "go(EVIL)"),
    "class-attribute": ("class C: go = staticmethod(pickle.loads)", "C.go(EVIL)"),
    "instance-attribute": ("class C: pass\nc = C(); c.go = pickle.loads", "c.go(EVIL)"),
    "closure": (
        "def make():\n    loads = pickle.loads\n    return lambda d: loads(d)\ngo = make()",
        "go(EVIL)",
    ),
    "partial": (
        "import functools; go = functools.partial(pickle.loads, encoding='bytes')",
        "go(EVIL)",
    ),
    "partial-given": ("import functools; go = functools.partial(pickle.loads, EVIL)", "go()"),
    "map": ("go = map(pickle.loads, [EVIL])", "next(go)"),
    "iterator": (
        "go = iter(__import__('functools').partial(pickle.loads, EVIL), None)",
        "next(go)",
    ),
    "module-dict": ("go = dict(vars(pickle))", "go['loads'](EVIL)"),
    "methodcaller": (
        "import operator; go = operator.methodcaller('loads', EVIL)",
        "go(type('M', (), {'loads': staticmethod(taken)}))",
    ),
    "instance": ("go = pickle.Unpickler(io.BytesIO(EVIL))", "go.load()"),
    "instance-file": ("go = pickle.Unpickler(open(file(), 'rb'))", "go.load()"),
    "python-instance": ("go = pickle._Unpickler(io.BytesIO(EVIL))", "go.load()"),
    "bound-load": ("go = pickle.Unpickler(io.BytesIO(EVIL)).load", "go()"),
    "python-bound-load": ("go = pickle._Unpickler(io.BytesIO(EVIL)).load", "go()"),
    "bound-find": (
        "go = pickle.Unpickler(io.BytesIO(EVIL)).find_class",
        "go('posix', 'mkfifo')(MARK)",
    ),
    "descriptor": ("go = pickle.Unpickler.load", "go(pickle.Unpickler(io.BytesIO(EVIL)))"),
    "descriptor-on-captured": ("K = pickle.Unpickler; go = K.load", "go(K(io.BytesIO(EVIL)))"),
    "find-descriptor": (
        "K = pickle.Unpickler; go = K.find_class",
        "go(K(io.BytesIO(EVIL)), 'posix', 'mkfifo')(MARK)",
    ),
    "python-function": ("go = pickle._Unpickler.load", "go(pickle._Unpickler(io.BytesIO(EVIL)))"),
    "subclass": ("class U(pickle.Unpickler): pass", "U(io.BytesIO(EVIL)).load()"),
    "python-subclass": ("class U(pickle._Unpickler): pass", "U(io.BytesIO(EVIL)).load()"),
    "dispatch-function": (
        "go = pickle._Unpickler.dispatch[ord('c')]",
        "u = pickle._Unpickler(io.BytesIO())\nu.stack = []\n"
        "f = io.BytesIO(b'posix\\nmkfifo\\n'); u.readline = f.readline\n"
        "u.append = u.stack.append; go(u); u.stack[0](MARK)",
    ),
    "thread": (
        "import threading; go = threading.Thread(target=pickle.loads, args=(EVIL,))",
        "go.start(); go.join()",
    ),
    "raw-thread": (
        "import _thread; go = pickle.loads",
        "import time; _thread.start_new_thread(go, (EVIL,)); time.sleep(.1)\nwhile _thread._count(): time.sleep(.01)",
    ),
    "timer": (
        "import threading; go = threading.Timer(0, pickle.loads, (EVIL,))",
        "go.start(); go.join()",
    ),
    "atexit": ("import atexit; atexit.register(pickle.loads, EVIL)", "pass"),
    "weakref": (
        "import weakref\nclass C: pass\nc = C()\n"
        "go = pickle.loads; r = weakref.ref(c, lambda _: go(EVIL))",
        "del c",
    ),
    "finalize": (
        "import weakref\nclass C: pass\nc = C()\nweakref.finalize(c, pickle.loads, EVIL)",
        "del c",
    ),
    "signal": (
        "import signal; go = pickle.loads\nsignal.signal(signal.SIGUSR1, lambda *_: go(EVIL))",
        "os.kill(os.getpid(), signal.SIGUSR1)",
    ),
    "executor": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1); go = pickle.loads",
        "print(pool.submit(go, EVIL).exception())",
    ),
    "generator": (
        "def gen():\n    loads = pickle.loads\n    yield\n    loads(EVIL)\ngo = gen(); next(go)",
        "next(go, None)",
    ),
    "coroutine": ("async def co(loads=pickle.loads): loads(EVIL)\ngo = co()", "go.send(None)"),
    "property": ("class C: go = property(lambda self, f=pickle.loads: f(EVIL))", "C().go"),
    "lru-cache": ("import functools; go = functools.lru_cache(pickle.loads)", "go(EVIL)"),
    "singledispatch": ("import functools\ngo = functools.singledispatch(pickle.loads)", "go(EVIL)"),
    "sqlite-converter": (
        "import sqlite3; sqlite3.register_converter('o', pickle.loads)",
        "d = sqlite3.connect(':memory:', detect_types=1)\n"
        "d.execute('create table t (v o)')\n"
        "d.execute('insert into t values (?)', (EVIL,))\n"
        "d.execute('select v from t').fetchall()",
    ),
    "json-hook": (
        "import json; go = json.JSONDecoder(object_hook=lambda d, f=pickle.loads: "
        "f(d['x'].encode()))",
        "go.decode(json.dumps({'x': EVIL.decode()}))",
    ),
    "forking-pickler": (
        "from multiprocessing.reduction import ForkingPickler as F\ngo = F.loads",
        "go(EVIL)",
    ),
    "connection-module": (
        "from multiprocessing import connection",
        "connection._ForkingPickler.loads(EVIL)",
    ),
    "shelve-module": ("import shelve", "s = shelve.Shelf({b'k': EVIL}); s['k']"),
    "shelve-class": ("from shelve import Shelf", "Shelf({b'k': EVIL})['k']"),
    "copy-of-module": (
        "import importlib.util as i\n"
        "s = i.spec_from_file_location('o', pickle.__file__)\n"
        "o = i.module_from_spec(s); s.loader.exec_module(o)",
        "o._loads(EVIL)",
    ),
    "marshal": (
        "import marshal; go = marshal.loads\n"
        "data = marshal.dumps(compile('os.mkfifo(MARK)', 'x', 'exec'))",
        "exec(go(data))",
    ),
    "marshal-load": (
        "import marshal; go = marshal.load\n"
        "f = io.BytesIO(marshal.dumps(compile('os.mkfifo(MARK)', 'x', 'exec')))",
        "exec(go(f))",
    ),
}
_SEEN = "class U(@):\n    def find_class(self, m, n): return getattr(sys.modules[m], n)"
_TAKEN |= {
    "subclass-override": (_SEEN.replace("@", "pickle.Unpickler"), "U(io.BytesIO(EVIL)).load()"),
    "subclass-override-file": (_SEEN.replace("@", "pickle.Unpickler"),
                               "U(open(file(), 'rb')).load()"),
    "python-subclass-override": (_SEEN.replace("@", "pickle._Unpickler"),
                                 "U(io.BytesIO(EVIL)).load()"),
    "instance-override": (_SEEN.replace("@", "pickle.Unpickler") + "\ngo = U(io.BytesIO(EVIL))",
                          "go.load()"),
    "bound-load-override": (_SEEN.replace("@", "pickle.Unpickler")
                            + "\ngo = U(io.BytesIO(EVIL)).load", "go()"),
    "descriptor-override": (_SEEN.replace("@", "pickle.Unpickler")
                            + "\ngo = pickle.Unpickler.load", "go(U(io.BytesIO(EVIL)))"),
    "descriptor-override-later": ("go = pickle.Unpickler.load; B = pickle.Unpickler",
                                  _SEEN.replace("@", "B") + "\ngo(U(io.BytesIO(EVIL)))"),
    "python-function-override": (_SEEN.replace("@", "pickle._Unpickler")
                                 + "\ngo = pickle._Unpickler.load", "go(U(io.BytesIO(EVIL)))"),
    "subclass-of-captured": ("B = pickle.Unpickler",
                             _SEEN.replace("@", "B") + "\nU(io.BytesIO(EVIL)).load()"),
    "subclass-of-subclass": ("class B(pickle.Unpickler): pass",
                             _SEEN.replace("@", "B") + "\nU(io.BytesIO(EVIL)).load()"),
    "persistent": ("class U(pickle.Unpickler):\n"
                   "    def persistent_load(self, pid): return os.mkfifo",
                   "U(io.BytesIO(b'Px\\n' + called(Part(b''), MARK) + b'.')).load()"),
    "persistent-instance": ("class U(pickle.Unpickler):\n"
                            "    def persistent_load(self, pid): return os.mkfifo\n"
                            "go = U(io.BytesIO(b'Px\\n' + called(Part(b''), MARK) + b'.'))",
                            "go.load()"),
    "load-too": ("class U(pickle.Unpickler):\n    load = pickle.Unpickler.load\n"
                 "    def find_class(self, m, n): return getattr(sys.modules[m], n)",
                 "U(io.BytesIO(EVIL)).load()"),
    "buffers": ("go = pickle.loads",
                "go(b'\\x80\\x05\\x97' + called(Part(b''), MARK) + b'.', buffers=[os.mkfifo])"),
    "extension-cache": ("import copyreg; cache = copyreg._extension_cache; go = pickle.loads\n"
                        "copyreg.add_extension('posix', 'mkfifo', 7); cache[7] = os.mkfifo",
                        "go(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')"),
    "extension-cache-later": ("import copyreg; cache = copyreg._extension_cache\n"
                              "go = pickle.loads\ncopyreg.add_extension('posix', 'mkfifo', 7)",
                              "cache[7] = os.mkfifo\n"
                              "go(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')"),
    "extension-cache-filled": ("import copyreg; go = pickle.loads\n"
                               "copyreg.add_extension('posix', 'mkfifo', 7)\n"
                               "go(b'\\x80\\x02\\x82\\x07.')",
                               "go(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')"),
    "extension-cache-again": ("import copyreg; cache = copyreg._extension_cache\n"
                              "copyreg.add_extension('posix', 'mkfifo', 7)",
                              "cache[7] = os.mkfifo\n"
                              "pickle.loads(b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.')"),
    "extension-cache-again-load": ("import copyreg; cache = copyreg._extension_cache\n"
                                   "copyreg.add_extension('posix', 'mkfifo', 7)",
                                   "cache[7] = os.mkfifo\npickle.load(io.BytesIO("
                                   "b'\\x80\\x02\\x82\\x07' + called(Part(b''), MARK) + b'.'))"),
    "extension-cache-of-copyreg": ("import copyreg, _pickle; go = _pickle.loads\n"
                                   "copyreg.add_extension('posix', 'mkfifo', 7)",
                                   "copyreg._extension_cache[7] = os.mkfifo\n" + _BY_CODE),
    "memo": ("u = pickle.Unpickler(io.BytesIO(named('posix', 'mkfifo') + b'q\\x000N.h\\x00'"
             " + called(Part(b''), MARK) + b'.')); u.load()", "u.load()"),
    "memo-of-another": ("v = pickle.Unpickler(io.BytesIO(named('posix', 'mkfifo') + b'q\\x000N.'))"
                        "; v.load()",
                        "u = pickle.Unpickler(io.BytesIO(b'h\\x00' + called(Part(b''), MARK) + b'.'))"
                        "\nu.memo = v.memo; u.load()"),
    "extension-of-minted-loads": (_OWN_CODE, "pickle.loads(pickle.dumps(act, 2))\n" + _BY_CODE),
    "extension-of-minted-load": (_OWN_CODE,
                                 "pickle.load(io.BytesIO(pickle.dumps(act, 2)))\n" + _BY_CODE),
}  # fmt: skip

# The gadget differs, as a name that is judged for what it is does not depend on what calls it.
_GADGETS = {
    "posix-system": "raw('posix', 'system', 'touch ' + MARK)",
    "os-system": "raw('os', 'system', 'touch ' + MARK)",
    "getoutput": "raw('subprocess', 'getoutput', 'touch ' + MARK)",
    "eval": "raw('builtins', 'eval', f'__import__(\"os\").mkfifo({MARK!r})')",
    "exec": "raw('builtins', 'exec', f'import os; os.mkfifo({MARK!r})')",
    "open": "raw('builtins', 'open', MARK, 'w')",
    "io-open": "raw('_io', 'open', MARK, 'w')",
    "file-io": "raw('_io', 'FileIO', MARK, 'w')",
    "mkdir": "raw('posix', 'mkdir', MARK)",
    "symlink": "raw('posix', 'symlink', '/', MARK)",
    "runpy": "raw('runpy', 'run_path', (open('r.py', 'w').write("
    "f'import os; os.mkfifo({MARK!r})'), 'r.py')[1])",
    "import": "raw('importlib', 'import_module', (open('evilmod.py', 'w').write("
    "f'import os; os.mkfifo({MARK!r})'), 'evilmod')[1])",
    "import-by-name": "raw((open('evilmod.py', 'w').write("
    "f'import os; os.mkfifo({MARK!r})'), 'evilmod')[1], 'nothing')",
    "profile": "raw('profile', 'run', f'__import__(\"os\").mkfifo({MARK!r})')",
    "pathlib": "b'\\x80\\x04' + called(named('pathlib', 'Path.touch', 4), called(named('pathlib', 'PosixPath'),"
    " MARK)) + b'.'",
    "getattr": "called(called(named('builtins', 'getattr'), called(named('builtins',"
    " '__import__'), 'os'), 'mkfifo'), MARK) + b'.'",
    "own-function": "raw('__main__', 'act', MARK)\ndef act(path): os.mkfifo(path)",
    "nested": "raw('_pickle', 'loads', Part(b'\\x43' + bytes([len(EVIL)]) + EVIL))",
}
_BY = "import _pickle; go = _pickle.loads\ndata = @\nguard()\ngo(data)\n"


_OUTSIDE = {
    "buffers": "the program hands the function over itself, to a C function that asks nobody",
    "extension-cache-later": "the program puts the function into the cache of CPython itself",
}


def _taken() -> str:
    parts = []
    for name, (before, after) in _TAKEN.items():
        text = f"taken = pickle.loads\n{before}\nguard()\n{after}\n"
        outside = f" outside={_OUTSIDE[name]}" if name in _OUTSIDE else ""
        parts.append(f"### {name} start=install{outside}\n{text}")
    return "\n".join(parts)


_BETWEEN = r"""
### guard-while-loading start=install
class U(pickle.Unpickler):
    def persistent_load(self, pid):
        guard()
U(io.BytesIO(b"Px\n0" + EVIL)).load()
### guard-while-loading-override start=install
class U(pickle.Unpickler):
    def persistent_load(self, pid):
        guard()
    def find_class(self, m, n):
        return getattr(sys.modules[m], n)
U(io.BytesIO(b"Px\n0" + EVIL)).load()
### guard-while-loading-python start=install
class U(pickle._Unpickler):
    def persistent_load(self, pid):
        guard()
    def find_class(self, m, n):
        return getattr(sys.modules[m], n)
U(io.BytesIO(b"Px\n0" + EVIL)).load()
### guard-in-other-thread start=install
import threading
go = pickle.loads
t = threading.Thread(target=guard); t.start(); t.join()
go(EVIL)
### thread-before start=install
import threading, queue
q, go = queue.Queue(), pickle.loads
t = threading.Thread(target=lambda: q.get()(EVIL)); t.start()
guard()
q.put(go); t.join()
### minted-before start=install
data = pickle.dumps(P())
guard()
pickle.loads(data)
### minted-before-captured start=install
data, go = pickle.dumps(P()), pickle.loads
guard()
go(data)
### cloudpickle needs=cloudpickle start=install
from cloudpickle import loads
guard()
loads(EVIL)
### dill needs=dill start=install
from dill import loads
guard()
loads(EVIL)
### joblib needs=joblib start=install
from joblib import load
guard()
load(file())
### joblib-unpickler needs=joblib start=install
from joblib.numpy_pickle import NumpyUnpickler
guard()
f = open(file(), "rb")
try:
    u = NumpyUnpickler("evil.bin", f, False)
except TypeError:
    u = NumpyUnpickler("evil.bin", f)
u.load()
### numpy needs=numpy start=install
from numpy import load, array
import numpy as np
guard()
np.lib.format.write_array_header_1_0(open("e.npy", "wb"),
    {"descr": "|O", "fortran_order": False, "shape": (1,)})
open("e.npy", "ab").write(EVIL)
load("e.npy", allow_pickle=True)
### pandas needs=pandas start=install
from pandas import read_pickle
guard()
read_pickle(file())
### yaml needs=yaml start=install
from yaml import unsafe_load
guard()
unsafe_load("!!python/object/apply:os.mkfifo [%s]" % MARK)
### yaml-class needs=yaml start=install
from yaml import UnsafeLoader
import yaml
class L(UnsafeLoader): pass
guard()
yaml.load("!!python/object/apply:os.mkfifo [%s]" % MARK, L)
### yaml-method needs=yaml start=install
import yaml
class L(yaml.UnsafeLoader):
    find_python_name = yaml.constructor.UnsafeConstructor.find_python_name
guard()
yaml.load("!!python/object/apply:os.mkfifo [%s]" % MARK, L)
### yaml-multi-constructors needs=yaml start=install
import yaml
class L(yaml.UnsafeLoader):
    yaml_multi_constructors = dict(yaml.UnsafeLoader.yaml_multi_constructors)
    find_python_name = lambda self, name, mark, unsafe=True: getattr(
        sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2])
guard()
yaml.load("!!python/object/apply:os.mkfifo [%s]" % MARK, L)
### jsonpickle needs=jsonpickle start=install
from jsonpickle import decode
guard()
decode('{"py/reduce": [{"py/function": "os.mkfifo"}, {"py/tuple": ["%s"]}]}' % MARK)
### jsonpickle-loadclass needs=jsonpickle start=install
from jsonpickle.unpickler import Unpickler
u = Unpickler()
guard()
u.restore({"py/reduce": [{"py/function": "os.mkfifo"}, {"py/tuple": [MARK]}]})
### torch needs=torch start=install
from torch import load
import torch
guard()
class Bad: __reduce__ = lambda self: (os.mkfifo, (MARK,))
import zipfile
with zipfile.ZipFile("e.pt", "w") as z:
    z.writestr("a/data.pkl", raw("posix", "mkfifo", MARK, proto=2))
    z.writestr("a/version", "3\n")
load("e.pt", weights_only=False)
"""

WAYS = ways(
    "captured",
    "\n".join(
        (_taken(), each(_BY, {f"gadget-{name} start=install": text for name, text in _GADGETS.items()}),
         _BETWEEN)
    ),
)  # fmt: skip
