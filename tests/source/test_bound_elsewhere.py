"""Libraries whose names are bound in unusual places: rewritten and sound, or told and unchanged."""

from __future__ import annotations

import ast

import pytest

from safehold.policy import default_policy
from safehold.source import audit_source

POLICY = default_policy(".")


def audit(source: str):
    return audit_source(source.encode(), "app.py", POLICY)


@pytest.mark.parametrize(
    ("imported", "use"),
    [
        ("import torch", "torch.load(p)"),
        ("import torch as t", "t.load(p)"),
        ("import torch.nn", "torch.load(p)"),
        ("import numpy as np", "np.load(p, allow_pickle=True)"),
        ("import pandas as pd", "pd.read_pickle(p)"),
        ("import yaml", "yaml.load(p, Loader=yaml.Loader)"),
    ],
)
@pytest.mark.parametrize("declared", ["global", "nonlocal"])
def test_an_import_of_a_name_of_another_scope_gets_no_facade_beside_it(imported, use, declared):
    name = imported.split()[-1].partition(".")[0]
    lines = [
        "def f():",
        f"    {declared} {name}",
        f"    {imported}",
        "def g(p):",
        f"    return {use}",
    ]
    if declared == "nonlocal":
        lines = ["def outer():", f"    {name} = None", *(f"    {line}" for line in lines)]
    found = audit("\n".join(lines) + "\n")
    assert found.after is None
    assert any("another scope" in item.message for item in found.diagnostics)


def test_where_the_import_itself_is_what_changes_a_global_name_is_no_obstacle():
    for imported in ("import pickle", "from torch import load", "import joblib.parallel"):
        name = imported.split()[-1].partition(".")[0]
        use = "load(p)" if name == "load" else f"{name}.load(p)"
        source = f"def f():\n    global {name}\n    {imported}\ndef g(p):\n    return {use}\n"
        found = audit(source)
        assert found.is_settled
        assert b"safehold.compat" in found.after


@pytest.mark.parametrize("scope", ["class A:\n    pickle = pickle\n", "class A:\n    p = pickle\n"])
def test_a_class_that_has_the_module_as_its_attribute_is_migrated(scope):
    name = "pickle" if "pickle = " in scope else "p"
    found = audit(f"import pickle\n{scope}    def f(self, p):\n        self.{name}.load(p)\n")
    assert found.after.startswith(b"import safehold.compat.pickle as pickle\n")
    assert found.findings


MIGRATED = {
    "patch by name": "from unittest import mock\nimport torch\n"
    "with mock.patch('torch.load'):\n    torch.load('a')\n",
    "patch.object": "from unittest import mock\nimport torch\n"
    "with mock.patch.object(torch, 'load'):\n    torch.load('a')\n",
    "attribute of an instance": "import pickle\nclass A:\n    def __init__(self):\n"
    "        self.pickle = pickle\n    def f(self, p):\n        self.pickle.load(p)\n",
    "two libraries, one name": "try:\n    from cloudpickle import load as z\n"
    "except ImportError:\n    from pickle import load as z\nz(1)\n",
    "two branches": "try:\n    import dill as pickle\nexcept ImportError:\n    import pickle\n"
    "pickle.load(1)\n",
    "for types alone": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n"
    "def f(t: 'torch.Tensor', p):\n    import torch\n    return torch.load(p)\n",
    "names of a submodule": "from torch.serialization import load\nload('a')\n",
    "a submodule": "import torch.nn\ntorch.load('a')\n",
    "nonlocal that is bound anew": "def f():\n    import pickle\n    def g():\n"
    "        nonlocal pickle\n        pickle = None\n    return pickle.load, g\n",
    "deleted": "import torch, pickle\ntorch.load('a')\npickle.loads(b'')\ndel torch, pickle\n",
    "a condition": "import torch, joblib\nload = joblib.load if __debug__ else torch.load\n"
    "load('a')\n",
    "star of torch": "from torch import *\nload('a')\n",
    "star of numpy": "from numpy import *\nload('a', allow_pickle=True)\n",
    "imported twice": "import torch\nimport torch as t\ntorch.load('a')\nt.load('a')\n",
    "name of the package": "import pickle\nsafehold = 1\npickle.loads(b'')\n",
}
LEFT = {
    "by_use and by import": "try:\n    from torch import load as z\nexcept ImportError:\n"
    "    from joblib import load as z\nz('a')\n",
    "__import__": "p = __import__('pickle')\np.loads(b'')\n",
    "__import__ of torch": "__import__('torch').load('a')\n",
    "nonlocal of two libraries": "def f():\n    import torch\n    def g():\n"
    "        nonlocal torch\n        import joblib as torch\n    return torch.load, g\n",
    "module has the name": "import torch\nsafehold_torch = 1\ntorch.load('a')\n",
    "parameter has the name": "import torch\ndef f(safehold_torch):\n"
    "    return torch.load(safehold_torch)\n",
    "global has the name": "import torch\ndef f():\n    global safehold_torch\n"
    "    safehold_torch = 2\ndef g():\n    return torch.load('a')\n",
    "class has the name": "import torch\nclass A:\n    safehold_torch = 1\n"
    "    x = torch.load('a')\n",
    "comprehension has the name": "import torch\n"
    "x = [torch.load(safehold_torch) for safehold_torch in 'ab']\n",
}


@pytest.mark.parametrize("source", MIGRATED.values(), ids=MIGRATED)
def test_migrated(source):
    found = audit(source)
    assert found.is_settled, found.diagnostics
    ast.parse(found.after)
    assert b"safehold.compat" in found.after
    assert audit(found.after.decode()).after is None


@pytest.mark.parametrize("source", LEFT.values(), ids=LEFT)
def test_told_and_unchanged(source):
    found = audit(source)
    assert found.after is None
    assert found.outcome == "diagnosed"
    assert found.findings
