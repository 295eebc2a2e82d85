"""What calls the deserializer: hooks of the interpreter and callbacks of C code."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
### trace
def seen(frame, event, arg):
    sys.settrace(None); pickle.loads(EVIL)
def f(): pass
sys.settrace(seen); f()
### profile
def seen(frame, event, arg):
    sys.setprofile(None); pickle.loads(EVIL)
sys.setprofile(seen); len("")
### thread-trace
import threading
def seen(frame, event, arg):
    sys.settrace(None); pickle.loads(EVIL)
threading.settrace(seen); t = threading.Thread(target=lambda: 1); t.start(); t.join()
### c-qsort
import ctypes
libc = ctypes.CDLL(None)
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def compare(a, b):
    try: pickle.loads(EVIL)
    except Exception as e: print(e)
    return 0
values = (ctypes.c_int * 3)(3, 2, 1)
libc.qsort(values, 3, 4, kind(compare))
### sqlite-function
import sqlite3
d = sqlite3.connect(":memory:"); d.create_function("f", 1, pickle.loads)
try: d.execute("select f(?)", (EVIL,)).fetchall()
except sqlite3.Error as e: print(e)
### sqlite-converter
import sqlite3
sqlite3.register_converter("o", pickle.loads)
d = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
d.execute("create table t (v o)"); d.execute("insert into t values (?)", (EVIL,))
d.execute("select v from t").fetchall()
### sqlite-converter-columns
import sqlite3
sqlite3.register_converter("pickle", lambda data: pickle.loads(data))
d = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_COLNAMES)
d.execute('select ? as "v [pickle]"', (EVIL,)).fetchall()
### sqlite-text-factory
import sqlite3
d = sqlite3.connect(":memory:"); d.text_factory = lambda data: pickle.loads(data)
d.execute("select ?", (EVIL.decode(),)).fetchall()
### sqlite-trace
import sqlite3
d = sqlite3.connect(":memory:"); d.set_trace_callback(lambda _: pickle.loads(EVIL))
d.execute("select 1")
### expat
from xml.parsers import expat
p = expat.ParserCreate(); p.StartElementHandler = lambda *_: pickle.loads(EVIL)
p.Parse("<x/>")
### etree-builder
import xml.etree.ElementTree as E, base64
class B(E.TreeBuilder):
    def data(self, text): pickle.loads(base64.b64decode(text))
E.fromstring("<x>%s</x>" % base64.b64encode(EVIL).decode(), E.XMLParser(target=B()))
### json-hook
import json
json.loads(json.dumps({"x": EVIL.decode()}), object_hook=lambda d: pickle.loads(d["x"].encode()))
### json-constant
import json
json.loads("NaN", parse_constant=lambda _: pickle.loads(EVIL))
### csv-reader
import csv
class Rows:
    def __iter__(self): return self
    def __next__(self): pickle.loads(EVIL); raise StopIteration
list(csv.reader(Rows()))
### re-sub
import re
re.sub("x", lambda _: pickle.loads(EVIL), "x")
### codec-handler
import codecs
codecs.register_error("go", lambda e: (pickle.loads(EVIL), e.end))
try: b"\xff".decode("ascii", "go")
except TypeError: pass
### codec
import codecs
def find(name):
    if name == "go": return codecs.CodecInfo(None, lambda data, e="": (pickle.loads(data), 1), name="go")
codecs.register(find)
codecs.decode(EVIL, "go")
### sort-key
max([EVIL], key=pickle.loads)
### compare
import functools
sorted([EVIL, EVIL], key=functools.cmp_to_key(lambda a, b: pickle.loads(a) or 0))
### reduce
import functools
functools.reduce(lambda a, b: pickle.loads(b), [1, EVIL])
### heap
import heapq
class H:
    def __lt__(self, other): pickle.loads(EVIL); return True
heapq.heapify([H(), H()])
### hash
class H:
    def __hash__(self): pickle.loads(EVIL); return 1
{H(): 1}
### format
class F:
    def __format__(self, spec): pickle.loads(EVIL); return ""
f"{F()}"
### bool
class B:
    def __bool__(self): pickle.loads(EVIL); return True
not B()
### index
class I:
    def __index__(self): pickle.loads(EVIL); return 0
[1][I()]
### missing
class M(dict):
    def __missing__(self, key): return pickle.loads(EVIL)
M()["x"]
### default-factory
import collections, functools
collections.defaultdict(functools.partial(pickle.loads, EVIL))["x"]
### metaclass
class M(type):
    def __new__(m, n, b, d): pickle.loads(EVIL); return super().__new__(m, n, b, d)
class C(metaclass=M): pass
### prepare
class M(type):
    @classmethod
    def __prepare__(m, n, b): pickle.loads(EVIL); return {}
class C(metaclass=M): pass
### set-name
class S:
    def __set_name__(self, owner, name): pickle.loads(EVIL)
try:
    class C: s = S()
except RuntimeError as e: raise e.__cause__
### init-subclass
class B:
    def __init_subclass__(cls): pickle.loads(EVIL)
class C(B): pass
### decorator
def go(f): pickle.loads(EVIL); return f
@go
def f(): pass
### context-manager
import contextlib
with contextlib.ExitStack() as stack: stack.callback(pickle.loads, EVIL)
### exception-handler
try: 1 / 0
except ZeroDivisionError: pickle.loads(EVIL)
### exception-cause
try:
    try: pickle.loads(b"")
    finally: pickle.loads(EVIL)
except EOFError: pass
### excepthook
sys.excepthook = lambda *_: pickle.loads(EVIL)
1 / 0
### unraisablehook
sys.unraisablehook = lambda *_: pickle.loads(EVIL)
class D:
    def __del__(self): 1 / 0
D()
### displayhook
sys.displayhook = lambda _: pickle.loads(EVIL)
exec(compile("1", "x", "single"))
### stdout
class O:
    def write(self, text): sys.stdout = sys.__stdout__; pickle.loads(EVIL)
    def flush(self): pass
sys.stdout = O(); print()
### breakpointhook
sys.breakpointhook = lambda: pickle.loads(EVIL)
breakpoint()
### import-hook
import importlib.abc, importlib.machinery
class L(importlib.abc.Loader):
    def create_module(self, spec): return None
    def exec_module(self, module): pickle.loads(EVIL)
class F:
    def find_spec(self, name, path=None, target=None):
        if name == "gone": return importlib.machinery.ModuleSpec(name, L())
sys.meta_path.insert(0, F()); import gone
### module-body
open("body.py", "w").write("import pickle\npickle.loads(%r)" % EVIL)
import body
### module-getattr
open("lazy.py", "w").write("import pickle\ndef __getattr__(n): pickle.loads(%r)" % EVIL)
import lazy; lazy.thing
### path-hook
def hook(path):
    if path == "go": pickle.loads(EVIL)
    raise ImportError
sys.path_hooks.insert(0, hook); sys.path.insert(0, "go")
try: import no_such_module
except ImportError: pass
### logging-handler
import logging
class H(logging.Handler):
    def emit(self, record): pickle.loads(EVIL)
logging.getLogger().addHandler(H()); logging.getLogger().warning("x")
"""

WAYS = ways("callbacks", _TEXT)
