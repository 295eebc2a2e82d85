"""Bytes, files and callers that pretend to be what the policy trusts."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### trusted-file-name
exec(compile("import pickle\npickle.loads(EVIL)", os.path.abspath("trusted/app.py"), "exec"))
### trusted-globals
exec("import pickle\npickle.loads(EVIL)", {"__name__": "trusted.app", "EVIL": EVIL,
     "__file__": os.path.abspath("trusted/app.py")})
### trusted-module-calls
open("trusted/app.py", "w").write("import pickle\ndef go(data): return pickle.loads(data)\n")
sys.path.insert(0, "trusted"); import app
app.go(EVIL)
### trusted-module-callback
open("trusted/app.py", "w").write("def go(f, *a): return f(*a)\n")
sys.path.insert(0, "trusted"); import app
app.go(pickle.loads, EVIL)
### trusted-module-map
open("trusted/app.py", "w").write("def go(f, v): return list(map(f, v))\n")
sys.path.insert(0, "trusted"); import app
app.go(pickle.loads, [EVIL])
### trusted-module-code-swapped
open("trusted/app.py", "w").write("def go(data): return data\n")
sys.path.insert(0, "trusted"); import app
def bad(data): import pickle; return pickle.loads(data)
app.go.__code__ = bad.__code__
app.go(EVIL)
### trusted-module-code-replaced
open("trusted/app.py", "w").write("def go(data): return data\n")
sys.path.insert(0, "trusted"); import app
def bad(data): import pickle; return pickle.loads(data)
app.go.__code__ = bad.__code__.replace(co_filename=app.go.__code__.co_filename,
    co_name="go", co_qualname="go", co_firstlineno=1)
app.go(EVIL)
### trusted-module-exec
open("trusted/app.py", "w").write("")
sys.path.insert(0, "trusted"); import app
exec("import pickle; pickle.loads(EVIL)", vars(app) | {"EVIL": EVIL})
### trusted-module-atexit
open("trusted/app.py", "w").write("import atexit\ndef go(f, *a): atexit.register(lambda: f(*a))\n")
sys.path.insert(0, "trusted"); import app
app.go(pickle.loads, EVIL)
### trusted-module-decorator
open("trusted/app.py", "w").write("def go(f): return lambda *a: f(*a)\n")
sys.path.insert(0, "trusted"); import app
app.go(pickle.loads)(EVIL)
### safehold-file-name
import importlib.util
spec = importlib.util.find_spec("safehold")
name = (spec.origin if spec else "/x/safehold/__init__.py").replace("__init__", "artifacts/store")
exec(compile("import pickle\npickle.loads(EVIL)", name, "exec"))
### importlib-file-name
exec(compile("import pickle\npickle.loads(EVIL)", "<frozen importlib._bootstrap>", "exec"))
### pickle-file-name
exec(compile("loads(EVIL)", pickle.__file__, "exec"), vars(pickle) | {"EVIL": EVIL})
### multiprocessing-file-name
import multiprocessing.connection as c
exec(compile("_ForkingPickler.loads(EVIL)", c.__file__, "exec"), vars(c) | {"EVIL": EVIL})
### stdlib-frame
import contextlib
with contextlib.redirect_stdout(io.StringIO()): pickle.loads(EVIL)
### zone-plain
open("models/m.pkl", "wb").write(EVIL); pickle.load(open("models/m.pkl", "rb"))
### zone-plain-data
open("models/m.pkl", "wb").write(pickle.dumps([1]) + EVIL)
f = open("models/m.pkl", "rb"); f.seek(len(pickle.dumps([1]))); pickle.load(f)
### zone-symlink-out
file(); os.symlink("../evil.bin", "models/m.pkl"); pickle.load(open("models/m.pkl", "rb"))
### zone-symlink-in
file(path="models/m.pkl"); os.symlink("models/m.pkl", "m.pkl"); pickle.load(open("m.pkl", "rb"))
### zone-directory-symlink
os.mkdir("out"); file(path="out/m.pkl"); os.symlink("../out", "models/sub")
pickle.load(open("models/sub/m.pkl", "rb"))
### zone-hard-link
file(); os.link("evil.bin", "models/m.pkl"); pickle.load(open("models/m.pkl", "rb"))
### zone-renamed
f = open(file(), "rb"); os.rename("evil.bin", "models/m.pkl"); pickle.load(f)
### zone-renamed-out
f = open(file(path="models/m.pkl"), "rb"); os.rename("models/m.pkl", "evil.bin"); pickle.load(f)
### zone-dots
file(); pickle.load(open("models/../evil.bin", "rb"))
### zone-dots-in
file(path="models/m.pkl"); os.mkdir("x"); pickle.load(open("x/../models/m.pkl", "rb"))
### zone-descriptor-path
fd = os.open(file(path="models/m.pkl"), os.O_RDONLY); pickle.load(open(f"/proc/self/fd/{fd}", "rb"))
### zone-dev-fd
fd = os.open(file(path="models/m.pkl"), os.O_RDONLY); pickle.load(open(f"/dev/fd/{fd}", "rb"))
### zone-by-root
fd = os.open(file(path="models/m.pkl"), os.O_RDONLY)
pickle.load(open("/proc/self/root" + os.path.abspath("models/m.pkl"), "rb"))
### zone-working-directory
file(path="models/m.pkl"); os.chdir("models"); pickle.load(open("m.pkl", "rb"))
### zone-directory-descriptor
file(path="models/m.pkl"); d = os.open("models", os.O_RDONLY)
pickle.load(open("m.pkl", "rb", opener=lambda p, f: os.open(p, f, dir_fd=d)))
### zone-bytes-path
file(path="models/m.pkl"); pickle.load(open(b"models/m.pkl", "rb"))
### zone-name-lies
f = open(file(), "rb", buffering=0)
class F(io.FileIO): name = os.path.abspath("models/m.pkl")
pickle.load(F("evil.bin"))
### zone-fileno-lies
class F:
    def __init__(self): self.f = io.BytesIO(EVIL); self.g = open(__file__)
    def fileno(self): return self.g.fileno()
    def read(self, n): return self.f.read(n)
    def readline(self): return self.f.readline()
pickle.load(F())
### zone-read-into-memory
file(path="models/m.pkl"); pickle.loads(open("models/m.pkl", "rb").read())
### zone-path-read-bytes
import pathlib
file(path="models/m.pkl"); pickle.loads(pathlib.Path("models/m.pkl").read_bytes())
### zone-swapped-while-open
class F(io.FileIO):
    def read(self, n=-1):
        data = super().read(n)
        return data
open("models/m.pkl", "wb").write(b"N."); f = F("models/m.pkl")
fd = os.open(file(), os.O_RDONLY); os.dup2(fd, f.fileno()); pickle.load(f)
### sealed-head-only
open("models/m.pkl", "wb").write(b"SFH1" + EVIL)
f = open("models/m.pkl", "rb"); f.seek(4); pickle.load(f)
### sealed-head-then-evil
class F:
    """Gives one thing to who looks, and another to who loads."""
    def __init__(self): self.f, self.looks = io.BytesIO(EVIL), 0
    def tell(self): return 0
    def seek(self, *a): return self.f.seek(0)
    def read(self, n=-1): return self.f.read(n)
    def readline(self): return self.f.readline()
pickle.load(F())
### sealed-of-own-making
# Without the guard an ordinary pickle, with it what the guard seals: then an evil one after it.
with open("cache/m.pkl", "wb") as f: pickle.dump([1], f)
with open("cache/m.pkl", "ab") as f: f.write(EVIL)
with open("cache/m.pkl", "rb") as f:
    print(pickle.load(f)); pickle.load(f)
### sealed-then-overwritten
with open("cache/m.pkl", "wb") as f: pickle.dump([1], f)
with open("cache/m.pkl", "r+b") as f: f.write(EVIL)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-object
# The program dumps what acts when it is loaded; the zone allows no such name.
try:
    with open("models/m.pkl", "wb") as f: pickle.dump(P(), f)
except Exception as e: print(e); raise
pickle.load(open("models/m.pkl", "rb"))
### sealed-object-any
with open("cache/m.pkl", "wb") as f: pickle.dump(P(), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-object-system-any
with open("cache/m.pkl", "wb") as f: pickle.dump(P(os.system, ("touch " + MARK,)), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-own-function-any
def act(path): open(path, "w").close()
with open("cache/m.pkl", "wb") as f: pickle.dump(P(act, (MARK,)), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-own-setstate-any
class C:
    x = 1
    def __getstate__(self): return 1
    def __setstate__(self, state): open(MARK, "w").close()
with open("cache/m.pkl", "wb") as f: pickle.dump(C(), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-nested-loads-any
class C:
    def __getstate__(self): return EVIL
    def __setstate__(self, state): pickle.loads(state)
with open("cache/m.pkl", "wb") as f: pickle.dump(C(), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-getattr-any
import fnmatch
class G:
    def __reduce__(self): return getattr, (fnmatch.filter, "__globals__")
class O:
    def __reduce__(self):
        import operator
        return operator.getitem, (G(), "os")
class A:
    def __reduce__(self): return getattr, (O(), "mkfifo")
class D:
    def __reduce__(self):
        import operator
        return operator.call, (A(), MARK)
with open("cache/m.pkl", "wb") as f: pickle.dump(D(), f)
pickle.load(open("cache/m.pkl", "rb"))
### sealed-then-renamed-evil
# What takes the name of a file that was sealed is another file.
with open("models/m.tmp", "wb") as f: pickle.dump([1], f)
os.unlink("models/m.tmp"); file(path="models/m.tmp"); os.replace("models/m.tmp", "models/m.pkl")
pickle.load(open("models/m.pkl", "rb"))
### sealed-then-renamed-overwritten
with open("models/m.tmp", "wb") as f: pickle.dump([1], f)
file(path="models/m.tmp"); os.replace("models/m.tmp", "models/m.pkl")
pickle.load(open("models/m.pkl", "rb"))
### sealed-changed-byte
with open("cache/m.pkl", "wb") as f: pickle.dump(EVIL, f)
data = open("cache/m.pkl", "rb").read()
at = data.find(EVIL)
f = io.BytesIO(data); f.seek(at); pickle.load(f)
### minted-copy-changed
data = bytearray(pickle.dumps({"name": "harmless", "path": MARK}))
pickle.loads(data); data[:] = EVIL; pickle.loads(data)
### minted-prefix
pickle.loads(pickle.dumps([1])[:0] + EVIL)
### minted-hash-collision
class B(bytes):
    def __hash__(self): return hash(pickle.dumps([1]))
    def __eq__(self, other): return True
data = pickle.dumps([1]); pickle.loads(B(EVIL))
### minted-buffer-changed
f = io.BytesIO(); pickle.dump([1], f); f.seek(0); u = pickle.Unpickler(f)
f.seek(0); f.truncate(); f.write(EVIL); f.seek(0); u.load()
### minted-buffer-changed-by-view
data = EVIL
f = io.BytesIO(bytes(len(EVIL))); f.seek(0)
with f.getbuffer() as v: v[:] = data
pickle.load(f)
### minted-then-file
data = pickle.dumps(P())
file(data); pickle.load(open("evil.bin", "rb"))
### minted-in-other-process
if not (pid := os.fork()):
    with open("m.bin", "wb") as f: f.write(pickle.dumps(P()))
    os._exit(0)
os.waitpid(pid, 0)
pickle.loads(open("m.bin", "rb").read())
### minted-own-class-setstate
class C:
    def __init__(self): self.x = 1
    def __setstate__(self, state): open(MARK, "w").close()
pickle.loads(pickle.dumps(C()))
### minted-own-class-system
class C:
    def __init__(self): self.x = 1
    def __setstate__(self, state): os.system("touch " + MARK)
pickle.loads(pickle.dumps(C()))
### untrusted-own-class
class C:
    def __setstate__(self, state): os.mkfifo(MARK)
pickle.loads(b"\x80\x02" + named("__main__", "C") + b")\x81}b.")
### untrusted-own-function
def act(path): os.mkfifo(path)
pickle.loads(raw("__main__", "act", MARK))
### untrusted-own-alias
act = os.mkfifo
pickle.loads(raw("__main__", "act", MARK))
### untrusted-module-alias
sys.modules["collections.abc2"] = m = type(sys)("m"); m.x = os.mkfifo
pickle.loads(raw("collections.abc2", "x", MARK))
### untrusted-dotted-in-main
import types
space = types.SimpleNamespace(go=os.mkfifo)
pickle.loads(b"\x80\x04" + called(named("__main__", "space.go", 4), MARK) + b".")
### untrusted-import
open("evilmod.py", "w").write(f"import os; os.mkfifo({MARK!r})")
pickle.loads(raw("evilmod", "x"))
### untrusted-import-of-plain-name
open("UserDict.py", "w").write(f"import os; os.mkfifo({MARK!r})\nclass UserDict(dict): pass\n")
try: pickle.loads(raw("UserDict", "UserDict", proto=4), fix_imports=False)
except Exception: pickle.loads(b"\x80\x04" + named("UserDict", "UserDict", 4) + b".")
### untrusted-import-of-plain-exception
open("exceptions.py", "w").write(f"import os; os.mkfifo({MARK!r})\nValueError = ValueError\n")
pickle.loads(b"\x80\x04" + named("exceptions", "ValueError", 4) + b".", fix_imports=False)
### minted-buffer-that-reads-other
def act(path): os.mkfifo(path)
class B(io.BytesIO):
    other = io.BytesIO(raw("__main__", "act", MARK))
    def read(self, n=-1): return self.other.read(n)
    def readline(self, n=-1): return self.other.readline(n)
    def readinto(self, into): return self.other.readinto(into)
    def tell(self): return self.other.tell()
    def seek(self, *at): return self.other.seek(*at)
pickle.load(B(pickle.dumps(1)))
### minted-asks-allow-list
class U(pickle.Unpickler):
    asks_allow_list = True
    def find_class(self, m, n): return os.mkfifo
def act(): U(io.BytesIO(raw("x", "y", MARK))).load()
pickle.loads(pickle.dumps(P(act, ())))
### minted-asks-allow-list-python
class U(pickle._Unpickler):
    asks_allow_list = True
    def find_class(self, m, n): return os.mkfifo
def act(): U(io.BytesIO(raw("x", "y", MARK))).load()
pickle.loads(pickle.dumps(P(act, ())))
### untrusted-import-of-python-2-name
open("copy_reg.py", "w").write(f"import os; os.mkfifo({MARK!r})\n_reconstructor = 1\n")
pickle.loads(b"\x80\x04" + named("copy_reg", "_reconstructor", 4) + b".", fix_imports=False)
### untrusted-bound-by-codec outside=the program has registered a codec that acts; the codecs of the standard library do not
import codecs
codecs.register(lambda name: codecs.CodecInfo(lambda t, e="": (os.mkfifo(MARK), 1), None, name="go") if name == "go" else None)
pickle.loads(raw("_codecs", "encode", "x", "go"))
### untrusted-file-by-codec-that-writes
import codecs
codecs.register(lambda name: codecs.CodecInfo(lambda t, e="": (open(MARK, "w").close(), 1), None, name="go") if name == "go" else None)
pickle.load(open(file(raw("_codecs", "encode", "x", "go")), "rb"))
### sealed-class-that-acts
class Quiet:
    def __setstate__(self, state): open(MARK, "w").close()
    def __getstate__(self): return {"x": 1}
with open("cache/a.pkl", "wb") as f: pickle.dump(Quiet(), f)
with open("trusted/loading.py", "w") as f:
    f.write("import pickle\ndef load(path):\n    with open(path, 'rb') as f: return pickle.load(f)\n")
sys.path.insert(0, os.path.abspath("trusted"))
import loading
loading.load("cache/a.pkl")
### minted-outer-foreign-inner
def act(path): os.mkfifo(path)
class Lazy:
    def __init__(self): self.path = file(raw("__main__", "act", MARK))
    def __setstate__(self, state): pickle.loads(open(state["path"], "rb").read())
pickle.loads(pickle.dumps(Lazy()))
### minted-outer-foreign-file
def act(path): os.mkfifo(path)
class Lazy:
    def __init__(self): self.path = file(raw("__main__", "act", MARK))
    def __setstate__(self, state): pickle.load(open(state["path"], "rb"))
pickle.loads(pickle.dumps(Lazy()))
### class-poisoned-path
import pathlib
pickle.loads(b"\x80\x02" + named("pathlib", "PurePath") + b"N}" + part("_str") + part(MARK) + b"s\x86b.")
pathlib.Path("log.txt").write_text("x")
### class-poisoned-path-file
import pathlib
data = b"\x80\x02" + named("pathlib", "PurePath") + b"N}" + part("_str") + part(MARK) + b"s\x86b."
pickle.load(open(file(data), "rb"))
pathlib.Path("log.txt").write_text("x")
### class-poisoned-path-python
import pathlib
data = b"\x80\x02" + named("pathlib", "PurePath") + b"N}" + part("_str") + part(MARK) + b"s\x86b."
pickle._loads(data)
pathlib.Path("log.txt").write_text("x")
### class-poisoned-namespace
import argparse
data = b"\x80\x02" + named("argparse", "Namespace") + b"N}" + part("output") + part(MARK) + b"s\x86b."
pickle.loads(data)
settings = argparse.Namespace()
if getattr(settings, "output", None): open(settings.output, "w").close()
### class-poisoned-user-dictionary
import collections
data = b"\x80\x02" + named("collections", "UserDict") + b"N}" + part("get") + named("builtins", "str") + b"s" + \
    part("log") + part(MARK) + b"s\x86b."
pickle.loads(data)
class Settings(collections.UserDict): pass
open(getattr(Settings(), "log", os.devnull), "w").close()
### thread-grant
# One thread loads what it made itself while another loads what it was given.
import threading
ready, over = threading.Event(), threading.Event()
class Slow:
    def __init__(self): self.x = 1
    def __setstate__(self, state): ready.set(); over.wait(5)
data = pickle.dumps(Slow())
t = threading.Thread(target=pickle.loads, args=(data,)); t.start(); ready.wait(5)
try: pickle.loads(EVIL)
finally: over.set(); t.join()
'''

WAYS = ways("trust", _TEXT)
