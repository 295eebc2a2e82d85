"""C modules that the guard changes are made once; what is none of its interpreters, it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from safehold.errors import ConfigError
from safehold.guard import install_with
from tests.guard.test_guard import events, home, run

__all__ = ["home"]

# The functions as they were before the guard was on are found where a program should not look.
_MADE_PAST_THE_GUARD = """
import gc, _pickle
spec = _pickle.__spec__
kind = "builtin" if spec.origin == "built-in" else "dynamic"
create, execute = (
    next(one for one in gc.get_objects() if type(one) is type(len) and one.__name__ == name)
    for name in (f"create_{kind}", f"exec_{kind}")
)
try:
    other = create(spec)
    execute(other)
    print(kind, "the same" if other is _pickle else "another")
except Exception as error:
    print(kind, type(error).__name__)
"""


def test_a_second_unpickler_in_c_is_not_made(home: Path) -> None:
    done = run(home, _MADE_PAST_THE_GUARD)
    kind, what = done.stdout.split(maxsplit=1)
    if kind == "dynamic" and sys.version_info >= (3, 12):
        assert what == "Blocked\n", done
        [event] = events(home)
        assert (event["outcome"], event["detail"]["global"]) == ("refused", "_pickle")
    else:
        assert what in ("RuntimeError\n", "the same\n"), done


def test_a_second_unpickler_is_the_first(home: Path) -> None:
    script = """
import copyreg, importlib, pickle, sys, _pickle
first = _pickle
assert importlib.reload(_pickle) is first
del sys.modules["_pickle"], sys.modules["pickle"]
import pickle, _pickle
assert _pickle is first and pickle.loads(pickle.dumps([1])) == [1]
copyreg.add_extension("decimal", "Decimal", 7)
import decimal
for _ in range(2):
    assert pickle.loads(pickle.dumps(decimal.Decimal(3))) == 3
copyreg.clear_extension_cache()
copyreg.remove_extension("decimal", "Decimal", 7)
print("done")
"""
    done = run(home, script)
    assert done.stdout == "done\n", done.stderr


def test_a_free_threaded_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "abiflags", "t")
    with pytest.raises(ConfigError, match="free-threaded"):
        install_with("enforce", lambda: pytest.fail("not asked for"), environ={})
