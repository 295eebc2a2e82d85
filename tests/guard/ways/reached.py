"""Callables that reach any name by a text: what an allow-list of names must not let through."""

from __future__ import annotations

from tests.guard.ways import each, ways

_RESOLVERS = {
    "pkgutil-resolve": "__import__('pkgutil').resolve_name, ('posix:mkfifo',)",
    "pydoc-locate": "__import__('pydoc').locate, ('posix.mkfifo',)",
    "pydoc-resolve": "operator.getitem, (P(__import__('pydoc').resolve, ('posix.mkfifo',)), 0)",
    "logging-resolve": "__import__('logging.config').config._resolve, ('posix.mkfifo',)",
    "formatter": "operator.getitem, (P(__import__('string').Formatter().get_field,"
    " ('0.__globals__[os].mkfifo', (fnmatch.filter,), {})), 0)",
    "entry-point": "__import__('importlib.metadata').metadata.EntryPoint('x', 'posix:mkfifo', 'g').load, ()",
    "xmlrpc-dotted": "__import__('xmlrpc.server').server.resolve_dotted_attribute,"
    " (P(operator.getitem, (P(getattr, (fnmatch.filter, '__globals__')), 'os')), 'mkfifo')",
    "enum": "getattr, (P(operator.getitem, (P(getattr, (__import__('shutil').copy, '__globals__')),"
    " 'os')), 'mkfifo')",
    "dataclass": "getattr, (P(operator.getitem, (P(getattr, (__import__('glob').glob, '__globals__')),"
    " 'os')), 'mkfifo')",
}
_TEMPLATE = """
import operator, fnmatch
pickle.loads(pickle.dumps(P(operator.call, (P(@), MARK))))
"""
_LIBRARIES = r"""
### cloudpickle-subimport needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(c.subimport, ("posix",)), "mkfifo")), MARK))))
### cloudpickle-subimport-untrusted needs=cloudpickle
pickle.loads(b"\x80\x02" + called(called(named("builtins", "getattr"), called(named(
    "cloudpickle.cloudpickle", "subimport"), "posix"), "mkfifo"), MARK) + b".")
### cloudpickle-dynamic-subimport needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(c.dynamic_subimport, ("m", {"go": os.mkfifo})), "go")), MARK))))
### cloudpickle-module needs=cloudpickle
import cloudpickle, operator
class Q:
    def __reduce__(self): return operator.call, (os.mkfifo, MARK)
cloudpickle.loads(cloudpickle.dumps(Q()))
### dill-eval-repr needs=dill
import dill._dill as d
pickle.loads(pickle.dumps(P(d._eval_repr, ("__import__('os').mkfifo(%r)" % MARK,))))
### dill-filehandle needs=dill
import dill._dill as d
pickle.loads(pickle.dumps(P(d._create_filehandle, (MARK, "w", 0, False, open, False, "r", ""))))
### dill-getattribute needs=dill
import dill._dill as d, operator
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(d._import_module, ("posix",)), "mkfifo")), MARK))))
### dill-function needs=dill
import dill
class Q:
    def __reduce__(self): return (lambda m: open(m, "w").close()), (MARK,)
dill.loads(dill.dumps(Q()))
### six-moves needs=six
import six, operator
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(six._import_module, ("posix",)), "mkfifo")), MARK))))
### numpy-import needs=numpy
import numpy, operator
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(operator.getitem, (P(getattr, (numpy.save, "__globals__")), "os")), "mkfifo")), MARK)))) \
    if hasattr(numpy.save, "__globals__") and "os" in numpy.save.__globals__ else \
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(operator.getitem, (P(getattr, (numpy.lib._npyio_impl.NpzFile.close, "__globals__")), "os")), "mkfifo")), MARK))))
### pandas-import-optional needs=pandas
import operator
from pandas.compat._optional import import_optional_dependency
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(import_optional_dependency, ("posix",)), "mkfifo")), MARK))))
### pydantic-import needs=pydantic
import operator
from pydantic._internal._validators import import_string
pickle.loads(pickle.dumps(P(operator.call, (P(import_string, ("posix.mkfifo",)), MARK))))
### django-import-string needs=django
import operator
from django.utils.module_loading import import_string
pickle.loads(pickle.dumps(P(operator.call, (P(import_string, ("posix.mkfifo",)), MARK))))
### werkzeug-import-string needs=werkzeug
import operator
from werkzeug.utils import import_string
pickle.loads(pickle.dumps(P(operator.call, (P(import_string, ("posix:mkfifo",)), MARK))))
### kombu-symbol needs=kombu
import operator
from kombu.utils.imports import symbol_by_name
pickle.loads(pickle.dumps(P(operator.call, (P(symbol_by_name, ("posix:mkfifo",)), MARK))))
### uvicorn-import needs=uvicorn
import operator
from uvicorn.importer import import_from_string
pickle.loads(pickle.dumps(P(operator.call, (P(import_from_string, ("posix:mkfifo",)), MARK))))
### pygments-lexer needs=pygments
from pygments.lexers import load_lexer_from_file
file(b"import os; os.mkfifo(os.environ['MARK'])\nclass CustomLexer: pass\n", "lex.py")
pickle.loads(pickle.dumps(P(load_lexer_from_file, ("lex.py",))))
### sqlalchemy-load needs=sqlalchemy
import operator
from sqlalchemy.util import langhelpers
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(operator.getitem, (P(getattr, (langhelpers.PluginLoader.load, "__globals__")), "__builtins__")), "open")), MARK, "w"))))
### torch-jit-get needs=torch
import operator, torch
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(operator.getitem, (P(getattr, (torch.hub.load, "__globals__")), "os")), "mkfifo")), MARK))))
"""

# What hands out namespaces, or changes what is there.
_NAMESPACES = r"""
### globals-of-the-caller
import operator
def item(of, name): return P(operator.getitem, (of, name))
modules = item(P(vars, (item(P(globals, ()), "sys"),)), "modules")
pickle.loads(pickle.dumps(P(operator.call, (item(P(vars, (item(modules, "posix"),)), "mkfifo"), MARK))))
### locals-of-the-caller
import operator
tool = os.mkfifo
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(locals, ()), "tool")), MARK))))
### globals-of-a-function
import operator
tool = os.mkfifo
def act(): pass
space = P(getattr, (act, "__globals__"))
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (space, "tool")), MARK))))
### vars-of-a-class
import operator
class Holder: tool = os.mkfifo
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(vars, (Holder,)), "tool")), MARK))))
### builtins-of-a-frame
import ast, operator
builtin = P(getattr, (P(getattr, (P(ast.walk, (None,)), "gi_frame")), "f_builtins"))
module = P(operator.call, (P(operator.getitem, (builtin, "__import__")), "posix"))
found = P(operator.call, (P(operator.getitem, (builtin, "getattr")), module, "mkfifo"))
pickle.loads(pickle.dumps(P(operator.call, (found, MARK))))
### globals-of-a-frame-by-attrgetter
import glob, operator
space = P(operator.attrgetter("gi_frame.f_globals"), (P(glob.iglob, ("*",)),)) \
    if hasattr(glob.iglob("*"), "gi_frame") else \
    P(operator.attrgetter("gi_frame.f_globals"), (P(glob._iglob, ("*", None, None, False, False)),))
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(operator.getitem, (space, "os")), "mkfifo")), MARK))))
### attribute-of-the-guard
import safehold.guard.gate as gate
try: pickle.loads(pickle.dumps(P(setattr, (gate.Gate, "check_name", print))))
except pickle.UnpicklingError: pass
pickle.loads(EVIL)
### attribute-of-a-class
class Tool:
    @staticmethod
    def run(path): pass
try: pickle.loads(pickle.dumps(P(setattr, (Tool, "run", print))))
except pickle.UnpicklingError: pass
if Tool.run is print: os.mkfifo(MARK)
### attribute-removed
class Base:
    @staticmethod
    def run(path): os.mkfifo(path)
class Tool(Base):
    @staticmethod
    def run(path): pass
try: pickle.loads(pickle.dumps(P(delattr, (Tool, "run"))))
except pickle.UnpicklingError: pass
Tool.run(MARK)
### state-of-the-guard
import operator, safehold.guard.gate as gate
class Q:
    def __reduce__(self): return operator.itemgetter(0), ((gate.Gate,),), (None, {"check_name": print})
try: pickle.loads(pickle.dumps(Q()))
except pickle.UnpicklingError: pass
pickle.loads(EVIL)
### partial-by-name
import functools
class Stored(functools.partial):
    def __reduce__(self): return "stored"
stored = Stored(os.mkfifo, MARK)
pickle.loads(pickle.dumps(P(stored, ())))
### argument-of-a-partial-by-name
import functools
class Stored(functools.partial):
    def __reduce__(self): return "stored"
stored = Stored(functools.reduce, os.mkfifo)
pickle.loads(pickle.dumps(P(stored, ([MARK, 0o600],))))
### class-derived-from-a-native-one needs=h5py
import h5py
class Own(h5py.File): pass
pickle.loads(pickle.dumps(P(Own, (MARK, "w"))))
### bound-method-of-a-native-one needs=pandas,pyarrow
import pandas
class Own(pandas.DataFrame): pass
pickle.loads(pickle.dumps(P(Own({"a": [1]}).to_parquet, (MARK,))))
### loky-fork-exec needs=joblib
from joblib.externals.loky.backend.fork_exec import fork_exec
import inspect, shutil, time
extra = ([],) if "keep_fds" in inspect.signature(fork_exec).parameters else ()
pickle.loads(pickle.dumps(P(fork_exec, ([shutil.which("mkfifo"), MARK], *extra))))
for _ in range(100):
    if os.path.exists(MARK): break
    time.sleep(0.05)
### methodcaller-of-a-module needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
pickle.loads(pickle.dumps(P(operator.call, (operator.methodcaller("mkfifo", MARK), P(c.subimport, ("posix",))))))
### attrgetter-of-a-module needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
pickle.loads(pickle.dumps(P(operator.call, (P(operator.call, (operator.attrgetter("mkfifo"), P(c.subimport, ("posix",)))), MARK))))
### attrgetters-of-a-module needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
both = P(operator.call, (operator.attrgetter("getpid", "mkfifo"), P(c.subimport, ("posix",))))
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (both, 1)), MARK))))
### attrgetter-by-map needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
found = P(operator.call, (P(operator.getitem, (P(list, (P(map, (operator.attrgetter("mkfifo"), [P(c.subimport, ("posix",))])),)), 0)), MARK))
pickle.loads(pickle.dumps(found))
### cloudpickle-getattribute needs=cloudpickle
import operator, cloudpickle.cloudpickle as c
pickle.loads(pickle.dumps(P(operator.call, (P(c._getattribute, (P(c.subimport, ("posix",)), "mkfifo")), MARK))))
### sklearn-response-method needs=sklearn,cloudpickle
import operator, cloudpickle.cloudpickle as c
from sklearn.utils.validation import _check_response_method
pickle.loads(pickle.dumps(P(operator.call, (P(_check_response_method, (P(c.subimport, ("posix",)), "mkfifo")), MARK))))
### torch-getattr-from-fqn needs=torch,cloudpickle
import operator, cloudpickle.cloudpickle as c
from torch.ao.quantization.utils import getattr_from_fqn
pickle.loads(pickle.dumps(P(operator.call, (P(getattr_from_fqn, (P(c.subimport, ("posix",)), "mkfifo")), MARK))))
### narwhals-deep-getattr needs=narwhals,cloudpickle
import operator, cloudpickle.cloudpickle as c
from narwhals._utils import deep_getattr
pickle.loads(pickle.dumps(P(operator.call, (P(deep_getattr, (P(c.subimport, ("posix",)), "mkfifo")), MARK))))
### skops-gettype needs=skops
import operator
from skops.io._utils import gettype
pickle.loads(pickle.dumps(P(operator.call, (P(gettype, ("posix", "mkfifo")), MARK))))
### dill-import-member needs=dill,h5py
import operator, dill._dill as d
pickle.loads(pickle.dumps(P(operator.call, (P(d._import_module, ("h5py.File",)), MARK, "w"))))
### dill-get-attr needs=dill
import operator, dill._dill as d
pickle.loads(pickle.dumps(P(operator.call, (P(d._get_attr, (P(d._import_module, ("posix",)), "mkfifo")), MARK))))
### distributed-import-term needs=distributed
import operator
from distributed.utils import import_term
pickle.loads(pickle.dumps(P(operator.call, (P(import_term, ("posix.mkfifo",)), MARK))))
"""

# The same chain, through each way in that knows bytes of the process's own making.
_CHAIN = """
import operator, fnmatch
chain = P(operator.call, (P(getattr, (P(operator.getitem, (P(getattr, (fnmatch.filter, "__globals__")), "os")),
    "mkfifo")), MARK))
@
"""
_ENTRIES = {
    "load": "pickle.load(io.BytesIO(pickle.dumps(chain)))",
    "unpickler": "pickle.Unpickler(io.BytesIO(pickle.dumps(chain))).load()",
    "python-loads": "pickle._loads(pickle.dumps(chain))",
    "python-unpickler": "pickle._Unpickler(io.BytesIO(pickle.dumps(chain))).load()",
    "subclass": "class U(pickle.Unpickler): pass\nU(io.BytesIO(pickle.dumps(chain))).load()",
    "own-find": "class U(pickle.Unpickler):\n"
    "    def find_class(self, m, n): return super().find_class(m, n)\n"
    "U(io.BytesIO(pickle.dumps(chain))).load()",
    "raw-unpickler": "import _pickle\n"
    "pickle.Unpickler.__mro__[-2](io.BytesIO(pickle.dumps(chain))).load()",
    "pickler": "f = io.BytesIO(); pickle.Pickler(f).dump(chain); f.seek(0); pickle.load(f)",
    "nested": "pickle.loads(pickle.dumps(P(pickle.loads, (pickle.dumps(chain),))))",
    "protocol-0": "pickle.loads(pickle.dumps(chain, 0))",
    "protocol-2": "pickle.loads(pickle.dumps(chain, 2))",
    "bytearray": "pickle.loads(bytearray(pickle.dumps(chain)))",
    "shelf": "import shelve\ns = shelve.Shelf({}); s['k'] = chain; s['k']",
    "dill needs=dill": "import dill\ndill.loads(dill.dumps(chain))",
    "cloudpickle needs=cloudpickle": "import cloudpickle\n"
    "cloudpickle.loads(cloudpickle.dumps(chain))",
    "joblib needs=joblib": "import joblib\nf = io.BytesIO(); joblib.dump(chain, f); f.seek(0)\n"
    "joblib.load(f)",
    "numpy needs=numpy": "import numpy\nf = io.BytesIO()\n"
    "numpy.save(f, numpy.array([chain], object)); f.seek(0)\nnumpy.load(f, allow_pickle=True)",
    "pandas needs=pandas": "import pandas\nf = io.BytesIO(); pandas.to_pickle(chain, f); f.seek(0)\n"
    "pandas.read_pickle(f)",
    "torch needs=torch": "import torch\nf = io.BytesIO(); torch.save(chain, f); f.seek(0)\n"
    "torch.load(f, weights_only=False)",
}
# Others that hand out modules and what is in them.
_MODULES = {
    "inspect-vars": "operator.getitem, (P(vars, (P(inspect.getmodule, (os.fspath,)),)), 'mkfifo')",
    "inspect-members": "operator.getitem, (P(dict, (P(inspect.getmembers, (P(operator.getitem,"
    " (P(getattr, (P(inspect.getclosurevars, (fnmatch.filter,)), 'globals')), 'os')),)),)), 'mkfifo')",
    "inspect-closure": "getattr, (P(operator.getitem, (P(getattr, (P(inspect.getclosurevars,"
    " (fnmatch.filter,)), 'globals')), 'os')), 'mkfifo')",
    "getattr-static": "inspect.getattr_static, (P(operator.getitem, (P(getattr, (P("
    "inspect.getclosurevars, (fnmatch.filter,)), 'globals')), 'os')), 'mkfifo')",
    "methodcaller-get": "operator.methodcaller('get', 'mkfifo'), (P(vars, (P(inspect.getmodule,"
    " (os.fspath,)),)),)",
}
_MODULE = """
import operator, fnmatch, inspect
pickle.loads(pickle.dumps(P(operator.call, (P(@), MARK))))
"""
# Tables of the program, from which a stream of a pickler of its own takes what it calls.
_TABLES = {
    "dictionary": "called(called(named('operator', 'getitem'), named('__main__', 'TABLE'), 'f'), MARK)",
    "dictionary-get": "called(called(named('builtins', 'dict.get', 4), named('__main__', 'TABLE'), 'f'), MARK)",
    "list": "called(called(named('operator', 'getitem'), named('__main__', 'LIST'), 0), MARK)",
    "tuple": "called(called(named('operator', 'getitem'), named('__main__', 'TUPLE'), 0), MARK)",
    "list-pop": "called(called(named('builtins', 'list.pop', 4), named('__main__', 'LIST')), MARK)",
    "iterator": "called(called(named('builtins', 'next'), called(named('builtins', 'iter'),"
    " named('__main__', 'LIST'))), MARK)",
    "map": "called(named('builtins', 'list'), called(named('builtins', 'map'), named('operator', 'call'),"
    " named('__main__', 'LIST'), Part(b'(' + part(MARK) + b'l')))",
    "copyreg": "called(called(named('operator', 'getitem'), named('copyreg', 'dispatch_table'),"
    " named('__main__', 'K')), MARK)",
    "class-attribute": "called(named('__main__', 'K.f', 4), MARK)",
    "class-dictionary": "called(called(named('operator', 'getitem'), named('__main__', 'K.__dict__', 4),"
    " 'f'), MARK)",
    "module-dictionary": "called(called(named('operator', 'getitem'), named('posix', '__dict__', 4),"
    " 'mkfifo'), MARK)",
}
_TABLE = """
import copyreg
class K(pickle._Pickler):
    f = os.mkfifo
    def save(self, obj, save_persistent_id=True): self.write(obj)
TABLE, LIST, TUPLE = {"f": os.mkfifo}, [os.mkfifo], (os.mkfifo,)
copyreg.dispatch_table[K] = os.mkfifo
b = io.BytesIO(); K(b, 4).dump(@); b.seek(0); pickle.load(b)
"""

WAYS = ways(
    "reached",
    "\n".join(
        (
            each(_TEMPLATE, _RESOLVERS),
            each(_CHAIN, _ENTRIES, "chain-"),
            each(_MODULE, _MODULES, "module-"),
            each(_TABLE, _TABLES, "table-"),
            _NAMESPACES,
            _LIBRARIES,
        )
    ),
)
