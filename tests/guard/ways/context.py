"""What calls the deserializer: threads, loops, callbacks of C code, finalizers, the end."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
### thread
import threading
t = threading.Thread(target=pickle.loads, args=(EVIL,)); t.start(); t.join()
### raw-thread
import _thread, time
_thread.start_new_thread(pickle.loads, (EVIL,)); time.sleep(.1)
while _thread._count(): time.sleep(.01)
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
"""

WAYS = ways("context", _TEXT)
