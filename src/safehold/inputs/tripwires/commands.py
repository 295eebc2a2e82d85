"""Commands of a shell."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

COMMANDS = Tripwire(
    rule=Rule(
        id="SH523",
        name="tripwire-command",
        title="A text looks like a command for a shell",
        why="Somebody tries whether an input reaches a shell.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes starts no shell.",
        severity=Severity.LOW,
        cwe=78,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(";", "|", "&", "`", "$(", "${ifs}", "/bin/", "() {", "\n"),
    pattern=re.compile(
        r"""
        (?:[;|&\n]|\$\(|(?:\A|(?<=[^\s`(]))`)\s{0,9}+\(?(?:/\w++/(?:\w++/)?)?(?:cat|whoami|uname|wget|curl|nc|ncat|bash|sh|zsh|ping|sleep|touch|rm|ifconfig|ipconfig|netstat|nslookup|dig|chmod|chown|cmd(?:\.exe)?|powershell|python[23]?|perl|ruby|php|telnet|tftp|systeminfo|printenv|base64)(?:\s++[-/\w$'"{.]|\s*+(?:[;|&`)\#]|\Z)|\$|<|\$\{)
        |(?:[;|&]|\$\(|(?:\A|(?<=[^\s`(]))`)\s{0,9}+(?:id|ls|env|pwd|dir|ps|set|type|net|echo|exit|w|who|reboot|shutdown)(?:\s*+(?:[;|&`)\#]|\Z)|\s++(?:-\w|/[a-z]|\$|user\b))
        |\$\{?IFS\b|/bin/(?:ba|z|k|c|da)?sh\b|/usr/bin/\w|\(\)\s*+\{\s*+:?[^}]{0,10}\}\s*+;|\|\|\s*+ping\b|>\s*+/dev/(?:tcp|null)|<\(\s*+\w""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "; cat /etc/passwd",
        "| whoami",
        "$(touch /tmp/x)",
        "`sleep 5`",
        "& ping -c 1 example.com &",
        "a;env;",
    ),
    harmless=(
        "salt & pepper",
        "a | b",
        "fish; chips",
        "cats and dogs",
        "$(document).ready",
        "use `name` here",
        "R&D",
    ),
)
