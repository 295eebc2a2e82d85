"""The guard decides the same with its extension in C and without."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from safehold.guard import native
from tests.guard.test_guard import home, run

__all__ = ["home"]

_NEEDED = pytest.mark.skipif(native.native is None, reason="the extension is not built")
_EVIL = "b\"cposix\\nsystem\\n(S'touch MARK'\\ntR.\""


@pytest.fixture(params=["0", "1"], ids=["C", "Python"])
def without(request) -> str:
    """Return what SAFEHOLD_NO_NATIVE is."""
    if request.param == "0" and native.native is None:
        pytest.skip("the extension is not built")
    return request.param


def test_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFEHOLD_NO_NATIVE", "1")
    assert native._found() is None


@_NEEDED
def test_what_was_built_of_another_source_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFEHOLD_NO_NATIVE", raising=False)
    assert native._found() is native.native
    monkeypatch.setattr(native.native, "REVISION", 0)
    assert native._found() is None


def test_a_name_is_refused_whoever_loads(home: Path, without: str) -> None:
    script = """
import sys
from safehold.guard.native import native
for event in (("posix", "system"), ("datetime", "date"), (1, 2), ("os", ["path"]), ("os",)):
    try:
        sys.audit("pickle.find_class", *event)
        print("passed")
    except Exception as error:
        print(type(error).__name__)
print(native is None)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    passed = ["Blocked", "passed", "Blocked", "TypeError", "IndexError"]
    assert done.stdout.split() == [*passed, str(without == "1")], done


def test_a_trace_function_sees_nothing_of_the_hook(home: Path, without: str) -> None:
    script = """
import sys
seen = []
def trace(frame, event, arg):
    seen.append(frame.f_code.co_filename)
sys.audit("pickle.find_class", "datetime", "date")
sys.settrace(trace)
sys.audit("import", "os", "a file", None, None, None)
sys.audit("pickle.find_class", "datetime", "datetime")
sys.settrace(None)
print(seen)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout == "[]\n", done


_LATE = f"""
import _thread, codecs, os, pickle, sys
from safehold.guard.entries import _raw_loads
pickle.loads(pickle.dumps({{1}}))
class Late:
    def __call__(self, *args): pass
    def __del__(self, loads=_raw_loads, evil={_EVIL}, write=os.write):
        try: loads(evil)
        except: write(1, b"refused")
        else: write(1, b"passed")
"""


@pytest.mark.parametrize("keep", ["_thread._local().kept = ", "sys.set_asyncgen_hooks"])
def test_a_name_is_refused_while_the_interpreter_is_cleared(
    home: Path, without: str, keep: str
) -> None:
    done = run(home, f"{_LATE}{keep}(Late())", SAFEHOLD_NO_NATIVE=without)
    assert done.stdout == "refused", done
    assert not (home / "MARK").exists()


@_NEEDED
def test_a_name_is_refused_when_hooks_in_python_are_gone(home: Path) -> None:
    done = run(home, f"{_LATE}codecs.register(Late())", SAFEHOLD_NO_NATIVE="0")
    assert done.stdout == "refused", done
    assert not (home / "MARK").exists()


@_NEEDED
def test_a_hook_that_keeps_others_away_is_an_error(home: Path) -> None:
    script = """
import sys
def keep_away(event, args):
    if event == "sys.addaudithook":
        raise RuntimeError
sys.addaudithook(keep_away)
import safehold
try:
    safehold.guard.install(safehold.Context.load("safehold.toml"))
except RuntimeError as error:
    print(error)
"""
    done = run(home, script, "--mode", "off", SAFEHOLD_NO_NATIVE="0")
    assert done.stdout == "an audit hook of this process keeps others away\n", done


@_NEEDED
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="refused before, by its functions")
def test_a_sub_interpreter_of_before_loads_nothing(home: Path) -> None:
    script = f"""
import _xxsubinterpreters as interpreters
import safehold
before = interpreters.create()
interpreters.run_string(before, "import pickle, sys")
safehold.guard.install(safehold.Context.load("safehold.toml"))
for text in ("pickle.loads({{!r}})", "import sched", "sys.audit('marshal.loads', b'')"):
    try:
        interpreters.run_string(before, text.format({_EVIL}))
        print("passed")
    except interpreters.RunFailedError as error:
        print(error)
"""
    done = run(home, script, "--mode", "off", SAFEHOLD_NO_NATIVE="0")
    assert done.stdout.count("a sub-interpreter is not guarded") == 3, done
    assert not (home / "MARK").exists()
