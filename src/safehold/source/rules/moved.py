"""SH156: a file that is sealed under one name and then renamed or copied to another.

Programs write so to replace a file in one step. A seal is bound to the file's name, so what
arrives under the other name is refused; `dump` to the final path replaces it in one step too.

Looked at is one function: a later rename or copy in it. Who renames elsewhere is not seen.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.calls import dotted_names
from safehold.source.outcome import Diagnostic
from safehold.source.row import Example, SourceRule
from safehold.source.scopes import Kind, Module, Scope

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


def check_moved(module: Module) -> Iterator[Diagnostic]:
    """Yield the writes that are followed by a rename or copy in the same function."""
    writes: dict[Scope, list[int]] = defaultdict(list)
    moves: dict[Scope, list[tuple[int, str]]] = defaultdict(list)
    for call, scope in module.calls:
        names = set(dotted_names(call.func, scope))
        if names & _WRITERS:
            writes[_function(scope)].append(call.lineno)
        elif (found := next(iter(names & _MOVES), None)) or (found := _path_method(call)):
            moves[_function(scope)].append((call.lineno, found))
    for function, lines in writes.items():
        for line in lines:
            later = [(at, name) for at, name in moves[function] if at > line]
            if later:
                at, name = min(later)
                message = f"what is written here is given another name by {name} in line {at}"
                yield Diagnostic(line, RULE.id, message, RULE.remedy)


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
