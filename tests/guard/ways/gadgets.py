"""What bytes that this very program pickled would do: the callables that act on the system."""

from __future__ import annotations

from tests.guard.ways import each, ways

# What was started is waited for, so that its marker is there when the program has ended.
_MINTED = """
found = pickle.loads(pickle.dumps(P(@)))
if hasattr(found, "wait"):
    found.wait()
elif type(found).__name__ == "_wrap_close":
    found.close()
elif type(found) is int and found > 9:
    os.waitpid(found, 0)
"""
_TEXT_OF = "\"__import__('os').mkfifo(%r)\" % MARK"
_CALLS = {
    "os-system": "os.system, ('touch ' + MARK,)",
    "posix-system": "sys.modules['posix'].system, ('touch ' + MARK,)",
    "os-popen": "os.popen, ('touch ' + MARK,)",
    "os-open": "os.open, (MARK, os.O_CREAT | os.O_WRONLY)",
    "os-mkdir": "os.mkdir, (MARK,)",
    "os-makedirs": "os.makedirs, (MARK,)",
    "os-mkfifo": "os.mkfifo, (MARK,)",
    "os-mknod": "os.mknod, (MARK,)",
    "os-symlink": "os.symlink, ('/', MARK)",
    "os-link": "os.link, (__file__, MARK)",
    "os-rename": "os.rename, (file(), MARK)",
    "os-replace": "os.replace, (file(), MARK)",
    "os-execlp": "os.execlp, ('touch', 'touch', MARK)",
    "os-spawnlp": "os.spawnlp, (os.P_WAIT, 'touch', 'touch', MARK)",
    "os-posix-spawn": "os.posix_spawnp, ('touch', ['touch', MARK], {'PATH': os.environ['PATH']})",
    "os-putenv-system": "os.system, ('exec touch \"$MARK\"',)",
    "subprocess-run": "__import__('subprocess').run, (['touch', MARK],)",
    "subprocess-call": "__import__('subprocess').call, (['touch', MARK],)",
    "subprocess-popen": "__import__('subprocess').Popen, (['touch', MARK],)",
    "subprocess-getoutput": "__import__('subprocess').getoutput, ('touch ' + MARK,)",
    "subprocess-check-output": "__import__('subprocess').check_output, (['touch', MARK],)",
    "fork-exec": "__import__('subprocess').check_call, ('touch ' + MARK, -1, None, None, None, None,"
    " None, True, True)",
    "pty-spawn": "__import__('pty').spawn, (['touch', MARK],)",
    "eval": f"eval, ({_TEXT_OF},)",
    "exec": f"exec, ({_TEXT_OF},)",
    "open": "open, (MARK, 'w')",
    "io-open": "io.open, (MARK, 'w')",
    "file-io": "io.FileIO, (MARK, 'w')",
    "codecs-open": "__import__('codecs').open, (MARK, 'w')",
    "path-touch": "__import__('pathlib').Path(MARK).touch, ()",
    "path-write": "__import__('pathlib').Path(MARK).write_text, ('x',)",
    "path-mkdir": "__import__('pathlib').Path(MARK).mkdir, ()",
    "path-symlink": "__import__('pathlib').Path(MARK).symlink_to, ('/',)",
    "path-rename": "__import__('pathlib').Path(file()).rename, (MARK,)",
    "shutil-copy": "__import__('shutil').copy, (file(), MARK)",
    "shutil-copyfile": "__import__('shutil').copyfile, (file(), MARK)",
    "shutil-move": "__import__('shutil').move, (file(), MARK)",
    "shutil-archive": "__import__('shutil').make_archive, (MARK, 'tar', '.', 'models')",
    "shutil-copytree": "__import__('shutil').copytree, ('models', MARK)",
    "tempfile-mkdtemp": "__import__('tempfile').mkdtemp, ('x', 'y', os.path.dirname(MARK))",
    "tempfile-named": "__import__('tempfile').NamedTemporaryFile, ('w', -1, None, None, None, None,"
    " os.path.dirname(MARK), False)",
    "zipfile": "__import__('zipfile').ZipFile, (MARK, 'w')",
    "tarfile": "__import__('tarfile').TarFile, (MARK, 'w')",
    "tarfile-open": "__import__('tarfile').open, (MARK, 'w')",
    "gzip": "__import__('gzip').GzipFile, (MARK, 'wb')",
    "bz2": "__import__('bz2').BZ2File, (MARK, 'wb')",
    "lzma": "__import__('lzma').LZMAFile, (MARK, 'wb')",
    "wave": "__import__('wave').open, (MARK, 'wb')",
    "dbm-dumb": "__import__('dbm.dumb').dumb.open, (MARK, 'n')",
    "dbm": "__import__('dbm').open, (MARK, 'n')",
    "dbm-gnu needs=_gdbm": "__import__('_gdbm').open, (MARK, 'n')",
    "dbm-ndbm needs=_dbm": "__import__('_dbm').open, (MARK, 'n')",
    "shelve": "__import__('shelve').open, (MARK, 'n')",
    "sqlite": "__import__('sqlite3').connect, (MARK,)",
    "sqlite-connection": "__import__('sqlite3').Connection, (MARK,)",
    "logging-file": "__import__('logging').FileHandler, (MARK,)",
    "logging-rotating": "__import__('logging.handlers').handlers.RotatingFileHandler, (MARK,)",
    "logging-config": "__import__('logging.config').config.dictConfig, ({'version': 1, 'handlers':"
    " {'h': {'class': 'logging.FileHandler', 'filename': MARK}}},)",
    "runpy-path": "__import__('runpy').run_path, (file(b'import os; os.mkfifo(os.environ[\"MARK\"])',"
    " 'r.py'),)",
    "runpy-module": "__import__('runpy').run_module, (file(b'import os; "
    "os.mkfifo(os.environ[\"MARK\"])', 'rmod.py')[:-3],)",
    "import-module": "__import__('importlib').import_module, (file(b'import os; "
    "os.mkfifo(os.environ[\"MARK\"])', 'rmod.py')[:-3],)",
    "dunder-import": "__import__, (file(b'import os; os.mkfifo(os.environ[\"MARK\"])',"
    " 'rmod.py')[:-3],)",
    "timeit": f"__import__('timeit').timeit, ({_TEXT_OF}, 'pass', __import__('time').time, 1)",
    "timeit-repeat": f"__import__('timeit').repeat, ({_TEXT_OF}, 'pass', __import__('time').time, 1, 1)",
    "profile": f"__import__('profile').run, ({_TEXT_OF},)",
    "cprofile": f"__import__('cProfile').run, ({_TEXT_OF},)",
    "doctest": f"__import__('doctest').debug_script, ({_TEXT_OF}, True)",
    "distutils-spawn": "__import__('distutils.spawn').spawn.spawn, (['touch', MARK],)",
    "distutils-write": "__import__('distutils.file_util').file_util.write_file, (MARK, ['x'])",
    "distutils-mkpath": "__import__('distutils.dir_util').dir_util.mkpath, (MARK,)",
    "py-compile": "__import__('py_compile').compile, (file(b'1', 'c.py'), MARK)",
    "readline-write": "__import__('readline').write_history_file, (MARK,)",
    "socket-server": "__import__('socketserver').UnixStreamServer, (MARK, None)",
    "pydoc-pipe": "__import__('pydoc').pipepager, ('x', 'cat > ' + MARK)",
    "imp needs=imp": "__import__('imp').load_source, ('x', file(b'import os; os.mkfifo(os.environ[\"MARK\"])',"
    " 'i.py'))",
    "source-loader": "__import__('importlib.machinery').machinery.SourceFileLoader('x', file(b'import"
    " os; os.mkfifo(os.environ[\"MARK\"])', 'i.py')).load_module, ()",
    "venv": "__import__('venv').create, (MARK,)",
    "cookies": "__import__('http.cookiejar').cookiejar.LWPCookieJar.save, (P(__import__("
    "'http.cookiejar').cookiejar.LWPCookieJar, (MARK,)),)",
    "mailbox": "__import__('mailbox').Maildir, (MARK,)",
    "mailbox-mbox": "__import__('mailbox').mbox, (MARK,)",
    "urlretrieve": "__import__('urllib.request').request.urlretrieve, ('file://' +"
    " os.path.abspath(file()), MARK)",
    "xml-write": "__import__('xml.etree.ElementTree').etree.ElementTree.ElementTree("
    "__import__('xml.etree.ElementTree').etree.ElementTree.Element('x')).write, (MARK,)",
    "sunau needs=sunau": "__import__('sunau').open, (MARK, 'w')",
}  # fmt: skip
_MORE = r"""
### state-setter
class C: pass
class S(P):
    def __reduce__(self): return C, (), (None, None), None, None, call
def call(obj, state): os.system("touch " + MARK)
pickle.loads(pickle.dumps(S()))
### list-items
class L(list):
    def append(self, value): os.system(value)
    def extend(self, values): os.system(*values)
pickle.loads(pickle.dumps(P(L, (), None, iter(["touch " + MARK]))))
### dictionary-items
class D(dict):
    def __setitem__(self, key, value): os.system(value)
pickle.loads(pickle.dumps(P(D, (), None, None, iter([("x", "touch " + MARK)]))))
### set-state
class C:
    x = 1
    def __getstate__(self): return "touch " + MARK
    def __setstate__(self, state): os.system(state)
pickle.loads(pickle.dumps(C()))
### set-attribute
class C:
    def __init__(self): self.__dict__["command"] = "touch " + MARK
    def __getstate__(self): return None, {"command": "touch " + MARK}
    def __setattr__(self, key, value): os.system(value)
pickle.loads(pickle.dumps(C()))
### property-set
class C:
    def __getstate__(self): return None, {"command": "touch " + MARK}
    command = property(None, lambda self, value: os.system(value))
pickle.loads(pickle.dumps(C()))
### new
class C:
    def __new__(cls, command="touch " + MARK):
        os.system(command); return object.__new__(cls)
    def __getnewargs__(self): return ("touch " + MARK,)
pickle.loads(pickle.dumps(object.__new__(C)))
### hash
class C:
    def __hash__(self): os.path.exists(MARK) or (armed and os.system("touch " + MARK)); return 1
armed = False; data = pickle.dumps({C()}); armed = True
pickle.loads(data)
### compare
class C:
    def __hash__(self): return 1
    def __eq__(self, other): armed and os.system("touch " + MARK); return False
armed = False; data = pickle.dumps({C(): 1, C(): 2}); armed = True
pickle.loads(data)
### dunder-del
class C:
    def __del__(self): armed and os.system("touch " + MARK)
class Drop(P):
    def __reduce__(self): return isinstance, (C(), int)
armed = False; data = pickle.dumps(Drop()); armed = True
pickle.loads(data)
### keylog
import ssl
class K(P):
    def __reduce__(self): return ssl.SSLContext, (ssl.PROTOCOL_TLS_CLIENT,), (None, {"keylog_filename": MARK})
pickle.loads(pickle.dumps(K()))
### keylog-untrusted
pickle.loads(b"\x80\x02" + called(named("ssl", "SSLContext"), 16) + b"N}" + part("keylog_filename")
             + part(MARK) + b"s\x86b.")
### start-new-thread
import _thread, time
pickle.loads(pickle.dumps(P(_thread.start_new_thread, (os.mkfifo, (MARK,))))); time.sleep(.2)
### executor-of-program
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1); pool.submit(int).result()
def submit(f, *args): pool.submit(f, *args).result()
pickle.loads(pickle.dumps(P(submit, (os.mkfifo, MARK))))
### atexit
import atexit
pickle.loads(pickle.dumps(P(atexit.register, (os.mkfifo, MARK))))
### finalize
import weakref
class C: pass
pickle.loads(pickle.dumps(P(weakref.finalize, (C(), os.mkfifo, MARK))))
### signal
import signal
pickle.loads(pickle.dumps(P(signal.signal, (signal.SIGALRM, print))))
pickle.loads(pickle.dumps(P(os.mkfifo, (MARK,))))
### setattr
class Config: hook = int
pickle.loads(pickle.dumps(P(setattr, (Config, "hook", os.mkfifo)))); Config.hook(MARK)
### setitem
import operator
hooks = {}
def table(): return hooks
pickle.loads(pickle.dumps(P(operator.setitem, (P(table, ()), "x", os.mkfifo)))); hooks["x"](MARK)
### partial
import functools
pickle.loads(pickle.dumps(functools.partial(os.mkfifo, MARK)))()
### partial-called
import functools, operator
pickle.loads(pickle.dumps(P(functools.partial(os.mkfifo, MARK), ())))
### methodcaller
import operator, pathlib
pickle.loads(pickle.dumps(P(operator.methodcaller("touch"), (pathlib.Path(MARK),))))
### methodcaller-mkfifo
import operator, fnmatch
pickle.loads(pickle.dumps(P(operator.methodcaller("mkfifo", MARK), (P(operator.getitem,
    (P(getattr, (fnmatch.filter, "__globals__")), "os")),))))
### attrgetter
import operator, fnmatch
pickle.loads(pickle.dumps(P(operator.call, (P(operator.attrgetter("mkfifo"), (P(operator.getitem,
    (P(operator.attrgetter("__globals__"), (fnmatch.filter,)), "os")),)), MARK))))
### getattr-globals
import operator, fnmatch
pickle.loads(pickle.dumps(P(operator.call, (P(getattr, (P(operator.getitem,
    (P(getattr, (fnmatch.filter, "__globals__")), "os")), "mkfifo")), MARK))))
### getattr-globals-by-map
import operator, fnmatch
go = P(getattr, (P(operator.getitem, (P(getattr, (fnmatch.filter, "__globals__")), "os")), "mkfifo"))
pickle.loads(pickle.dumps(P(list, (P(map, (go, [MARK])),))))
### getattr-builtins
import operator, fnmatch
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(operator.getitem,
    (P(getattr, (fnmatch.filter, "__globals__")), "__builtins__")), "open")), MARK, "w"))))
### getattr-subclasses
import operator
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(getattr, (P(getattr,
    (os._wrap_close, "__init__")), "__globals__")), "mkfifo")), MARK))))
### getattr-module-of-module
import operator, pathlib
pickle.loads(pickle.dumps(P(operator.call, (P(operator.getitem, (P(vars, (P(operator.getitem,
    (P(getattr, (pathlib.Path.touch, "__globals__")), "os")),)), "mkfifo")), MARK))))
### map-list
pickle.loads(pickle.dumps(P(list, (P(map, (os.mkfifo, [MARK])),))))
### starmap
import itertools
pickle.loads(pickle.dumps(P(list, (P(itertools.starmap, (os.mkfifo, [(MARK,)])),))))
### filter
pickle.loads(pickle.dumps(P(list, (P(filter, (os.mkfifo, [MARK])),))))
### sorted-key
import functools
pickle.loads(pickle.dumps(P(functools.partial(sorted, key=os.mkfifo), ([MARK],))))
### reduce
import functools
pickle.loads(pickle.dumps(P(functools.reduce, (os.mkfifo, [MARK, 0o600]))))
### accumulate
import itertools
pickle.loads(pickle.dumps(P(list, (P(itertools.accumulate, ([MARK, 0o600], os.mkfifo)),))))
### iterator-of-callable
import functools
pickle.loads(pickle.dumps(P(next, (P(iter, (functools.partial(os.mkfifo, MARK), 1)),))))
### default-dictionary
import collections, functools
d = pickle.loads(pickle.dumps(collections.defaultdict(functools.partial(os.mkfifo, MARK)))); d["x"]
### cached-property
import functools
pickle.loads(pickle.dumps(P(functools.lru_cache, (os.mkfifo,))))(MARK)
### type
pickle.loads(pickle.dumps(P(type, ("X", (), {"go": os.mkfifo})))).go(MARK)
### function-type needs=cloudpickle
import cloudpickle
pickle.loads(cloudpickle.dumps(P(lambda: open(MARK, "w").close(), ())))
### function-type-system needs=cloudpickle
import cloudpickle
class Q:
    def __reduce__(self): return (lambda m: __import__("os").system("touch " + m)), (MARK,)
pickle.loads(cloudpickle.dumps(Q()))
### function-type-mkfifo needs=cloudpickle outside=a function of the program itself, in bytes of its own making, and no event tells of the call
import cloudpickle
class Q:
    def __reduce__(self): return (lambda m: __import__("os").mkfifo(m)), (MARK,)
pickle.loads(cloudpickle.dumps(Q()))
### own-function-open
def act(path): open(path, "w").close()
pickle.loads(pickle.dumps(P(act, (MARK,))))
### own-function-mkfifo outside=a function of the program itself, in bytes of its own making, and no event tells of the call
def act(path): os.mkfifo(path)
pickle.loads(pickle.dumps(P(act, (MARK,))))
### import-that-acts needs=cloudpickle
import cloudpickle.cloudpickle as c
os.environ["BROWSER"] = f"touch {MARK} %s"
pickle.loads(pickle.dumps(P(c.subimport, ("antigravity",))))
### own-function-open-while-importing
with open("own.py", "w") as f: f.write(
    "import os, pickle\ndef act(path): open(path, 'w').close()\nclass Q:\n"
    "    def __reduce__(self): return act, (os.environ['MARK'],)\npickle.loads(pickle.dumps(Q()))\n")
import own
### own-function-of-a-library
import ctypes
LIBC = ctypes.CDLL(None)
def act(path): LIBC.mkfifo(path.encode(), 0o600)
pickle.loads(pickle.dumps(P(act, (MARK,))))
### own-function-that-says-it-is-native
import types
def act(path): open(path, "w").close()
act = types.FunctionType(act.__code__, {"__name__": "xgboost.core", "__builtins__": __builtins__})
act.__module__ = "__main__"
pickle.loads(pickle.dumps(P(act, (MARK,))))
### own-function-os-open
def act(path): os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
pickle.loads(pickle.dumps(P(act, (MARK,))))
### own-function-exec
CODE = compile(f"import os; os.mkfifo({MARK!r})", "way", "exec")
def act(): exec(CODE)
pickle.loads(pickle.dumps(P(act, ())))
### name-rebound
def act(path): pass
data = pickle.dumps(P(act, (MARK,)))
pickle.loads(data)
act = os.mkfifo
pickle.loads(data)
### name-rebound-load
def act(path): pass
data = pickle.dumps(P(act, (MARK,)))
pickle.loads(data)
act = os.mkfifo
pickle.load(io.BytesIO(data))
### own-alias
act = os.mkfifo
class A(P):
    def __reduce__(self): return "act"
pickle.loads(raw("__main__", "act", MARK))
### own-partial-alias
import functools
go = functools.partial(os.mkfifo, MARK)
pickle.loads(raw("__main__", "go"))()
### interpreter needs=_testcapi
import _testcapi
pickle.loads(pickle.dumps(P(_testcapi.run_in_subinterp, (f"import os; os.mkfifo({MARK!r})",))))
"""
WAYS = ways("gadgets", "\n".join((each(_MINTED, _CALLS), _MORE)))
