"""The end of a program, signals, and what has run short or is missing."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r'''
### atexit
import atexit
atexit.register(pickle.loads, EVIL)
### atexit-late
import atexit
class D:
    def __del__(self): pickle.loads(EVIL)
atexit.register(lambda d: None, D())
### signal
import signal
signal.signal(signal.SIGUSR1, lambda *_: pickle.loads(EVIL)); os.kill(os.getpid(), signal.SIGUSR1)
### signal-alarm-in-sleep
import signal, time
signal.signal(signal.SIGALRM, lambda *_: pickle.loads(EVIL))
signal.setitimer(signal.ITIMER_REAL, .05); time.sleep(.5)
### recursion
def deep():
    try: deep()
    except RecursionError: pickle.loads(EVIL)
deep()
### recursion-exact
import threading
ran = []
def deep(n):
    if n: return deep(n - 1)
    pickle.loads(EVIL)
def attempt():
    for n in range(990, 400, -1):
        try: deep(n); return
        except RecursionError: pass
        except Exception as e: print(e); return
attempt()
### recursion-in-thread
import threading
def deep():
    try: deep()
    except RecursionError: pickle.loads(EVIL)
t = threading.Thread(target=deep); t.start(); t.join()
### low-memory
import resource
held = [bytearray(2**20) for _ in range(8)]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**16, -1))
try:
    while True: held.append(bytearray(2**12))
except MemoryError: pass
pickle.loads(EVIL)
### memory-used-up
import subprocess
open("w.py", "w").write("""import pickle
held = []
try:
    while True: held.append(bytearray(2**12))
except MemoryError: pass
pickle.loads(%r)""" % EVIL)
subprocess.run(["sh", "-c", f"ulimit -v 200000; exec {sys.executable} w.py"])
### no-descriptors
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 99))
pickle.loads(EVIL)
### descriptors-used-up
import subprocess
open("w.py", "w").write("""import os, pickle
held = []
try:
    while True: held.append(os.open(os.devnull, os.O_RDONLY))
except OSError: pass
pickle.loads(%r)""" % EVIL)
subprocess.run(["sh", "-c", f"ulimit -S -n 40; exec {sys.executable} w.py"])
### no-file-size
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))
pickle.loads(EVIL)
### no-file-size-for-good
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
pickle.loads(EVIL)
### no-file-size-for-good-twice
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try: pickle.loads(raw("posix", "rmdir", "x"))
except Exception: pass
pickle.loads(EVIL)
### no-file-size-for-good-in-fork
import resource
resource.prlimit(0, resource.RLIMIT_FSIZE, (0, 0))
if not (pid := os.fork()):
    try: pickle.loads(EVIL)
    finally: os._exit(0)
os.waitpid(pid, 0)
### recursion-limit-50
sys.setrecursionlimit(50)
pickle.loads(EVIL)
### recursion-limit-30
sys.setrecursionlimit(30)
pickle.loads(EVIL)
### recursion-limit-11
sys.setrecursionlimit(11)
pickle.loads(EVIL)
### recursion-limit-30-python
sys.setrecursionlimit(30)
pickle._loads(EVIL)
### recursion-limit-30-file
file(); f = open("evil.bin", "rb")
sys.setrecursionlimit(30)
pickle.load(f)
### recursion-limit-30-thread
import threading
sys.setrecursionlimit(30)
try:
    t = threading.Thread(target=pickle.loads, args=(EVIL,)); t.start(); t.join()
except RecursionError: pickle.loads(EVIL)
### other-directory
os.chdir("/")
pickle.loads(EVIL)
### directory-gone
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
pickle.loads(EVIL)
### no-stderr
os.close(2); os.close(1)
pickle.loads(EVIL)
### no-environment
os.environ.clear()
pickle.loads(EVIL)
### no-path
sys.path.clear(); sys.path_importer_cache.clear()
pickle.loads(EVIL)
### no-meta-path
sys.meta_path.clear()
pickle.loads(EVIL)
### modules-emptied
keep = dict(sys.modules)
for name in list(sys.modules):
    if name not in ("sys", "builtins"): del sys.modules[name]
pickle.loads(EVIL)
### modules-and-paths-emptied
sys.meta_path.clear(); sys.path.clear(); sys.path_hooks.clear()
for name in list(sys.modules):
    if name not in ("sys", "builtins", "posix"): del sys.modules[name]
pickle.loads(EVIL)
### imports-that-fail
class F:
    def find_spec(self, name, path=None, target=None): raise ImportError(name)
sys.meta_path.insert(0, F())
pickle.loads(EVIL)
### guard-disabled-by-environment
os.environ["SAFEHOLD_GUARD"] = "off"
pickle.loads(EVIL)
### umask-and-time
import time
os.umask(0o777)
pickle.loads(EVIL)
### swallowed
try: pickle.loads(EVIL)
except BaseException: pass
### retried
for _ in range(5):
    try: pickle.loads(EVIL); break
    except Exception: pass
### many-times
for _ in range(300):
    try: pickle.loads(EVIL); break
    except Exception: pass
### doctest
import doctest
def f():
    """
    >>> pickle.loads(EVIL)
    """
doctest.testmod()
### unittest
import unittest
class T(unittest.TestCase):
    def test(self): pickle.loads(EVIL)
unittest.main(exit=False)
### timeit
import timeit
timeit.timeit(lambda: pickle.loads(EVIL), number=1)
### interactive
import code
code.InteractiveInterpreter(globals()).runsource("pickle.loads(EVIL)")
### run-path
import runpy
open("r.py", "w").write("import pickle\npickle.loads(%r)" % EVIL)
runpy.run_path("r.py")
### cprofile
import cProfile
cProfile.runctx("pickle.loads(EVIL)", globals(), {})
'''

WAYS = ways("extremes", _TEXT)
