"""Libraries that unpickle for the program."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### shelve
import dbm.dumb
with dbm.dumb.open("d", "n") as d: d[b"k"] = EVIL
import shelve; shelve.open("d")["k"]
### shelve-dictionary
import shelve; shelve.Shelf({b"k": EVIL})["k"]
### shelve-values
import shelve; list(shelve.Shelf({b"k": EVIL}).values())
### shelve-writeback
import shelve; shelve.Shelf({b"k": EVIL}, writeback=True).get("k")
### shelve-bsd
import shelve
class D(dict):
    def first(self): return b"k", EVIL
shelve.BsdDbShelf(D()).first()
### shelve-internal-zone
import dbm.dumb
with dbm.dumb.open("cache/d", "n") as d: d[b"k"] = EVIL
import shelve; shelve.open("cache/d")["k"]
### dill needs=dill
import dill; dill.loads(EVIL)
### dill-file needs=dill
import dill; dill.load(open(file(), "rb"))
### dill-unpickler needs=dill
import dill; dill.Unpickler(io.BytesIO(EVIL)).load()
### dill-minted needs=dill
import dill; dill.loads(dill.dumps(P()))
### dill-copy needs=dill
import dill; dill.copy(P())
### dill-ignore needs=dill
import dill; dill.loads(EVIL, ignore=True)
### dill-pickles needs=dill
import dill; dill.pickles(P())
### dill-temporary needs=dill
import dill.temp
class F: name = file()
dill.temp.load(F)
### cloudpickle needs=cloudpickle
import cloudpickle; cloudpickle.loads(EVIL)
### cloudpickle-file needs=cloudpickle
import cloudpickle; cloudpickle.load(open(file(), "rb"))
### cloudpickle-code-untrusted needs=cloudpickle
import cloudpickle
if not (pid := os.fork()):
    go = eval("lambda m: __import__('os').mkfifo(m)")
    class Q:
        def __reduce__(self): return go, (MARK,)
    file(cloudpickle.dumps(Q())); os._exit(0)
os.waitpid(pid, 0)
cloudpickle.loads(open("evil.bin", "rb").read())
### joblib needs=joblib
import joblib; joblib.load(file())
### joblib-handle needs=joblib
import joblib; joblib.load(open(file(), "rb"))
### joblib-buffer needs=joblib
import joblib; joblib.load(io.BytesIO(EVIL))
### joblib-compressed needs=joblib
import joblib, zlib; joblib.load(file(zlib.compress(EVIL)))
### joblib-gzip needs=joblib
import joblib, gzip; joblib.load(file(gzip.compress(EVIL)))
### joblib-xz needs=joblib
import joblib, lzma; joblib.load(file(lzma.compress(EVIL)))
### joblib-mmap needs=joblib
import joblib; joblib.load(file(), mmap_mode="r")
### joblib-internal-zone needs=joblib
import joblib; joblib.load(file(path="models/m.joblib"))
### joblib-unpickler needs=joblib
import inspect
from joblib.numpy_pickle import NumpyUnpickler
f = open(file(), "rb")
extra = (False,) if "ensure_native_byte_order" in inspect.signature(NumpyUnpickler).parameters else ()
NumpyUnpickler("evil.bin", f, *extra).load()
### joblib-array-wrapper needs=joblib,numpy
import joblib, numpy
from joblib.numpy_pickle import NumpyArrayWrapper
head = pickle.dumps(NumpyArrayWrapper(numpy.ndarray, (1,), "C", numpy.dtype("O")), 2)
file(head[:-1] + EVIL + b".")
joblib.load("evil.bin")
### joblib-compatibility needs=joblib
from joblib.numpy_pickle_compat import load_compatibility
import zlib
load_compatibility(file(b"ZF" + hex(len(EVIL)).ljust(19).encode() + zlib.compress(EVIL)))
### joblib-memory needs=joblib
import joblib
m = joblib.Memory("cache/out", verbose=0)
@m.cache
def f(x): return x
import glob
r = f.call_and_shelve(1)
os.rename("cache/out", "out"); r.store_backend.location = os.path.abspath("out/joblib")
with open(glob.glob("out/joblib/**/output.pkl", recursive=True)[0], "wb") as o: o.write(EVIL)
r.get()
### joblib-memory-internal-zone needs=joblib
import joblib
m = joblib.Memory("cache/out", verbose=0)
@m.cache
def f(x): return x
import glob
r = f.call_and_shelve(1)
with open(glob.glob("cache/out/joblib/**/output.pkl", recursive=True)[0], "wb") as o: o.write(EVIL)
r.get()
### joblib-temporary-memmap needs=joblib
import joblib.numpy_pickle as n
n.load_temporary_memmap(file(), "r", False)
### numpy-npy needs=numpy
import numpy
with open("e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
numpy.load("e.npy", allow_pickle=True)
### numpy-npz needs=numpy
import numpy, zipfile
with open("e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
with zipfile.ZipFile("e.npz", "w") as z: z.write("e.npy", "a.npy")
numpy.load("e.npz", allow_pickle=True)["a"]
### numpy-pickle needs=numpy
import numpy; numpy.load(file(), allow_pickle=True)
### numpy-buffer needs=numpy
import numpy; numpy.load(io.BytesIO(EVIL), allow_pickle=True)
### numpy-read-array needs=numpy
import numpy
f = io.BytesIO()
numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
f.seek(0); numpy.lib.format.read_array(f, allow_pickle=True)
### numpy-internal-zone needs=numpy
import numpy
with open("models/e.npy", "wb") as f:
    numpy.lib.format.write_array_header_1_0(f, {"descr": "|O", "fortran_order": False, "shape": (1,)}); f.write(EVIL)
numpy.load("models/e.npy", allow_pickle=True)
### numpy-minted-object needs=numpy
import numpy
pickle.loads(pickle.dumps(numpy.array([P()], object)))
### numpy-save-load needs=numpy
import numpy
f = io.BytesIO(); numpy.save(f, numpy.array([P()], object)); f.seek(0)
numpy.load(f, allow_pickle=True)
### pandas needs=pandas
import pandas; pandas.read_pickle(file())
### pandas-buffer needs=pandas
import pandas; pandas.read_pickle(io.BytesIO(EVIL))
### pandas-gzip needs=pandas
import pandas, gzip; pandas.read_pickle(file(gzip.compress(EVIL), "e.pkl.gz"))
### pandas-internal-zone needs=pandas
import pandas; pandas.read_pickle(file(path="models/m.pkl"))
### pandas-compat needs=pandas
from pandas.compat import pickle_compat as c
c.Unpickler(io.BytesIO(EVIL)).load()
### pandas-hdf needs=pandas,tables
import pandas, tables
with tables.open_file("e.h5", "w") as f:
    a = f.create_vlarray("/", "x", tables.ObjectAtom()); a.append(P())
with tables.open_file("e.h5") as f: f.root.x[0]
### pandas-hdf-attribute needs=pandas,tables
import pandas, tables
with tables.open_file("e.h5", "w") as f:
    import numpy
    f.root._v_attrs.x = P()
with tables.open_file("e.h5") as f: f.root._v_attrs.x
### pandas-hdf-fixed needs=pandas,tables
import pandas, tables
pandas.DataFrame({"a": [[1]]}).to_hdf("e.h5", key="k")
with tables.open_file("e.h5", "a") as f:
    for n in f.walk_nodes("/", "VLArray"):
        name, parent = n._v_name, n._v_parent
        f.remove_node(n); f.create_vlarray(parent, name, tables.ObjectAtom()).append(P())
        break
pandas.read_hdf("e.h5", "k")
### pytables-dumped-by-other needs=tables
import tables
if not (pid := os.fork()):
    with tables.open_file("e.h5", "w") as f: f.root._v_attrs.x = P()
    os._exit(0)
os.waitpid(pid, 0)
with tables.open_file("e.h5") as f: f.root._v_attrs.x
### torch needs=torch
import torch, zipfile
with zipfile.ZipFile("e.pt", "w") as z:
    z.writestr("a/data.pkl", raw("posix", "mkfifo", MARK, proto=2)); z.writestr("a/version", "3\n")
torch.load("e.pt", weights_only=False)
### torch-legacy needs=torch
import torch
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(file(magic + EVIL), weights_only=False)
### torch-legacy-first needs=torch
import torch
torch.load(file(raw("posix", "mkfifo", MARK, proto=2)), weights_only=False)
### torch-buffer needs=torch
import torch
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(io.BytesIO(magic + EVIL), weights_only=False)
### torch-pickle-module needs=torch
import torch, types
own = types.ModuleType("own")
class U(pickle.Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
vars(own).update(vars(pickle)); own.Unpickler = U; own.load = lambda f, **k: U(f, **k).load()
magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
torch.load(file(magic + EVIL), pickle_module=own, weights_only=False)
### torch-safe-globals needs=torch
import torch, zipfile
torch.serialization.add_safe_globals([io.FileIO])
with zipfile.ZipFile("e.pt", "w") as z:
    z.writestr("a/data.pkl", raw("_io", "FileIO", MARK, "w", proto=2)); z.writestr("a/version", "3\n")
torch.load("e.pt", weights_only=True)
### torch-package needs=torch
from torch.package import PackageExporter, PackageImporter
with PackageExporter("p.pt") as e:
    e.save_source_string("mod", f"open({MARK!r}, 'w').close()", dependencies=False)
PackageImporter("p.pt").import_module("mod")
### torch-hub needs=torch outside=it runs a Python file that the program names, as an import does
import torch
os.mkdir("repo"); open("repo/hubconf.py", "w").write(f"import os\ndef m(): os.mkfifo({MARK!r})")
torch.hub.load("repo", "m", source="local")
### torch-multiprocessing needs=torch
import torch.multiprocessing.reductions, multiprocessing.reduction as r
r.ForkingPickler.loads(EVIL)
### torch-tensor-minted needs=torch
import torch
class T(P): pass
f = io.BytesIO(); torch.save({"w": torch.ones(1), "x": P()}, f); f.seek(0)
torch.load(f, weights_only=False)
### zodbpickle needs=zodbpickle
from zodbpickle import pickle as z; z.loads(EVIL)
### zodbpickle-fast needs=zodbpickle
from zodbpickle import fastpickle as z; z.loads(EVIL)
### zodbpickle-slow needs=zodbpickle
from zodbpickle import slowpickle as z; z.loads(EVIL)
### zodbpickle-c needs=zodbpickle
from zodbpickle import _pickle as z
z.Unpickler(io.BytesIO(EVIL)).load()
### zodbpickle-c-loads needs=zodbpickle
from zodbpickle import _pickle as z
z.loads(EVIL)
### zodbpickle-c-load needs=zodbpickle
from zodbpickle import _pickle as z
z.load(io.BytesIO(EVIL))
### zodbpickle-unpickler needs=zodbpickle
from zodbpickle.pickle import Unpickler; Unpickler(io.BytesIO(EVIL)).load()
### zodbpickle-override needs=zodbpickle
from zodbpickle import pickle as z
class U(z.Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
U(io.BytesIO(EVIL)).load()
### zodb-compat needs=ZODB
from ZODB._compat import loads; loads(EVIL)
### zodb-unpickler needs=ZODB
from ZODB._compat import Unpickler; Unpickler(io.BytesIO(EVIL)).load()
### zodb-connection needs=ZODB
import ZODB, ZODB.MappingStorage
from ZODB.utils import p64
s = ZODB.MappingStorage.MappingStorage(); db = ZODB.DB(s)
import transaction
t = transaction.TransactionManager(); txn = t.begin()
from ZODB.Connection import TransactionMetaData
m = TransactionMetaData(); s.tpc_begin(m)
s.store(p64(1), b"\0" * 8, b"\x80\x03" + named("persistent.mapping", "PersistentMapping") + b"." + EVIL, "", m)
s.tpc_vote(m); s.tpc_finish(m)
db.open().get(p64(1))._p_activate()
### diskcache needs=diskcache
import diskcache
c = diskcache.Cache("c"); c["k"] = {1: 2}
import sqlite3
d = sqlite3.connect("c/cache.db"); d.execute("update Cache set value = ?, mode = 4", (EVIL,)); d.commit(); d.close()
c["k"]
### diskcache-deque needs=diskcache
import diskcache
c = diskcache.Deque([{1: 2}], "c")
import sqlite3
d = sqlite3.connect("c/cache.db"); d.execute("update Cache set value = ?, mode = 4", (EVIL,)); d.commit(); d.close()
c[0]
### diskcache-minted needs=diskcache
import diskcache
c = diskcache.Cache("c"); c["k"] = P(); c["k"]
### cachelib-file needs=cachelib
import cachelib
c = cachelib.FileSystemCache("c"); c.set("k", 1)
for n in os.listdir("c"):
    if not n.startswith("__") and n != "2029240f6d1128be89ddc32729463129":
        with open(f"c/{n}", "r+b") as f: f.seek(4); f.write(EVIL); f.truncate()
c.get("k")
### cachelib-simple needs=cachelib
import cachelib
c = cachelib.SimpleCache(); c._cache["k"] = (9e9, EVIL); c.get("k")
### cachelib-serializer needs=cachelib
from cachelib.serializers import BaseSerializer
BaseSerializer().loads(EVIL)
### cachelib-redis needs=cachelib,redis
from cachelib.serializers import RedisSerializer
RedisSerializer().loads(b"!" + EVIL)
### django-locmem needs=django
from django.conf import settings; settings.configure()
from django.core.cache.backends.locmem import LocMemCache
c = LocMemCache("x", {}); c.set("k", 1); c._cache[next(iter(c._cache))] = EVIL; c.get("k")
### django-file needs=django
from django.conf import settings; settings.configure()
from django.core.cache.backends.filebased import FileBasedCache
import zlib, glob
c = FileBasedCache("c", {}); c.set("k", 1)
n = glob.glob("c/*.djcache")[0]; open(n, "wb").write(pickle.dumps(9e9) + zlib.compress(EVIL))
c.get("k")
### django-redis needs=django
from django.core.cache.backends.redis import RedisSerializer
RedisSerializer().loads(EVIL)
### django-signing needs=django
from django.conf import settings; settings.configure(SECRET_KEY="x")
from django.core import signing
class S:
    def dumps(self, o): return EVIL
    def loads(self, d): return pickle.loads(d)
signing.loads(signing.dumps(1, serializer=S), serializer=S)
### django-session needs=django
from django.conf import settings; settings.configure(SECRET_KEY="x", SESSION_SERIALIZER="own.Pickle")
import types
own = types.ModuleType("own"); sys.modules["own"] = own
class Pickle:
    def dumps(self, o): return EVIL
    def loads(self, d): return pickle.loads(d)
own.Pickle = Pickle
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core import signing
SessionStore(signing.dumps({}, serializer=Pickle, compress=True,
    salt="django.contrib.sessions.backends.signed_cookies")).load()
### flask-view needs=flask
import flask, base64
a = flask.Flask("x")
@a.post("/")
def go(): return str(pickle.loads(flask.request.get_data()))
a.test_client().post("/", data=EVIL)
### flask-session needs=flask
import flask
a = flask.Flask("x"); a.secret_key = "x"
from itsdangerous import URLSafeSerializer
s = URLSafeSerializer("x", serializer=pickle); s.loads(URLSafeSerializer("x", serializer=type("S", (), {
    "dumps": staticmethod(lambda o: EVIL), "loads": staticmethod(lambda d: d)})).dumps(1))
### fastapi-view needs=fastapi
import asyncio, fastapi
a = fastapi.FastAPI()
@a.post("/")
async def go(r: fastapi.Request): pickle.loads(await r.body())
sent = []
async def receive(): return {"type": "http.request", "body": EVIL, "more_body": False}
async def send(m): sent.append(m)
asyncio.run(a({"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [],
               "http_version": "1.1", "scheme": "http", "root_path": "", "server": None, "client": None}, receive, send))
### kombu needs=kombu
from kombu import serialization as s
s.enable_insecure_serializers(["pickle"]); s.loads(EVIL, "application/x-python-serialize", "binary")
### kombu-accept needs=kombu
from kombu import serialization as s
s.loads(EVIL, "application/x-python-serialize", "binary", accept={"application/x-python-serialize"})
### kombu-pickle-load needs=kombu
from kombu.serialization import pickle_loads, unpickle
pickle_loads(EVIL)
### celery-result needs=celery
from celery.backends.base import BaseBackend
from celery import Celery
a = Celery("x", backend="cache+memory://"); a.conf.result_serializer = "pickle"; a.conf.accept_content = ["pickle"]
a.conf.result_accept_content = ["pickle"]
a.backend.decode(EVIL)
### billiard needs=billiard
from billiard.reduction import ForkingPickler
ForkingPickler.loads(EVIL)
### billiard-connection needs=billiard
from billiard.connection import Connection
with open("f", "wb") as f: f.write(len(EVIL).to_bytes(4, "big") + EVIL)
Connection(os.open("f", os.O_RDONLY)).recv()
### billiard-subclass needs=billiard
from billiard.connection import Connection
class C(Connection):
    def _recv_bytes(self, maxsize=None): return io.BytesIO(EVIL)
C(os.pipe()[0]).recv()
### sqlalchemy needs=sqlalchemy
import sqlalchemy as s
e = s.create_engine("sqlite://"); m = s.MetaData(); t = s.Table("t", m, s.Column("v", s.PickleType)); m.create_all(e)
with e.begin() as c:
    c.execute(s.text("insert into t values (:v)"), {"v": EVIL}); c.execute(s.select(t)).fetchall()
### sqlalchemy-serializer needs=sqlalchemy
from sqlalchemy.ext.serializer import loads
loads(EVIL)
### sqlalchemy-serializer-own needs=sqlalchemy
from sqlalchemy.ext.serializer import Deserializer
Deserializer(io.BytesIO(EVIL)).load()
### ipython-pickleshare needs=IPython
from IPython.external import pickleshare
os.mkdir("db"); file(path="db/k")
pickleshare.PickleShareDB("db")["k"]
### dask-deserialize needs=distributed
from distributed.protocol.pickle import loads
loads(EVIL)
### dask-serialize needs=distributed
from distributed.protocol.serialize import deserialize
deserialize({"serializer": "pickle", "writeable": (), "num-sub-frames": 1}, [EVIL])
### ray-serialization needs=ray
import ray.cloudpickle as c
c.loads(EVIL)
### h5py-object needs=h5py,numpy
import h5py, numpy
with h5py.File("e.h5", "w") as f: f["x"] = numpy.void(EVIL)
with h5py.File("e.h5") as f: pickle.loads(f["x"][()].tobytes())
### msgpack-ext needs=msgpack
import msgpack
msgpack.unpackb(msgpack.packb(msgpack.ExtType(1, EVIL)), ext_hook=lambda code, data: pickle.loads(data))
### msgpack-object-hook needs=msgpack
import msgpack
msgpack.unpackb(msgpack.packb({"p": EVIL}), object_hook=lambda d: pickle.loads(d["p"]))
### msgspec-ext needs=msgspec
import msgspec
msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(1, EVIL)), ext_hook=lambda c, d: pickle.loads(d))
### pyarrow-extension needs=pyarrow
import pyarrow
class T(pyarrow.ExtensionType):
    def __init__(self): super().__init__(pyarrow.int8(), "t")
    def __arrow_ext_serialize__(self): return EVIL
    @classmethod
    def __arrow_ext_deserialize__(cls, storage, data): return pickle.loads(data)
pyarrow.register_extension_type(T())
s = pyarrow.schema([("a", T())]).serialize()
pyarrow.ipc.read_schema(s)
### pyarrow-pickle-extension needs=pyarrow
import pyarrow
class T(pyarrow.ExtensionType):
    def __init__(self): super().__init__(pyarrow.int8(), "own.pickled")
    def __arrow_ext_serialize__(self): return pickle.dumps(P())
    @classmethod
    def __arrow_ext_deserialize__(cls, storage, data): pickle.loads(data); return cls()
pyarrow.register_extension_type(T())
pyarrow.ipc.read_schema(pyarrow.schema([("a", T())]).serialize())
### sklearn-load needs=sklearn,joblib
import joblib, sklearn
joblib.load(file(path="models/clf.joblib"))
### sklearn-setstate needs=sklearn
import sklearn.linear_model
m = sklearn.linear_model.LinearRegression()
class Q(P): pass
m.extra = P()
pickle.loads(pickle.dumps(m))
### sympy-lambdify needs=sympy
import sympy
pickle.loads(pickle.dumps(P(sympy.sympify, ("__import__('os').mkfifo(%r)" % MARK,))))
### loky-wrap needs=loky
from loky.cloudpickle_wrapper import _reconstruct_wrapper
_reconstruct_wrapper(EVIL, True)
### joblib-loky-wrap needs=joblib
from joblib.externals.loky.cloudpickle_wrapper import _reconstruct_wrapper
_reconstruct_wrapper(EVIL, True)
'''
WAYS = ways("library", _TEXT)
