"""Libraries that one module of a tree takes from another: found, and followed to where it is."""

from __future__ import annotations

import pytest

from safehold.policy import default_policy
from safehold.source import audit_tree
from safehold.source.check import LIBRARIES
from safehold.source.reexports import find_reexports

COMPAT = "import torch\nimport pickle\n"
IO = "import torch\n\nload_model = torch.load\n"


@pytest.fixture
def audits(tmp_path):
    def look(files: dict[str, str], **options):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        found = audit_tree(tmp_path, policy=default_policy(tmp_path), **options)
        return {audit.path: audit for audit in found}

    return look


def lines(audit) -> list[int]:
    return [finding.location.line for finding in audit.findings]


def after(audit) -> str:
    return (audit.after or b"").decode()


@pytest.mark.parametrize(
    "source",
    [
        "from app.other import torch\n\ntorch.load('m.pt')\n",
        "from .torch import load\n\nload('m.pt')\n",
        "from app.compat import harmless\n\nharmless.load('m.pt')\n",
        "from app.compat import torch\n\nprint(torch.zeros(1))\n",
        "from app.listed import *\n\nprint(name)\n",
        "from ..app.compat import torch as t\n\n\ndef f(t):\n    return t.load('m.pt')\n",
        "import app.compat\n\napp.compat.load('m.pt')\n",
        "from app import compat\n\ncompat.harmless.load('m.pt')\n",
        "from app.own import load\n\nload('m.pt')\n",
        "from app.listed import *\n\nread('m.joblib')\n",
        "from app.hidden import *\n\n_load('m.pt')\n",
    ],
)
def test_does_nothing_to_names_that_are_no_library(audits, source):
    found = audits(
        {
            "app/__init__.py": "",
            "app/other.py": "torch = {}\n",
            "app/torch.py": "def load(path):\n    return path\n",
            "app/listed.py": "from joblib import load as read\n\n__all__ = ['name']\nname = 1\n",
            "app/hidden.py": "from torch import load as _load\n",
            "app/own.py": "import torch\n\n\ndef load(path):\n    return path\n",
            "app/compat.py": COMPAT + "from . import harmless\n",
            "app/harmless.py": "def load(path):\n    return path\n",
            "app/sub/user.py": source,
        }
    )
    assert not found["app/sub/user.py"].findings
    assert found["app/sub/user.py"].outcome == "unchanged"


@pytest.mark.parametrize(
    ("source", "line", "outcome"),
    [
        ("from .compat import torch\n\ntorch.load('m.pt')\n", 3, "migrated"),
        ("from .compat import torch as t\n\nread = t.load\nread('m.pt')\n", 4, "migrated"),
        ("from app.compat import torch\n\n\ndef f(p):\n    return torch.load(p)\n", 5, "migrated"),
        ("def f(p):\n    from app.compat import torch\n    return torch.load(p)\n", 3, "migrated"),
        ("import app.compat as c\n\nc.torch.load('m.pt')\n", 3, "migrated"),
        ("import app.compat\n\napp.compat.torch.load('m.pt')\n", 3, "migrated"),
        ("from . import compat\n\ncompat.torch.load('m.pt')\n", 3, "migrated"),
        ("from app.compat import (\n    torch,  # it\n)\n\ntorch.load('m.pt')\n", 5, "migrated"),
        ("from app.compat import (\n    # (it)\n    torch,\n)\n\ntorch.load('m')\n", 6, "migrated"),
        ("from app.compat import *\n\ntorch.load('m.pt')\n", 3, "diagnosed"),
        ("from app.starred import torch\n\ntorch.load('m.pt')\n", 3, "diagnosed"),
        ("from app import compat as c\n\nc.pickle.load(c.torch.load('m'))\n", 3, "diagnosed"),
        ("from app.maybe import torch\n\ntorch.load('m.pt')\n", 3, "diagnosed"),
        ("from app.compat import pickle\n\npickle.loads(b'')\n", 3, "unchanged"),
        ("from app.compat import *\n\npickle.loads(b'')\n", 3, "unchanged"),
        ("from app.io import load_model\n\nload_model('m.pt')\n", 3, "unchanged"),
        ("from .io import load_model as read\n\nread('m.pt')\n", 3, "unchanged"),
        ("from app import load_model\n\nload_model('m.pt')\n", 3, "unchanged"),
        ("from . import io\n\nio.load_model('m.pt')\n", 3, "unchanged"),
        ("from app.far import read\n\nread('m.pt')\n", 3, "unchanged"),
        ("from app.again import read\n\nread('m.pt')\n", 3, "unchanged"),
        ("from app.two import load\n\nload('m.joblib')\n", 3, "unchanged"),
    ],
)
def test_finds_what_another_module_hands_on(audits, source, line, outcome):
    found = audits(
        {
            "app/__init__.py": "from .io import load_model\n",
            "app/compat.py": COMPAT,
            "app/io.py": IO,
            "app/far.py": "from .near import read\n",
            "app/near.py": "from app import load_model as read\n",
            "app/again.py": "from .compat import torch\n\nread = torch.load\n",
            "app/two.py": "try:\n    from joblib import load\nexcept ImportError:\n    raise\n",
            "app/starred.py": "from .compat import *\n\n__all__ = ['name']\nname = 1\n",
            "app/maybe.py": "try:\n    import torch\nexcept ImportError:\n    torch = None\n",
            "app/user.py": source,
        }
    )
    audit = found["app/user.py"]
    assert set(lines(audit)) == {line}
    assert audit.outcome == outcome
    if outcome == "unchanged":  # here, and it says where
        assert [(item.line, item.is_open) for item in audit.diagnostics] == [(line, False)]
    if outcome == "migrated":
        assert "safehold.compat.torch as safehold_torch" in after(audit)
        assert "torch.load" not in after(audit).replace("safehold_torch.load", "")


def test_what_is_not_used_where_it_is_imported_is_migrated_there(audits):
    found = audits(
        {
            "compat.py": "import pickle\n\nVERSION = pickle.HIGHEST_PROTOCOL\n",
            "user.py": "from compat import pickle\n\npickle.loads(b'')\n",
            "alone.py": "import pickle\n\nVERSION = pickle.HIGHEST_PROTOCOL\n",
        }
    )
    assert after(found["compat.py"]).startswith("import safehold.compat.pickle as pickle\n")
    assert found["user.py"].outcome == "unchanged"
    assert found["alone.py"].outcome == "unchanged"


def test_a_module_that_others_import_from_gets_no_facade_for_data(audits):
    source = (
        "import pickle\n\nwith open('data/limits.pkl', 'wb') as file:\n"
        "    pickle.dump({'daily': 3}, file)\n"
    )
    taken = {"user.py": "from store import pickle\n\n\nclass Own(pickle.Unpickler):\n    pass\n"}
    assert "compat.data" in after(audits({"store.py": source})["store.py"])
    assert "compat.pickle" in after(audits({"store.py": source, **taken})["store.py"])


def test_what_a_comment_keeps_is_told_where_it_is_used(audits):
    kept = "import pickle  # safehold: ignore[SH151] read by the old fleet\n"
    found = audits(
        {"compat.py": kept, "user.py": "from compat import pickle\n\npickle.loads(b'')\n"}
    )
    assert found["compat.py"].outcome == "unchanged"
    assert found["user.py"].outcome == "diagnosed"


def test_modules_that_import_each_other_come_to_an_end(audits):
    found = audits(
        {
            "one.py": "from two import read, other\n\nread('m.pt')\n",
            "two.py": "from one import other\nfrom three import read\n\nother('m.pt')\n",
            "three.py": "from two import *\nimport torch\n\nread = torch.load\n",
            "four.py": "from zed import torch\n\nread = torch.load\nread('m.pt')\n",
            "zed.py": "import torch\nfrom four import read\n\nread('m.pt')\n",
        }
    )
    assert lines(found["one.py"]) == [3]
    assert not found["two.py"].findings
    assert lines(found["four.py"]) == [4]
    assert lines(found["zed.py"]) == [4]


def test_a_library_is_known_by_its_own_name_in_its_own_tree(audits):
    found = audits(
        {
            "torch/__init__.py": "from pickle import load\n",
            "user.py": "import torch\n\ntorch.load('m.pt')\n",
        }
    )
    assert [finding.rule.name for finding in found["user.py"].findings] == ["torch"]


def test_a_second_look_finds_nothing_to_do(audits, tmp_path):
    files = {
        "compat.py": COMPAT,
        "io.py": IO,
        "user.py": "from compat import pickle, torch\nfrom io import load_model\n\n"
        "pickle.loads(torch.load('a'))\n",
    }
    for name, audit in audits(files).items():
        if audit.after is not None:
            (tmp_path / name).write_bytes(audit.after)
    for audit in audit_tree(tmp_path, policy=default_policy(tmp_path)):
        assert audit.after is None
        assert not audit.findings


def test_only_modules_that_take_a_library_are_parsed_for_it():
    files = {
        "a.py": b"import numpy as np\nimport torch\n\nsave = 1\n",
        "b.py": b"from a import save\nfrom os import path\n",
        "c.py": b"from a import torch\n",
        "d.py": b"import a\n\na.save\n",
        "e.py": b"import a\n\na.torch.load\n",
        "f.py": b"from a import *\n",
        "g.py": b"from .torch import load\n",
        "h.py": b"from g import load\n",
        "i.py": b"from a import (\n    save,  # without torch\n)\n",
    }
    assert find_reexports(files, files.__getitem__, LIBRARIES).takers == {"c.py", "e.py", "f.py"}


@pytest.mark.extras
def test_several_workers_find_the_same(audits, tmp_path):
    files = {"app/compat.py": COMPAT, "app/io.py": IO, "app/user.py": "from app.io import *\n"}
    files |= {f"u{n}.py": "from app.compat import torch\ntorch.load('m')\n" for n in range(4)}
    assert audits(files) == audits(files, jobs=2)
