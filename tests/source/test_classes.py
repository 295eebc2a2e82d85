"""Which names of artifacts count as the tree's own plain classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from safehold.source.classes import classes_at_hand, own_classes

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


def test_classes_at_hand_are_those_a_file_defines_or_imports_by_name(tmp_path):
    write(tmp_path, "app/__init__.py", "")
    write(tmp_path, "app/specs.py", PLAIN)
    write(tmp_path, "app/other.py", "class Far: ...\n")
    write(
        tmp_path,
        "app/train.py",
        "from collections import OrderedDict\nfrom app.specs import Spec as S\nclass Run: ...\n"
        "class Odd:\n    def __reduce__(self): ...\n",
    )

    found = classes_at_hand(tmp_path, ["app/train.py"]).plain

    assert found == {"app.specs.Spec", "app.train.Run"}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("svc/train.py", "from .specs import Spec"),
        ("svc/jobs/train.py", "from ..specs import Spec"),
        ("svc/__init__.py", "from .specs import Spec"),
        ("svc/jobs/__init__.py", "from ..specs import Spec"),
    ],
)
def test_relative_imports_are_followed(tmp_path, file, line):
    write(tmp_path, "svc/specs.py", PLAIN)
    write(tmp_path, file, line + "\n")

    assert classes_at_hand(tmp_path, [file]).plain == {"svc.specs.Spec"}


def test_a_file_that_does_not_parse_has_nothing_at_hand(tmp_path):
    write(tmp_path, "m.py", "class Spec(:\n")

    found = classes_at_hand(tmp_path, ["m.py", "missing.py", "odd-name.py"])

    assert found.plain == found.others == frozenset()


BASE = "class Base:\n    def __setstate__(self, state):\n        eval(state)\n"


@pytest.mark.parametrize(
    "text",
    [
        "from base import Base\nclass Spec(Base): ...\n",
        "from base import Base as B\nclass Spec(B): ...\n",
        "import base\nclass Spec(base.Base): ...\n",
        "import base as b\nclass Spec(b.Base): ...\n",
        "from base import Base\nclass Middle(Base): ...\nclass Spec(Middle): ...\n",
        "from base import Base\nclass Middle(Base): ...\nclass Spec(dict, Middle): ...\n",
        "from scipy.stats import rv_continuous\nclass Spec(rv_continuous): ...\n",
        "import scipy.stats as st\nclass Spec(st.rv_continuous): ...\n",
        "class Meta(type): ...\nclass Base(metaclass=Meta): ...\nclass Spec(Base): ...\n",
        "class Base:\n    def __init_subclass__(cls): ...\nclass Spec(Base): ...\n",
        "def base(): ...\nclass Spec(base()): ...\n",
        "class Spec(Spec): ...\n",
        "class Spec: ...\nSpec.__setstate__ = eval\n",
        "class Spec: ...\nsetattr(Spec, '__setstate__', eval)\n",
        "class Spec: ...\nSpec = eval\n",
        "class Spec: ...\nif True:\n    class Spec:\n        __setstate__ = eval\n",
    ],
)
def test_what_a_class_inherits_or_becomes_counts(tmp_path, text):
    write(tmp_path, "base.py", BASE)
    write(tmp_path, "m.py", text)

    assert own_classes(tmp_path, ["m.Spec"]) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "from sklearn.base import BaseEstimator\nclass Spec(BaseEstimator): ...\n",
        "from typing import Generic, NamedTuple, TypeVar\nclass Spec(Generic[int]): ...\n",
        "from typing import NamedTuple\nclass Spec(NamedTuple):\n    x: int\n",
        "from collections import namedtuple\nclass Spec(namedtuple('Spec', 'x')): ...\n",
        "from plain import Spec as Base\nclass Spec(Base): ...\n",
        "class Spec(ValueError): ...\ndef make():\n    return Spec()\n",
    ],
)
def test_plain_bases_change_nothing(tmp_path, text):
    write(tmp_path, "plain.py", PLAIN)
    write(tmp_path, "m.py", text)

    assert own_classes(tmp_path, ["m.Spec"]) == {"m.Spec"}


# --- what else may be at hand --------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\n",
        "import collections\nPoint = collections.namedtuple('Point', ['x'])\n",
        "from typing import NamedTuple\nclass Point(NamedTuple):\n    x: int\n",
    ],
)
def test_named_tuples_count(tmp_path, line):
    write(tmp_path, "m.py", line)

    assert own_classes(tmp_path, ["m.Point"]) == {"m.Point"}
    assert classes_at_hand(tmp_path, ["m.py"]).plain >= {"m.Point"}


@pytest.mark.parametrize(
    "line", ["Point = other('Point', 'x')\n", "Point = x = namedtuple('P', 'x')\n"]
)
def test_what_only_looks_like_a_named_tuple_does_not_count(tmp_path, line):
    write(tmp_path, "m.py", line)

    assert own_classes(tmp_path, ["m.Point"]) == frozenset()


def test_a_class_of_a_script_is_also_called_main(tmp_path):
    write(tmp_path, "run.py", PLAIN)
    write(tmp_path, "tools/job.py", PLAIN.replace("Spec", "Job") + "__name__ == '__main__'\n")
    write(tmp_path, "tools/lib.py", PLAIN.replace("Spec", "Lib"))

    assert own_classes(tmp_path, ["__main__.Spec", "__main__.Missing"]) == {"__main__.Spec"}
    found = classes_at_hand(tmp_path, ["run.py", "tools/job.py", "tools/lib.py"]).plain
    assert {"__main__.Spec", "__main__.Job", "job.Job", "tools.job.Job"} <= found
    assert "__main__.Lib" not in found


def test_a_class_that_another_script_defines_with_code_is_not_main_s(tmp_path):
    write(tmp_path, "one.py", PLAIN)
    write(tmp_path, "two.py", "class Spec:\n    def __setstate__(self, state): ...\n")

    assert own_classes(tmp_path, ["__main__.Spec"]) == frozenset()


def test_a_test_module_goes_by_the_name_that_pytest_gives_it(tmp_path):
    write(tmp_path, "tests/test_io.py", PLAIN)

    assert "test_io.Spec" in classes_at_hand(tmp_path, ["tests/test_io.py"]).plain


def test_nested_classes_are_at_hand(tmp_path):
    write(tmp_path, "m.py", "class Outer:\n    class Inner:\n        x = 1\n")

    assert classes_at_hand(tmp_path, ["m.py"]).plain >= {"m.Outer", "m.Outer.Inner"}


@pytest.mark.parametrize(
    "line",
    ["from app.cache import put", "from app import cache", "import app.cache as c",
     "from .cache import (\n    put,\n)", "from . import cache", "from .middle import put"],
)  # fmt: skip
def test_what_callers_of_a_writer_have_at_hand_counts(tmp_path, line):
    write(tmp_path, "app/__init__.py", "")
    write(tmp_path, "app/cache.py", "import pickle\n")
    write(tmp_path, "app/middle.py", "from app.cache import put\n")
    write(tmp_path, "app/main.py", f"{line}\n{PLAIN}")
    write(tmp_path, "app/other.py", PLAIN.replace("Spec", "Other"))
    files = ["app/cache.py", "app/main.py", "app/middle.py", "app/other.py"]

    found = classes_at_hand(tmp_path, ["app/cache.py"], files).plain

    assert "app.main.Spec" in found
    assert "app.other.Other" not in found


def test_classes_of_tests_do_not_count_for_their_imports(tmp_path):
    write(tmp_path, "cache.py", "import pickle\n")
    write(tmp_path, "tests/test_cache.py", f"import cache\n{PLAIN}")

    assert classes_at_hand(tmp_path, ["cache.py"], ["tests/test_cache.py"]).plain == frozenset()


def test_too_many_classes_of_callers_are_not_listed(tmp_path):
    write(tmp_path, "cache.py", f"import pickle\n{PLAIN}")
    many = "".join(f"class C{number}:\n    x = 1\n" for number in range(201))
    write(tmp_path, "main.py", f"import cache\n{many}")

    assert classes_at_hand(tmp_path, ["cache.py"], ["main.py"]).plain == {
        "cache.Spec",
        "__main__.Spec",
    }


def test_classes_that_are_not_plain_are_named_apart(tmp_path):
    write(tmp_path, "m.py", "class Own:\n    def __setstate__(self, state): ...\n")

    found = classes_at_hand(tmp_path, ["m.py"])

    assert found.plain == frozenset()
    assert found.others == {"m.Own", "__main__.Own"}
