"""Second copies of `pickle` and `_pickle`, and games with the table of modules."""

from __future__ import annotations

from tests.guard.ways import each, ways

_COPY = """
import importlib.util
spec = importlib.util.spec_from_file_location("other", pickle.__file__)
other = importlib.util.module_from_spec(spec)
spec.loader.exec_module(other)
@
"""
_USES = {
    "": "other.loads(EVIL)",
    "-python": "other._loads(EVIL)",
    "-unpickler": "other._Unpickler(io.BytesIO(EVIL)).load()",
    "-override": "class U(other._Unpickler):\n"
    "    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "U(io.BytesIO(EVIL)).load()",
    "-persistent": "class U(other._Unpickler):\n"
    "    def persistent_load(self, pid): return os.mkfifo\n"
    "U(io.BytesIO(b'Px\\n' + called(Part(b''), MARK) + b'.')).load()",
    "-c-override": "class U(other.Unpickler):\n"
    "    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "U(io.BytesIO(EVIL)).load()",
}
_MADE = {
    "spec": _COPY,
    "exec": "other = type(sys)('other')\nexec(open(pickle.__file__).read(), vars(other))\n@\n",
    "exec-same-name": "other = type(sys)('pickle'); other.__file__ = pickle.__file__\n"
    "exec(compile(open(pickle.__file__).read(), pickle.__file__, 'exec'), vars(other))\n@\n",
    "vendored": "import shutil; os.mkdir('vendor'); open('vendor/__init__.py', 'w').close()\n"
    "shutil.copy(pickle.__file__, 'vendor/pickle.py')\n"
    "from vendor import pickle as other\n@\n",
    "shadow": "import shutil; os.mkdir('first')\n"
    "shutil.copy(pickle.__file__, 'first/pickle.py'); sys.path.insert(0, 'first')\n"
    "del sys.modules['pickle']; import pickle as other\n@\n",
    "zip": "import zipfile\nwith zipfile.ZipFile('v.zip', 'w') as z:\n"
    "    z.write(pickle.__file__, 'otherpickle.py')\n"
    "sys.path.insert(0, 'v.zip'); import otherpickle as other\n@\n",
    "no-c": "before = sys.modules['_pickle']; sys.modules['_pickle'] = None\n"
    "del sys.modules['pickle']; import pickle as other\nsys.modules['_pickle'] = before\n@\n",
    "reload": "import importlib; other = importlib.reload(pickle)\n@\n",
    "import-again": "del sys.modules['pickle']; import pickle as other\n@\n",
    "runpy": "import runpy\nspace = runpy.run_path(pickle.__file__)\n"
    "other = type(sys)('o'); vars(other).update(space)\n@\n",
}
_C = {
    "reload": "import importlib, _pickle; other = importlib.reload(_pickle)",
    "import-again": "import _pickle; del sys.modules['_pickle']; import _pickle as other",
    "both-again": "del sys.modules['_pickle'], sys.modules['pickle']; import pickle as other",
    "create": "import _imp, _pickle; spec = _pickle.__spec__\n"
    "make = _imp.create_builtin if spec.origin == 'built-in' else _imp.create_dynamic\n"
    "other = make(spec)\n"
    "(_imp.exec_builtin if spec.origin == 'built-in' else _imp.exec_dynamic)(other)",
    "from-spec": "import importlib.util; spec = importlib.util.find_spec('_pickle')\n"
    "other = importlib.util.module_from_spec(spec); spec.loader.exec_module(other)",
    "loader": "import importlib.machinery, _pickle\nspec = _pickle.__spec__\n"
    "loader = importlib.machinery.ExtensionFileLoader('_pickle', spec.origin) if "
    "spec.origin != 'built-in' else importlib.machinery.BuiltinImporter\n"
    "spec = importlib.machinery.ModuleSpec('_pickle', loader, origin=spec.origin)\n"
    "other = loader.create_module(spec); loader.exec_module(other)",
    "copied-file": "import importlib.machinery, _pickle, shutil\n"
    "spec = _pickle.__spec__\n"
    "if spec.origin != 'built-in':\n"
    "    os.mkdir('copied'); path = shutil.copy(spec.origin, 'copied')\n"
    "    loader = importlib.machinery.ExtensionFileLoader('copied._pickle', path)\n"
    "    spec = importlib.machinery.ModuleSpec('copied._pickle', loader, origin=path)\n"
    "other = spec.loader.create_module(spec); spec.loader.exec_module(other)",
    "by-address": "import gc\n"
    "other = next(o for o in gc.get_objects() if isinstance(o, type(sys))"
    " and o.__name__ == '_pickle')",
    "subclasses": "other = type(sys)('o')\n"
    "other.Unpickler = next(c for c in object.__subclasses__()"
    " if c.__name__ == 'Unpickler' and c.__module__ == '_pickle')\n"
    "other.loads = lambda data: other.Unpickler(io.BytesIO(data)).load()",
    "mro": "other = type(sys)('o')\n"
    "other.Unpickler = pickle.Unpickler.__mro__[-2]\n"
    "other.loads = lambda data: other.Unpickler(io.BytesIO(data)).load()",
}
_C_USES = {
    "": "@\nother.loads(EVIL)",
    "-unpickler": "@\nother.Unpickler(io.BytesIO(EVIL)).load()",
    "-override": "@\nclass U(other.Unpickler):\n"
    "    def find_class(self, m, n): return getattr(sys.modules[m], n)\n"
    "U(io.BytesIO(EVIL)).load()",
}
_REACHED = r"""
### raw-load-by-gc
import gc, _pickle
class U(_pickle.Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
for o in gc.get_objects():
    if type(o).__name__ == "method_descriptor" and o.__name__ == "load" \
            and o.__objclass__.__name__ == "Unpickler":
        o(U(io.BytesIO(EVIL)))
        break
else:
    vars(_pickle.Unpickler.__mro__[-2])["load"](U(io.BytesIO(EVIL)))
### raw-loads-by-gc
import gc
for o in gc.get_objects():
    if type(o).__name__ == "builtin_function_or_method" and o.__name__ == "loads" \
            and o.__module__ == "_pickle":
        o(EVIL)
        break
### raw-find-by-gc
import gc
for o in gc.get_objects():
    if type(o).__name__ == "method_descriptor" and o.__name__ == "find_class":
        o(pickle.Unpickler(io.BytesIO(EVIL)), "posix", "mkfifo")(MARK)
        break
### copy-of-source-edited
text = open(pickle.__file__).read().replace("sys.audit('pickle.find_class', module, name)", "pass")
assert "pass" in text
space = {"__name__": "edited"}
exec(text, space)
space["_loads"](EVIL)
### audit-replaced
sys.audit = lambda *args: None
pickle._loads(EVIL)
### code-replaced
def find_class(self, module, name):
    import sys
    return getattr(sys.modules[module], name)
pickle._Unpickler.find_class = find_class
pickle._loads(EVIL)
### loads-of-module-put-back
import _pickle
pickle.loads = _pickle.loads
pickle.loads(EVIL)
### compat-pickle
import _compat_pickle
_compat_pickle.NAME_MAPPING["harmless", "name"] = "posix", "mkfifo"
pickle.loads(raw("harmless", "name", MARK, proto=2))
### compat-pickle-plain outside=the program has changed the table of names that CPython itself reads
import _compat_pickle
_compat_pickle.NAME_MAPPING["collections", "OrderedDict"] = "posix", "mkfifo"
pickle.loads(raw("collections", "OrderedDict", MARK, proto=2))
### module-in-table
fake = type(sys)("harmless")
fake.name = os.mkfifo
sys.modules["harmless"] = fake
pickle.loads(raw("harmless", "name", MARK))
### c-file-copied
import importlib.machinery, importlib.util, shutil, _pickle
shutil.copy(_pickle.__file__, "_pickle.so")
loader = importlib.machinery.ExtensionFileLoader("_pickle", os.path.abspath("_pickle.so"))
other = importlib.util.module_from_spec(importlib.util.spec_from_loader("_pickle", loader))
loader.exec_module(other)
class U(other.Unpickler):
    def find_class(self, m, n): return getattr(sys.modules[m], n)
U(io.BytesIO(EVIL)).load()
### plain-name-replaced
import fractions
fractions.Fraction = os.mkfifo
pickle.loads(raw("fractions", "Fraction", MARK))
### plain-module-replaced outside=the program has replaced what a plain name stands for
fake = type(sys)("decimal")
fake.Decimal = os.mkfifo
sys.modules["decimal"] = fake
pickle.loads(raw("decimal", "Decimal", MARK))
"""

WAYS = ways(
    "copies",
    "\n".join(
        [each(made, {f"{how}{use}": text for use, text in _USES.items()}) for how, made in
         _MADE.items()]
        + [each(text, {f"c-{how}{use}": made for how, made in _C.items()})
           for use, text in _C_USES.items()]
        + [_REACHED]
    ),
)  # fmt: skip
