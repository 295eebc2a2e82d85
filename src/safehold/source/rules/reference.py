"""SH158: a reference to an unsafe module that an import edit cannot reach.

Names in strings (`mock.patch("pickle.load")`) are rewritten where the literal is plain, since
the code under test has moved to the facade. The rest is for the reader to mend.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Confidence, Rule, Severity
from safehold.source.entries import last_name, literal
from safehold.source.retarget import string_change
from safehold.source.row import Example, Item, SourceRule, Use
from safehold.source.unit import Unit

RULE = Rule(
    id="SH158",
    name="fixed-reference",
    title="A reference to an unsafe module that migration cannot rewrite",
    why="The module is reached by a name made at run time, a private name, a submodule or a name "
    "that is never imported, so pointing an import at a facade would miss it or break it.",
    remedy="Import the facade by hand (safehold.compat.pickle, safehold.compat.joblib) and use "
    "its public names.",
    severity=Severity.HIGH,
    cwe=502,
    cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    score=7.7,
    fix="none",
    references=("https://docs.python.org/3/library/unittest.mock.html#where-to-patch",),
)

_PATCHERS = ("patch", "setattr", "delattr")


def _check(unit: Unit) -> Iterator[Item]:
    """Yield references that no import statement of the module explains."""
    for node, _ in unit.module.calls:
        if node.args and last_name(node.func) in _PATCHERS:
            yield from _patched(node, unit)
    for subscript, _ in unit.module.subscripts:
        yield from _replaced(subscript, unit)
    yield from _never_imported(unit)


def _patched(node: ast.Call, unit: Unit) -> Iterator[Item]:
    target = literal(node.args[0])
    hit = unit.libraries.split(target) if target is not None else None
    if target is None or hit is None:
        return
    _, library, member = hit
    if not member or library.use(member) is Use.OTHER:
        return
    length = len(target) - len(member) - 1
    change = None
    if library.use(member) in (Use.READ, Use.WRITE) and member not in library.same:
        change = string_change(
            RULE.id, node.args[0], library.facade, length, unit.lines, unit.text.utf8
        )
    if change is None:
        message = f"{target!r} is replaced by name, which migrated code no longer looks up"
        yield Item(node.args[0], message, confidence=Confidence.MEDIUM)
    else:
        message = f"{target!r} is replaced by name; it now names what migrated code calls"
        remedy = "Check that the code under test is migrated too."
        yield Item(node.args[0], message, remedy, change=change, is_finding=False, is_open=False)


def _replaced(node: ast.Subscript, unit: Unit) -> Iterator[Item]:
    """`sys.modules["pickle"] = fake`."""
    name = literal(node.slice)
    if (
        isinstance(node.ctx, ast.Store)
        and last_name(node.value) == "modules"
        and name in unit.libraries.by_module
    ):
        message = f"sys.modules[{name!r}] is replaced, which migrated code does not look up"
        yield Item(node, message, confidence=Confidence.MEDIUM)


def _never_imported(unit: Unit) -> Iterator[Item]:
    module = unit.module
    handed_on = {name.rpartition(".")[2] for name in module.renamed}
    for name, (_, library) in unit.libraries.by_module.items():
        if name in handed_on:
            continue
        for node, scope in module.loads.get(name, ()):
            parent = module.parents.get(node)
            if (
                not isinstance(parent, ast.Attribute)
                or library.use(parent.attr) not in (Use.READ, Use.WRITE, Use.BEYOND)
                or parent.attr in library.only_if
                or next(scope.lookup(name), None) is not None
            ):
                continue
            origin = "is never imported here"
            if module.stars:
                origin = f"can only come from `from {module.stars[0].module or '.'} import *`"
            message = f"{name}.{parent.attr} is used, but {name} {origin}"
            remedy = f"Import it: import {library.facade} as {name}"
            yield Item(node, message, remedy, confidence=Confidence.MEDIUM)


REFERENCE = SourceRule(
    rule=RULE,
    check=_check,
    bad=(
        Example(
            "import importlib\n\np = importlib.import_module('pickle')\np.loads(b'N.')\n",
            (4,),
            "import importlib\n\np = importlib.import_module('safehold.compat.pickle')\n"
            "p.loads(b'N.')\n",
        ),
        Example("__import__('pickle').loads(b'N.')\n", (1,)),
        Example("import sys\n\nsys.modules['pickle'].loads(b'N.')\n", (3,)),
        Example("import sys\n\nsys.modules['joblib'] = None\n", (3,)),
        Example("def read(file):\n    return pickle.load(file)\n", (2,)),
        Example("from tools import *\n\npickle.load(open('m.pkl', 'rb'))\n", (3,)),
        Example(
            "from unittest import mock\n\nwith mock.patch('joblib.load') as fake:\n    pass\n",
            (),
            "from unittest import mock\n\nwith mock.patch('safehold.compat.joblib.load') as fake:\n"
            "    pass\n",
        ),
        Example("from unittest import mock\n\nmock.patch('pickle._loads').start()\n", (3,)),
        Example("from six import moves\n\nmoves.cPickle.loads(b'N.')\n", (3,)),
    ),
    good=(
        Example("import importlib\n\nimportlib.import_module('joblib')\n"),
        Example("client.patch('joblib/1', {})\n"),
        Example("import sys\n\nprint('pickle' in sys.modules)\n"),
        Example("from unittest import mock\n\nmock.patch('mypackage.io.pickle.load').start()\n"),
        Example("def joblib():\n    return 1\n\n\njoblib()\n"),
        Example("def read(pickle):\n    return pickle.load()\n"),
    ),
)
