"""SH156: a file that is sealed under one name and then renamed or copied to another.

Programs write so to replace a file in one step. A seal is bound to the file's name, so what
arrives under the other name is refused; `dump` to the final path replaces it in one step too.

Looked at is one function: a later rename or copy in it. Who renames elsewhere is not seen.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from safehold.findings import Confidence, Rule, Severity
from safehold.source.row import Example, Item, SourceRule
from safehold.source.scopes import Kind, Scope
from safehold.source.unit import Unit

RULE = Rule(
    id="SH156",
    name="moved-artifact",
    title="An artifact is written under one name and moved to another",
    why="A seal is bound to the file's name, so that files cannot be exchanged: what is sealed "
    "under a temporary name is refused under the final one.",
    remedy="Give dump the final path: safehold writes a temporary file and renames it by itself.",
    severity=Severity.MEDIUM,
    cwe=706,
    cvss="CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N",
    score=4.8,
    fix="none",
    references=("https://docs.python.org/3/library/os.html#os.replace",),
)

_WRITERS = frozenset(
    f"{module}.dump"
    for module in (
        "pickle", "cPickle", "_pickle", "joblib", "six.moves.cPickle", "sklearn.externals.joblib",
        "safehold.compat.pickle", "safehold.compat.joblib", "safehold.compat.data",
    )
)  # fmt: skip
_MOVES = frozenset(
    "os.replace os.rename os.renames os.link shutil.move shutil.copy shutil.copy2 "
    "shutil.copyfile".split()
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the writes that are followed by a rename or copy in the same function."""
    writes: dict[Scope, list[ast.Call]] = defaultdict(list)
    moves: dict[Scope, list[tuple[int, str]]] = defaultdict(list)
    for called in unit.calls(*_WRITERS):
        writes[_function(called.scope)].append(called.node)
    if not writes:
        return
    for called in unit.calls(*_MOVES):
        moves[_function(called.scope)].append((called.node.lineno, called.name))
    for called in unit.methods("rename", "replace"):
        if found := _path_method(called.node):
            moves[_function(called.scope)].append((called.node.lineno, found))
    for function, calls in writes.items():
        for call in calls:
            later = [(at, name) for at, name in moves[function] if at > call.lineno]
            if later:
                at, name = min(later)
                message = f"what is written here is given another name by {name} in line {at}"
                yield Item(call, message, confidence=Confidence.MEDIUM)


def _function(scope: Scope) -> Scope:
    while scope.kind is Kind.COMPREHENSION and scope.parent is not None:
        scope = scope.parent
    return scope


def _path_method(call: ast.Call) -> str:
    """`path.replace(target)`; `text.replace(a, b)` and `frame.replace({...})` are others."""
    func = call.func
    if not isinstance(func, ast.Attribute) or func.attr not in ("rename", "replace"):
        return ""
    if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Dict | ast.Starred):
        return ""
    return func.attr


MOVED = SourceRule(
    rule=RULE,
    check=_check,
    bad=(
        Example(
            "import os\nimport safehold.compat.pickle as pickle\n\n\ndef keep(value, path):\n"
            "    with open(path + '.tmp', 'wb') as file:\n        pickle.dump(value, file)\n"
            "    os.replace(path + '.tmp', path)\n",
            (7,),
        ),
        Example(
            "import safehold.compat.joblib as joblib\n\n\ndef keep(model, path):\n"
            "    part = path.with_suffix('.part')\n    joblib.dump(model, part)\n"
            "    part.rename(path)\n",
            (6,),
        ),
        Example(
            "import shutil\nfrom safehold.compat.joblib import dump\n\n\ndef keep(model):\n"
            "    dump(model, 'models/new.joblib')\n"
            "    shutil.copy('models/new.joblib', 'models/m.joblib')\n",
            (6,),
        ),
    ),
    good=(
        Example(
            "import os\nimport safehold.compat.pickle as pickle\n\n\ndef keep(value, path):\n"
            "    os.replace(path, path + '.old')\n    with open(path, 'wb') as file:\n"
            "        pickle.dump(value, file)\n"
        ),
        Example(
            "import safehold.compat.joblib as joblib\n\n\ndef keep(model, name):\n"
            "    joblib.dump(model, 'models/a.joblib')\n    return name.replace('_', '-')\n"
        ),
        Example(
            "import json, os\n\n# No pickle: a seal is not needed.\ndef keep(value, path):\n"
            "    with open(path + '.tmp', 'w') as file:\n        json.dump(value, file)\n"
            "    os.replace(path + '.tmp', path)\n"
        ),
    ),
)
