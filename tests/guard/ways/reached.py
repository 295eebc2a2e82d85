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

WAYS = ways(
    "reached",
    "\n".join(
        (
            each(_TEMPLATE, _RESOLVERS),
            each(_CHAIN, _ENTRIES, "chain-"),
            each(_MODULE, _MODULES, "module-"),
            _LIBRARIES,
        )
    ),
)
