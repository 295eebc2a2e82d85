"""A NUL within a text."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

NUL = Tripwire(
    rule=Rule(
        id="SH527",
        name="tripwire-nul",
        title="A text has a NUL",
        why="Functions of C end a text there; what was checked is longer than what is used.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes refuses control characters.",
        severity=Severity.LOW,
        cwe=158,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=("\x00",),
    pattern=re.compile(
        r"""\x00""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=("a.php%00.png", "a\x00b", "..%2500"),
    harmless=("100%", "%20", "0"),
)
