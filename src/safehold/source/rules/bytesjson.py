"""SH168: json.dump into a file that is open for bytes, which fails after the file was emptied.

The mode has to stand there as a literal, in every place that the handle can come from.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from safehold.findings import Rule, Severity
from safehold.source.calls import names_of
from safehold.source.entries import literal
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.scopes import How, Scope
from safehold.source.unit import Unit

RULE = Rule(
    id="SH168",
    name="json-into-bytes",
    title="json.dump is given a file that is open for bytes",
    why="json.dump writes text, so it raises TypeError at its first write; the file was emptied "
    "when it was opened. Code that moved from pickle to JSON by the name of the module alone is "
    "left so, and loses what was stored the first time it runs.",
    remedy='Open the file with mode "w" and encoding="utf-8", or keep the value with '
    "safehold.compat.data, which takes handles for bytes.",
    severity=Severity.MEDIUM,
    cwe=628,
    cvss="CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N",
    score=4.8,
    fix="none",
    references=("https://docs.python.org/3/library/json.html#json.dump",),
)

_MODULES: Final = ("json", "simplejson", "ujson")
_DUMP: Final = tuple(f"{module}.dump" for module in _MODULES)
_DUMPS: Final = frozenset(f"{module}.dumps" for module in _MODULES)
# Where the mode stands, and the one that holds without.
_OPENERS: Final = {
    "builtins.open": (1, "r"),
    "io.open": (1, "r"),
    "codecs.open": (1, "r"),
    "os.fdopen": (1, "r"),
    "tempfile.NamedTemporaryFile": (0, "w+b"),
    "tempfile.TemporaryFile": (0, "w+b"),
    "tempfile.SpooledTemporaryFile": (1, "w+b"),
}
_COMPRESSED: Final = frozenset({"gzip.open", "bz2.open", "lzma.open"})  # for bytes but with "t"
_DEPTH: Final = 8


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls that write text into handles for bytes."""
    for called in unit.calls(*_DUMP):
        handle = called.argument(1, "fp")
        if handle is not None and _is_binary(handle, called.scope, unit):
            yield Item(called.node, f"{called.name} writes text into a file that is open for bytes")
    for called in unit.methods("write"):
        given = called.argument(0, "s")
        func = called.node.func
        if (
            isinstance(given, ast.Call)
            and isinstance(func, ast.Attribute)
            and not _DUMPS.isdisjoint(names_of(given.func, called.scope, unit.module))
            and _is_binary(func.value, called.scope, unit)
        ):
            message = "text from json.dumps is written into a file that is open for bytes"
            yield Item(called.node, message)


def _is_binary(node: ast.expr, scope: Scope, unit: Unit, depth: int = 0) -> bool:
    """Say whether a handle is for bytes, wherever it comes from."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Call):
        return _opens_bytes(node, scope, unit)
    if not isinstance(node, ast.Name):
        return False
    found = list(scope.lookup(node.id))
    return bool(found) and all(
        binding.how in (How.WITH, How.ASSIGN)
        and binding.value is not None
        and _is_binary(binding.value, owner, unit, depth + 1)
        for owner, binding in found
    )


def _opens_bytes(call: ast.Call, scope: Scope, unit: Unit) -> bool:
    names = set(names_of(call.func, scope, unit.module))
    if names and names <= _COMPRESSED:
        mode = _mode(call, 1, "rb")
        return mode is not None and "t" not in mode
    for name in names:
        if name in _OPENERS:
            mode = _mode(call, *_OPENERS[name])
            return len(names) == 1 and mode is not None and "b" in mode
    if isinstance(call.func, ast.Attribute) and call.func.attr == "open" and not names:
        return "b" in (_mode(call, 0, "r") or "")  # of a path
    return False


def _mode(call: ast.Call, position: int, default: str) -> str | None:
    """Return the mode of a call that opens; None when it is not to be told."""
    if any(isinstance(item, ast.Starred) for item in call.args) or any(
        item.arg is None for item in call.keywords
    ):
        return None
    for item in call.keywords:
        if item.arg == "mode":
            return literal(item.value)
    return literal(call.args[position]) if len(call.args) > position else default


BYTES_JSON = SourceRule(
    rule=RULE,
    check=_check,
    hints=(
        Hint.of("wb", "wb['\"]", beside="json"),
        *(Hint.of(name, beside="json") for name in ("w+b", "TemporaryFile", *sorted(_COMPRESSED))),
    ),
    bad=(
        Example(
            "import json\n\n\ndef keep(value, path):\n    with open(path, 'wb') as file:\n"
            "        json.dump(value, file)\n",
            (6,),
        ),
        Example(
            "from json import dump\n\nfile = open('data/limits.json', mode='wb')\n"
            "dump({'daily': 3}, fp=file)\n",
            (4,),
        ),
        Example(
            "import json\nfrom pathlib import Path\n\n\ndef keep(value, path):\n"
            "    with Path(path).open('wb') as file:\n"
            "        file.write(json.dumps(value))\n",
            (7,),
        ),
        Example(
            "import gzip, json, tempfile\n\njson.dump([], gzip.open('a.json.gz', 'w'))\n"
            "json.dump([], tempfile.NamedTemporaryFile())\n",
            (3, 4),
        ),
    ),
    good=(
        Example(
            "import json\n\n\ndef keep(value, path):\n    with open(path, 'w') as file:\n"
            "        json.dump(value, file)\n"
        ),
        Example(
            "import json\n\n\ndef keep(value, path):\n    with open(path, 'wb') as file:\n"
            "        file.write(json.dumps(value).encode())\n"
        ),
        Example(
            "import json\n\n\ndef keep(value, path, mode):\n    with open(path, mode) as file:\n"
            "        json.dump(value, file)\n"
        ),
        Example(
            "import gzip, json\n\nwith gzip.open('a.json.gz', 'wt') as file:\n"
            "    json.dump([], file)\n"
        ),
        Example("import json\n\nwith open('limits.json', 'rb') as file:\n    json.load(file)\n"),
        Example(
            "import json\n\nfile = open('a', 'wb')\nfile = open('b', 'w')\njson.dump([], file)\n"
        ),
    ),
)
