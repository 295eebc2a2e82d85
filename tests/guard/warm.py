"""A process that is forked for each way, so that interpreter and libraries start once.

It is started with the number of a socket that it reads requests from: one line of JSON each, of
the home directory, the modules to import beforehand and the variables to set. The child becomes
the program: what follows its fork is a main module of its own, and the end of a program.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pickle
import select
import signal
import socket
import sys
import threading
import types


def _serve(fd: int, patience: float) -> dict[str, object]:
    """Answer requests; return one in the child that is to run it."""
    with socket.socket(fileno=fd) as channel, channel.makefile("rw") as lines:
        while line := lines.readline():
            asked = json.loads(line)
            for name in asked["needs"]:
                # A library that cannot be imported under the guard is for the way to show.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            # What the trail tells of the imports is none of the way's.
            lines.write("ready\n")
            lines.flush()
            lines.readline()
            gc.freeze()  # the children share what is there already
            pid = os.fork()
            if not pid:
                if asked["collects"]:
                    gc.unfreeze()
                _become(asked)
                return dict(asked)
            lines.write(json.dumps(_wait(pid, patience)) + "\n")
            lines.flush()
    return {}


def _become(asked: dict[str, object]) -> None:
    os.setsid()
    home = str(asked["home"])
    os.chdir(home)
    with open("output", "wb") as output, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for fd in (1, 2):
            os.dup2(output.fileno(), fd)
    os.environ.update(asked["environ"])  # type: ignore[call-overload]
    sys.argv = ["way.py"]
    sys.path[0] = home


def _wait(pid: int, patience: float) -> str:
    handle = os.pidfd_open(pid)
    ended, _, _ = select.select([handle], [], [], patience)
    if not ended:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(handle)
    return str(os.waitstatus_to_exitcode(status)) if ended else "no end"


def _main() -> types.ModuleType:
    main = types.ModuleType("__main__")
    # Absolute, as multiprocessing takes a relative one to be in the directory it was imported in.
    main.__file__ = os.path.abspath("way.py")
    sys.modules["__main__"] = main
    return main


for _name in sys.argv[3:]:
    importlib.import_module(_name)
with contextlib.suppress(Exception):
    # What a first refusal loads is loaded before the first fork.
    pickle.loads(b"cposix\nrmdir\n.")
_asked = _serve(int(sys.argv[1]), float(sys.argv[2]))
if _asked:
    _status = 0
    try:
        with open("way.py", "rb") as _file:
            _code = compile(_file.read(), "way.py", "exec")
        exec(_code, vars(_main()))  # noqa: S102  (a program of this suite)
    except BaseException as _error:  # noqa: BLE001  (shown, as at any program's end)
        _status = 0 if isinstance(_error, SystemExit) and not _error.code else 1
        sys.excepthook(type(_error), _error, _error.__traceback__)
    if not _asked["to_its_end"]:
        # All but the taking down of its modules, which takes longer than the way.
        threading._shutdown()
        atexit._run_exitfuncs()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_status)
