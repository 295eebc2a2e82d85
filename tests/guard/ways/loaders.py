"""Deserializers other than `pickle` that make objects of any class, or code."""

from __future__ import annotations

from tests.guard.ways import each, ways

_YAML = each(
    "import yaml\n@\n",
    {
        "unsafe-load needs=yaml": "yaml.unsafe_load(f'!!python/object/apply:os.mkfifo [{MARK}]')",
        "unsafe-load-all needs=yaml":
        "list(yaml.unsafe_load_all(f'!!python/object/apply:os.mkfifo [{MARK}]'))",
        "unsafe-loader needs=yaml":
        "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', yaml.UnsafeLoader)",
        "loader needs=yaml": "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', yaml.Loader)",
        "c-loader needs=yaml": "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', yaml.CLoader)",
        "c-unsafe-loader needs=yaml":
        "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', yaml.CUnsafeLoader)",
        "class needs=yaml":
        "yaml.unsafe_load(f'!!python/object/apply:io.FileIO [{MARK}, w]')",
        "name-called needs=yaml": "yaml.unsafe_load('!!python/name:os.mkfifo')(MARK)",
        "module needs=yaml": "yaml.unsafe_load('!!python/module:os').mkfifo(MARK)",
        "list-items needs=yaml": "yaml.unsafe_load(f'''!!python/object/new:type\n"
        "args: [x, !!python/tuple [], {{extend: !!python/name:exec }}]\n"
        "listitems: \"import os; os.mkfifo({MARK!r})\"''')",
        "state needs=yaml": "yaml.unsafe_load(f'''!!python/object/new:tuple\n- !!python/object/new:map\n"
        "  - !!python/name:eval\n  - [\"__import__('os').mkfifo({MARK!r})\"]''')",
        "import needs=yaml": "file(b'import os; os.mkfifo(os.environ[\"MARK\"])', 'ymod.py')\n"
        "yaml.unsafe_load('!!python/module:ymod')",
        "import-of-name needs=yaml": "file(b'import os; os.mkfifo(os.environ[\"MARK\"])', 'ymod.py')\n"
        "yaml.unsafe_load('!!python/name:ymod.x')",
        "subclass needs=yaml": "class L(yaml.UnsafeLoader): pass\n"
        "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', L)",
        "safe-loader-with-constructors needs=yaml": "class L(yaml.SafeLoader, "
        "yaml.constructor.UnsafeConstructor): pass\n"
        "L.yaml_multi_constructors = yaml.UnsafeLoader.yaml_multi_constructors\n"
        "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', L)",
        "own-find needs=yaml": "class L(yaml.UnsafeLoader):\n"
        "    def find_python_name(self, name, mark, unsafe=True):\n"
        "        module, _, name = name.rpartition('.'); return getattr(sys.modules[module], name)\n"
        "yaml.load(f'!!python/object/apply:os.mkfifo [{MARK}]', L)",
        "node needs=yaml": "n = yaml.compose(f'!!python/object/apply:os.mkfifo [{MARK}]')\n"
        "yaml.UnsafeLoader('').construct_document(n)",
        "merged-tags needs=yaml": "yaml.unsafe_load(f'%TAG !p! tag:yaml.org,2002:python/object/"
        "apply:\\n--- !p!os.mkfifo [{MARK}]')",
        "builtin needs=yaml": "yaml.load(f'!!python/object/apply:builtins.open [{MARK}, w]',"
        " yaml.UnsafeLoader)",
        "yaml-object needs=yaml": "class Q(yaml.YAMLObject):\n    yaml_loader = yaml.SafeLoader\n"
        "    yaml_tag = '!q'\n    def __setstate__(self, s): pickle.loads(s['d'].encode())\n"
        "yaml.safe_load('!q {d: %s}' % __import__('json').dumps(EVIL.decode()))",
        "constructor-unpickles needs=yaml": "import base64\n"
        "yaml.SafeLoader.add_constructor('!p', lambda l, n: pickle.loads(base64.b64decode(n.value)))\n"
        "yaml.safe_load('!p ' + base64.b64encode(EVIL).decode())",
        "vendored needs=yaml": "import shutil; os.mkdir('own'); open('own/__init__.py', 'w').close()\n"
        "shutil.copytree(os.path.dirname(yaml.__file__), 'own/yaml'); from own import yaml as other\n"
        "other.unsafe_load(f'!!python/object/apply:os.mkfifo [{MARK}]')",
        "vendored-before needs=yaml start=install": "import shutil; os.mkdir('own')\n"
        "open('own/__init__.py', 'w').close()\n"
        "shutil.copytree(os.path.dirname(yaml.__file__), 'own/yaml'); from own import yaml as other\n"
        "guard()\nother.unsafe_load(f'!!python/object/apply:os.mkfifo [{MARK}]')",
        "reloaded needs=yaml": "import importlib; importlib.reload(yaml.constructor); "
        "importlib.reload(yaml.loader); importlib.reload(yaml)\n"
        "yaml.unsafe_load(f'!!python/object/apply:os.mkfifo [{MARK}]')",
    },
    "yaml-",
)  # fmt: skip
_JSON = each(
    "import jsonpickle, json\ngo = lambda value: jsonpickle.decode(json.dumps(value))\n@\n",
    {
        "reduce needs=jsonpickle": "go({'py/reduce': [{'py/function': 'os.mkfifo'},"
        " {'py/tuple': [MARK]}]})",
        "reduce-type needs=jsonpickle": "go({'py/reduce': [{'py/type': 'os.mkfifo'},"
        " {'py/tuple': [MARK]}]})",
        "eval needs=jsonpickle": "go({'py/reduce': [{'py/function': 'builtins.eval'},"
        " {'py/tuple': ['__import__(\"os\").mkfifo(%r)' % MARK]}]})",
        "repr needs=jsonpickle": "jsonpickle.decode(json.dumps({'py/repr':"
        " \"os/os.mkfifo(os.environ['MARK'])\"}), safe=False)",
        "object needs=jsonpickle": "go({'py/reduce': [{'py/type': 'io.FileIO'}, {'py/tuple': [MARK, 'w']}]})",
        "function-called needs=jsonpickle": "go({'py/function': 'os.mkfifo'})(MARK)",
        "type-called needs=jsonpickle": "go({'py/type': 'io.FileIO'})(MARK, 'w')",
        "import needs=jsonpickle": "file(b'import os; os.mkfifo(os.environ[\"MARK\"])', 'jmod.py')\n"
        "go({'py/object': 'jmod.X'})",
        "unsafe needs=jsonpickle": "jsonpickle.decode(json.dumps({'py/reduce': [{'py/function': "
        "'os.mkfifo'}, {'py/tuple': [MARK]}]}), safe=False)",
        "unpickler needs=jsonpickle": "jsonpickle.unpickler.Unpickler().restore({'py/reduce': "
        "[{'py/function': 'os.mkfifo'}, {'py/tuple': [MARK]}]})",
        "loads needs=jsonpickle": "jsonpickle.loads(json.dumps({'py/reduce': [{'py/function': "
        "'os.mkfifo'}, {'py/tuple': [MARK]}]}))",
        "minted needs=jsonpickle": "jsonpickle.decode(jsonpickle.encode(P()))",
        "state needs=jsonpickle": "class C:\n    def __setstate__(self, s): os.mkfifo(s['m'])\n"
        "go({'py/object': '__main__.C', 'py/state': {'m': MARK}})",
        "property needs=jsonpickle": "class C:\n    m = property(None, lambda s, v: os.mkfifo(v))\n"
        "go({'py/object': '__main__.C', 'm': MARK})",
        "pickled needs=jsonpickle": "class H(jsonpickle.handlers.BaseHandler):\n"
        "    def restore(self, d): return pickle.loads(d['x'].encode())\n"
        "class C: pass\nH.handles(C)\ngo({'py/object': '__main__.C', 'x': EVIL.decode()})",
        "bytes needs=jsonpickle": "go({'py/reduce': [{'py/function': '_pickle.loads'}, {'py/tuple': "
        "[{'py/b64': __import__('base64').b64encode(EVIL).decode()}]}]})",
        "backend needs=jsonpickle": "class B: pass\n"
        "jsonpickle.unpickler.decode(json.dumps({'py/reduce': [{'py/function': 'os.mkfifo'},"
        " {'py/tuple': [MARK]}]}))",
    },
    "jsonpickle-",
)  # fmt: skip
_OTHER = r'''
### marshal
import marshal
exec(marshal.loads(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-load
import marshal
exec(marshal.load(io.BytesIO(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec")))))
### marshal-file
import marshal
file(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))); exec(marshal.load(open("evil.bin", "rb")))
### marshal-function
import marshal, types
code = compile("lambda: os.mkfifo(MARK)", "x", "eval").co_consts[0]
types.FunctionType(marshal.loads(marshal.dumps(code)), globals())()
### marshal-nested
import marshal
exec(marshal.loads(marshal.dumps([{"a": (compile("os.mkfifo(MARK)", "x", "exec"),)}]))[0]["a"][0])
### marshal-frozenset
import marshal
exec(next(iter(marshal.loads(marshal.dumps(frozenset([compile("os.mkfifo(MARK)", "x", "exec")]))))))
### marshal-dictionary-key
import marshal
exec(next(iter(marshal.loads(marshal.dumps({compile("os.mkfifo(MARK)", "x", "exec"): 1})))))
### marshal-star
from marshal import *
exec(loads(dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-import-again
import marshal
del sys.modules["marshal"]; import marshal as again
exec(again.loads(again.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-created
import _imp, importlib.machinery as m
spec = m.ModuleSpec("marshal", m.BuiltinImporter, origin="built-in")
again = _imp.create_builtin(spec); _imp.exec_builtin(again)
exec(again.loads(again.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-reloaded
import marshal, importlib
importlib.reload(marshal)
exec(marshal.loads(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-by-importlib
import importlib._bootstrap_external as e
exec(e.marshal.loads(e.marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-by-gc
import gc
import marshal
for o in gc.get_objects():
    if type(o).__name__ == "builtin_function_or_method" and o.__name__ == "loads" and o.__module__ == "marshal":
        exec(o(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec")))); break
### marshal-compiled-bytes
import importlib._bootstrap_external as e, marshal
exec(e._compile_bytecode(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
### marshal-thread
import marshal, threading
def go(): exec(marshal.loads(marshal.dumps(compile("os.mkfifo(MARK)", "x", "exec"))))
t = threading.Thread(target=go); t.start(); t.join()
### marshal-code-of-name
import marshal
space = {"__name__": "importlib._bootstrap_external", "os": os, "MARK": MARK, "marshal": marshal}
exec(compile("exec(marshal.loads(marshal.dumps(compile('os.mkfifo(MARK)', 'x', 'exec'))))",
             "<frozen importlib._bootstrap_external>", "exec"), space)
### marshal-pickled
import marshal
pickle.loads(raw("builtins", "exec", Part(called(named("marshal", "loads"), Part(b"C" + bytes([len(c)]) + c))))
    if len(c := marshal.dumps(compile(f"import os;os.mkfifo({MARK!r})", "x", "exec"))) < 256 else
    raw("builtins", "exec", Part(called(named("marshal", "loads"), Part(b"B" + len(c).to_bytes(4, "little") + c)))))
### read-code
import pkgutil, py_compile
open("c.py", "w").write("os.mkfifo(MARK)"); py_compile.compile("c.py", "c.bin")
import marshal
exec(marshal.loads(open("c.bin", "rb").read()[16:]))
### jinja-bytecode needs=jinja2
import jinja2, marshal
from jinja2.bccache import bc_magic
os.mkdir("c"); c = jinja2.FileSystemBytecodeCache("c")
e = jinja2.Environment(loader=jinja2.DictLoader({"a": "x"}), bytecode_cache=c)
b = c.get_bucket(e, "a", None, "x")
open(c._get_cache_filename(b), "wb").write(bc_magic + pickle.dumps(b.checksum, 2)
    + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})\nname='a'; blocks={{}}; root=None; debug_info=''", "x", "exec")))
e.get_template("a")
### jinja-bytecode-string needs=jinja2
import jinja2, marshal
from jinja2.bccache import bc_magic, Bucket
e = jinja2.Environment()
b = Bucket(e, "k", "sum")
b.bytecode_from_string(bc_magic + pickle.dumps("sum", 2) + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec")))
exec(b.code)
### jinja-memcached needs=jinja2
import jinja2, marshal
from jinja2.bccache import bc_magic, MemcachedBytecodeCache, Bucket
class C(dict):
    def get(self, k): return bc_magic + pickle.dumps(S.checksum, 2) + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec"))
    def set(self, *a): pass
e = jinja2.Environment(loader=jinja2.DictLoader({"a": "x"}))
S = Bucket(e, "k", MemcachedBytecodeCache(C()).get_source_checksum("x"))
MemcachedBytecodeCache(C()).load_bytecode(S)
exec(S.code)
### jinja-bytecode-again needs=jinja2
import jinja2, marshal
from jinja2.bccache import Bucket, bc_magic
load = Bucket.load_bytecode
b = Bucket(jinja2.Environment(), "k", "sum")
while hasattr(load, "__closure__") and not load.__code__.co_filename.endswith("bccache.py"):
    load = next(c.cell_contents for c in load.__closure__ if hasattr(c.cell_contents, "__code__"))
load(b, io.BytesIO(bc_magic + pickle.dumps("sum", 2)
                   + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec"))))
exec(b.code)
### read-code-of-bytes
import importlib.util, marshal, pkgutil
d = importlib.util.MAGIC_NUMBER + b"\0"*12 + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec"))
exec(pkgutil.read_code(io.BytesIO(d)))
### run-path-of-data
import runpy, marshal, importlib.util
d = importlib.util.MAGIC_NUMBER + b"\0"*12 + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec"))
open("x.bin", "wb").write(d); runpy.run_path("x.bin")
### sourceless-data
import marshal, importlib.util, importlib.machinery
d = importlib.util.MAGIC_NUMBER + b"\0"*12 + marshal.dumps(compile(f"import os; os.mkfifo({MARK!r})", "x", "exec"))
open("x.bin", "wb").write(d)
l = importlib.machinery.SourcelessFileLoader("x", "x.bin"); m = type(sys)("x"); l.exec_module(m)
### logging-dictionary
import logging.config
logging.config.dictConfig({"version": 1, "formatters": {"x": {"()": "os.mkfifo", "path": MARK}}})
### logging-dictionary-json
import logging.config, json
logging.config.dictConfig(json.loads(json.dumps({"version": 1, "handlers": {"x": {"()": "posix.mkfifo", "path": MARK}}})))
### logging-external
import logging.config
c = logging.config.DictConfigurator({"version": 1}); c.convert("ext://os.mkfifo")(MARK)
### logging-file-config
import logging.config
open("l.ini", "w").write("""[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
args=(__import__('os').mkfifo(%r),)
""" % MARK)
logging.config.fileConfig("l.ini")
### logging-file-config-by-module
import logging.config
FORM = """[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
args=(%s,)
"""
with open("l.ini", "w") as f: f.write(FORM % f"handlers.os.mkfifo({MARK!r})")
logging.config.fileConfig("l.ini")
### logging-file-config-by-path
import logging.config
FORM = """[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
handlers=h
[handler_h]
class=StreamHandler
args=(%s,)
"""
with open("l.ini", "w") as f: f.write(FORM % f"os.path.os.mkfifo({MARK!r})")
logging.config.fileConfig("l.ini")
### ruamel needs=ruamel.yaml
from ruamel.yaml import YAML
YAML(typ="unsafe", pure=True).load(f"!!python/object/apply:os.mkfifo [{MARK}]")
### ruamel-c needs=ruamel.yaml
from ruamel.yaml import YAML
YAML(typ="unsafe").load(f"!!python/object/apply:os.mkfifo [{MARK}]")
### ruamel-constructor needs=ruamel.yaml
from ruamel.yaml import YAML
from ruamel.yaml.constructor import Constructor
y = YAML(typ="safe", pure=True); y.Constructor = Constructor
y.load(f"!!python/object/apply:os.mkfifo [{MARK}]")
### skops needs=skops
import json, zipfile, skops.io
tree = {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "__id__": 1,
    "content": {"func": {"__class__": "mkfifo", "__module__": "posix", "__loader__": "FunctionNode", "__id__": 2,
                         "content": "mkfifo"},
                "args": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "__id__": 3,
                         "content": [{"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode",
                                      "__id__": 4, "content": json.dumps(MARK)}]},
                "kwds": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 5,
                         "content": {}, "key_types": {"__class__": "list", "__module__": "builtins",
                         "__loader__": "ListNode", "__id__": 6, "content": []}},
                "namespace": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 7,
                         "content": {}, "key_types": {"__class__": "list", "__module__": "builtins",
                         "__loader__": "ListNode", "__id__": 8, "content": []}}},
    "protocol": skops.io._protocol.PROTOCOL if hasattr(skops.io, "_protocol") else 2, "_skops_version": skops.__version__}
f = io.BytesIO()
with zipfile.ZipFile(f, "w") as z: z.writestr("schema.json", json.dumps(tree))
data = f.getvalue()
skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))()
### xmlrpc-dispatch
import xmlrpc.client, xmlrpc.server
class D:
    def _dispatch(self, method, params): return pickle.loads(params[0].data)
s = xmlrpc.server.SimpleXMLRPCDispatcher(allow_none=True); s.register_instance(D())
s._marshaled_dispatch(xmlrpc.client.dumps((xmlrpc.client.Binary(EVIL),), "x").encode())
### plist
import plistlib
pickle.loads(plistlib.loads(plistlib.dumps({"x": EVIL}))["x"])
### ast-free
import ast
pickle.loads(ast.literal_eval(repr(EVIL)))
### configuration
import configparser
c = configparser.ConfigParser(); c["a"] = {"x": EVIL.hex()}
pickle.loads(bytes.fromhex(c["a"]["x"]))
### email
import email.message, email.policy
m = email.message.EmailMessage(); m.set_content(EVIL, "application", "octet-stream")
pickle.loads(email.message_from_bytes(bytes(m), policy=email.policy.default).get_content())
### cookie
import http.cookies, base64
c = http.cookies.SimpleCookie("s=" + base64.urlsafe_b64encode(EVIL).decode())
pickle.loads(base64.urlsafe_b64decode(c["s"].value))
### csv-cell
import csv
pickle.loads(bytes.fromhex(next(csv.reader([EVIL.hex()]))[0]))
### tar-member
import tarfile
with tarfile.open("t.tar", "w") as t:
    i = tarfile.TarInfo("m"); i.size = len(EVIL); t.addfile(i, io.BytesIO(EVIL))
pickle.load(tarfile.open("t.tar").extractfile("m"))
### zip-import-data
import zipfile, pkgutil
with zipfile.ZipFile("z.zip", "w") as z: z.writestr("zp/__init__.py", ""); z.writestr("zp/d", EVIL)
sys.path.insert(0, "z.zip"); pickle.loads(pkgutil.get_data("zp", "d"))
### resources
import importlib.resources as r
os.mkdir("rp"); open("rp/__init__.py", "w").close(); file(path="rp/d")
sys.path.insert(0, "."); pickle.loads((r.files("rp") / "d").read_bytes())
### archive-of-archive
import gzip, bz2, lzma
pickle.loads(lzma.decompress(bz2.decompress(gzip.decompress(gzip.compress(bz2.compress(lzma.compress(EVIL)))))))
### uu-codec
import codecs
pickle.loads(codecs.decode(codecs.encode(EVIL, "base64"), "base64"))
### struct
import struct
pickle.loads(struct.unpack(f"{len(EVIL)}s", EVIL)[0])
### ctypes-buffer
import ctypes
pickle.loads(ctypes.create_string_buffer(EVIL, len(EVIL)))
### jsonpickle-classes-given needs=jsonpickle
import json, jsonpickle
text = json.dumps({"py/reduce": [{"py/function": "posix.mkfifo"}, {"py/tuple": [MARK]}]})
jsonpickle.decode(text, classes=[os.mkfifo])
### command-line needs=joblib
import subprocess
file()
subprocess.run([sys.executable, "-c", "import joblib, sys; joblib.load(sys.argv[1])", "evil.bin"])
'''

WAYS = ways("loaders", "\n".join((_YAML, _JSON, _OTHER)))
