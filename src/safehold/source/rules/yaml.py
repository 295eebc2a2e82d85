"""SH163: PyYAML with a loader that builds Python objects."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from safehold.findings import Rule, Severity
from safehold.source.entries import last_name, literal
from safehold.source.row import Argument, Example, Library, SourceRule

if TYPE_CHECKING:
    from safehold.source.scopes import Binding, Module, Scope

RULE = Rule(
    id="SH163",
    name="yaml-loader",
    title="A YAML document is loaded with a loader that builds Python objects",
    why="Tags of a document (`!!python/object/apply:os.system`) name functions that Loader and "
    "UnsafeLoader call, and FullLoader did so in several releases: whoever can write the document "
    "runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: the call gets the name of safehold.compat.yaml, "
    "which refuses such tags; or load with yaml.safe_load.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=(
        "https://pyyaml.org/wiki/PyYAMLDocumentation",
        "https://nvd.nist.gov/vuln/detail/CVE-2020-14343",
    ),
)

_SAFE = frozenset({"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"})
_DEPTH = 8


def _is_unsafe(call: ast.Call | None, scope: Scope, module: Module) -> bool:
    """Whether a load is given no loader, or one that is not known to build plain data alone.

    What is handed on, without a call, may be given any.
    """
    if call is None:
        return True
    loader = call.args[1] if len(call.args) > 1 else None
    for keyword in call.keywords:
        if keyword.arg == "Loader":
            loader = keyword.value
    if loader is None:
        return last_name(call.func) != "partial" or not call.args[1:]
    return not _is_safe(loader, scope, module)


def _is_safe(loader: ast.expr, scope: Scope, module: Module, depth: int = 0) -> bool:
    """Whether a loader is one of PyYAML's safe ones, or a class or name of this module for one."""
    if last_name(loader) in _SAFE:
        return True
    if depth > _DEPTH:
        return False
    if isinstance(loader, ast.Name):
        bound = list(scope.lookup(loader.id))
        return bool(bound) and all(
            _is_bound_safely(loader.id, owner, binding, module, depth + 1)
            for owner, binding in bound
        )
    parts = _alternatives(loader)
    return bool(parts) and all(_is_safe(part, scope, module, depth + 1) for part in parts)


def _alternatives(loader: ast.expr) -> Sequence[ast.expr]:
    """Return what an expression can be: CSafeLoader if there is one, else SafeLoader."""
    if isinstance(loader, ast.IfExp):
        return loader.body, loader.orelse
    if isinstance(loader, ast.BoolOp):
        return loader.values
    if isinstance(loader, ast.Call) and last_name(loader.func) == "getattr":
        named = literal(loader.args[1]) if len(loader.args) > 1 else None
        return (ast.Name(named or ""), *loader.args[2:])
    return ()


def _is_bound_safely(name: str, scope: Scope, binding: Binding, module: Module, depth: int) -> bool:
    if binding.alias is not None:
        return binding.alias.name.rpartition(".")[2] in _SAFE
    if binding.value is not None:
        return _is_safe(binding.value, scope, module, depth)
    bases = [
        inner.node.bases
        for inner in module.scopes
        if isinstance(inner.node, ast.ClassDef)
        and inner.node.name == name
        and inner.parent is scope
    ]
    return bool(bases) and all(
        found and all(_is_safe(base, scope, module, depth) for base in found) for found in bases
    )


LIBRARY = Library(
    name="yaml",
    modules=("yaml",),
    facade="safehold.compat.yaml",
    reads={
        name: Argument(0, ("stream",))
        for name in (
            "load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all",
        )
    },
    writes={},
    value=Argument(0, ("data",)),
    by_use=True,
    files="plain",
    only_if={"load": _is_unsafe, "load_all": _is_unsafe},
)  # fmt: skip

YAML = SourceRule(
    rule=RULE,
    names=("yaml",),
    library=LIBRARY,
    bad=(
        Example(
            "import yaml\n\nvalue = yaml.load(open('c.yml'), Loader=yaml.FullLoader)\n",
            (3,),
            "import yaml, safehold.compat.yaml as safehold_yaml\n\n"
            "value = safehold_yaml.load(open('c.yml'), Loader=yaml.FullLoader)\n",
        ),
        Example(
            "from yaml import Loader, load\n\nvalue = load('a: 1', Loader)\n",
            (3,),
            "from safehold.compat.yaml import Loader, load\n\nvalue = load('a: 1', Loader)\n",
        ),
        Example(
            "import yaml\n\nfor value in yaml.unsafe_load_all('a: 1'):\n    print(value)\n",
            (3,),
            "import yaml, safehold.compat.yaml as safehold_yaml\n\n"
            "for value in safehold_yaml.unsafe_load_all('a: 1'):\n    print(value)\n",
        ),
        Example(
            "import yaml\n\n\nclass Own(yaml.Loader):\n    pass\n\n\nyaml.load('a: 1', Own)\n",
            (8,),
            "import yaml, safehold.compat.yaml as safehold_yaml\n\n\n"
            "class Own(yaml.Loader):\n    pass\n\n\nsafehold_yaml.load('a: 1', Own)\n",
        ),
    ),
    good=(
        Example("import yaml\n\nvalue = yaml.safe_load(open('c.yml'))\n"),
        Example("import yaml\n\nvalue = yaml.load(open('c.yml'), Loader=yaml.SafeLoader)\n"),
        Example(
            "import yaml\n\n\nclass Own(yaml.SafeLoader):\n    pass\n\n\nyaml.load('a: 1', Own)\n"
        ),
        Example(
            "import yaml\n\ntry:\n    from yaml import CSafeLoader as Fast\n"
            "except ImportError:\n    from yaml import SafeLoader as Fast\n\n"
            "yaml.load('a: 1', Loader=Fast)\n"
        ),
        Example("from .yaml import load\n\nload('c.yml')\n"),
    ),
)
