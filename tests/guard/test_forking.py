"""A process that forks while another of its threads is in the middle of the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guard.test_guard import events, home, run

__all__ = ["home"]

_WITHIN = """
import importlib.machinery, os, pickle, select, signal, sys, threading

EVIL = b"cposix\\nsystem\\n(S'touch MARK'\\ntR."
main = threading.get_ident()
within, forked = threading.Event(), threading.Event()

class Stops:
    # Holds the other thread where it has begun to import a module that recording needs.
    def find_spec(self, name, path=None, target=None):
        if name != "safehold.events" or threading.get_ident() == main:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            within.set()
            forked.wait({patience})
            load(module)
        spec.loader.exec_module = exec_module
        return spec

def attack():
    try:
        pickle.loads(EVIL)
    except Exception as error:
        return type(error).__name__

sys.meta_path.insert(0, Stops())
thread = threading.Thread(target=attack)
thread.start()
within.wait()
{fork}
if not pid:
    os._exit(0 if attack() == "Blocked" else 1)
forked.set()
handle = os.pidfd_open(pid)
if not select.select([handle], [], [], 100)[0]:
    os.kill(pid, signal.SIGKILL)
print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread.join()
"""
_AT_ONCE = """
with open("forks.py", "w") as file:
    file.write("import os; pid = os.fork()")
sys.path.insert(0, os.getcwd())
from forks import pid
"""


@pytest.mark.parametrize(
    ("fork", "patience"),
    # One that is itself in an import does not wait for the other thread, which may wait for it.
    [("pid = os.fork()", 0.2), (_AT_ONCE, 100)],
    ids=["waits", "does not wait"],
)
def test_a_child_refuses_and_records_what_another_thread_was_about_to(
    home: Path,
    fork: str,
    patience: float,
) -> None:
    done = run(home, _WITHIN.format(fork=fork, patience=patience))
    assert done.stdout.splitlines() == ["child 0"], done
    assert [event["outcome"] for event in events(home)] == ["refused", "refused"]
    assert not (home / "MARK").exists()


def test_a_child_has_no_grants_of_other_threads(home: Path) -> None:
    done = run(
        home,
        """
import os, pickle, threading
from safehold.guard.grants import live
from safehold.guard.importing import adapting

within, forked = threading.Event(), threading.Event()
class Slow:
    def __setstate__(self, state):
        within.set()
        forked.wait()
    def __getstate__(self):
        return 1
thread = threading.Thread(target=pickle.loads, args=(pickle.dumps(Slow()),))
thread.start()
within.wait()
adapting.append(thread.ident)
assert live
pid = os.fork()
if not pid:
    os._exit(len(live) + len(adapting))
forked.set()
print(os.waitpid(pid, 0)[1])
""",
    )
    assert done.stdout == "0\n", done
