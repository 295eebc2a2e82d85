"""SH159: a source file that cannot be read as Python 3, so nothing is known about it."""

from __future__ import annotations

from safehold.findings import Rule, Severity
from safehold.source.row import Example, SourceRule

LARGEST = 8 * 2**20
"""Bytes of the largest source that is parsed; the syntax tree takes some 50 times as much."""

RULE = Rule(
    id="SH159",
    name="unreadable-source",
    title="A source file that cannot be read as Python 3",
    why="Python 2 syntax, a wrong encoding, NUL bytes or extreme nesting hide what the file "
    "does; it may still be run by another interpreter or be repaired later.",
    remedy="Make the file compile with the service's Python, or exclude it.",
    severity=Severity.LOW,
    cwe=1116,
    cvss="CVSS:4.0/AV:L/AC:H/AT:P/PR:L/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
    score=2.0,
    fix="none",
    references=("https://peps.python.org/pep-0263/",),
)

UNREADABLE = SourceRule(
    rule=RULE,
    bad=(
        Example("import pickle\nprint 'Python 2'\n", (2,)),
        Example("import pickle\ndef (:\n", (2,)),
        Example("# coding: no-such-codec\nimport pickle\n", (1,)),
        Example("import pickle\0\n", (1,)),
        Example("import pickle\nx = " + "-" * 20_000 + "1\n", (1,)),
    ),
    good=(
        Example("# coding: latin-1\nNAME = 'pickle'\n"),
        Example("\ufeffNAME = 'pickle'\n"),
        Example(""),
        Example("def (: this never parses and names nothing of interest\n"),
    ),
)
