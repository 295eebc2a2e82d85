"""Encodings that hide what is encoded."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

ENCODINGS = Tripwire(
    rule=Rule(
        id="SH529",
        name="tripwire-encoding",
        title="A text is encoded in a way that hides it",
        why="Bytes that are no UTF-8, and encodings of encodings, are read by some and not by others.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes decodes once, and refuses what is no UTF-8.",
        severity=Severity.LOW,
        cwe=174,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=("%", "\\u", "\\x", "&#"),
    pattern=re.compile(
        r"""%c[01]%[89ab][0-9a-f]|%e0%[89]\w%[89ab]|%f0%8\w%|%25(?:25)++[0-9a-f]{2}|%25(?:2[ef]|5c|27|22|3c|3e|00|0[ad])|%u(?:00|ff|22|20|02)[0-9a-f]{2}|(?:\\u00[0-7][0-9a-f]|\\x[2-7][0-9a-f]){3}|(?:&\#x?0{3,}[0-9a-f]{1,5};?)|(?:%[2-7][0-9a-f]){12}|%[c-f][0-9a-f](?:%2[0-9a-f]|[/\\.])""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=("%c0%ae%c0%ae%c0%af", "%252e%252e%252f", "%u0027", "%e0%80%ae", "&#0000060;script"),
    harmless=("100%", "50%25 off", "%20", "a%2Fb", "\\user", "%C3%A9t%C3%A9", "%E6%97%A5"),
    is_raw=True,
)
