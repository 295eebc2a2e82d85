"""Ordinary programs that run unchanged under the guard: one script each, with what it needs.

Each ends with code 0 and prints "done" when it did what it is about. `models/` is an internal zone
of the policy that they run under.
"""

from __future__ import annotations

from typing import NamedTuple


class Program(NamedTuple):
    """One program. ``needs``: modules that must be importable."""

    name: str
    needs: tuple[str, ...]
    text: str


_HEAD = "import sys, os\n"
_MAIN = "\nif __name__ == '__main__':\n    main()\n    print('done')\n"


def _program(name: str, text: str, *needs: str) -> Program:
    """Wrap the body of a main function, below what stands before the line ``---``."""
    top, _, body = text.strip("\n").rpartition("---\n")
    lines = "\n".join(f"    {line}" if line else "" for line in body.splitlines())
    return Program(name, needs, f"{_HEAD}{top}\ndef main():\n{lines}\n{_MAIN}")


_POOL = """
import multiprocessing as mp
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
def double(p): return Point(p.x * 2)
---
with mp.get_context({method!r}).Pool(2) as pool:
    assert pool.map(double, [Point(1), Point(2)]) == [Point(2), Point(4)]
    assert pool.apply_async(double, (Point(3),)).get(60) == Point(6)
"""
_PROCESS = """
import multiprocessing as mp
class Task:
    def __init__(self, n): self.n = n
def work(inbox, outbox, pipe):
    task = inbox.get()
    pipe.send(Task(task.n + 1))
    outbox.put(task)
---
context = mp.get_context({method!r})
inbox, outbox = context.Queue(), context.SimpleQueue()
here, there = context.Pipe()
process = context.Process(target=work, args=(inbox, outbox, there))
process.start()
inbox.put(Task(5))
assert here.recv().n == 6
assert outbox.get().n == 5
process.join(60)
assert process.exitcode == 0
"""
_EXECUTOR = """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor
class Job:
    def __init__(self, n): self.n = n
    def run(self): return Job(self.n ** 2)
def run(job): return job.run()
def fail(job): raise ValueError(job.n)
---
with ProcessPoolExecutor(2, mp_context=mp.get_context({method!r})) as pool:
    assert [job.n for job in pool.map(run, [Job(2), Job(3)])] == [4, 9]
    try:
        pool.submit(fail, Job(7)).result()
    except ValueError as error:
        assert error.args == (7,)
"""
_METHODS = ("fork", "spawn", "forkserver")

STANDARD = [
    *(_program(f"pool-{method}", _POOL.format(method=method)) for method in _METHODS),
    *(_program(f"process-{method}", _PROCESS.format(method=method)) for method in _METHODS),
    *(_program(f"executor-{method}", _EXECUTOR.format(method=method)) for method in _METHODS),
    _program(
        "manager",
        """
import multiprocessing as mp
class Account:
    def __init__(self): self.total = 0
def add(shared, lock, items):
    with lock:
        shared["total"] = shared.get("total", 0) + 1
        items.append(Account())
---
with mp.Manager() as manager:
    shared, lock, items = manager.dict(), manager.Lock(), manager.list()
    processes = [mp.Process(target=add, args=(shared, lock, items)) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join(60)
    assert shared["total"] == 3 and len(items) == 3
    namespace = manager.Namespace()
    namespace.x = 5
    assert namespace.x == 5
""",
    ),
    _program(
        "manager-custom",
        """
from multiprocessing.managers import BaseManager
class Counter:
    def __init__(self): self.n = 0
    def up(self): self.n += 1; return self.n
class Own(BaseManager): pass
Own.register("Counter", Counter)
---
with Own() as manager:
    counter = manager.Counter()
    assert counter.up() == 1 and counter.up() == 2
""",
    ),
    _program(
        "shared-memory",
        """
import multiprocessing as mp
from multiprocessing import shared_memory
def fill(name):
    block = shared_memory.SharedMemory(name)
    block.buf[0] = 42
    block.close()
---
block = shared_memory.SharedMemory(create=True, size=16)
process = mp.get_context("spawn").Process(target=fill, args=(block.name,))
process.start(); process.join(60)
assert block.buf[0] == 42
block.close(); block.unlink()
""",
    ),
    _program(
        "value-array",
        """
import multiprocessing as mp
def fill(value, array):
    with value.get_lock(): value.value += 1
    array[0] = 7
---
value, array = mp.Value("i", 0), mp.Array("d", 3)
process = mp.Process(target=fill, args=(value, array))
process.start(); process.join(60)
assert value.value == 1 and array[0] == 7
""",
    ),
    _program(
        "joinable-queue",
        """
import multiprocessing as mp
def work(queue):
    while (item := queue.get()) is not None:
        queue.task_done()
    queue.task_done()
---
queue = mp.JoinableQueue()
process = mp.Process(target=work, args=(queue,)); process.start()
for item in [{"a": 1}, (2, 3), None]: queue.put(item)
queue.join(); process.join(60)
""",
    ),
    _program(
        "pool-initializer",
        """
import multiprocessing as mp
state = {}
def start(value): state["value"] = value
def read(_): return state["value"]
---
with mp.get_context("spawn").Pool(1, start, ({"key": [1, 2]},)) as pool:
    assert pool.map(read, [0]) == [{"key": [1, 2]}]
""",
    ),
    _program(
        "thread-pool",
        """
from concurrent.futures import ThreadPoolExecutor
import pickle
class Thing: pass
---
with ThreadPoolExecutor(4) as pool:
    made = list(pool.map(lambda _: pickle.loads(pickle.dumps(Thing())), range(50)))
assert all(type(thing) is Thing for thing in made)
""",
    ),
    _program(
        "deepcopy",
        """
import copy, datetime, collections, decimal
class Node:
    def __init__(self, value): self.value, self.next = value, self
---
node = copy.deepcopy(Node([1, {2}, collections.deque([3])]))
assert node.next is node
assert copy.copy(datetime.datetime(2020, 1, 1)) == datetime.datetime(2020, 1, 1)
assert copy.deepcopy(decimal.Decimal("1.5")) == decimal.Decimal("1.5")
""",
    ),
    _program(
        "round-trip-own-classes",
        """
import pickle, dataclasses, enum, typing, collections
@dataclasses.dataclass
class Row:
    name: str
    values: list
class Colour(enum.Enum):
    RED = 1
class Pair(typing.NamedTuple):
    a: int
    b: int
Old = collections.namedtuple("Old", "x y")
class Slotted:
    __slots__ = ("x",)
class Fancy:
    def __init__(self, x): self.x = x
    def __reduce__(self): return Fancy, (self.x,)
class State:
    def __getstate__(self): return {"x": 1}
    def __setstate__(self, state): self.y = state["x"]
---
slotted = Slotted(); slotted.x = 1
for protocol in range(6):
    for value in (Row("a", [1]), Pair(1, 2), Old(1, 2), {1: {2}}, frozenset([1]), b"x", 1.5, None):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert pickle.loads(pickle.dumps(Colour.RED, protocol)) is Colour.RED
    assert pickle.loads(pickle.dumps(Fancy(3), protocol)).x == 3
    assert pickle.loads(pickle.dumps(State(), protocol)).y == 1
    if protocol > 1:
        assert pickle.loads(pickle.dumps(slotted, protocol)).x == 1
""",
    ),
    _program(
        "round-trip-functions",
        """
import pickle, functools, operator, re, pathlib, uuid, fractions, ipaddress, zoneinfo, datetime
---
for value in (functools.partial(int, base=2), operator.itemgetter(1), operator.attrgetter("x"),
              re.compile("a+"), pathlib.Path("x"), uuid.uuid4(), fractions.Fraction(1, 2),
              ipaddress.ip_address("::1"), zoneinfo.ZoneInfo("UTC"), range(3), slice(1, 2),
              datetime.timedelta(1), int, len, ValueError("x"), OSError(2, "no", "f")):
    made = pickle.loads(pickle.dumps(value))
    assert type(made) is type(value)
assert pickle.loads(pickle.dumps(functools.partial(int, base=2)))("11") == 3
""",
    ),
    _program(
        "bytesio-several",
        """
import pickle, io
class A: pass
---
buffer = io.BytesIO()
for value in (1, A(), [2], A()): pickle.dump(value, buffer)
buffer.seek(0)
made = [pickle.load(buffer) for _ in range(4)]
assert made[0] == 1 and type(made[1]) is A and made[2] == [2] and type(made[3]) is A
pickler = pickle.Pickler(other := io.BytesIO(), 4)
pickler.dump(A()); pickler.dump([1])
other.seek(0)
unpickler = pickle.Unpickler(other)
assert type(unpickler.load()) is A and unpickler.load() == [1]
""",
    ),
    _program(
        "out-of-band",
        """
import pickle
class Block:
    def __init__(self, data): self.data = data
    def __reduce_ex__(self, protocol): return Block, (pickle.PickleBuffer(self.data),)
---
buffers = []
data = pickle.dumps(Block(bytearray(b"abc")), 5, buffer_callback=buffers.append)
assert bytes(pickle.loads(data, buffers=buffers).data) == b"abc"
""",
    ),
    _program(
        "persistent-ids",
        """
import pickle, io
table = {"one": object()}
class P(pickle.Pickler):
    def persistent_id(self, obj): return "one" if obj is table["one"] else None
class U(pickle.Unpickler):
    def persistent_load(self, pid): return table[pid]
---
P(buffer := io.BytesIO()).dump([table["one"], 2])
buffer.seek(0)
assert U(buffer).load()[0] is table["one"]
""",
    ),
    _program(
        "restricted-unpickler",
        """
import pickle, io
class Safe(pickle.Unpickler):
    def find_class(self, module, name):
        if module == "builtins" and name in {"set", "complex"}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(name)
---
assert Safe(io.BytesIO(pickle.dumps({1, 2}, 4))).load() == {1, 2}
try:
    Safe(io.BytesIO(pickle.dumps(print))).load()
except pickle.UnpicklingError: pass
else: raise SystemExit(1)
""",
    ),
    _program(
        "renaming-unpickler",
        """
import pickle, io
class Renamed(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class(module.replace("old_", ""), name)
---
data = pickle.dumps({1}, 2).replace(b"__builtin__", b"builtins")
assert Renamed(io.BytesIO(pickle.dumps(complex(1, 2), 4))).load() == 1 + 2j
""",
    ),
    _program(
        "python-pickler",
        """
import pickle, io
class A: pass
---
data = pickle._dumps([A(), {1: 2}])
assert type(pickle._loads(data)[0]) is A
pickle._Pickler(buffer := io.BytesIO()).dump(A())
buffer.seek(0)
assert type(pickle._Unpickler(buffer).load()) is A
""",
    ),
    _program(
        "copyreg",
        """
import copyreg, pickle, copy
class C:
    def __init__(self, x): self.x = x
def rebuild(x): return C(x)
---
copyreg.pickle(C, lambda c: (rebuild, (c.x,)))
assert pickle.loads(pickle.dumps(C(5))).x == 5
assert copy.copy(C(6)).x == 6
copyreg.add_extension("__main__", "C", 0x70)
assert pickle.loads(pickle.dumps(C, 2)) is C
""",
    ),
    _program(
        "zone-files",
        """
import pickle
---
value = {"weights": [0.1, 0.2], "name": "m"}
with open("models/a.pkl", "wb") as file: pickle.dump(value, file)
with open("models/a.pkl", "rb") as file: assert pickle.load(file) == value
with open("models/b.pkl", "wb") as file: pickle.Pickler(file).dump([1])
with open("models/b.pkl", "rb") as file: assert pickle.Unpickler(file).load() == [1]
""",
    ),
    _program(
        "external-data",
        """
import pickle
---
data = pickle.dumps({"rows": [(1, "a"), (2, "b")], "seen": {1, 2}, "raw": b"x"})
with open("cache.bin", "wb") as file: file.write(data)
with open("cache.bin", "rb") as file: assert pickle.load(file)["rows"][1] == (2, "b")
""",
    ),
    _program(
        "shelve-zone",
        """
import shelve, dataclasses
@dataclasses.dataclass
class Row:
    x: int
---
with shelve.open("models/shelf") as shelf:
    shelf["a"], shelf["b"] = [1, {2}], {"k": (3,)}
with shelve.open("models/shelf", writeback=True) as shelf:
    assert shelf["a"] == [1, {2}]
    shelf["b"]["k"] = 4
with shelve.open("models/shelf") as shelf:
    assert shelf["b"] == {"k": 4} and sorted(shelf) == ["a", "b"] and shelf.get("c") is None
""",
    ),
    _program(
        "shelve-outside",
        """
import shelve
---
with shelve.open("plain") as shelf: shelf["a"] = {"x": [1, 2]}
with shelve.open("plain") as shelf: assert shelf["a"] == {"x": [1, 2]}
""",
    ),
    _program(
        "dbm",
        """
import dbm
---
with dbm.open("file", "c") as db: db["a"] = b"1"
with dbm.open("file") as db: assert db["a"] == b"1"
""",
    ),
    _program(
        "sqlite-pickle-column",
        """
import sqlite3, pickle
---
sqlite3.register_converter("pickled", pickle.loads)
sqlite3.register_adapter(dict, pickle.dumps)
db = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
db.execute("create table t (v pickled)")
db.execute("insert into t values (?)", ({"a": [1, 2]},))
assert db.execute("select v from t").fetchone()[0] == {"a": [1, 2]}
""",
    ),
    _program(
        "logging-queue",
        """
import logging, logging.config, logging.handlers, queue
---
logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}},
                           "root": {"handlers": ["h"], "level": "INFO"}})
q = queue.Queue()
handler = logging.handlers.QueueHandler(q)
listener = logging.handlers.QueueListener(q, logging.StreamHandler())
listener.start()
logger = logging.getLogger("x"); logger.addHandler(handler)
logger.warning("hello %s", "world")
listener.stop()
""",
    ),
    _program(
        "logging-sockets",
        """
import logging, logging.handlers, pickle, socket, struct, threading
---
server = socket.create_server(("127.0.0.1", 0))
handler = logging.handlers.SocketHandler(*server.getsockname())
logger = logging.getLogger("x"); logger.addHandler(handler)
got = []
def serve():
    peer, _ = server.accept()
    with peer:
        size = struct.unpack(">L", peer.recv(4))[0]
        got.append(logging.makeLogRecord(pickle.loads(peer.recv(size))))
thread = threading.Thread(target=serve); thread.start()
logger.error("over the wire %d", 5)
thread.join(60); handler.close(); server.close()
assert got[0].getMessage() == "over the wire 5"
""",
    ),
    _program(
        "subprocess",
        """
import subprocess
---
out = subprocess.run([sys.executable, "-c", "import pickle; print(pickle.loads(pickle.dumps([1])))"],
                     capture_output=True, text=True, check=True).stdout
assert out.strip() == "[1]"
assert subprocess.run(["true"]).returncode == 0
""",
    ),
    _program(
        "asyncio",
        """
import asyncio, pickle, concurrent.futures
class A: pass
def cpu(n): return n * n
async def work():
    loop = asyncio.get_running_loop()
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, cpu, 4) == 16
    assert type(await asyncio.to_thread(pickle.loads, pickle.dumps(A()))) is A
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)")
    assert await process.wait() == 0
---
asyncio.run(work())
""",
    ),
    _program(
        "imports",
        """
import importlib, types
---
with open("plugin.py", "w") as file: file.write("X = 1\\ndef f(): return X\\n")
sys.path.insert(0, os.getcwd())
plugin = importlib.import_module("plugin")
assert plugin.f() == 1
importlib.reload(plugin)
import runpy
assert runpy.run_path("plugin.py")["X"] == 1
exec(compile("y = 2", "<made>", "exec"))
""",
    ),
    _program(
        "reload-pickle",
        """
import pickle, importlib
class A: pass
---
importlib.reload(pickle)
assert type(pickle.loads(pickle.dumps(A()))) is A
""",
    ),
    _program(
        "zipimport",
        """
import zipfile
---
with zipfile.ZipFile("lib.zip", "w") as archive: archive.writestr("inside.py", "VALUE = 3\\n")
sys.path.insert(0, "lib.zip")
import inside
assert inside.VALUE == 3
""",
    ),
    _program(
        "marshal-data",
        """
import marshal
---
assert marshal.loads(marshal.dumps([1, {2: "a"}])) == [1, {2: "a"}]
""",
    ),
    _program(
        "atexit-and-del",
        """
import atexit, pickle, weakref
class A:
    def __del__(self): pickle.loads(pickle.dumps([1]))
---
atexit.register(lambda: pickle.loads(pickle.dumps({1: 2})))
weakref.finalize(A, lambda: None)
a = A()
del a
""",
    ),
    _program(
        "tempfiles",
        """
import tempfile, json, csv, zipfile, gzip, shutil, configparser, sqlite3
---
with tempfile.TemporaryDirectory() as place:
    path = os.path.join(place, "a.json")
    with open(path, "w") as file: json.dump({"a": 1}, file)
    with gzip.open(path + ".gz", "wb") as file: file.write(b"x")
    shutil.copy(path, path + ".copy")
    db = sqlite3.connect(os.path.join(place, "db")); db.execute("create table t (a)"); db.close()
""",
    ),
    _program(
        "xmlrpc",
        """
import threading
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer
---
server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
server.register_function(lambda a, b: a + b, "add")
threading.Thread(target=server.handle_request).start()
assert ServerProxy("http://127.0.0.1:%d" % server.server_address[1]).add(2, 3) == 5
server.server_close()
""",
    ),
    _program(
        "unittest",
        """
import unittest
from unittest import mock
class T(unittest.TestCase):
    def test_one(self):
        with mock.patch("pickle.loads", return_value=5):
            import pickle
            self.assertEqual(pickle.loads(b"x"), 5)
---
result = unittest.TextTestRunner(stream=open(os.devnull, "w")).run(
    unittest.defaultTestLoader.loadTestsFromTestCase(T))
assert result.wasSuccessful()
""",
    ),
]

SCIENCE = [
    _program(
        "numpy",
        """
import numpy as np, pickle, io
---
a = np.arange(12.0).reshape(3, 4)
for protocol in (2, 4, 5):
    assert (pickle.loads(pickle.dumps(a, protocol)) == a).all()
np.save("a.npy", a); assert (np.load("a.npy") == a).all()
np.savez("a.npz", x=a, y=a[0]); assert (np.load("a.npz")["y"] == a[0]).all()
m = np.load("a.npy", mmap_mode="r"); assert m[1, 1] == 5
rng = pickle.loads(pickle.dumps(np.random.default_rng(1))); rng.random()
assert pickle.loads(pickle.dumps(np.float64(1.5))) == 1.5
assert pickle.loads(pickle.dumps(np.dtype("i4"))) == np.dtype("i4")
""",
        "numpy",
    ),
    _program(
        "numpy-object-minted",
        """
import numpy as np, pickle
---
a = np.array([{"a": 1}, None, "x"], dtype=object)
assert (pickle.loads(pickle.dumps(a)) == a).all()
""",
        "numpy",
    ),
    _program(
        "pandas",
        """
import pandas as pd, pickle
---
frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2020-01-01", "2021-01-01"])})
assert pickle.loads(pickle.dumps(frame)).equals(frame)
frame.to_csv("a.csv"); pd.read_csv("a.csv")
frame.groupby("b").sum(numeric_only=True); frame.merge(frame, on="a"); frame.copy(deep=True)
frame["d"] = frame["b"].astype("category")
assert pickle.loads(pickle.dumps(frame)).equals(frame)
""",
        "pandas",
    ),
    _program(
        "pandas-arrow",
        """
import pandas as pd, pickle
---
frame = pd.DataFrame({"a": pd.array(["x", None], dtype="string[pyarrow]"), "b": pd.array([1, 2], dtype="int64[pyarrow]")})
assert pickle.loads(pickle.dumps(frame)).equals(frame)
frame.to_parquet("a.parquet"); assert len(pd.read_parquet("a.parquet")) == 2
""",
        "pandas",
        "pyarrow",
    ),
    _program(
        "pandas-pickle-zone",
        """
import pandas as pd
---
frame = pd.DataFrame({"a": [1, 2]})
frame.to_pickle("models/frame.pkl")
assert pd.read_pickle("models/frame.pkl").equals(frame)
""",
        "pandas",
    ),
    _program(
        "sklearn-fit",
        """
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier, GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.base import clone
import pickle
---
X, y = make_classification(200, random_state=0)
for model in (RandomForestClassifier(5), GradientBoostingClassifier(n_estimators=3), make_pipeline(StandardScaler(), LogisticRegression())):
    clone(model).fit(X, y)
    model.fit(X, y)
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()
""",
        "sklearn",
    ),
    _program(
        "sklearn-grid",
        """
from sklearn.datasets import make_classification
from sklearn.svm import SVC
from sklearn.model_selection import GridSearchCV, cross_val_score
---
X, y = make_classification(120, random_state=0)
search = GridSearchCV(SVC(), {"C": [1, 10]}, n_jobs=2, cv=2).fit(X, y)
assert search.best_params_["C"] in (1, 10)
assert len(cross_val_score(SVC(), X, y, n_jobs=2, cv=2)) == 2
""",
        "sklearn",
    ),
    _program(
        "sklearn-joblib-zone",
        """
import joblib
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
---
X, y = make_classification(100, random_state=0)
model = RandomForestClassifier(4, n_jobs=2).fit(X, y)
joblib.dump(model, "models/forest.joblib", compress=3)
assert (joblib.load("models/forest.joblib").predict(X) == model.predict(X)).all()
joblib.dump(model, "models/forest2.joblib")
joblib.load("models/forest2.joblib", mmap_mode="r").predict(X)
""",
        "sklearn",
        "joblib",
    ),
    _program(
        "joblib-parallel",
        """
import joblib, numpy as np
def work(a, k): return float(a.sum()) * k
---
big = np.ones(400_000)
assert joblib.Parallel(2)(joblib.delayed(work)(big, k) for k in range(4)) == [400_000.0 * k for k in range(4)]
assert joblib.Parallel(2, backend="threading")(joblib.delayed(work)(big, 1) for _ in range(2))
assert joblib.Parallel(2, backend="multiprocessing")(joblib.delayed(work)(big, 1) for _ in range(2))
assert joblib.Parallel(2)(joblib.delayed(lambda x: x + 1)(i) for i in range(3)) == [1, 2, 3]
""",
        "joblib",
        "numpy",
    ),
    _program(
        "joblib-memory",
        """
import joblib
calls = []
---
memory = joblib.Memory("models/cache", verbose=0)
@memory.cache
def slow(x):
    calls.append(x)
    return {"x": x, "y": [x] * 3}
assert slow(2) == slow(2) == {"x": 2, "y": [2, 2, 2]}
assert calls == [2]
assert joblib.hash([1, 2]) == joblib.hash([1, 2])
""",
        "joblib",
    ),
    _program(
        "loky",
        """
from loky import get_reusable_executor
def square(x): return x * x
---
executor = get_reusable_executor(max_workers=2)
assert list(executor.map(square, range(4))) == [0, 1, 4, 9]
assert executor.submit(lambda: 7).result() == 7
""",
        "loky",
    ),
    _program(
        "xgboost",
        """
import xgboost, numpy as np, pickle
---
X = np.random.default_rng(0).random((100, 3)); y = (X[:, 0] > 0.5).astype(int)
model = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(X, y)
assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()
model.save_model("m.json"); other = xgboost.XGBClassifier(); other.load_model("m.json")
""",
        "xgboost",
    ),
    _program(
        "lightgbm",
        """
import lightgbm, numpy as np, pickle
---
X = np.random.default_rng(0).random((100, 3)); y = (X[:, 0] > 0.5).astype(int)
model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y)
assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()
""",
        "lightgbm",
    ),
    _program(
        "torch-train",
        """
import torch, copy, pickle
---
model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters())
loss = model(torch.ones(2, 4)).sum(); loss.backward(); optimizer.step()
copy.deepcopy(model)
assert torch.equal(pickle.loads(pickle.dumps(torch.arange(3))), torch.arange(3))
""",
        "torch",
    ),
    _program(
        "torch-state-dict",
        """
import torch, io
---
model = torch.nn.Linear(3, 2)
torch.save(model.state_dict(), buffer := io.BytesIO())
buffer.seek(0)
model.load_state_dict(torch.load(buffer, weights_only=True))
""",
        "torch",
    ),
    _program(
        "torch-dataloader",
        """
import torch
class Data(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, i): return torch.tensor([float(i)]), {"i": i}
---
loader = torch.utils.data.DataLoader(Data(), batch_size=2, num_workers=2)
assert sum(batch[0].sum().item() for batch in loader) == 28
""",
        "torch",
    ),
    _program(
        "torch-dataloader-spawn",
        """
import torch
class Data(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return torch.tensor([float(i)])
---
loader = torch.utils.data.DataLoader(Data(), num_workers=1, multiprocessing_context="spawn")
assert sum(batch.sum().item() for batch in loader) == 6
""",
        "torch",
    ),
    _program(
        "h5py",
        """
import h5py, numpy as np
---
with h5py.File("a.h5", "w") as file: file["x"] = np.arange(5)
with h5py.File("a.h5") as file: assert file["x"][2] == 2
""",
        "h5py",
    ),
]

LIBRARIES = [
    _program(
        "cloudpickle",
        """
import cloudpickle, pickle
---
k = 3
assert pickle.loads(cloudpickle.dumps(lambda x: x + k))(4) == 7
class Local:
    def f(self): return k
assert cloudpickle.loads(cloudpickle.dumps(Local()))is not None
""",
        "cloudpickle",
    ),
    _program(
        "dill",
        """
import dill
class A: pass
---
assert dill.loads(dill.dumps(lambda x: x + 1))(2) == 3
assert type(dill.loads(dill.dumps(A()))) is A
""",
        "dill",
    ),
    _program(
        "yaml",
        """
import yaml
---
assert yaml.safe_load("a: [1, 2]") == {"a": [1, 2]}
assert yaml.load("a: !!python/tuple [1]", yaml.FullLoader) == {"a": (1,)}
assert yaml.safe_load(yaml.safe_dump({"x": None})) == {"x": None}
""",
        "yaml",
    ),
    _program(
        "ruamel",
        """
from ruamel.yaml import YAML
import io
---
yaml = YAML()
value = yaml.load("a: 1 # note\\nb: [x]\\n")
yaml.dump(value, out := io.StringIO())
assert "# note" in out.getvalue()
""",
        "ruamel.yaml",
    ),
    _program(
        "jsonpickle",
        """
import jsonpickle
class A:
    def __init__(self): self.x = [1]
---
assert jsonpickle.decode(jsonpickle.encode(A())).x == [1]
assert jsonpickle.decode('{"a": [1, 2]}') == {"a": [1, 2]}
""",
        "jsonpickle",
    ),
    _program(
        "msgpack",
        """
import msgpack
---
assert msgpack.unpackb(msgpack.packb({"a": [1, b"x"]})) == {"a": [1, b"x"]}
""",
        "msgpack",
    ),
    _program(
        "flask",
        """
import flask
---
app = flask.Flask("app"); app.secret_key = "k" * 32
@app.route("/")
def index():
    flask.session["n"] = flask.session.get("n", 0) + 1
    return flask.render_template_string("{{ n }}", n=flask.session["n"])
client = app.test_client()
assert client.get("/").data == b"1" and client.get("/").data == b"2"
""",
        "flask",
    ),
    _program(
        "jinja-bytecode-cache",
        """
import jinja2
---
os.makedirs("bytecode", exist_ok=True)
for _ in range(2):
    env = jinja2.Environment(bytecode_cache=jinja2.FileSystemBytecodeCache("bytecode"), loader=jinja2.DictLoader({"a": "{{ 1 + 1 }}"}))
    assert env.get_template("a").render() == "2"
""",
        "jinja2",
    ),
    _program(
        "fastapi",
        """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel
class Item(BaseModel):
    name: str
---
app = FastAPI()
@app.post("/")
def make(item: Item): return {"got": item.name}
assert TestClient(app).post("/", json={"name": "x"}).json() == {"got": "x"}
""",
        "fastapi",
        "httpx",
    ),
    _program(
        "django",
        """
import django
from django.conf import settings
---
settings.configure(SECRET_KEY="k" * 50, ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], INSTALLED_APPS=[],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
django.setup()
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import path
global urlpatterns
urlpatterns = [path("", lambda request: HttpResponse("hi"))]
assert Client().get("/").content == b"hi"
cache.set("a", {"x": [1, object]}); assert cache.get("a")["x"][0] == 1
""",
        "django",
    ),
    _program(
        "celery-eager",
        """
from celery import Celery
---
app = Celery("app", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = True
@app.task
def add(a, b): return a + b
assert add.delay(2, 3).get() == 5
assert (add.s(1, 2) | add.s(3)).apply_async().get() == 6
""",
        "celery",
    ),
    _program(
        "kombu-memory",
        """
from kombu import Connection
---
with Connection("memory://") as connection:
    queue = connection.SimpleQueue("q")
    queue.put({"a": 1})
    assert queue.get(timeout=5).payload == {"a": 1}
""",
        "kombu",
    ),
    _program(
        "billiard",
        """
import billiard
def f(x): return x + 1
---
pool = billiard.Pool(1)
assert pool.map(f, [1, 2]) == [2, 3]
pool.terminate(); pool.join()
""",
        "billiard",
    ),
    _program(
        "diskcache",
        """
import diskcache
---
with diskcache.Cache("dc") as cache:
    cache["a"] = {"x": [1, 2]}
    assert cache["a"] == {"x": [1, 2]}
""",
        "diskcache",
    ),
    _program(
        "sqlalchemy-pickletype",
        """
import sqlalchemy as sa
---
engine = sa.create_engine("sqlite://"); meta = sa.MetaData()
table = sa.Table("t", meta, sa.Column("v", sa.PickleType)); meta.create_all(engine)
with engine.begin() as c:
    c.execute(table.insert().values(v={"a": (1, 2)}))
    assert c.execute(sa.select(table.c.v)).scalar() == {"a": (1, 2)}
""",
        "sqlalchemy",
    ),
    _program(
        "pytest",
        """
import pytest
---
with open("test_one.py", "w") as file: file.write("import pickle\\ndef test(tmp_path):\\n    assert pickle.loads(pickle.dumps([1])) == [1]\\n")
assert pytest.main(["-q", "test_one.py"]) == 0
""",
        "pytest",
    ),
    _program(
        "pytest-xdist",
        """
import subprocess
---
with open("test_two.py", "w") as file: file.write("import pytest\\n@pytest.mark.parametrize('n', range(4))\\ndef test(n):\\n    assert n >= 0\\n")
assert subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "2", "test_two.py"]).returncode == 0
""",
        "xdist",
    ),
    _program(
        "ipykernel",
        """
from jupyter_client.manager import start_new_kernel
---
manager, client = start_new_kernel()
try:
    reply = client.execute_interactive("import pickle; x = pickle.loads(pickle.dumps([1])); assert x == [1]", timeout=60)
    assert reply["content"]["status"] == "ok"
finally:
    client.stop_channels(); manager.shutdown_kernel(now=True)
""",
        "ipykernel",
        "jupyter_client",
    ),
    _program(
        "dask-threads",
        """
import dask, dask.array as da
---
assert da.ones((1000, 10), chunks=100).sum().compute() == 10000
""",
        "dask",
        "numpy",
    ),
    _program(
        "dask-processes",
        """
import dask, dask.bag
def double(x): return x * 2
---
assert dask.bag.from_sequence(range(4), npartitions=2).map(double).compute(scheduler="processes") == [0, 2, 4, 6]
""",
        "dask",
        "numpy",
    ),
    _program(
        "dask-cluster",
        """
from distributed import Client, LocalCluster
class Job:
    def __init__(self, n): self.n = n
def work(job): return Job(job.n + 1)
---
with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
    assert client.submit(work, Job(1)).result().n == 2
""",
        "distributed",
    ),
    _program(
        "dask-cluster-threads",
        """
from distributed import Client
---
with Client(processes=False, n_workers=1, dashboard_address=None) as client:
    assert client.submit(lambda x: x + 1, 1).result() == 2
""",
        "distributed",
    ),
    _program(
        "ray-local",
        """
import ray
class Point:
    def __init__(self, x): self.x = x
---
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
@ray.remote
def f(x): return {"x": x}
@ray.remote
def square(point): return Point(point.x ** 2)
@ray.remote
def fails(): raise KeyError("as it is")
@ray.remote
class Actor:
    def __init__(self): self.points = []
    def add(self, point): self.points.append(point); return len(self.points)
    def last(self): return self.points[-1]
assert ray.get(f.remote(3)) == {"x": 3}
point = ray.get(square.remote(Point(3)))
assert type(point) is Point and point.x == 9
actor = Actor.remote()
assert ray.get(actor.add.remote(point)) == 1
assert ray.get(actor.last.remote()).x == 9
assert ray.get(ray.put(Point(4))).x == 4
try: ray.get(fails.remote())
except KeyError as error: assert "as it is" in str(error)
else: raise SystemExit("no error")
ray.shutdown()
""",
        "ray",
    ),
    _program(
        "gevent",
        """
import gevent, pickle
class A: pass
---
jobs = [gevent.spawn(lambda: pickle.loads(pickle.dumps(A()))) for _ in range(5)]
gevent.joinall(jobs)
assert all(type(job.value) is A for job in jobs)
""",
        "gevent",
    ),
    _program(
        "zodb",
        """
import ZODB, transaction, persistent
class Account(persistent.Persistent):
    def __init__(self): self.total = 1
---
db = ZODB.DB(None)
connection = db.open()
connection.root()["a"] = Account(); transaction.commit()
other = db.open(); assert other.root()["a"].total == 1
db.close()
""",
        "ZODB",
    ),
]

PROGRAMS = [*STANDARD, *SCIENCE, *LIBRARIES]
