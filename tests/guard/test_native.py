"""The guard decides the same with its extension in C and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.guard import native
from tests.guard.test_guard import events, home, run

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
def test_a_sub_interpreter_of_before_loads_nothing(home: Path) -> None:
    """The guard refuses to begin beside one that it can list; this one it cannot."""
    script = f"""
try:
    from _interpreters import create, exec as run
except ImportError:
    from _xxsubinterpreters import create, run_string as run
import safehold, sys
before = create()
run(before, "import pickle, sys")
for name in ("_interpreters", "_xxsubinterpreters"): sys.modules.pop(name, None)
safehold.guard.install(safehold.Context.load("safehold.toml"))
for text in ("pickle.loads({{!r}})", "import sched", "sys.audit('marshal.loads', b'')"):
    try: print(run(before, text.format({_EVIL})).msg)
    except Exception as error: print(error)
"""
    done = run(home, script, "--mode", "off", SAFEHOLD_NO_NATIVE="0")
    assert done.stdout.count("a sub-interpreter is not guarded") == 3, done
    found = [(event["rule"], event["detail"]["global"]) for event in events(home)]
    assert found.count(("SH174", "exec")) == 3  # 3.13 then imports in vain, to say so
    assert {rule for rule, _ in found} == {"SH174"}
    assert not (home / "MARK").exists()


_TAGS = st.sampled_from([0, 1, -1, 16, 32, 48, 2**62, -(2**63), 17, 33])


@_NEEDED
@given(most=st.integers(1, 8), steps=st.lists(st.tuples(_TAGS, st.integers(-1, 1)), max_size=60))
def test_tags_are_a_dictionary_without_its_oldest(most: int, steps: list[tuple[int, int]]) -> None:
    tags, model = native.native.Tags(most), {}
    for tag, state in steps:
        if tag not in model and len(model) == most:
            del model[next(iter(model))]
        tags[tag] = model[tag] = state
        assert len(tags) == len(model)
        for each in {tag for tag, _ in steps}:
            assert (each in tags) == (each in model)
            assert tags.get(each) == model.get(each)


@_NEEDED
@pytest.mark.parametrize("wrong", [0, -1, 2**40])
def test_tags_have_a_size(wrong: int) -> None:
    with pytest.raises(ValueError, match="from 1 to"):
        native.native.Tags(wrong)


_OWN = """
import gc, inspect, io, pickle, sys, _pickle
class Own:
    def __init__(self): self.value = [1]
own = pickle.dumps(Own())
"""


def test_entry_points_are_as_the_ones_they_replace(home: Path, without: str) -> None:
    script = f"""{_OWN}
for module in (pickle, _pickle):
    print(module.loads, inspect.signature(module.loads), inspect.signature(module.dumps))
assert pickle.loads(pickle.dumps(pickle.loads)) is pickle.loads is _pickle.loads
print(pickle.loads(pickle.dumps((1, 2), 0), encoding="latin-1"), pickle.loads(bytearray(b"N.")))
print(pickle.dumps({{1: 2}}, protocol=2, fix_imports=False))
for wrong in ((), (b"",), (b"N.", 1), (1,), (bytes([128, 9, 46]),)):
    try: pickle.loads(*wrong)
    except Exception as error: print(type(error).__name__)
for wrong in ((), (1, 2, 3), (lambda: 0,)):
    try: pickle.dumps(*wrong)
    except Exception as error: print(type(error).__name__)
"""
    guarded, plain = (
        run(home, script, *mode, SAFEHOLD_NO_NATIVE=without) for mode in ((), ("--mode", "off"))
    )
    if without == "0":
        assert "<built-in function loads> (data, /, *" in guarded.stdout, guarded
    assert guarded.returncode == plain.returncode == 0, guarded
    assert guarded.stdout.splitlines()[2:] == plain.stdout.splitlines()[2:]


def test_what_is_loaded_leaves_nothing_behind(home: Path, without: str) -> None:
    script = f"""{_OWN}
from safehold.guard.grants import live
class Refuses(Own):
    def __setstate__(self, state): raise KeyError("as it is")
bad = pickle.dumps(Refuses())
from _thread import get_ident
number = get_ident()
def turn():
    assert pickle.loads(own).value == [1] and pickle.loads(b"N.") is None
    for data, error in ((bad, KeyError), (b"N", EOFError), (b"", EOFError)):
        try: pickle.loads(data)
        except error: pass
    assert not live
def counts():
    gc.collect()
    return [sys.getrefcount(one) for one in (own, bad, pickle.loads, live, None, 1)]
turn(), turn()
before = counts()
for _ in range(1000): turn()
assert max(b - a for a, b in zip(before, counts())) < 100, (before, counts())
print("done")
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout == "done\n", done


@_NEEDED
def test_nothing_is_allowed_without_memory(home: Path) -> None:
    pytest.importorskip("_testcapi")
    script = f"""{_OWN}
import _testcapi
from safehold.guard.grants import live
pickle.loads(own)
calls = (
    lambda: pickle.loads(own), lambda: pickle.dumps([1]), lambda: pickle.loads({_EVIL}),
    lambda: pickle.loads(b"cdatetime\\ndate\\n."),
)
for start in range(1, 50):
    for call in calls:
        _testcapi.set_nomemory(start, start + 3)
        try: call()
        except Exception: pass
        finally: _testcapi.remove_mem_hooks()
        assert not live
print(pickle.loads(own).value)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE="0")
    assert done.stdout == "[1]\n", done
    assert not (home / "MARK").exists()


def test_a_load_within_a_load_is_judged_for_itself(home: Path, without: str) -> None:
    script = f"""{_OWN}
class Loads(Own):
    def __setstate__(self, state):
        for untrusted in ({_EVIL}, b"cfractions\\nFraction\\n."):
            try: print(pickle.loads(untrusted))
            except pickle.UnpicklingError as error: print(type(error).__name__)
        print(pickle.loads(own).value)
for _ in range(3): pickle.loads(data := pickle.dumps(Loads()))
print(hash(data) in sys.modules["safehold.guard.minted"].known)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout.split() == 3 * ["Blocked", "Blocked", "[1]"] + ["True"], done
    assert len(events(home)) == 6
    assert not (home / "MARK").exists()


def test_a_load_in_the_body_of_a_module_is_contained(home: Path, without: str) -> None:
    """The module is being imported, but not for the load."""
    (home / "body.py").write_text(f"""{_OWN}
class Acts(Own):
    def __setstate__(self, state):
        if state["value"]: open("MARK", "w")
quiet, loud = Acts(), Acts()
quiet.value = []
quiet, loud = pickle.dumps(quiet), pickle.dumps(loud)
pickle.loads(quiet), pickle.loads(quiet)
for _ in range(3):
    try: pickle.loads(loud)
    except Exception as error: print(type(error).__name__)
""")
    done = run(home, "import sys; sys.path.insert(0, '.'); import body", SAFEHOLD_NO_NATIVE=without)
    assert done.stdout.split() == 3 * ["Blocked"], done
    assert {event["rule"] for event in events(home)} == {"SH173"}
    assert not (home / "MARK").exists()


def test_threads_have_grants_of_their_own(home: Path, without: str) -> None:
    script = f"""{_OWN}
import threading
within, go_on = threading.Event(), threading.Event()
class Waits(Own):
    def __setstate__(self, state):
        within.set()
        go_on.wait()
        sys.audit("builtins.id", 1)
thread = threading.Thread(target=lambda: pickle.loads(pickle.dumps(Waits())))
thread.start()
within.wait()
with open("by the other", "w"): pass
assert pickle.loads(own).value == [1]
try: pickle.loads({_EVIL})
except pickle.UnpicklingError as error: print(type(error).__name__)
go_on.set()
thread.join()
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout == "Blocked\n", done
    assert len(events(home)) == 1


def test_channels_are_read(home: Path, without: str) -> None:
    script = f"""{_OWN}
import fractions, multiprocessing
if __name__ == "__main__":
    queue = multiprocessing.SimpleQueue()
    child = multiprocessing.Process(target=queue.put, args=(fractions.Fraction(1, 2),))
    child.start()
    print(queue.get(), pickle.loads(own).value)
    child.join()
    for untrusted in (b"N.", {_EVIL}):
        try: print(pickle.loads(untrusted))
        except pickle.UnpicklingError as error: print(type(error).__name__)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout.split() == ["1/2", "[1]", "None", "Blocked"], done


def test_a_reader_of_a_channel_is_known_by_its_code(home: Path, without: str) -> None:
    script = f"""{_OWN}
from safehold.guard import channels
half = b"cfractions\\nFraction\\n(I1\\nI2\\ntR."
def read(data): return pickle.loads(data)
def other(data): return pickle.loads(data)
channels.add_reader(read, lambda frame: True)
inner = bytes([128, 5, 149]) + b"x" * 20
read(bytes([128, 5]) + b"C" + bytes([len(inner)]) + inner + b".")
print(sys.modules["safehold.guard.minted"].is_relayed(inner))
for loads in (read, other):
    try: print(loads(half))
    except pickle.UnpicklingError as error: print(type(error).__name__)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout.split() == ["True", "1/2", "Blocked"], done


def test_sealed_bytes_are_verified(home: Path, without: str) -> None:
    script = """
import pickle, safehold
store = safehold.Store(safehold.Context.load("safehold.toml"))
try: pickle.loads(store.dumps([1], codec="pickle", zone="models"))
except safehold.errors.WrongContext as error: print(error.__class__.__name__)
"""
    done = run(home, script, SAFEHOLD_NO_NATIVE=without)
    assert done.stdout == "WrongContext\n", done
