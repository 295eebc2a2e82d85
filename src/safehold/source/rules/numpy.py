"""SH161: NumPy's files of objects, which are pickles."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from safehold.findings import Rule, Severity
from safehold.source.row import Argument, Example, Library, SourceRule

if TYPE_CHECKING:
    from safehold.source.scopes import Module, Scope

RULE = Rule(
    id="SH161",
    name="numpy-objects",
    title="NumPy reads or writes arrays of objects, which run as code",
    why="With allow_pickle=True, numpy.load unpickles arrays of objects: whoever can write the "
    "file runs any command in the service.",
    remedy="Run `safehold migrate PATH --write`: load, save and savez of the module get the names "
    "of safehold.compat.numpy, which seals files; or save arrays without objects and load them "
    "with allow_pickle=False.",
    severity=Severity.CRITICAL,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    score=10.0,
    fix="safe",
    references=("https://numpy.org/doc/stable/reference/generated/numpy.load.html",),
)

_IO = ("load", "save", "savez", "savez_compressed")


def _may_pickle(call: ast.Call | None, scope: Scope, module: Module) -> bool:
    """Whether a call may be part of a pair that pickles: one call of its module says that it does.

    What one of them writes another reads, so all of them move together.
    """
    del call, scope
    return any(
        _allows(item.value)
        for node, _ in module.calls
        for item in node.keywords
        if item.arg == "allow_pickle"  # an argument that nothing else has
    )


def _allows(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and not value.value)


LIBRARY = Library(
    name="numpy",
    modules=("numpy",),
    facade="safehold.compat.numpy",
    reads={"load": Argument(0, ("file",))},
    writes={name: Argument(0, ("file",)) for name in _IO[1:]},
    value=Argument(1, ("arr",)),
    same={f"lib.npyio.{name}": name for name in _IO},
    by_use=True,
    only_if=dict.fromkeys(_IO, _may_pickle),
)

NUMPY = SourceRule(
    rule=RULE,
    names=("allow_pickle",),
    library=LIBRARY,
    bad=(
        Example(
            "import numpy as np\n\nnp.save('x.npy', [{}])\nnp.load('x.npy', allow_pickle=True)\n",
            (3, 4),
            "import numpy as np, safehold.compat.numpy as safehold_numpy\n\n"
            "safehold_numpy.save('x.npy', [{}])\n"
            "safehold_numpy.load('x.npy', allow_pickle=True)\n",
        ),
        Example(
            "import numpy\nfrom functools import partial\n\n"
            "READ = partial(numpy.load, allow_pickle=True)\n",
            (4,),
            "import numpy, safehold.compat.numpy as safehold_numpy\n"
            "from functools import partial\n\n"
            "READ = partial(safehold_numpy.load, allow_pickle=True)\n",
        ),
        Example(
            "from numpy import array, load\n\n\ndef read(path, trust):\n"
            "    return array(load(path, allow_pickle=trust))\n",
            (5,),
            "from safehold.compat.numpy import array, load\n\n\ndef read(path, trust):\n"
            "    return array(load(path, allow_pickle=trust))\n",
        ),
    ),
    good=(
        Example("import numpy as np\n\nnp.load('x.npy', allow_pickle=False)\n"),
        Example("import numpy as np\n\nnp.save('x.npy', [1])\nnp.load('x.npy')\n"),
        Example("from .arrays import load\n\nload('x.npy', allow_pickle=True)\n"),
    ),
)
