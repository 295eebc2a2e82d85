"""Databases, caches and frameworks that unpickle for the program."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
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
### dask-spilled needs=distributed
from distributed.protocol import deserialize_bytes, serialize_bytes
from distributed.protocol.core import dumps
import msgpack
from distributed.protocol.pickle import loads
# What a worker has put on its disk, and what it finds there afterwards.
file(raw("posix", "mkfifo", MARK, proto=4)); loads(open("evil.bin", "rb").read())
### dask-serialize needs=distributed
from distributed.protocol.serialize import deserialize
deserialize({"serializer": "pickle", "writeable": (), "num-sub-frames": 1}, [EVIL])
### ray-serialization needs=ray
import ray.cloudpickle as c
c.loads(EVIL)
### zodb-record-of-a-stranger needs=ZODB
from ZODB.serialize import ObjectReader
def act(path): os.mkfifo(path)
reader = ObjectReader(None, None, lambda connection, m, n: getattr(sys.modules[m], n))
reader._get_unpickler(raw("__main__", "act", MARK)).load()
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
### django-database needs=django
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "d.db"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "t"}})
django.setup()
from django.core.management import call_command
from django.core.cache import cache
import base64, sqlite3
call_command("createcachetable"); cache.set("k", 1)
d = sqlite3.connect("d.db"); d.execute("update t set value = ?", (base64.b64encode(EVIL).decode(),)); d.commit(); d.close()
cache.get("k")
### django-redis-server needs=django,fakeredis
from django.conf import settings; settings.configure()
from django.core.cache.backends.redis import RedisCache
import fakeredis
f = fakeredis.FakeStrictRedis(); c = RedisCache("redis://x", {}); c._cache.get_client = lambda *a, **k: f
f.set(c.make_key("k"), EVIL); c.get("k")
### django-memcached needs=pymemcache
from pymemcache.serde import pickle_serde, FLAG_PICKLE
pickle_serde.deserialize("k", EVIL, FLAG_PICKLE)
### cachelib-redis-server needs=cachelib,fakeredis
import cachelib, fakeredis
f = fakeredis.FakeStrictRedis(); c = cachelib.RedisCache(f); f.set("k", b"!" + EVIL); c.get("k")
### flask-caching-file needs=flask_caching
import flask, flask_caching, glob
a = flask.Flask("x"); c = flask_caching.Cache(a, config={"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": "c"})
with a.app_context():
    c.set("k", 1)
    for n in glob.glob("c/*"):
        with open(n, "r+b") as f: f.seek(4); f.write(EVIL); f.truncate()
    c.get("k")
### dogpile-memory needs=dogpile
from dogpile.cache import make_region
r = make_region().configure("dogpile.cache.memory_pickle"); r.set("k", 1)
head = r.backend._cache["k"].partition(b"|")[0]; r.backend._cache["k"] = head + b"|" + EVIL; r.get("k")
### dogpile-file needs=dogpile
from dogpile.cache import make_region
import dbm
r = make_region().configure("dogpile.cache.dbm", arguments={"filename": "d"}); r.set("k", 1)
with dbm.open("d", "w") as d: d["k"] = d["k"].partition(b"|")[0] + b"|" + EVIL
r.get("k")
### kombu-message needs=kombu
from kombu import Connection
with Connection("memory://") as c:
    q = c.SimpleQueue("q", accept=["pickle"])
    q.producer.publish(EVIL, content_type="application/x-python-serialize", content_encoding="binary", routing_key="q")
    q.get(timeout=9).payload
### celery-task needs=celery
from celery import Celery
from celery.contrib.testing.worker import start_worker
import time, uuid
a = Celery("x", broker="memory://", backend="cache+memory://"); a.conf.accept_content = ["pickle"]
a.conf.worker_hijack_root_logger = False
seen = []
@a.task(name="t")
def t(*args): seen.append(args)
with start_worker(a, perform_ping_check=False, shutdown_timeout=60), a.connection() as c:
    i = str(uuid.uuid4())
    c.Producer().publish(EVIL, routing_key="celery", content_type="application/x-python-serialize", content_encoding="binary",
        headers={"task": "t", "id": i, "lang": "py", "root_id": i, "argsrepr": "", "kwargsrepr": ""}, correlation_id=i)
    for _ in range(40):
        if os.path.lexists(MARK) or os.path.exists("refused"): break
        time.sleep(.05)
### celery-result-file needs=celery
from celery import Celery
os.mkdir("r"); a = Celery("x", backend="file://" + os.path.abspath("r"))
a.conf.result_serializer = "pickle"; a.conf.result_accept_content = ["pickle"]
file(path=os.path.join("r", a.backend.get_key_for_task("1").decode()))
a.AsyncResult("1").state
### sqlite-converter
import sqlite3
sqlite3.register_converter("obj", pickle.loads)
d = sqlite3.connect("d.db"); d.execute("create table t (v obj)"); d.execute("insert into t values (?)", (EVIL,)); d.commit()
sqlite3.connect("d.db", detect_types=sqlite3.PARSE_DECLTYPES).execute("select v from t").fetchone()
### sqlite-converter-evaluates
import sqlite3
sqlite3.register_converter("expr", eval)
d = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES); d.execute("create table t (v expr)")
d.execute("insert into t values (?)", (f"__import__('os').mkfifo({MARK!r})",))
d.execute("select v from t").fetchone()
### sqlite-converter-acts
import sqlite3
sqlite3.dbapi2.register_converter("cmd", lambda b: os.system(b.decode()))
d = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES); d.execute("create table t (v cmd)")
d.execute("insert into t values (?)", ("touch " + MARK,)); d.execute("select v from t").fetchone()
### msgpack-hook-evaluates needs=msgpack
import msgpack
msgpack.unpackb(msgpack.packb({"e": f"__import__('os').mkfifo({MARK!r})"}), object_hook=lambda d: eval(d["e"]))
### msgpack-hook-names needs=msgpack
import msgpack
msgpack.loads(msgpack.packb({"m": "subprocess", "n": "call", "a": [["touch", MARK]]}),
    object_hook=lambda d: getattr(__import__(d["m"]), d["n"])(*d["a"]))
### msgpack-pairs-hook needs=msgpack
import msgpack
msgpack.unpackb(msgpack.packb({"c": "touch " + MARK}), object_pairs_hook=lambda pairs: os.system(pairs[0][1]))
### msgpack-list-hook needs=msgpack
import msgpack
msgpack.unpack(io.BytesIO(msgpack.packb(["touch " + MARK])), list_hook=lambda parts: os.system(parts[0]))
### msgpack-stream needs=msgpack
import msgpack
u = msgpack.Unpacker(ext_hook=lambda code, data: os.system(data.decode())); u.feed(msgpack.packb(msgpack.ExtType(1, f"touch {MARK}".encode())))
list(u)
### msgpack-in-python needs=msgpack
from msgpack import fallback, packb
fallback.unpackb(packb({"e": f"__import__('os').mkfifo({MARK!r})"}), object_hook=lambda d: eval(d["e"]))
### xmlrpc-dotted-module
import xmlrpc.client, xmlrpc.server
class S: files = os
s = xmlrpc.server.SimpleXMLRPCDispatcher(allow_none=True); s.register_instance(S(), allow_dotted_names=True)
s._marshaled_dispatch(xmlrpc.client.dumps((MARK,), "files.mkfifo").encode())
### xmlrpc-dotted-function
import xmlrpc.client, xmlrpc.server, types
class S: tools = types.SimpleNamespace(make=os.mkfifo, add=len)
s = xmlrpc.server.SimpleXMLRPCDispatcher(allow_none=True); s.register_instance(S(), True)
s._marshaled_dispatch(xmlrpc.client.dumps((MARK,), "tools.make").encode())
### xmlrpc-dotted-in-multicall
import xmlrpc.client, xmlrpc.server
class S: files = os
s = xmlrpc.server.SimpleXMLRPCDispatcher(allow_none=True); s.register_multicall_functions(); s.register_instance(S(), True)
s._marshaled_dispatch(xmlrpc.client.dumps(([{"methodName": "files.mkfifo", "params": [MARK]}],), "system.multicall").encode())
"""

WAYS = ways("stores", _TEXT)
