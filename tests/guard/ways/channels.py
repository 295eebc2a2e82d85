"""What looks like a channel between a program and its own children, and is none."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### recv-of-own-object
from multiprocessing.connection import Connection
class Fake:
    def __init__(self): self.end = os.pipe()
    def fileno(self): return self.end[0]
    def _check_closed(self): pass
    def _check_readable(self): pass
    def _recv_bytes(self): return io.BytesIO(EVIL)
Connection.recv(Fake())
### recv-of-subclass
from multiprocessing.connection import Connection
class C(Connection):
    def _recv_bytes(self, maxsize=None): return io.BytesIO(EVIL)
C(os.pipe()[0]).recv()
### recv-of-subclass-recv
from multiprocessing.connection import Connection
class C(Connection):
    def _recv(self, size, read=None):
        if size == 4: return io.BytesIO(len(EVIL).to_bytes(4, "big"))
        return io.BytesIO(EVIL)
C(os.pipe()[0]).recv()
### recv-fileno-lies
from multiprocessing.connection import Connection
class C(Connection):
    other = os.pipe()
    def fileno(self): return self.other[0]
with open("f", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
C(os.open("f", os.O_RDONLY)).recv()
### recv-handle-swapped
from multiprocessing.connection import Connection
r, w = os.pipe()
with open("f", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
class C(Connection):
    def _check_readable(self):
        self._handle = os.open("f", os.O_RDONLY)
    def fileno(self): return r
C(r).recv()
### raw-reader-of-extension-codes start=install
import copyreg, _pickle, multiprocessing, multiprocessing.connection, multiprocessing.reduction as r
raw = _pickle.loads
guard()
r.ForkingPickler.loads = raw
copyreg.add_extension("posix", "mkfifo", 7)
a, b = multiprocessing.Pipe(False)
b.send_bytes(b"\x80\x02\x82\x07.")
try: a.recv()
except pickle.UnpicklingError: pass
raw(b"\x80\x02\x82\x07" + called(Part(b""), MARK) + b".")
### pipe-read-replaced
import multiprocessing
a, b = multiprocessing.Pipe(False)
a._recv_bytes = lambda maxsize=None: io.BytesIO(EVIL)
a.recv()
### pipe-read-replaced-in-class
import multiprocessing.connection
a, b = multiprocessing.Pipe(False)
multiprocessing.connection.Connection._recv_bytes = lambda self, maxsize=None: io.BytesIO(EVIL)
a.recv()
### pipe-of-another-class
import multiprocessing.connection
class C(multiprocessing.connection.Connection):
    def _recv_bytes(self, maxsize=None): return io.BytesIO(EVIL)
a, b = multiprocessing.Pipe(False)
a.__class__ = C
a.recv()
### pipe-handle-of-another-class
import multiprocessing.connection
a, b = multiprocessing.Pipe(False); real = a.fileno()
with open("f", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
other = os.open("f", os.O_RDONLY)
class C(multiprocessing.connection.Connection):
    @property
    def _handle(self):
        return real if sys._getframe(1).f_code.co_name in ("fileno", "_check_closed") else other
a.__class__ = C
a.recv()
### pipe-read-by-copied-code
import functools, types, multiprocessing.connection
a, b = multiprocessing.Pipe(False)
b.send(1)
class Own: loads = functools.partial(min, EVIL, key=pickle.loads)
read = types.FunctionType(multiprocessing.connection.Connection.recv.__code__,
    {"_ForkingPickler": Own, "__name__": "multiprocessing.connection", "__builtins__": __builtins__})
read(a)
### recv-read-replaced
from multiprocessing.connection import Connection
c = Connection(os.pipe()[0])
c._recv_bytes = lambda maxsize=None: io.BytesIO(EVIL)
c.recv()
### recv-read-default
from multiprocessing.connection import Connection
stream = io.BytesIO(len(EVIL).to_bytes(4, "big") + EVIL)
Connection._recv.__defaults__ = (lambda handle, n: stream.read(n),)
Connection(os.pipe()[0]).recv()
### recv-code-copied
import types
from multiprocessing.connection import Connection
f = types.FunctionType(Connection.recv.__code__, {"_ForkingPickler": pickle,
    "__name__": "multiprocessing.connection", "__builtins__": __builtins__})
class Fake:
    _check_closed = _check_readable = lambda self: None
    def fileno(self): return os.pipe()[0]
    def _recv_bytes(self): return io.BytesIO(EVIL)
f(Fake())
### recv-code-equal
from multiprocessing.connection import Connection
class Fake:
    _check_closed = _check_readable = lambda self: None
    def fileno(self): return os.pipe()[0]
    def _recv_bytes(self): return io.BytesIO(EVIL)
from multiprocessing.reduction import ForkingPickler as _ForkingPickler
def recv(self):
    """Receive a (picklable) object"""
    self._check_closed()
    self._check_readable()
    buf = self._recv_bytes()
    return _ForkingPickler.loads(buf.getbuffer())
recv.__code__ = recv.__code__.replace(co_filename=Connection.recv.__code__.co_filename,
    co_firstlineno=Connection.recv.__code__.co_firstlineno, co_qualname="_ConnectionBase.recv")
recv(Fake())
### recv-named-alike
__name__ = "multiprocessing.connection"
class _ConnectionBase:
    def fileno(self): return os.pipe()[0]
    def recv(self): return pickle.loads(EVIL)
_ConnectionBase().recv()
### regular-file
from multiprocessing.connection import Connection
with open("f", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(os.open("f", os.O_RDONLY)).recv()
### memory-file
from multiprocessing.connection import Connection
fd = os.memfd_create("pipe:[1]"); os.write(fd, len(EVIL).to_bytes(4, "big") + EVIL)
os.lseek(fd, 0, 0); Connection(fd).recv()
### named-fifo
from multiprocessing.connection import Connection
import threading
os.mkfifo("pipe:[1]")
def write():
    with open("pipe:[1]", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
t = threading.Thread(target=write); t.start()
Connection(os.open("pipe:[1]", os.O_RDONLY)).recv()
### named-fifo-deleted
from multiprocessing.connection import Connection
import threading
os.mkfifo("p")
def write():
    with open("p", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
t = threading.Thread(target=write); t.start()
fd = os.open("p", os.O_RDONLY); os.remove("p"); Connection(fd).recv()
### terminal
from multiprocessing.connection import Connection
import pty, tty
a, b = os.openpty(); tty.setraw(b); os.write(a, len(EVIL).to_bytes(4, "big") + EVIL)
Connection(b).recv()
### standard-output-of-a-stranger
from multiprocessing.connection import Connection
import subprocess
open("f", "wb").write(len(EVIL).to_bytes(4, "big") + EVIL)
p = subprocess.Popen(["cat", "f"], stdout=subprocess.PIPE)
Connection(os.dup(p.stdout.fileno())).recv()
### socket-tcp
from multiprocessing.connection import Connection
import socket
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname())
a, _ = s.accept(); c.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(a.detach()).recv()
### socket-unix
from multiprocessing.connection import Connection
import socket
s = socket.socket(socket.AF_UNIX); s.bind("s"); s.listen(); c = socket.socket(socket.AF_UNIX)
c.connect("s"); a, _ = s.accept(); c.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(a.detach()).recv()
### socket-unix-client
from multiprocessing.connection import Connection
import socket
s = socket.socket(socket.AF_UNIX); s.bind("s"); s.listen(); c = socket.socket(socket.AF_UNIX)
c.connect("s"); a, _ = s.accept(); a.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(c.detach()).recv()
### socket-abstract
from multiprocessing.connection import Connection
import socket
name = b"\0ways%d" % os.getpid()
s = socket.socket(socket.AF_UNIX); s.bind(name); s.listen(); c = socket.socket(socket.AF_UNIX)
c.connect(name); a, _ = s.accept(); c.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(a.detach()).recv()
### listener-unix
from multiprocessing.connection import Listener, Client
import threading
l = Listener("s"); c = []
t = threading.Thread(target=lambda: c.append(Client("s"))); t.start(); a = l.accept(); t.join()
c[0].send_bytes(EVIL); a.recv()
### listener-tcp
from multiprocessing.connection import Listener, Client
import threading
l = Listener(("127.0.0.1", 0)); c = []
t = threading.Thread(target=lambda: c.append(Client(l.address))); t.start(); a = l.accept(); t.join()
c[0].send_bytes(EVIL); a.recv()
### listener-key-known
from multiprocessing.connection import Listener, Client
import threading
l = Listener(("127.0.0.1", 0), authkey=b"abc"); c = []
t = threading.Thread(target=lambda: c.append(Client(l.address, authkey=b"abc"))); t.start()
a = l.accept(); t.join(); c[0].send_bytes(EVIL); a.recv()
### listener-unix-key-known
from multiprocessing.connection import Listener, Client
import threading
l = Listener("s", authkey=b"abc"); c = []
t = threading.Thread(target=lambda: c.append(Client("s", authkey=b"abc"))); t.start()
a = l.accept(); t.join(); c[0].send_bytes(EVIL); a.recv()
### client-of-a-stranger
from multiprocessing.connection import Listener, Client
import threading
l = Listener("s"); c = []
t = threading.Thread(target=lambda: c.append(l.accept())); t.start(); a = Client("s"); t.join()
c[0].send_bytes(EVIL); a.recv()
### connection-replaced-after-proof
from multiprocessing import current_process
from multiprocessing.connection import Listener, Client
import threading
key = current_process().authkey
l = Listener("s", authkey=key); c = []
t = threading.Thread(target=lambda: c.append(Client("s", authkey=key))); t.start()
a = l.accept(); t.join()
import socket
s = socket.create_server(("127.0.0.1", 0)); x = socket.create_connection(s.getsockname())
y, _ = s.accept(); x.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
os.dup2(y.fileno(), a.fileno()); a.recv()
### connection-replaced-after-birth
from multiprocessing import Pipe
import subprocess
a, b = Pipe(False); file(len(EVIL).to_bytes(4, "big") + EVIL)
p = subprocess.Popen(["cat", "evil.bin"], stdout=subprocess.PIPE)
os.dup2(p.stdout.fileno(), a.fileno()); a.recv()
### manager-of-a-stranger
from multiprocessing.managers import BaseManager
from multiprocessing.connection import Client
class M(BaseManager): pass
M.register("get", callable=dict)
m = M(("127.0.0.1", 0), b"known"); s = m.get_server()
import threading
t = threading.Thread(target=s.serve_forever, daemon=True); t.start()
from multiprocessing.connection import answer_challenge, deliver_challenge
c = Client(s.address, authkey=b"known")
c.send_bytes(EVIL)
try: c.recv_bytes()
except EOFError: pass
### queue-bytes-replaced
import multiprocessing
q = multiprocessing.get_context("fork").Queue()
q.put(1); q._recv_bytes = lambda: EVIL
q.get()
### queue-own-object
from multiprocessing.queues import Queue
import threading
class Fake:
    _closed = False; _rlock = threading.Lock()
    class _sem: release = staticmethod(lambda: None)
    _reader = open(os.pipe()[0], "rb"); _recv_bytes = lambda self: EVIL
Queue.get(Fake())
### simple-queue-replaced
import multiprocessing
q = multiprocessing.get_context("fork").SimpleQueue()
class R:
    def __init__(self, real): self.real = real
    def fileno(self): return self.real.fileno()
    def recv_bytes(self): return EVIL
q._reader = R(q._reader)
q.get()
### queue-from-a-stranger
import multiprocessing
from multiprocessing.connection import Connection
import socket
s = socket.create_server(("127.0.0.1", 0)); x = socket.create_connection(s.getsockname())
y, _ = s.accept(); x.sendall(len(EVIL).to_bytes(4, "big") + EVIL)
q = multiprocessing.get_context("fork").SimpleQueue(); q._reader = Connection(y.detach())
q.get()
### signal-in-recv
import signal, multiprocessing
a, b = multiprocessing.get_context("fork").Pipe()
def seen(*_):
    try: pickle.loads(EVIL)
    finally: b.send(1)
signal.signal(signal.SIGALRM, seen); signal.setitimer(signal.ITIMER_REAL, .1)
a.recv()
### signal-in-queue-get
import signal, multiprocessing
q = multiprocessing.get_context("fork").SimpleQueue()
def seen(*_):
    try: pickle.loads(EVIL)
    finally: q._writer.send(1)
signal.signal(signal.SIGALRM, seen); signal.setitimer(signal.ITIMER_REAL, .1)
q.get()
### profile-in-recv
import multiprocessing
a, b = multiprocessing.get_context("fork").Pipe(); b.send(1)
def seen(frame, event, arg):
    if frame.f_code.co_name == "_check_closed":
        sys.setprofile(None); pickle.loads(EVIL)
sys.setprofile(seen); a.recv()
### gc-in-recv
import multiprocessing, gc
a, b = multiprocessing.get_context("fork").Pipe(); b.send(list(range(9)))
done = []
def seen(phase, info):
    if not done and sys._getframe(1).f_code.co_name in ("recv", "_recv_bytes", "_recv"):
        done.append(1); pickle.loads(EVIL)
gc.callbacks.append(seen); gc.set_threshold(1)
for _ in range(50): b.send([[] for _ in range(50)]); a.recv()
gc.set_threshold(700)
### recv-then-loads
import multiprocessing
a, b = multiprocessing.get_context("fork").Pipe(); b.send(EVIL)
pickle.loads(a.recv())
### recv-bytes-then-loads
import multiprocessing
from multiprocessing.reduction import ForkingPickler
a, b = multiprocessing.get_context("fork").Pipe(); b.send_bytes(EVIL)
ForkingPickler.loads(a.recv_bytes())
### relayed-by-queue
import multiprocessing
c = multiprocessing.get_context("fork")
body = raw("posix", "mkfifo", MARK, proto=2)
q = c.SimpleQueue()
# A worker hands on what it has received, unread.
p = c.Process(target=q.put, args=(body,)); p.start()
received = q.get(); p.join()
pickle.loads(received)
### relayed-by-pipe
import multiprocessing
a, b = multiprocessing.get_context("fork").Pipe()
b.send({"id": 1, "body": raw("posix", "mkfifo", MARK, proto=4)})
pickle.loads(a.recv()["body"])
### relayed-by-pool
import multiprocessing
def fetch(n): return raw("posix", "mkfifo", MARK, proto=2)
with multiprocessing.get_context("fork").Pool(1) as pool: found = pool.map(fetch, [1])
pickle.loads(found[0])
### relayed-by-executor
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
def fetch(): return raw("posix", "mkfifo", MARK, proto=3)
with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool: found = pool.submit(fetch).result()
pickle.loads(found)
### relayed-framed
import multiprocessing
body = b"\x80\x04\x95" + len(EVIL).to_bytes(8, "little") + EVIL
q = multiprocessing.get_context("fork").SimpleQueue(); q.put([body])
pickle.loads(q.get()[0])
### rebuilt-around-a-stranger
import subprocess
from multiprocessing.connection import Connection
from multiprocessing import connection
open("f", "wb").write(len(EVIL).to_bytes(4, "big") + EVIL)
p = subprocess.Popen(["cat", "f"], stdout=subprocess.PIPE)
class D:
    def detach(self): return os.dup(p.stdout.fileno())
connection.rebuild_connection(D(), True, False).recv()
### spawn-main-called
from multiprocessing import spawn
r, w = os.pipe(); f = open("f", "wb"); f.write(EVIL); f.close()
spawn._main(os.open("f", os.O_RDONLY), os.dup(r))
### spawn-main-of-own-pipe outside=the program fills a pipe of its own and has multiprocessing read it
from multiprocessing import spawn
r, w = os.pipe(); os.write(w, EVIL); os.close(w)
spawn._main(r, os.dup(r))
### spawn-main-of-a-stranger
from multiprocessing import spawn
import socket
s = socket.create_server(("127.0.0.1", 0)); x = socket.create_connection(s.getsockname())
y, _ = s.accept(); x.sendall(EVIL); x.close()
spawn._main(y.detach(), os.dup(0))
### loky-main
import types
m = sys.modules["__main__"]
class Spec: name = "joblib.externals.loky.backend.popen_loky_posix"
__spec__ = Spec()
from_parent = open(os.pipe()[0], "rb")
pickle.loads(EVIL)
### loky-main-code needs=joblib
import importlib.util
name = "joblib.externals.loky.backend.popen_loky_posix"
spec = importlib.util.find_spec(name)
m = sys.modules["__main__"]; m.__spec__ = spec
text = "from_parent = open(__import__('os').pipe()[0], 'rb')\nimport pickle\npickle.loads(EVIL)"
exec(compile(text, spec.origin, "exec"), vars(m))
### loky-main-fd needs=joblib
import runpy
open("f", "wb").write(EVIL)
fd = os.open("f", os.O_RDONLY); os.set_inheritable(fd, True)
sys.argv = ["x", "--process-name", "n", "--pipe", str(fd)]
runpy.run_module("joblib.externals.loky.backend.popen_loky_posix", run_name="__main__", alter_sys=True)
### loky-beside-main needs=joblib
import runpy
r, w = os.pipe(); os.write(w, EVIL); os.close(w); os.set_inheritable(r, True)
sys.argv = ["x", "--process-name", "n", "--pipe", str(r)]
runpy.run_module("joblib.externals.loky.backend.popen_loky_posix", run_name="__main__")
### listener-raw-client
import socket, threading
from multiprocessing.connection import Listener
l = Listener(("127.0.0.1", 0)); got = []
t = threading.Thread(target=lambda: got.append(l.accept())); t.start()
s = socket.create_connection(l.address); t.join()
s.sendall(len(EVIL).to_bytes(4, "big") + EVIL); got[0].recv()
### message-class-loads-file
import multiprocessing
file(path="f")
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): pickle.load(open("f", "rb"))
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-class-loads-bytes
import multiprocessing
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): pickle.loads(EVIL)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-class-loads-by-own-find
import multiprocessing
class U(pickle.Unpickler):
    def find_class(self, module, name): return getattr(sys.modules[module], name)
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): U(io.BytesIO(EVIL)).load()
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-class-loads-in-python
import multiprocessing
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): pickle._loads(EVIL)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-class-loads-joblib needs=joblib
import joblib, multiprocessing
file(path="f")
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): joblib.load("f")
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-class-loads-zodbpickle needs=zodbpickle
import multiprocessing, zodbpickle.pickle
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): zodbpickle.pickle.loads(EVIL)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### minted-class-loads-zodbpickle needs=zodbpickle
import zodbpickle.pickle
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): zodbpickle.pickle.loads(raw("__main__", "act"))
def act(): os.mkfifo(MARK)
pickle.loads(pickle.dumps(A()))
### message-class-restores-json needs=jsonpickle
import jsonpickle.unpickler, multiprocessing
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state):
        call = {"py/reduce": [{"py/function": "posix.mkfifo"}, {"py/tuple": [MARK]}]}
        jsonpickle.unpickler.Unpickler().restore(call)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-task-loads-file
import multiprocessing
file(path="f")
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): pickle.load(open("f", "rb"))
def work(end): end.recv()
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.send(A()); p.join()
### message-signal
import multiprocessing, signal
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): signal.raise_signal(signal.SIGUSR1)
signal.signal(signal.SIGUSR1, lambda *_: pickle.loads(EVIL))
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-collected
import gc, multiprocessing
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): gc.collect()
class D:
    def __del__(self): pickle.loads(EVIL)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start()
d = D(); d.d = d; del d; b.recv()
### message-generator
import multiprocessing
def later():
    pickle.loads(EVIL); yield
waiting = later()
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): list(waiting)
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start(); b.recv()
### message-greenlet needs=greenlet
import greenlet, multiprocessing
main = greenlet.getcurrent()
class A:
    def __reduce__(self): return A, (), 1
    def __setstate__(self, state): main.switch()
def work(end): end.send(A())
a, b = multiprocessing.Pipe()
p = multiprocessing.get_context("fork").Process(target=work, args=(a,)); p.start()
greenlet.greenlet(b.recv).switch(); pickle.loads(EVIL)
### wait-and-recv
from multiprocessing.connection import Listener, Client, wait
import threading
l = Listener(("127.0.0.1", 0)); got = []
t = threading.Thread(target=lambda: got.append(l.accept())); t.start(); c = Client(l.address); t.join()
c.send_bytes(EVIL)
for one in wait(got, 5): one.recv()
'''

WAYS = ways("channels", _TEXT)
