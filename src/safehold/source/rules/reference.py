"""SH158: a reference to an unsafe module that an import edit cannot reach.

Names in strings (`mock.patch("pickle.load")`) are rewritten where the literal is plain, since
the code under test has moved to the facade. The rest is for the reader to mend.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.findings import Rule, Severity
from safehold.source.entries import Entry, Libraries, last_name, literal
from safehold.source.outcome import Diagnostic
from safehold.source.retarget import string_change
from safehold.source.rewrite import Change
from safehold.source.row import Example, SourceRule, Use
from safehold.source.scopes import Module
from safehold.source.text import Lines

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


@dataclass(frozen=True, slots=True)
class Reference:
    """A diagnostic, and the change that settles it where there is one."""

    diagnostic: Diagnostic
    change: Change | None = None


def check_references(
    module: Module, entries: list[Entry], libraries: Libraries, lines: Lines, utf8: bytes
) -> Iterator[Reference]:
    """Yield references that no import statement of the module explains."""
    del entries
    for node, _ in module.calls:
        if node.args and last_name(node.func) in _PATCHERS:
            yield from _patched(node, libraries, lines, utf8)
    for subscript, _ in module.subscripts:
        yield from _replaced(subscript, libraries)
    yield from _never_imported(module, libraries)


def _patched(
    node: ast.Call, libraries: Libraries, lines: Lines, utf8: bytes
) -> Iterator[Reference]:
    target = literal(node.args[0])
    hit = libraries.split(target) if target is not None else None
    if target is None or hit is None:
        return
    _, library, member = hit
    if not member or library.use(member) is Use.OTHER:
        return
    line = node.args[0].lineno
    length = len(target) - len(member) - 1
    change = None
    if library.use(member) in (Use.READ, Use.WRITE) and member not in library.same:
        change = string_change(RULE.id, node.args[0], library.facade, length, lines, utf8)
    if change is None:
        message = f"{target!r} is replaced by name, which migrated code no longer looks up"
        yield Reference(Diagnostic(line, RULE.id, message, RULE.remedy))
    else:
        message = f"{target!r} is replaced by name; it now names what migrated code calls"
        remedy = "Check that the code under test is migrated too."
        yield Reference(Diagnostic(line, RULE.id, message, remedy, is_open=False), change)


def _replaced(node: ast.Subscript, libraries: Libraries) -> Iterator[Reference]:
    """`sys.modules["pickle"] = fake`."""
    name = literal(node.slice)
    if (
        isinstance(node.ctx, ast.Store)
        and last_name(node.value) == "modules"
        and name in libraries.by_module
    ):
        message = f"sys.modules[{name!r}] is replaced, which migrated code does not look up"
        yield Reference(Diagnostic(node.lineno, RULE.id, message, RULE.remedy))


def _never_imported(module: Module, libraries: Libraries) -> Iterator[Reference]:
    for name, (_, library) in libraries.by_module.items():
        for node, scope in module.loads.get(name, ()):
            parent = module.parents.get(node)
            if (
                not isinstance(parent, ast.Attribute)
                or library.use(parent.attr) not in (Use.READ, Use.WRITE, Use.BEYOND)
                or next(scope.lookup(name), None) is not None
            ):
                continue
            origin = "is never imported here"
            if module.stars:
                origin = f"can only come from `from {module.stars[0].module or '.'} import *`"
            message = f"{name}.{parent.attr} is used, but {name} {origin}"
            remedy = f"Import it: import {library.facade} as {name}"
            yield Reference(Diagnostic(node.lineno, RULE.id, message, remedy))


REFERENCE = SourceRule(
    rule=RULE,
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
