"""What turns the guard on again in a child, and what it refuses beside loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from safehold.guard.activation import enable
from safehold.policy import Policy
from tests.guard.test_guard import events, home, run, start, write_policy

__all__ = ["home"]
_EVIL = "b\"cposix\\nsystem\\n(S'touch MARK'\\ntR.\""


def test_an_enabled_environment_acts_where_the_parent_process_was_guarded(
    home: Path, tmp_path: Path
) -> None:
    """Without the variable of the policy, and by the parent's policy."""
    site = tmp_path / "site"
    site.mkdir()
    enable(Policy.load(home / "safehold.toml"), site)
    other = home / "other"
    other.mkdir()
    write_policy(other, top='mode = "monitor"')
    code = (
        f"import site; site.addsitedir({str(site)!r})\n"
        "from safehold import guard as g; print(g.is_installed())\n"
        f"import pickle; pickle.loads({_EVIL})"
    )
    done = start(
        home,
        [sys.executable, "-c", code],
        SAFEHOLD_ENV="",
        SAFEHOLD_GUARD="monitor",
        SAFEHOLD_POLICY=str(other / "safehold.toml"),
    )
    assert done.stdout.strip() == "True", done.stderr
    assert {event["reason"] for event in events(other)} == {"mode monitor"}
    assert not events(home)


def test_what_was_taken_before_is_held_to_a_strict_policy_as_well(home: Path) -> None:
    write_policy(home, tables="[guard]\nstrict = true")
    (home / "script.py").write_text("""
from multiprocessing.reduction import ForkingPickler
import pickle, safehold
safehold.guard.install(safehold.Context.load("safehold.toml"))
class Own: pass
print(type(ForkingPickler.loads(pickle.dumps(Own()))).__name__)
try: ForkingPickler.loads(b"\\x80\\x04K\\x05.")
except pickle.UnpicklingError as error: print(error)
""")
    done = start(home, [sys.executable, "script.py"])
    own, refused = done.stdout.splitlines()
    assert own == "Own"
    assert "strict" in refused


def test_listening_for_configurations_is_refused(home: Path) -> None:
    script = """
import logging.config
try: logging.config.listen(0)
except Exception as error: print(type(error).__name__)
"""
    assert run(home, script).stdout == "Blocked\n"
    assert events(home)[0]["detail"]["global"] == "listen"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no memory file system")
def test_objects_are_pickled_to_memory_of_the_system(home: Path) -> None:
    """Nothing of it outlives the machine, and what is loaded from it is held to plain data."""
    script = """
import os, pickle, tempfile
class Own: pass
with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
    pickle.dump(Own(), file)
    file.flush()
    try: pickle.load(open(file.name, "rb"))
    except pickle.UnpicklingError as error: print(type(error).__name__)
"""
    done = run(home, script)
    assert done.stdout == "Blocked\n", done.stderr
    assert [event["rule"] for event in events(home)] == ["SH171"]


@pytest.mark.parametrize(
    "started",
    [
        "subprocess.run(command, env=own)",
        "subprocess.Popen(command, -1, *[None] * 8, own).wait()",
        "subprocess.run(command, env={os.fsencode(k): os.fsencode(v) for k, v in own.items()})",
        "subprocess.run(command, env=own, close_fds=False)",
        "os.environ.clear(); subprocess.run(command)",
        "os.waitpid(os.posix_spawn(sys.executable, command, own), 0)",
    ],
)
def test_a_child_refuses_in_whatever_environment(home: Path, started: str) -> None:
    """Into the trail, by a key that it is lent, as its own variables have none."""
    script = f"""
import os, subprocess, sys
command = [sys.executable, "-c", {f"import pickle; pickle.loads({_EVIL})"!r}]
own = {{"PATH": os.environ["PATH"]}}
{started}
"""
    done = run(home, script)
    assert done.returncode == 0, done.stderr
    assert [event["detail"]["global"] for event in events(home)] == ["posix.system"]
    assert not (home / "MARK").exists()


def test_a_program_goes_on_seeing_the_environment_as_it_left_it(home: Path) -> None:
    script = """
import os
os.environ.clear()
os.environ["X"] = "1"
os.system("echo ${SAFEHOLD_GUARD} $X")
print(dict(os.environ), os.system.__name__, os.system.__module__)
"""
    done = run(home, script)
    assert sorted(done.stdout.splitlines()) == ["enforce 1", "{'X': '1'} system os"], done.stderr


def test_compiled_templates_of_another_run_are_compiled_again(home: Path) -> None:
    pytest.importorskip("jinja2")
    script = """
import jinja2
cache = jinja2.FileSystemBytecodeCache(".")
def render():
    own = jinja2.Environment(loader=jinja2.DictLoader({"a": "{{ 1 + 1 }}"}), bytecode_cache=cache)
    print(own.get_template("a").render())
render(); render()
"""
    assert run(home, script).stdout.split() == ["2", "2"]
    assert not events(home)
    assert run(home, script).stdout.split() == ["2", "2"]
    [event] = events(home)
    assert (event["rule"], event["detail"]["loader"]) == ("SH176", "jinja2")


def test_a_file_of_compiled_code_is_run_by_its_name(home: Path) -> None:
    script = """
import os, py_compile, runpy
open("a.py", "w").write("print('ran')")
py_compile.compile("a.py", "a.pyc"); py_compile.compile("a.py", "a.bin")
runpy.run_path("a.pyc")
try: runpy.run_path("a.bin")
except Exception as error: print(type(error).__name__)
"""
    assert run(home, script).stdout.split() == ["ran", "Blocked"]


def test_a_lower_limit_of_recursion_stays(home: Path) -> None:
    script = f"""
import pickle, sys
sys.setrecursionlimit(60)
try: pickle.loads({_EVIL})
except Exception as error: print(type(error).__name__, sys.getrecursionlimit())
"""
    assert run(home, script).stdout == "Blocked 60\n"
    assert len(events(home)) == 1


def test_a_program_that_empties_its_environment_loads_what_is_sealed(home: Path) -> None:
    (home / "models/a.pkl").write_bytes(b"\x80\x04K\x05.")
    command = [sys.executable, "-m", "safehold", "seal", "--policy", "safehold.toml"]
    assert start(home, [*command, "models/a.pkl"]).returncode == 0
    script = """
import os, pickle
os.environ.clear()
print(pickle.load(open("models/a.pkl", "rb")))
"""
    assert run(home, script).stdout == "5\n"


def test_a_program_may_give_up_descriptors_and_then_files(home: Path) -> None:
    """Nothing can be started any more to record; what is refused stays so."""
    script = f"""
import pickle, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try: pickle.loads({_EVIL})
except Exception as error: print(type(error).__name__, *error.__notes__)
"""
    done = run(home, script)
    assert done.stdout.startswith("Blocked this refusal could not be recorded"), done.stderr
    assert not (home / "MARK").exists()
