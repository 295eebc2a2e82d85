"""Ordinary programs of frameworks, caches and queues; as in `tests.guard.programs`."""

from __future__ import annotations

from tests.guard.programs import _program

_OWN = """
class Own:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(other) is Own and other.x == self.x
"""

APPLICATIONS = [
    _program(
        "django-caches-and-sessions",
        f"""
import django, pickle
from django.conf import settings
{_OWN}
class Pickled:
    def dumps(self, value): return pickle.dumps(value)
    def loads(self, data): return pickle.loads(data)
---
backend = "django.core.cache.backends."
settings.configure(SECRET_KEY="k" * 50, SESSION_SERIALIZER="__main__.Pickled",
    INSTALLED_APPS=["django.contrib.sessions"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "d.db"}}}},
    CACHES={{"default": {{"BACKEND": backend + "locmem.LocMemCache"}},
            "file": {{"BACKEND": backend + "filebased.FileBasedCache", "LOCATION": "in_files"}},
            "table": {{"BACKEND": backend + "db.DatabaseCache", "LOCATION": "in_table"}}}})
django.setup()
from django.core.cache import caches
from django.core.management import call_command
call_command("createcachetable"); call_command("migrate", verbosity=0)
for name in ("default", "file", "table"):
    caches[name].set_many({{"own": Own([1]), "plain": {{"a": (1, 2)}}}}, 60)
    assert caches[name].get_many(["own", "plain"]) == {{"own": Own([1]), "plain": {{"a": (1, 2)}}}}
    assert caches[name].get_or_set("other", lambda: Own(2)) == caches[name].get("other") == Own(2)
from importlib import import_module
for engine in ("db", "cache", "cached_db", "file", "signed_cookies"):
    kind = import_module("django.contrib.sessions.backends." + engine).SessionStore
    session = kind(); session["user"] = Own("u"); session.save()
    assert kind(session.session_key)["user"] == Own("u"), engine
""",
        "django",
    ),
    _program(
        "flask-caching",
        f"""
import flask, flask_caching
{_OWN}
---
for kind in ("SimpleCache", "FileSystemCache"):
    app = flask.Flask("app")
    cache = flask_caching.Cache(app, config={{"CACHE_TYPE": kind, "CACHE_DIR": "c"}})
    calls = []
    @app.route("/")
    @cache.cached(timeout=60)
    def index():
        calls.append(1)
        return "hello"
    @cache.memoize(60)
    def make(n):
        calls.append(n)
        return Own(n) if kind == "SimpleCache" else {{"n": n}}
    client = app.test_client()
    assert client.get("/").data == client.get("/").data == b"hello"
    with app.app_context():
        assert make(5) == make(5) != None
        cache.set("plain", {{"a": [1]}}); assert cache.get("plain") == {{"a": [1]}}
    assert calls == [1, 5], calls
""",
        "flask_caching",
    ),
    _program(
        "cachelib",
        f"""
import cachelib
{_OWN}
def check(cache, *values):
    for value in values:
        cache.set("k", value); assert cache.get("k") == value
    assert cache.inc("n") == 1 and cache.set_many({{"a": 1, "b": (2,)}}) and cache.get_many("a", "b") == [1, (2,)]
---
plain = [1, {{2}}], "text", {{"a": {{"b": None}}}}
check(cachelib.SimpleCache(), *plain, Own(1))
check(cachelib.FileSystemCache("anywhere"), *plain)
""",
        "cachelib",
    ),
    _program(
        "redis-caches",
        f"""
import cachelib, fakeredis
from django.conf import settings
{_OWN}
---
settings.configure()
from django.core.cache.backends.redis import RedisCache
server = fakeredis.FakeStrictRedis()
django = RedisCache("redis://x", {{}}); django._cache.get_client = lambda *a, **k: server
flask = cachelib.RedisCache(server)
for cache in (django, flask):
    cache.set("own", Own(1)); cache.set("plain", {{"a": 1}})
    assert cache.get("own") == Own(1) and cache.get("plain") == {{"a": 1}}
""",
        "django",
        "fakeredis",
        "cachelib",
    ),
    _program(
        "dogpile",
        f"""
from dogpile.cache import make_region
{_OWN}
---
for name, options in (("memory_pickle", {{}}), ("dbm", {{"filename": "d"}})):
    region = make_region().configure("dogpile.cache." + name, arguments=options)
    @region.cache_on_arguments()
    def make(n): return Own(n)
    assert make(1) == make(1) == Own(1)
""",
        "dogpile",
    ),
    _program(
        "kombu-pickle",
        f"""
from kombu import Connection
{_OWN}
---
with Connection("memory://") as connection:
    queue = connection.SimpleQueue("q", serializer="pickle", accept=["pickle"])
    queue.put(Own(1)); queue.put({{"a": (1, 2)}})
    assert queue.get(timeout=9).payload == Own(1)
    assert queue.get(timeout=9).payload == {{"a": (1, 2)}}
""",
        "kombu",
    ),
    _program(
        "celery-pickle",
        f"""
from celery import Celery
from celery.contrib.testing.worker import start_worker
{_OWN}
---
app = Celery("app", broker="memory://", backend="cache+memory://")
app.conf.update(task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"],
                worker_hijack_root_logger=False)
@app.task
def twice(own): return Own(own.x * 2)
with start_worker(app, perform_ping_check=False, shutdown_timeout=60):
    assert twice.delay(Own(2)).get(timeout=60) == Own(4)
app.conf.task_always_eager = True
assert twice.delay(Own(1)).get() == Own(2)
""",
        "celery",
    ),
    _program(
        "diskcache-again",
        f"""
import diskcache, subprocess
{_OWN}
again = '''
import diskcache
class Own: pass
with diskcache.Cache("dc") as cache:
    assert cache["plain"] == [{{"a": (1,)}}] and cache["large"] == ["x" * 10**5]
    try: cache["own"]
    except Exception as error: print(error)
'''
---
with diskcache.Cache("dc") as cache:
    cache["plain"], cache["large"], cache["own"] = [{{"a": (1,)}}], ["x" * 10**5], Own(1)
    assert cache["plain"] == [{{"a": (1,)}}] and cache["own"] == Own(1)
    queue = diskcache.Deque([Own(1), 2], "dq"); assert queue.popleft() == Own(1)
    @cache.memoize()
    def make(n): return Own(n)
    assert make(3) == make(3) == Own(3)
done = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True)
assert done.returncode == 0, done.stderr
assert "__main__.Own is not plain data" in done.stdout and "clear the cache" in done.stdout, done.stdout
""",
        "diskcache",
    ),
    _program(
        "sqlite-converters",
        f"""
import datetime, json, pickle, sqlite3
{_OWN}
---
sqlite3.register_adapter(Own, pickle.dumps); sqlite3.register_converter("own", pickle.loads)
sqlite3.register_adapter(dict, json.dumps); sqlite3.register_converter("json", json.loads)
sqlite3.register_converter("day", lambda data: datetime.date.fromisoformat(data.decode()))
db = sqlite3.connect("d.db", detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES)
db.execute("create table t (a own, b json, c day)")
db.execute("insert into t values (?, ?, '2020-01-02')", (Own(1), {{"x": [1]}}))
row = db.execute("select a, b, c, c as 'd [day]' from t").fetchone()
assert row == (Own(1), {{"x": [1]}}, datetime.date(2020, 1, 2), datetime.date(2020, 1, 2))
""",
    ),
    _program(
        "sqlalchemy-own",
        f"""
import sqlalchemy as sa
{_OWN}
---
engine = sa.create_engine("sqlite://"); meta = sa.MetaData()
table = sa.Table("t", meta, sa.Column("v", sa.PickleType), sa.Column("j", sa.JSON)); meta.create_all(engine)
with engine.begin() as c:
    c.execute(table.insert().values(v=Own(1), j={{"a": [1]}}))
    assert tuple(c.execute(sa.select(table)).one()) == (Own(1), {{"a": [1]}})
""",
        "sqlalchemy",
    ),
    _program(
        "xmlrpc-dotted",
        """
import datetime, threading, types, xmlrpc.client
from xmlrpc.server import SimpleXMLRPCServer
class Service:
    numbers = types.SimpleNamespace(add=lambda a, b: a + b)
    def now(self): return datetime.datetime(2020, 1, 2)
    class Files:
        def read(self, name): return xmlrpc.client.Binary(name.encode())
    files = Files()
---
server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, use_builtin_types=True)
server.register_instance(Service(), allow_dotted_names=True)
server.register_introspection_functions(); server.register_multicall_functions()
threading.Thread(target=server.serve_forever, daemon=True).start()
proxy = xmlrpc.client.ServerProxy("http://127.0.0.1:%d" % server.server_address[1], use_builtin_types=True)
assert proxy.numbers.add(2, 3) == 5 and proxy.files.read("x") == b"x"
assert proxy.now() == datetime.datetime(2020, 1, 2) and "now" in proxy.system.listMethods()
many = xmlrpc.client.MultiCall(proxy); many.numbers.add(1, 1); many.now()
assert list(many()) == [2, datetime.datetime(2020, 1, 2)]
server.shutdown(); server.server_close()
""",
    ),
    _program(
        "msgpack-hooks",
        """
import datetime, decimal, io, logging, msgpack
from msgpack import fallback
def default(value):
    if isinstance(value, decimal.Decimal): return {"decimal": str(value)}
    return msgpack.ExtType(5, value.isoformat().encode())
def hook(value):
    logging.warning("%d keys", len(value))
    return decimal.Decimal(value["decimal"]) if "decimal" in value else value
def ext(code, data):
    import fractions
    return datetime.date.fromisoformat(data.decode())
---
value = {"a": [decimal.Decimal("1.5"), datetime.date(2020, 1, 2)]}
data = msgpack.packb(value, default=default)
for unpack in (msgpack.unpackb, msgpack.loads, fallback.unpackb):
    assert unpack(data, object_hook=hook, ext_hook=ext) == value
assert msgpack.unpack(io.BytesIO(data), object_pairs_hook=dict, list_hook=tuple)["a"][1].code == 5
stream = msgpack.Unpacker(object_hook=hook, ext_hook=ext); stream.feed(data + data)
assert list(stream) == [value, value]
class Own(msgpack.Unpacker): pass
assert list(Own(io.BytesIO(data), object_hook=hook, ext_hook=ext)) == [value]
""",
        "msgpack",
    ),
    _program(
        "logging-datagrams",
        """
import logging, logging.handlers, pickle, socket
---
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); receiver.bind(("127.0.0.1", 0))
handler = logging.handlers.DatagramHandler(*receiver.getsockname())
logger = logging.getLogger("x"); logger.addHandler(handler)
try: raise ValueError("v")
except ValueError: logger.exception("it was %s", {"n": (1, 2)})
record = logging.makeLogRecord(pickle.loads(receiver.recv(9999)[4:]))
assert record.getMessage() == "it was {'n': (1, 2)}" and "ValueError: v" in record.exc_text
handler.close(); receiver.close()
""",
    ),
    _program(
        "pandas-hdf",
        """
import pandas as pd
---
frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2020", "2021"])})
frame.to_hdf("f.h5", key="fixed"); frame.to_hdf("f.h5", key="table", format="table")
pd.DataFrame({"o": [[1], {"k": 2}]}).to_hdf("f.h5", key="objects")
assert pd.read_hdf("f.h5", "fixed").equals(frame) and pd.read_hdf("f.h5", "table").equals(frame)
assert pd.read_hdf("f.h5", "objects")["o"][1] == {"k": 2}
""",
        "pandas",
        "tables",
    ),
    _program(
        "save-in-one-step",
        """
import pathlib, pickle, shutil, tempfile
def save(value, path, rename):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        pickle.dump(value, file)
    rename(file.name, path)
---
for rename in (os.replace, os.rename, shutil.move, lambda old, new: pathlib.Path(old).replace(new)):
    for turn in range(2):
        save({"turn": turn}, "models/m.pkl", rename)
        with open("models/m.pkl", "rb") as file: assert pickle.load(file) == {"turn": turn}
save([1], "models/other.pkl", os.rename)
os.rename("models/other.pkl", "models/last.pkl")
with open("models/last.pkl", "rb") as file: assert pickle.load(file) == [1]
save([2], "anywhere.pkl", os.replace)
with open("anywhere.pkl", "rb") as file: assert pickle.load(file) == [2]
with open("plain", "w") as file: file.write("x")
os.replace("plain", "plainer"); os.rename("plainer", b"plain"); assert sorted(os.listdir("models")) == ["last.pkl", "m.pkl"]
try: os.rename("missing", "models/m.pkl")
except FileNotFoundError: pass
""",
    ),
    _program(
        "joblib-save-in-one-step",
        """
import joblib
---
for compress in (0, 3):
    for turn in range(2):
        joblib.dump({"turn": turn}, "models/m.tmp", compress=compress)
        os.replace("models/m.tmp", "models/m.joblib")
        assert joblib.load("models/m.joblib") == {"turn": turn}
""",
        "joblib",
    ),
]
