"""SH503: names of temporary files that are chosen before the files are made."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit

RULE = Rule(
    id="SH503",
    name="temporary-name",
    title="A temporary file's name is chosen before the file is made",
    why="Between the choice and the opening another user of the machine can put a file or link "
    "of that name there, and the service writes or reads what is theirs.",
    remedy="Use tempfile.NamedTemporaryFile, mkstemp or TemporaryDirectory, which make the file.",
    severity=Severity.MEDIUM,
    cwe=377,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:N/VI:H/VA:L/SC:N/SI:N/SA:N",
    score=5.8,
    references=("https://docs.python.org/3/library/tempfile.html#tempfile.mktemp",),
)

_NAMES = ("tempfile.mktemp",)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the calls that give a name without a file."""
    for called in unit.calls(*_NAMES):
        prefix = called.argument(1, "prefix")
        if prefix is not None and "pipe" in ast.unparse(prefix):
            continue  # the name of a pipe of Windows, which is no file
        message = f"{called.name} gives a name that anybody can take before it is used"
        yield Item(called.node, message, detail={"call": called.name})


MKTEMP = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    in_tests=False,
    hints=(
        Hint.of("mktemp", r"(?<!\w)mktemp(?!\w)"),
    ),
    bad=(
        Example("import tempfile\n\nprint(tempfile.mktemp('.csv'))\n", (3,)),
        Example("from tempfile import mktemp as name\n\nopen(name(), 'w').close()\n", (3,)),
    ),
    good=(
        Example("import tempfile\n\nwith tempfile.NamedTemporaryFile() as file:\n"
                "    file.write(b'')\n"),
        Example("def test(tmp_path_factory):\n    return tmp_path_factory.mktemp('models')\n"),
        Example("def mktemp():\n    return 1\n\n\nmktemp()\n"),
    ),
)  # fmt: skip
