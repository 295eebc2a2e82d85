"""Which source file asked for an artifact."""

from __future__ import annotations

import sys
import textwrap

import pytest

from safehold.artifacts.callers import calling_file, relative_file
from safehold.errors import Blocked

HERE = __file__


def run_as(name: str, source: str, **names: object) -> dict[str, object]:
    space = dict(names)
    exec(compile(textwrap.dedent(source), name, "exec"), space)  # noqa: S102
    return space


def test_the_nearest_frame_outside_is_the_caller():
    assert calling_file() == HERE
    assert run_as("/srv/app.py", "name = call()", call=calling_file)["name"] == "/srv/app.py"


def test_frames_of_the_package_are_passed_over(tmp_path):
    import safehold

    own = safehold.__file__
    space = run_as(own, "def inner(): return call()", call=calling_file)
    assert space["inner"]() == HERE
    imported = run_as("<frozen importlib._bootstrap>", "def run(f): return f()")
    assert imported["run"](calling_file) == HERE


def test_a_directory_that_begins_like_the_package_is_not_the_package():
    import safehold

    sibling = safehold.__file__.replace("__init__.py", "").rstrip("/") + "_evil/x.py"
    assert run_as(sibling, "name = call()", call=calling_file)["name"] == sibling


def test_joblib_loads_on_behalf_of_its_caller(monkeypatch):
    class Joblib:
        __file__ = "/site/joblib/__init__.py"

    monkeypatch.setitem(sys.modules, "joblib", Joblib)
    space = run_as("/site/joblib/memory.py", "def run(f): return f()")
    assert space["run"](calling_file) == HERE
    other = run_as("/site/joblib_evil/memory.py", "def run(f): return f()")
    assert other["run"](calling_file) == "/site/joblib_evil/memory.py"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("{root}/src/a.py", "src/a.py"),
        ("{root}/src/../src/a.py", "src/a.py"),
        ("{root}/link.py", None),
        ("{root}_evil/a.py", None),
        ("<string>", None),
        ("<none>", None),
        ("/elsewhere/a.py", None),
    ],
)
def test_where_a_source_file_really_is(name, expected, tmp_path):
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").touch()
    (tmp_path / "outside.py").touch()
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    assert relative_file(name.format(root=root), root) == expected


# --- as part of reading --------------------------------------------------------------------


def load_as(world, name: str):
    return run_as(name, "value = load(path)", load=world.store.load, path=world.root / "models/a.p")


@pytest.fixture
def sealed(world):
    world.store.dump({"a": 1}, world.root / "models/a.p")
    world.store.dump({"a": 1}, world.root / "models/a.json")
    return world


def test_a_listed_file_may_load(sealed):
    world = sealed.again(trusted=("src/**",))
    assert load_as(world, f"{world.root}/src/app.py")["value"] == {"a": 1}
    assert world.events.rows[-1].outcome == "allowed"


@pytest.mark.parametrize("name", ["{root}/plugins/a.py", "<string>", "/usr/lib/x.py"])
def test_any_other_file_is_blocked_before_a_type_is_resolved(name, sealed, monkeypatch):
    world = sealed.again(trusted=("src/**",))
    monkeypatch.setattr("safehold.allow.AllowList.resolve", lambda *_: pytest.fail("resolved"))
    caller = name.format(root=world.root)
    with pytest.raises(Blocked) as caught:
        load_as(world, caller)
    assert (caught.value.rule, caught.value.zone, caught.value.caller) == (
        "SH117", "models", caller,
    )  # fmt: skip
    (event,) = world.events.rows
    assert (event.outcome, event.reason, event.rule, event.caller) == (
        "refused", "Blocked", "SH117", caller,
    )  # fmt: skip


def test_an_empty_list_trusts_nobody_and_data_needs_no_trust(sealed):
    world = sealed.again(trusted=())
    with pytest.raises(Blocked):
        load_as(world, f"{world.root}/src/app.py")
    assert world.store.load(world.root / "models/a.json") == {"a": 1}


def test_monitor_mode_records_and_goes_on_and_off_is_silent(sealed):
    world = sealed.again(trusted=("src/**",), mode="monitor")
    assert load_as(world, "/x.py")["value"] == {"a": 1}
    assert [(event.outcome, event.rule) for event in world.events.rows] == [
        ("allowed", "SH117"), ("allowed", ""),
    ]  # fmt: skip
    world = sealed.again(trusted=("src/**",), mode="off")
    assert load_as(world, "/x.py")["value"] == {"a": 1}
    assert [event.rule for event in world.events.rows] == [""]


def test_a_root_that_is_a_link_is_resolved_before_comparing(sealed, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(sealed.root)
    world = sealed.again(trusted=("src/**",), root=link)
    assert load_as(world, f"{link}/src/app.py")["value"] == {"a": 1}
    assert load_as(world, f"{sealed.root}/src/app.py")["value"] == {"a": 1}
