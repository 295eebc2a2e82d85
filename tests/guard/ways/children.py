"""Processes that a guarded program starts, and interpreters within it."""

from __future__ import annotations

from tests.guard.ways import ways

_TEXT = r"""
### spawn-installs-again start=install
import multiprocessing
guard()
if __name__ == "__main__":
    p = multiprocessing.get_context("spawn").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### fork
if not (pid := os.fork()):
    try: pickle.loads(EVIL)
    finally: os._exit(0)
os.waitpid(pid, 0)
### fork-after-refusal
try: pickle.loads(raw("posix", "rmdir", "x"))
except Exception: pass
if not (pid := os.fork()):
    try: pickle.loads(EVIL)
    finally: os._exit(0)
os.waitpid(pid, 0)
### fork-twice
if not (pid := os.fork()):
    if not (second := os.fork()):
        try: pickle.loads(EVIL)
        finally: os._exit(0)
    os.waitpid(second, 0); os._exit(0)
os.waitpid(pid, 0)
### fork-in-thread
import threading
def go():
    if not (pid := os.fork()):
        try: pickle.loads(EVIL)
        finally: os._exit(0)
    os.waitpid(pid, 0)
t = threading.Thread(target=go); t.start(); t.join()
### fork-hook
os.register_at_fork(after_in_child=lambda: pickle.loads(EVIL))
if not (pid := os.fork()): os._exit(0)
os.waitpid(pid, 0)
### forkpty
import pty
pid, fd = pty.fork()
if not pid:
    try: pickle.loads(EVIL)
    finally: os._exit(0)
try: os.read(fd, 999)
except OSError: pass
os.waitpid(pid, 0)
### subprocess-c
import subprocess
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### subprocess-script
import subprocess
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run([sys.executable, "s.py"])
### subprocess-module
import subprocess
open("mod.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run([sys.executable, "-m", "mod"])
### subprocess-pickle-module
import subprocess
file(); subprocess.run([sys.executable, "-m", "pickle", "evil.bin"])
### subprocess-stdin
import subprocess
subprocess.run([sys.executable, "-"], input=b"import pickle; pickle.loads(%r)" % EVIL)
### subprocess-optimized
import subprocess
subprocess.run([sys.executable, "-OO", "-B", "-X", "utf8", "-c", "import pickle; pickle.loads(%r)" % EVIL])
### subprocess-safe-path
import subprocess
subprocess.run([sys.executable, "-P", "-c", "import pickle; pickle.loads(%r)" % EVIL])
### subprocess-shell
import subprocess
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run(f"exec {sys.executable} s.py", shell=True)
### subprocess-grandchild
import subprocess
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run([sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, 's.py'])"])
### subprocess-env-copied
import subprocess
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], env=dict(os.environ, X="1"))
### subprocess-own-python-path
import subprocess
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL],
               env=dict(os.environ, PYTHONPATH="."))
### subprocess-python-path-removed
import subprocess
env = dict(os.environ); env.pop("PYTHONPATH", None)
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], env=env)
### subprocess-no-site outside=the child is started with -S, which no hook of a Python environment survives
import subprocess
subprocess.run([sys.executable, "-S", "-c", "import pickle; pickle.loads(%r)" % EVIL])
### subprocess-isolated outside=the child is started with -I, which drops the environment
import subprocess
subprocess.run([sys.executable, "-I", "-c", "import pickle; pickle.loads(%r)" % EVIL])
### subprocess-empty-environment
import subprocess
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], env={"MARK": MARK})
### subprocess-empty-environment-file
import subprocess
file()
subprocess.run([sys.executable, "-c", "import pickle; pickle.load(open('evil.bin', 'rb'))"], env={"MARK": MARK})
### subprocess-of-subprocess-empty-environment
import subprocess
child = "import pickle; pickle.loads(%r)" % EVIL
text = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r], env={})" % child
subprocess.run([sys.executable, "-c", text], env={})
### environment-emptied
import subprocess
os.environ.clear()
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-emptied-posix-spawn
os.environ.clear()
os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], os.environ), 0)
### environment-emptied-posix-spawnp
os.environ.clear()
os.waitpid(os.posix_spawnp(sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], {"MARK": MARK}), 0)
### environment-emptied-execve
os.execve(sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], {"MARK": MARK})
### os-system
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
os.system(f"{sys.executable} s.py")
### exec
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
os.execv(sys.executable, [sys.executable, "s.py"])
### posix-spawn
pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL], os.environ)
os.waitpid(pid, 0)
### spawnv
os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### asyncio-subprocess
import asyncio
async def main():
    p = await asyncio.create_subprocess_exec(sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL)
    await p.wait()
asyncio.run(main())
### zipapp
import subprocess, zipapp
os.mkdir("app"); open("app/__main__.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
zipapp.create_archive("app", "app.pyz"); subprocess.run([sys.executable, "app.pyz"])
### directory
import subprocess
os.mkdir("app"); open("app/__main__.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run([sys.executable, "app"])
### console-script
import subprocess
with open("tool", "w") as f:
    f.write(f"#!{sys.executable}\nimport pickle; pickle.loads({EVIL!r})\n")
os.chmod("tool", 0o755); subprocess.run(["./tool"])
### compiled-script
import subprocess, py_compile
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
py_compile.compile("s.py", "s.pyc"); subprocess.run([sys.executable, "s.pyc"])
### own-sitecustomize
import subprocess
os.mkdir("site"); open("site/sitecustomize.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
env = dict(os.environ); env["PYTHONPATH"] = os.pathsep.join(filter(None, [env.get("PYTHONPATH"), "site"]))
subprocess.run([sys.executable, "-c", ""], env=env)
### own-sitecustomize-first
import subprocess
os.mkdir("site"); open("site/sitecustomize.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
env = dict(os.environ); env["PYTHONPATH"] = os.pathsep.join(filter(None, ["site", env.get("PYTHONPATH")]))
subprocess.run([sys.executable, "-c", ""], env=env)
### python-startup
import subprocess
open("start.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
subprocess.run([sys.executable, "-i"], input=b"", env=dict(os.environ, PYTHONSTARTUP="start.py"))
### process-fork
import multiprocessing
p = multiprocessing.get_context("fork").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### process-spawn
import multiprocessing
if __name__ == "__main__":
    p = multiprocessing.get_context("spawn").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### process-forkserver
import multiprocessing
if __name__ == "__main__":
    p = multiprocessing.get_context("forkserver").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### spawn-main-module
import multiprocessing
if __name__ == "__main__":
    p = multiprocessing.get_context("spawn").Process(target=print); p.start(); p.join()
else:
    pickle.loads(EVIL)
### pool
import multiprocessing
with multiprocessing.get_context("fork").Pool(1) as pool:
    try: pool.map(pickle.loads, [EVIL])
    except Exception as e: print(e)
### pool-initializer
import multiprocessing
def go():
    try: pickle.loads(EVIL)
    except Exception as e: print(e)
with multiprocessing.get_context("fork").Pool(1, go) as pool: pool.map(abs, [1])
### process-pool-executor
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    print(pool.submit(pickle.loads, EVIL).exception())
### queue-of-bytes
import multiprocessing
c = multiprocessing.get_context("fork")
def go(q): pickle.loads(q.get())
q = c.Queue(); q.put(EVIL); p = c.Process(target=go, args=(q,)); p.start(); p.join()
### manager-values
from multiprocessing import get_context
with get_context("fork").Manager() as m:
    d = m.dict(x=EVIL)
    try: pickle.loads(d["x"])
    except Exception as e: print(e)
### shared-memory
from multiprocessing.shared_memory import SharedMemory
s = SharedMemory(create=True, size=len(EVIL)); s.buf[:len(EVIL)] = EVIL
try: pickle.loads(s.buf)
finally: s.close(); s.unlink()
### joblib-parallel needs=joblib
from joblib import Parallel, delayed
if __name__ == "__main__":
    try: Parallel(2)(delayed(pickle.loads)(EVIL) for _ in range(2))
    except Exception as e: print(e)
### joblib-threads needs=joblib
from joblib import Parallel, delayed
Parallel(2, backend="threading")(delayed(pickle.loads)(EVIL) for _ in range(2))
### sub-interpreter-of-pool needs=concurrent.interpreters
from concurrent.futures import InterpreterPoolExecutor
with InterpreterPoolExecutor(1) as pool:
    try: pool.submit(pickle.loads, EVIL).result()
    except Exception as e: print(e)
### sub-interpreter-by-module needs=concurrent.interpreters
from concurrent import interpreters
interpreters.create().exec(f"import pickle; pickle.loads({EVIL!r})")
### sub-interpreter-again needs=_interpreters
import _imp, _interpreters
again = _imp.create_dynamic(_interpreters.__spec__); _imp.exec_dynamic(again)
again.run_string(again.create(), f"import pickle; pickle.loads({EVIL!r})")
### sub-interpreter
try: import _interpreters as i
except ImportError: import _xxsubinterpreters as i
n = i.create()
text = f"import pickle; pickle.loads({EVIL!r})"
(getattr(i, "run_string", None) or i.exec)(n, text)
### sub-interpreter-of-install start=install
guard()
try: import _interpreters as i
except ImportError: import _xxsubinterpreters as i
text = f"import pickle; pickle.loads({EVIL!r})"
(getattr(i, "run_string", None) or i.exec)(i.create(), text)
### sub-interpreter-by-capi
import _testcapi
_testcapi.run_in_subinterp(f"import pickle; pickle.loads({EVIL!r})")
### environment-emptied-spawn
import multiprocessing
if __name__ == "__main__":
    os.environ.clear(); os.environ["MARK"] = MARK
    p = multiprocessing.get_context("spawn").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### environment-emptied-forkserver
import multiprocessing
if __name__ == "__main__":
    os.environ.clear(); os.environ["MARK"] = MARK
    p = multiprocessing.get_context("forkserver").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### environment-emptied-execv
os.environ.clear()
os.execv(sys.executable, [sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-emptied-execl
os.environ.clear()
os.execl(sys.executable, sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL)
### environment-emptied-spawnl
os.environ.clear()
os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL)
### environment-emptied-system
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
os.environ.clear()
os.system(f"{sys.executable} s.py")
### environment-emptied-popen
open("s.py", "w").write("import pickle; pickle.loads(%r)" % EVIL)
os.environ.clear()
os.popen(f"{sys.executable} s.py").read()
### environment-emptied-joblib needs=joblib
from joblib import Parallel, delayed
if __name__ == "__main__":
    os.environ.clear(); os.environ["MARK"] = MARK
    try: Parallel(2)(delayed(pickle.loads)(EVIL) for _ in range(2))
    except Exception as e: print(e)
### environment-in-another-mode
import subprocess
os.environ["SAFEHOLD_GUARD"] = "monitor"
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-of-another-policy
import subprocess
open("other.toml", "w").write(open("safehold.toml").read().replace("enforce", "off") if os.path.exists("safehold.toml") else "version=1\nmode='off'\n")
os.environ["SAFEHOLD_POLICY"] = os.path.abspath("other.toml")
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-without-python-path
import subprocess
os.environ.pop("PYTHONPATH", None)
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-with-another-sitecustomize
import subprocess
os.environ["PYTHONPATH"] = os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])
open("sitecustomize.py", "w").write("")
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-without-key
import subprocess
del os.environ["SAFEHOLD_SECRET_KEY"]
subprocess.run([sys.executable, "-c", "import pickle; pickle.loads(%r)" % EVIL])
### environment-emptied-billiard needs=billiard
import billiard
if __name__ == "__main__":
    os.environ.clear(); os.environ["MARK"] = MARK
    p = billiard.get_context("spawn").Process(target=pickle.loads, args=(EVIL,)); p.start(); p.join()
### sub-interpreter-by-capi-of-install needs=_testcapi start=install
guard()
import _testcapi
_testcapi.run_in_subinterp(f"import pickle; pickle.loads({EVIL!r})")
### sub-interpreter-made-before start=install
try: import _interpreters as i
except ImportError: import _xxsubinterpreters as i
n, run = i.create(), getattr(i, "run_string", None) or i.exec
guard()
run(n, f"import pickle; pickle.loads({EVIL!r})")
"""

WAYS = ways("children", _TEXT)
