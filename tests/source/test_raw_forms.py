"""Every form of every unsafe call is found; what migration leaves of it, it says."""

from __future__ import annotations

import sys
import types

import pytest

import safehold
from safehold.policy import default_policy
from safehold.source import audit_source
from tests.source.raw_forms import FAMILIES, FORMS
from tests.work import is_linear

# A module without a package is not imported from one, and an array without `allow_pickle` is safe.
NOT_A_FORM = {
    ("submodule of a package", name) for name, family in FAMILIES.items() if "." not in family.mod
} | {(form, "numpy") for form in ("callback", "callback from", "thread")}
CASES = [
    pytest.param(form, name, id=f"{name}-{form}")
    for name in FAMILIES
    for form in FORMS
    if (form, name) not in NOT_A_FORM
]


class Raw(Exception):
    """The raw function was called."""


def _raw(*args: object, **options: object) -> None:
    raise Raw


def _stubs(family) -> dict[str, types.ModuleType]:
    """Return modules of these names, of which the function is raw; a facade's is not."""
    made: dict[str, types.ModuleType] = {}
    parts = family.mod.split(".")
    for count in range(1, len(parts) + 1):
        dotted = ".".join(parts[:count])
        made[dotted] = types.ModuleType(dotted)
        made[dotted].Loader = object
        if count > 1:
            setattr(made[".".join(parts[: count - 1])], parts[count - 1], made[dotted])
    setattr(made[family.mod], family.fn, _raw)
    return made


def reaches(source: bytes, family, monkeypatch) -> bool:
    """Say whether the program gets to the raw function."""
    with monkeypatch.context() as patch:
        for name, module in _stubs(family).items():
            patch.setitem(sys.modules, name, module)
        compat = types.ModuleType("safehold.compat")
        patch.setitem(sys.modules, "safehold.compat", compat)
        patch.setattr(safehold, "compat", compat, raising=False)
        for facade in ("pickle", "joblib", "torch", "numpy", "pandas", "yaml", "data", "dill",
                       "cloudpickle", "shelve"):  # fmt: skip
            stub = types.ModuleType(f"safehold.compat.{facade}")
            stub.Loader = object
            setattr(stub, family.fn, lambda *args, **options: "mild")
            patch.setitem(sys.modules, stub.__name__, stub)
            setattr(compat, facade, stub)
        app = types.ModuleType("app")
        patch.setitem(sys.modules, "app", app)
        try:
            exec(compile(source, "app.py", "exec"), vars(app))  # noqa: S102
            app.go("p")
        except Raw:
            return True
        return False


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_raw_call_is_migrated_or_told(form, name, look, monkeypatch):
    family = FAMILIES[name]
    source = family.fill(FORMS[form])
    assert reaches(source.encode(), family, monkeypatch), "the form is none"
    audit = look(source)
    assert audit.findings
    if audit.after is None or reaches(audit.after, family, monkeypatch):
        assert any(item.is_open for item in audit.diagnostics)


@pytest.mark.parametrize(("module", "function"), [("torch", "load"), ("marshal", "loads")])
def test_the_work_grows_with_the_places_where_a_module_is_kept(module, function):
    policy = default_policy(".")

    def make(size: int):
        functions = "".join(
            f"def f{number}(o, p):\n    o.lib = {module}\n    o.more{number} = o.lib\n"
            f"    return o.lib.{function}(p)\n"
            for number in range(size)
        )
        source = f"import {module}\n{functions}".encode()
        return lambda: audit_source(source, "app.py", policy)

    assert len(make(60)().findings) == 60
    assert is_linear(make, 60)


def test_an_attribute_of_a_module_says_nothing_of_others_of_its_name(look):
    source = "import torch\nprint(torch.serialization)\nkeep(torch)\nx.serialization.load(p)\n"
    assert look(source).findings == ()
