"""What a refusal says to do next, and who it says has loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from safehold.guard.advice import advice, library_of
from safehold.guard.grants import MINTED, UNTRUSTED, VERIFIED, Grant
from tests.guard.test_guard import events, run, write_policy

_NOT_PLAIN = "app.User is not plain data"


@pytest.mark.parametrize(
    ("loader", "module", "expected"),
    [
        ("pickle", "django.core.cache.backends.locmem", "clear the cache"),
        ("pickle", "django.contrib.sessions.serializers", "JSONSerializer"),
        ("pickle", "diskcache.core", "diskcache.JSONDisk"),
        ("pickle", "kombu.serialization", "accept_content = ['json']"),
        ("pickle", "sqlalchemy.sql.sqltypes", "sqlalchemy.JSON"),
        ("pickle", "numpy.lib._format_impl", "arrays of numbers"),
        ("yaml.constructor", "__main__", "yaml.safe_load"),
        ("xmlrpc.server", "xmlrpc.server", "register_function"),
        ("pickle", "app.views", "safehold.Store.dumps"),
        ("pickle", "djangolike", "safehold.Store.dumps"),
    ],
)
def test_the_library_that_loads_decides_what_to_do(loader: str, module: str, expected: str) -> None:
    assert expected in advice(loader, module, UNTRUSTED, _NOT_PLAIN)


def test_a_file_is_to_be_sealed_in_a_zone_of_its_own() -> None:
    told = advice("pickle", "app", Grant("untrusted", artifact="store/a.pkl"), _NOT_PLAIN)
    assert "safehold seal store/a.pkl" in told
    assert "internal zone" in told


def test_nobody_is_told_to_seal_an_attack() -> None:
    for module in ("app", "diskcache.core"):
        told = advice("pickle", module, UNTRUSTED, "posix.system starts programs")
        assert told.startswith("do not load it")


def test_what_the_process_pickled_itself_is_to_be_values() -> None:
    assert "pickle values" in advice("pickle", "app", MINTED, "posix.system starts programs")
    assert advice("pickle", "app", VERIFIED, _NOT_PLAIN) == ""


@pytest.mark.parametrize("name", [None, "", "app", "djangolike.core", 5])
def test_other_modules_are_no_library(name: object) -> None:
    assert library_of(name) == ""


def test_a_refusal_names_the_module_that_loads_and_what_to_do(tmp_path: Path) -> None:
    write_policy(tmp_path)
    (tmp_path / "models").mkdir()
    script = """
import pickle, shelve, sys, types
class Own: pass
data = b"\\x80\\x04\\x8c\\x08__main__\\x8c\\x03Own\\x93)\\x81."
with open("diskcache.py", "w") as file: file.write("import pickle\\ndef get(data): return pickle.loads(data)\\n")
sys.path.insert(0, ".")
import diskcache
for load in (pickle.loads, diskcache.get, lambda data: shelve.Shelf({b"k": data})["k"]):
    try: load(data)
    except pickle.UnpicklingError as error: print(error)
"""  # noqa: E501
    told = run(tmp_path, script).stdout.splitlines()
    assert len(told) == 3, told
    assert all("__main__.Own is not plain data (untrusted bytes); " in line for line in told)
    assert ["clear the cache" in line for line in told] == [False, True, False]
    modules = [event["detail"]["module"] for event in events(tmp_path)]
    assert modules == ["__main__", "diskcache", "shelve"]


def test_a_library_that_an_adapter_does_not_know_cannot_be_imported(tmp_path: Path) -> None:
    write_policy(tmp_path)
    (tmp_path / "models").mkdir()
    names = (
        "jsonpickle/unpickler.py",
        "joblib/numpy_pickle.py",
        "msgpack/fallback.py",
        "zodbpickle/pickle_3.py",
        "ruamel/yaml/constructor.py",
    )
    for name in names:
        path = tmp_path / "libraries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.touch()
    modules = [name.removesuffix(".py").replace("/", ".") for name in names]
    script = f"""
import importlib, sys
sys.path.insert(0, "libraries")
for name in {modules!r}:
    try: importlib.import_module(name)
    except ImportError as error: print(error.__class__.__name__, error)
    print(name in sys.modules)
"""
    done = run(tmp_path, script)
    told = done.stdout.splitlines()
    assert told[1::2] == ["False"] * len(names), done.stderr
    for name, line in zip(modules, told[::2], strict=True):
        assert line.startswith("AdapterError"), line
        assert name in line
        assert "use a version that safehold supports" in line
    assert {event["rule"] for event in events(tmp_path)} == {"SH176"}
