"""Ends of lines with a header behind them."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

HEADERS = Tripwire(
    rule=Rule(
        id="SH526",
        name="tripwire-header",
        title="A text looks like a further header",
        why="Somebody tries whether an input is written into a header of an answer, a mail or a line of a log.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes refuses the ends of lines.",
        severity=Severity.LOW,
        cwe=113,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=("\r", "\n", "%0d", "%0a", "嘊", "\u2028", "å"),
    pattern=re.compile(
        r"""
        [\r\n\u2028\u2029\u0085\u560a\u560d][\s]{0,8}(?:set-cookie|location|content-(?:type|length|encoding|disposition|transfer-encoding)|refresh|link|x-[a-z-]{2,30}|bcc|cc|to|from|reply-to|subject|host|transfer-encoding|access-control-[a-z-]{3,30}|last-modified|mime-version|\w{2,12}injection|injected[\w-]*+|header[\w-]{0,12}|cookie|authorization)\s*+:|[\r\n]\s{0,8}+HTTP/[0-9]|[\r\n]{2}\s{0,8}+<(?:html|script|body|!doctype|svg)""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "x%0d%0aSet-Cookie: a=b",
        "x\r\nLocation: //example.com",
        "a%0ABcc: b@example.com",
        "x%E5%98%8A%E5%98%8DSet-Cookie:%20a=b",
    ),
    harmless=("one line\nanother", "Note: x", "a\r\nb", "Dear all,\n\nhello"),
)
