"""Which names of artifacts count as the tree's own plain classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from safehold.source.classes import own_classes

PLAIN = "class Spec:\n    size = 1\n    def area(self):\n        return self.size\n"


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("app/specs.py", "app.specs.Spec"),
        ("src/app/specs.py", "app.specs.Spec"),
        ("app/__init__.py", "app.Spec"),
        ("specs.py", "specs.Spec"),
    ],
)
def test_a_plain_class_is_found_where_it_would_be_imported_from(tmp_path, file, name):
    write(tmp_path, file, PLAIN)

    assert own_classes(tmp_path, [name]) == {name}


@pytest.mark.parametrize(
    "text",
    [
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Spec:\n    size: int\n",
        "import enum\nclass Spec(enum.Enum):\n    A = 1\n",
        "class Base: ...\nclass Spec(Base):\n    def __init__(self, x):\n        self.x = x\n",
    ],
)
def test_dataclasses_and_subclasses_count(tmp_path, text):
    write(tmp_path, "m.py", text)

    assert own_classes(tmp_path, ["m.Spec"]) == {"m.Spec"}


@pytest.mark.parametrize(
    "method",
    ["__setstate__", "__reduce__", "__reduce_ex__", "__new__", "__setattr__", "__getattr__",
     "__del__", "__setitem__", "__hash__", "append", "extend"],
)  # fmt: skip
def test_a_class_whose_loading_runs_its_code_does_not_count(tmp_path, method):
    write(tmp_path, "m.py", f"class Spec:\n    def {method}(self, *rest):\n        pass\n")

    assert own_classes(tmp_path, ["m.Spec"]) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "class Spec(metaclass=Meta): ...\n",
        "@register\nclass Spec: ...\n",
        "class Spec: ...\nclass Spec: ...\n",
        "class Spec:\n    __setstate__ = run\n",
        "def Spec(): ...\n",
        "Spec = type('Spec', (), {})\n",
        "class Spec(:\n",
        "",
    ],
)
def test_what_is_not_plainly_one_class_does_not_count(tmp_path, text):
    write(tmp_path, "m.py", text)

    assert own_classes(tmp_path, ["m.Spec"]) == frozenset()


@pytest.mark.parametrize(
    "name", ["", "Spec", "os.system", "m..Spec", "..m.Spec", "m.Spec.", "/m.Spec"]
)
def test_names_that_lead_nowhere_do_not_count(tmp_path, name):
    write(tmp_path, "m.py", PLAIN)

    assert own_classes(tmp_path, [name]) == frozenset()


def test_a_class_outside_of_the_tree_does_not_count(tmp_path):
    write(tmp_path, "outside/m.py", PLAIN)
    (tmp_path / "tree").mkdir()

    assert own_classes(tmp_path / "tree", ["...outside.m.Spec", "m.Spec"]) == frozenset()


def test_nested_classes_are_followed(tmp_path):
    write(tmp_path, "m.py", "class A:\n    class B:\n        x = 1\n")

    assert own_classes(tmp_path, ["m.A.B", "m.A.C"]) == {"m.A.B"}
