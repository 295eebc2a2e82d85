"""The guard's parts: what it decides by, what it records, how it is turned on."""

from __future__ import annotations

import importlib
import json
import os
import shelve
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import safehold
from safehold.guard import learn, minted, recording
from safehold.guard.activation import disable, enable, enabled_policy, holds
from safehold.guard.containment import importer_codes
from safehold.guard.plain import plain_names
from safehold.observe.tail import Tail
from safehold.policy import Policy
from safehold.policy.rendering import render_policy

_KEY = "Zq3_8vK1p-Rw5tY7uJ9mN2bX4cD6fG0hLsAeQiOzVyk"
_POLICY = """
version = 1
{top}
[keys]
source = "env:SAFEHOLD_SECRET_KEY"
id = "k1"
[[zone]]
name = "models"
paths = ["models/**"]
trust = "internal"
codecs = ["pickle", "joblib"]
allow = []
{tables}
"""
_EVIL = "b\"cposix\\nsystem\\n(S'touch MARK'\\ntR.\""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory with a policy and a zone."""
    (tmp_path / "models").mkdir()
    write_policy(tmp_path)
    return tmp_path


def write_policy(home: Path, top: str = "", tables: str = "") -> None:
    (home / "safehold.toml").write_text(_POLICY.format(top=top, tables=tables))


def run(home: Path, script: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script under `safehold run`."""
    (home / "script.py").write_text(script)
    command = [sys.executable, "-m", "safehold", "run", "--policy", "safehold.toml", *options,
               "--", sys.executable, "script.py"]  # fmt: skip
    return start(home, command, **environ)


def start(home: Path, command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    source = str(Path(safehold.__file__).parent.parent)
    return subprocess.run(
        command,
        cwd=home,
        env={**os.environ, "PYTHONPATH": source, "SAFEHOLD_SECRET_KEY": _KEY, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def events(home: Path) -> list[dict[str, Any]]:
    """Return what a rule decided."""
    trail = home / "var/safehold/trail"
    rows = Tail(trail).new() if trail.is_dir() else []
    return [row["e"] for row in rows if row["e"].get("rule")]


def test_a_refusal_says_what_and_who_and_is_in_the_trail(home: Path) -> None:
    done = run(home, f"import pickle\npickle.loads({_EVIL})\n")
    assert done.returncode == 1
    assert "safehold.errors.Blocked: posix.system" in done.stderr
    [event] = events(home)
    assert (event["outcome"], event["rule"]) == ("refused", "SH171")
    assert event["detail"]["global"] == "posix.system"
    assert event["detail"]["provenance"] == "untrusted"
    assert event["caller"].endswith("script.py:2")
    assert not (home / "MARK").exists()


def test_a_refusal_in_the_middle_of_a_record_is_recorded_as_well(home: Path) -> None:
    script = f"""
import pickle, sys
def interrupt(event, args):
    if event == "open" and str(args[0]).endswith(".jsonl") and not seen:
        seen.append(args[0])
        try: pickle.loads({_EVIL})
        except pickle.UnpicklingError: pass
seen = []
sys.addaudithook(interrupt)
try: pickle.loads(b"cposix\\nrmdir\\n.")
except pickle.UnpicklingError: pass
"""
    run(home, script)
    assert sorted(event["detail"]["global"] for event in events(home)) == [
        "posix.rmdir", "posix.system",
    ]  # fmt: skip


def test_what_the_program_put_in_the_place_of_a_kept_descriptor_stays_open(tmp_path: Path) -> None:
    kept, inode = recording._descriptors()
    with open(tmp_path / "own", "wb") as own:
        os.dup2(own.fileno(), kept[0])
    ours = list(kept)
    recording._give_up(kept, inode)
    os.close(ours[0])
    for fd in ours[1:]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_monitor_records_and_allows(home: Path) -> None:
    done = run(home, f"import pickle\npickle.loads({_EVIL})\n", "--mode", "monitor")
    assert done.returncode == 0, done.stderr
    assert (home / "MARK").exists()
    found = events(home)
    assert {(event["outcome"], event["reason"]) for event in found} == {("allowed", "mode monitor")}
    assert "SH171" in {event["rule"] for event in found}


def test_off_guards_nothing(home: Path) -> None:
    run(home, f"import pickle\npickle.loads({_EVIL})\n", "--mode", "off")
    assert (home / "MARK").exists()


def test_a_strict_policy_refuses_untrusted_data_too(home: Path) -> None:
    script = "import pickle\nprint(pickle.loads(b'\\x80\\x04K\\x05.'))\n"
    assert run(home, script).stdout == "5\n"
    write_policy(home, tables="[guard]\nstrict = true")
    done = run(home, script)
    assert "not unpickled under a strict policy" in done.stderr
    own = "import pickle\nprint(pickle.loads(pickle.dumps([5])))\n"
    assert run(home, own).stdout == "[5]\n"


def test_a_strict_policy_holds_at_each_entry(home: Path) -> None:
    write_policy(home, tables="[guard]\nstrict = true")
    script = """
import datetime, io, pickle
from safehold.guard import entries
pickle.loads(pickle.dumps(datetime.date(2020, 1, 1)))  # its own, so that plain names are known
data = b"cdatetime\\ndate\\n."
open("a.pkl", "wb").write(data)
class Own(pickle.Unpickler): pass
class Base(pickle.Unpickler.__mro__[1]): pass
class Python(pickle._Unpickler): pass
class Reader:
    def __init__(self):
        file = io.BytesIO(data)
        self.read, self.readline = file.read, file.readline
class Unread(pickle._Unpickler):
    def __init__(self, file):
        super().__init__(file)
        self._file_read = lambda n: file.read(n)
loads = {
    "file": lambda: pickle.load(open("a.pkl", "rb")),
    "buffer": lambda: pickle.load(io.BytesIO(data)),
    "reader": lambda: pickle.load(Reader()),
    "class": lambda: Own(Reader()).load(),
    "base": lambda: Base(Reader()).load(),
    "python": lambda: Python(Reader()).load(),
    "python file": lambda: Python(open("a.pkl", "rb")).load(),
    "python unread": lambda: Unread(io.BytesIO(data)).load(),
    "bytearray": lambda: pickle.loads(bytearray(data)),
    "reference": lambda: entries._raw_loads(data),
}
for name, load in loads.items():
    try: print("loaded", name, load())
    except pickle.UnpicklingError as error: print("refused", name, error)
"""
    done = run(home, script)
    lines = done.stdout.splitlines()
    assert len(lines) == 10, done.stderr
    assert all(line.startswith("refused") and "strict" in line for line in lines), lines


def test_an_unsealed_file_of_an_internal_zone_names_the_command(home: Path) -> None:
    (home / "models/a.pkl").write_bytes(b"\x80\x04K\x05.")
    script = "import pickle\nprint(pickle.load(open('models/a.pkl', 'rb')))\n"
    done = run(home, script)
    assert f"safehold seal {home}/models/a.pkl" in done.stderr
    assert events(home)[-1]["rule"] == "SH172"
    sealed = start(home, [sys.executable, "-m", "safehold", "seal", "--policy", "safehold.toml",
                          "models/a.pkl"])  # fmt: skip
    assert sealed.returncode == 0, sealed.stderr
    assert run(home, script).stdout == "5\n"


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_loads_no_unsealed_file_of_an_internal_zone(home: Path, compress: int) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump([1], home / "models/a.joblib", compress=compress)
    script = "import joblib\nprint(joblib.load('models/a.joblib'))\n"
    assert f"safehold seal {home}/models/a.joblib" in run(home, script).stderr
    assert events(home)[-1]["rule"] == "SH172"


def test_a_shelf_of_an_internal_zone_is_sealed_value_by_value(home: Path) -> None:
    with shelve.open(str(home / "models/s")) as shelf:
        shelf["a"] = [1]
    script = """
import shelve
def show(key):
    try: print(shelf[key])
    except Exception as error: print(type(error).__name__)
with shelve.open("models/s") as shelf:
    show("a")
    shelf["a"], shelf["b"] = [2], [3]
    show("a")
    shelf.dict[b"b"] = shelf.dict[b"a"]
    show("b")
"""
    assert run(home, script).stdout.split() == ["Blocked", "[2]", "WrongContext"]
    assert events(home)[0]["rule"] == "SH172"


def test_objects_are_not_pickled_to_external_files(home: Path) -> None:
    script = "import pickle\nclass A: pass\npickle.dump(A(), open('a.pkl', 'wb'))\n"
    assert "in zone 'external'" in run(home, script).stderr
    assert events(home)[-1]["rule"] == "SH175"
    assert (home / "a.pkl").read_bytes() == b""


def test_every_pickler_asks_about_the_zone_of_its_file(home: Path) -> None:
    script = """
import pickle, io
class A: pass
class C(pickle.Pickler): pass
class P(pickle._Pickler): pass
for number, dump in enumerate((
    lambda file: pickle.dump(A(), file), lambda file: pickle._dump(A(), file),
    lambda file: pickle.Pickler(file).dump(A()), lambda file: pickle._Pickler(file).dump(A()),
    lambda file: C(file).dump(A()), lambda file: P(file).dump(A()),
)):
    with open(f"{number}.pkl", "wb") as file:
        try: dump(file)
        except pickle.PicklingError: print("refused")
        except Exception as error: print(type(error).__name__)
"""
    assert run(home, script).stdout.split() == ["Blocked"] * 6
    assert {event["rule"] for event in events(home)} == {"SH175"}
    assert not any((home / f"{number}.pkl").read_bytes() for number in range(6))


def test_plain_data_is_not_pickled_to_a_zone_of_data(home: Path) -> None:
    (home / "data").mkdir()
    write_policy(home, tables="[[zone]]\nname = 'data'\npaths = ['data/**']\n")
    script = "import pickle\npickle.dump([1], open('data/a.pkl', 'wb'))\n"
    assert "in zone 'data'" in run(home, script).stderr


def test_bytes_that_stand_for_code_are_contained(home: Path) -> None:
    """A class that no table names, and that acts when it is made: what it does is refused."""
    script = """
import pickle
class Quiet:
    def __setstate__(self, state): open("MARK", "w")
    def __getstate__(self): return {"x": 1}
pickle.loads(pickle.dumps(Quiet()))
"""
    done = run(home, script)
    assert "an unpickle that is live does open 'MARK', 'w'" in done.stderr
    assert events(home)[-1]["rule"] == "SH173"
    assert not (home / "MARK").exists()


def test_an_import_within_an_unpickle_may_write_its_cache(home: Path) -> None:
    (home / "late.py").write_text("class Late:\n    pass\n")
    script = """
import pickle, sys
sys.path.insert(0, ".")
import late
data = pickle.dumps(late.Late())
del sys.modules["late"], late
print(type(pickle.loads(data)).__name__)
"""
    assert run(home, script).stdout == "Late\n"


@pytest.mark.parametrize("wanted", ["caller.py", "other.py"])
def test_requires_attests_the_caller(home: Path, wanted: str) -> None:
    write_policy(home, tables=f"[code]\ntrusted = ['{wanted}']")
    (home / "api.py").write_text(
        "import safehold\n@safehold.guard.requires('models')\ndef load(): return 'loaded'\n"
    )
    (home / "caller.py").write_text("import api\ndef call(): return api.load()\n")
    script = """
import sys
sys.path.insert(0, ".")
import api, caller, os
try: print(caller.call())
except Exception as error: print(type(error).__name__)
forged = compile("print(api.load())", os.path.abspath("caller.py"), "exec")
try: exec(forged)
except Exception as error: print(type(error).__name__)
"""
    first = "loaded" if wanted == "caller.py" else "Blocked"
    assert run(home, script).stdout.split() == [first, "Blocked"]


def test_a_sealed_file_is_loaded_for_trusted_code_only(home: Path) -> None:
    write_policy(home, tables="[code]\ntrusted = ['caller.py']")
    (home / "models/a.pkl").write_bytes(b"\x80\x04K\x05.")
    sealed = start(home, [sys.executable, "-m", "safehold", "seal", "--policy", "safehold.toml",
                          "models/a.pkl"])  # fmt: skip
    assert sealed.returncode == 0, sealed.stderr
    load = "with open('models/a.pkl', 'rb') as file: print(pickle.load(file))"
    (home / "caller.py").write_text(f"import pickle\ndef call():\n    {load}\n")
    script = f"""
import os, pickle, sys
sys.path.insert(0, ".")
import caller
caller.call()
forged = compile({load!r}, os.path.abspath("caller.py"), "exec")
try: exec(forged)
except pickle.UnpicklingError as error: print(type(error).__name__)
try: pickle.load(open("models/a.pkl", "rb"))
except pickle.UnpicklingError as error: print(type(error).__name__)
"""
    done = run(home, script)
    assert done.stdout.split() == ["5", "Blocked", "Blocked"], done.stderr


def test_children_are_guarded_with_an_environment_of_their_own(home: Path) -> None:
    script = f"""
import subprocess, sys, os
child = {f"import pickle; pickle.loads({_EVIL})"!r}
for env in (None, {{"PATH": os.environ["PATH"], "PYTHONPATH": "."}}):
    subprocess.run([sys.executable, "-c", child], env=env)
"""
    done = run(home, script)
    assert done.returncode == 0, done.stderr
    assert not (home / "MARK").exists()
    assert done.stderr.count("Blocked") == 2


def test_install_guards_a_running_program_and_its_children(home: Path) -> None:
    (home / "script.py").write_text(
        f"""
import subprocess, sys, safehold
safehold.guard.install(safehold.Context.load("safehold.toml"))
safehold.guard.install(safehold.Context.load("safehold.toml"))  # as a child by spawn does
import pickle
try: pickle.loads({_EVIL})
except pickle.UnpicklingError as error: print(error.rule)
child = "import pickle, safehold.guard as g; print(g.is_installed())"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout)
"""
    )
    done = start(home, [sys.executable, "script.py"])
    assert done.stdout.split() == ["SH171", "True"], done.stderr


def test_a_policy_that_cannot_be_used_stops_the_program(home: Path) -> None:
    done = run(home, "print('ran')", SAFEHOLD_SECRET_KEY="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SAFEHOLD_SECRET_KEY" in done.stderr
    broken = start(home, [sys.executable, "-c", "print('ran')"], SAFEHOLD_GUARD="enforce",
                   PYTHONPATH=f"{Path(safehold.guard.__file__).parent / 'boot'}:"
                   f"{Path(safehold.__file__).parent.parent}", SAFEHOLD_POLICY="")  # fmt: skip
    assert (broken.returncode != 0, broken.stdout) == (True, "")


def test_own_sitecustomize_runs_as_before(home: Path) -> None:
    (home / "own").mkdir()
    (home / "own/sitecustomize.py").write_text("print('mine')\n")
    source = str(Path(safehold.__file__).parent.parent)
    done = run(home, "print('ran')", PYTHONPATH=f"{source}:{home / 'own'}")
    assert done.stdout.splitlines()[-2:] == ["mine", "ran"]


# -- an environment


def test_enable_and_disable_write_and_remove_two_files(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    policy = Policy.load(home / "safehold.toml")
    paths = enable(policy, site)
    assert sorted(site.iterdir()) == sorted(paths)
    assert enabled_policy(site) == (str(home / "safehold.toml"), "SAFEHOLD_ENV")
    assert disable(site) == list(paths)
    assert enabled_policy(site) is None
    assert disable(site) == []


@pytest.mark.parametrize(("value", "on"), [("production", True), ("development", False)])
def test_an_enabled_environment_acts_where_the_activation_holds(
    home: Path, tmp_path: Path, value: str, on: bool
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    policy = Policy.load(home / "safehold.toml")
    assert holds(policy, {"SAFEHOLD_ENV": value}) is on
    enable(policy, site)
    code = f"import site; site.addsitedir({str(site)!r}); from safehold import guard as g"
    code = f"{code}; print(g.is_installed())"
    done = start(home, [sys.executable, "-c", code], SAFEHOLD_ENV=value)
    assert done.stdout.strip() == str(on), done.stderr


def test_an_enabled_environment_without_its_policy_does_not_start(
    home: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    enable(Policy.load(home / "safehold.toml"), site)
    (home / "safehold.toml").unlink()
    code = f"import site; site.addsitedir({str(site)!r}); print('ran')"
    done = start(home, [sys.executable, "-c", code], SAFEHOLD_ENV="production")
    assert (done.returncode, done.stdout) == (70, "")


def test_status_tells_what_applies(home: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    enable(Policy.load(home / "safehold.toml"), site)
    command = [sys.executable, "-m", "safehold", "guard", "status", "--directory", str(site),
               "--format", "json"]  # fmt: skip
    found = json.loads(start(home, command, SAFEHOLD_ENV="production").stdout)
    assert (found["enabled"], found["holds"], found["mode"], found["on"]) == (
        True, True, "enforce", False,
    )  # fmt: skip


# -- learning


def test_what_was_monitored_becomes_a_policy_under_which_it_runs(home: Path) -> None:
    (home / "store").mkdir()
    script = """
import pickle, sys
class Own: pass
path = "store/own.pkl"
try: made = pickle.load(open(path, "rb"))
except FileNotFoundError: made = Own()
with open(path, "wb") as file: pickle.dump(made, file)
print(type(made).__name__)
"""
    (home / "app.py").write_text("class Own: pass\n")
    script = script.replace(
        "class Own: pass", "import sys; sys.path.insert(0, '.')\nfrom app import Own"
    )
    assert "Blocked" in run(home, script).stderr
    (home / "store/own.pkl").unlink()  # which the program had opened to write
    for _ in range(2):
        assert run(home, script, "--mode", "monitor").stdout == "Own\n"
    command = [sys.executable, "-m", "safehold", "guard", "learn", "--policy", "safehold.toml",
               "--format", "json"]  # fmt: skip
    done = start(home, command)
    learned = json.loads(done.stdout)
    assert learned["refused"] == []
    assert learned["seal"] == [f"{home}/store/own.pkl"]
    (home / "safehold.toml").write_text(learned["policy"])
    sealed = start(home, [sys.executable, "-m", "safehold", "seal", "--policy", "safehold.toml",
                          *learned["seal"]])  # fmt: skip
    assert sealed.returncode == 0, sealed.stderr
    assert run(home, script).stdout == "Own\n"


def test_what_is_dangerous_is_never_learned(home: Path) -> None:
    row = {"e": {"reason": "mode monitor", "rule": "SH171", "artifact": "store/a.pkl",
                 "detail": {"global": "posix.system"}}}  # fmt: skip
    policy = Policy.load(home / "safehold.toml")
    wider, refused = learn.widened(policy, learn.learn([row], policy))
    assert [line.partition(":")[0] for line in refused] == ["posix.system"]
    assert "posix" not in render_policy(wider)


def test_what_came_from_no_file_or_from_elsewhere_is_not_learned(home: Path) -> None:
    seen = {"reason": "mode monitor", "rule": "SH171", "detail": {"global": "app.Own"}}
    rows = [{"e": seen}, {"e": {**seen, "artifact": "/elsewhere/a.pkl"}}]
    policy = Policy.load(home / "safehold.toml")
    learned = learn.learn(rows, policy)
    assert learned.zones == {}
    assert sorted(learned.refused) == [
        f"/elsewhere/a.pkl is outside the policy's root {policy.root}",
        "pickle: app.Own",
    ]


# -- parts


def test_plain_names_reach_nothing() -> None:
    names = plain_names()
    assert ("builtins", "set") in names
    assert ("datetime", "date") in names
    for name in ("getattr", "type", "eval", "open"):
        assert ("builtins", name) not in names


def test_plain_names_cannot_be_changed() -> None:
    """A stream that sets attributes of a class would change it for the whole process."""
    immutable = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
    for module, name in sorted(plain_names()):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type):
            assert found.__flags__ & immutable, (module, name)
        else:
            assert not hasattr(found, "__dict__"), (module, name)


def test_bytes_are_known_again_and_others_are_not() -> None:
    minted.remember(b"made here")
    assert minted.is_minted(b"made here")
    assert not minted.is_minted(b"made there")


@pytest.mark.parametrize(("seed", "known"), [("random", False), ("0", True), ("17", True)])
def test_bytes_are_known_by_a_key_that_nobody_knows(home: Path, seed: str, known: bool) -> None:
    code = "from safehold.guard import minted; print(minted.tag is not hash)"
    done = start(home, [sys.executable, "-c", code], PYTHONHASHSEED=seed)
    assert done.stdout.strip() == str(known), done.stderr


def test_what_came_through_a_channel_within_a_message_is_known() -> None:
    inner = b"\x80\x05\x95" + b"x" * 20
    minted.relay(b"\x80\x05C" + bytes([len(inner)]) + inner + b".")
    assert minted.is_relayed(inner)
    assert not minted.is_relayed(inner[:-1])


def test_import_system_is_known_by_its_code() -> None:
    import importlib._bootstrap_external as system

    assert id(system.SourceLoader.source_to_code.__code__) in importer_codes()
    assert id(json.loads.__code__) not in importer_codes()


def test_a_refusal_of_a_grandchild_with_a_false_name_is_recorded(home: Path) -> None:
    inner = f"import pickle; pickle.loads({_EVIL})"
    child = (
        f"import subprocess; subprocess.run(['none', '-c', {inner!r}], "
        f"executable={sys.executable!r}, env={{}})"
    )
    run(home, f"""
import subprocess, sys
subprocess.run(["neither", "-c", {child!r}], executable=sys.executable, env={{}})
""")  # fmt: skip
    assert [event["detail"]["global"] for event in events(home)] == ["posix.system"]
    assert not (home / "MARK").exists()
