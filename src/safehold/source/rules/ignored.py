"""SH157: comments that ignore findings without a reason, or ignore nothing.

Asked last, when all other rules have said what they find.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.findings import Rule, Severity
from safehold.source.row import Example, Hint, Item, SourceRule
from safehold.source.unit import Unit

RULE = Rule(
    id="SH157",
    name="idle-ignore",
    title="A comment ignores a finding without a reason, or ignores nothing",
    why="Whoever reads it takes for looked at what nobody answers for; left in place it keeps "
    "back what is written in that line later.",
    remedy="Write `# safehold: ignore[SH501] reason`, with the rules of findings of that line, or "
    "remove the comment.",
    severity=Severity.LOW,
    cwe=1116,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.0,
)


def _check(unit: Unit) -> Iterator[Item]:
    """Yield the comments that do nothing."""
    for line, message in unit.ignores.problems(unit.known):
        yield Item(ast.Pass(lineno=line, col_offset=0), message)


IGNORED = SourceRule(
    rule=RULE,
    check=_check,
    migrates=False,
    hints=(Hint.of("safehold:", r"safehold:[ \t]*ignore"),),
    bad=(
        Example("x = 1  # safehold: ignore[SH501] it was an eval once\n", (1,)),
        Example("x = 1  # safehold: ignore\n", (1,)),
        Example("x = 1  # safehold: ignore[SH999] no such rule\n", (1,)),
        Example(
            "def run(text):\n    # safehold: ignore[SH501] the line above is not the line\n"
            "    return len(text)\n",
            (2,),
        ),
        Example(
            "import os\n\n\ndef run(path):\n"
            "    os.system('cat ' + path)  # safehold: ignore[SH501,SH502] a path of ours\n",
            (5,),
        ),
    ),
    good=(
        Example(
            "def run(text):\n"
            "    return eval(text)  # safehold: ignore[SH501] the operator's own expression\n"
        ),
        Example(
            "def run(text):\n"
            "    return eval(  # noqa: S307  # safehold: ignore[SH501] the operator's own\n"
            "        text,\n    )\n"
        ),
        Example("print('# safehold: ignore[SH501] is no comment in a string')\n"),
    ),
)
