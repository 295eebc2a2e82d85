"""What calls the deserializer: threads, loops, callbacks of C code, finalizers, the end."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### thread
import threading
t = threading.Thread(target=pickle.loads, args=(EVIL,)); t.start(); t.join()
### raw-thread
import _thread, time
_thread.start_new_thread(pickle.loads, (EVIL,)); time.sleep(.3)
### daemon-thread-at-end
import threading, time
def late():
    time.sleep(.05)
    pickle.loads(EVIL)
threading.Thread(target=late).start()
### timer
import threading
t = threading.Timer(0, pickle.loads, (EVIL,)); t.start(); t.join()
### executor
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool: print(pool.submit(pickle.loads, EVIL).exception())
### executor-map
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool: list(pool.map(pickle.loads, [EVIL]))
### future-callback
from concurrent.futures import Future
f = Future(); f.add_done_callback(lambda _: pickle.loads(EVIL)); f.set_result(1)
### thread-pool
from multiprocessing.pool import ThreadPool
with ThreadPool(1) as pool:
    try: pool.map(pickle.loads, [EVIL])
    except Exception as e: print(e)
### thread-local
import threading
class D:
    def __del__(self): pickle.loads(EVIL)
local = threading.local()
def go(): local.x = D()
t = threading.Thread(target=go); t.start(); t.join()
### thread-excepthook
import threading
threading.excepthook = lambda args: pickle.loads(EVIL)
t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()
### asyncio
import asyncio
async def main(): pickle.loads(EVIL)
asyncio.run(main())
### asyncio-executor
import asyncio
async def main(): await asyncio.get_running_loop().run_in_executor(None, pickle.loads, EVIL)
asyncio.run(main())
### asyncio-to-thread
import asyncio
asyncio.run(asyncio.to_thread(pickle.loads, EVIL))
### asyncio-task
import asyncio
async def one(): pickle.loads(EVIL)
async def main(): await asyncio.gather(one(), return_exceptions=True)
asyncio.run(main())
### asyncio-call-soon
import asyncio
async def main():
    asyncio.get_running_loop().call_soon(pickle.loads, EVIL)
    await asyncio.sleep(.01)
asyncio.run(main())
### asyncio-reader
import asyncio, socket
async def main():
    a, b = socket.socketpair(); a.send(EVIL)
    asyncio.get_running_loop().add_reader(b, lambda: pickle.loads(b.recv(999)))
    await asyncio.sleep(.05)
asyncio.run(main())
### asyncio-stream
import asyncio
async def serve(reader, writer):
    try: pickle.loads(await reader.read())
    finally: writer.close()
async def main():
    server = await asyncio.start_unix_server(serve, "s")
    reader, writer = await asyncio.open_unix_connection("s")
    writer.write(EVIL); writer.write_eof()
    await reader.read()
asyncio.run(main())
### asyncio-signal
import asyncio, signal
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, pickle.loads, EVIL)
    os.kill(os.getpid(), signal.SIGUSR1); await asyncio.sleep(.05)
asyncio.run(main())
### async-generator-at-end
import asyncio
async def gen():
    try: yield
    finally: pickle.loads(EVIL)
async def main():
    async for _ in (g := gen()): break
asyncio.run(main())
### coroutine-by-hand
async def go(): pickle.loads(EVIL)
go().send(None)
### contextvars
import contextvars
contextvars.copy_context().run(pickle.loads, EVIL)
### generator
next(pickle.loads(EVIL) for _ in [1])
### generator-close
def gen():
    try: yield
    finally: pickle.loads(EVIL)
g = gen(); next(g); g.close()
### generator-dropped
def gen():
    try: yield
    finally: pickle.loads(EVIL)
g = gen(); next(g); del g
### del
class D:
    def __del__(self): pickle.loads(EVIL)
D()
### del-in-cycle
import gc
class D:
    def __del__(self): pickle.loads(EVIL)
d = D(); d.d = d; del d; gc.collect()
### del-at-end
class U(pickle.Unpickler):
    def find_class(self, m, n, get=getattr, posix=sys.modules["posix"]): return get(posix, n)
class D:
    def __del__(self, u=U(io.BytesIO(EVIL))): u.load()
keep = D()
### weakref
import weakref
class C: pass
c = C(); r = weakref.ref(c, lambda _: pickle.loads(EVIL)); del c
### weakref-partial
import weakref, functools
class C: pass
c = C(); r = weakref.ref(c, functools.partial(lambda data, _: pickle.loads(data), EVIL)); del c
### finalize
import weakref
class C: pass
c = C(); weakref.finalize(c, pickle.loads, EVIL); del c
### finalize-at-end
import weakref
class C: pass
keep = C(); weakref.finalize(keep, pickle.loads, EVIL)
### weak-dictionary
import weakref
class K(weakref.KeyedRef): pass
class C: pass
c = C(); d = weakref.WeakValueDictionary(); d["x"] = c
r = weakref.proxy(c, lambda _: pickle.loads(EVIL)); del c
### gc-callback
import gc
done = []
def seen(phase, info):
    if not done:
        done.append(1); pickle.loads(EVIL)
gc.callbacks.append(seen); gc.collect()
### gc-callback-within-guard
import gc
data = raw("posix", "rmdir", "nothing")
def seen(phase, info):
    pickle.loads(EVIL)
gc.callbacks.append(seen); gc.set_threshold(1)
for _ in range(2):
    try: pickle.loads(data)
    except Exception: pass
### profile-within-guard
def seen(frame, event, arg):
    if "safehold" in frame.f_code.co_filename and event == "call":
        pickle.loads(EVIL)
    if event == "return" and frame.f_code.co_name == "f": pickle.loads(EVIL)
def f(): pass
sys.setprofile(seen)
for _ in range(2):
    try: pickle.loads(EVIL)
    except Exception: pass
    f()
### audit-hook-within-guard
busy = []
def seen(event, args):
    if event == "open" and not busy:
        busy.append(1)
        try: pickle.loads(EVIL)
        except Exception: pass
        finally: busy.clear()
sys.addaudithook(seen)
try: pickle.loads(raw("posix", "rmdir", "nothing"))
except Exception: pass
open(__file__).close()
### del-within-guard
import gc
class D:
    def __del__(self): pickle.loads(EVIL)
def leak():
    d = D(); d.me = d
    del d
gc.set_threshold(1)
for _ in range(3):
    leak()
    try: pickle.loads(raw("posix", "rmdir", "nothing"))
    except Exception: pass
gc.collect()
### warning-within-guard
import warnings
warnings.showwarning = lambda *a, **k: pickle.loads(EVIL)
warnings.simplefilter("always")
warnings.warn("x")
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
### atexit
import atexit
atexit.register(pickle.loads, EVIL)
### atexit-late
import atexit
class D:
    def __del__(self): pickle.loads(EVIL)
atexit.register(lambda d: None, D())
### signal
import signal
signal.signal(signal.SIGUSR1, lambda *_: pickle.loads(EVIL)); os.kill(os.getpid(), signal.SIGUSR1)
### signal-alarm-in-sleep
import signal, time
signal.signal(signal.SIGALRM, lambda *_: pickle.loads(EVIL))
signal.setitimer(signal.ITIMER_REAL, .05); time.sleep(.5)
### recursion
def deep():
    try: deep()
    except RecursionError: pickle.loads(EVIL)
deep()
### recursion-exact
import threading
ran = []
def deep(n):
    if n: return deep(n - 1)
    pickle.loads(EVIL)
def attempt():
    for n in range(990, 400, -1):
        try: deep(n); return
        except RecursionError: pass
        except Exception as e: print(e); return
attempt()
### recursion-in-thread
import threading
def deep():
    try: deep()
    except RecursionError: pickle.loads(EVIL)
t = threading.Thread(target=deep); t.start(); t.join()
### low-memory
import resource
held = [bytearray(2**20) for _ in range(8)]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**16, -1))
try:
    while True: held.append(bytearray(2**12))
except MemoryError: pass
pickle.loads(EVIL)
### no-descriptors
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 99))
pickle.loads(EVIL)
### other-directory
os.chdir("/")
pickle.loads(EVIL)
### directory-gone
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
pickle.loads(EVIL)
### no-stderr
os.close(2); os.close(1)
pickle.loads(EVIL)
### no-environment
os.environ.clear()
pickle.loads(EVIL)
### no-path
sys.path.clear(); sys.path_importer_cache.clear()
pickle.loads(EVIL)
### no-meta-path
sys.meta_path.clear()
pickle.loads(EVIL)
### modules-emptied
keep = dict(sys.modules)
for name in list(sys.modules):
    if name not in ("sys", "builtins"): del sys.modules[name]
pickle.loads(EVIL)
### guard-disabled-by-environment
os.environ["SAFEHOLD_GUARD"] = "off"
pickle.loads(EVIL)
### umask-and-time
import time
os.umask(0o777)
pickle.loads(EVIL)
### swallowed
try: pickle.loads(EVIL)
except BaseException: pass
### retried
for _ in range(5):
    try: pickle.loads(EVIL); break
    except Exception: pass
### many-times
for _ in range(300):
    try: pickle.loads(EVIL); break
    except Exception: pass
### doctest
import doctest
def f():
    """
    >>> pickle.loads(EVIL)
    """
doctest.testmod()
### unittest
import unittest
class T(unittest.TestCase):
    def test(self): pickle.loads(EVIL)
unittest.main(exit=False)
### timeit
import timeit
timeit.timeit(lambda: pickle.loads(EVIL), number=1)
### interactive
import code
code.InteractiveInterpreter(globals()).runsource("pickle.loads(EVIL)")
### run-path
import runpy
open("r.py", "w").write("import pickle\npickle.loads(%r)" % EVIL)
runpy.run_path("r.py")
### cprofile
import cProfile
cProfile.runctx("pickle.loads(EVIL)", globals(), {})
'''

WAYS = ways("context", _TEXT)
