"""Ways out of a directory, and files that attackers ask for."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

PATHS = Tripwire(
    rule=Rule(
        id="SH522",
        name="tripwire-path",
        title="A text looks like a way out of a directory",
        why="Somebody tries whether an input is a part of the name of a file.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes confines it.",
        severity=Severity.LOW,
        cwe=22,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(
        "..",
        "0x2e",
        "%c0",
        "%25c0",
        "etc",
        "proc",
        ".ini",
        "file:",
        "php:",
        "zip:",
        "phar:",
        "expect:",
        "c:",
    ),
    pattern=re.compile(
        r"""
        (?:\.\.(?:[/\\]|;/)++){2}
        # dots and separators in encodings that are undone by some servers alone
        |(?:\.\.|(?:%(?:25)?c0%(?:25)?(?:ae|2e)|0x2e|%uff0e){2})(?:[/\\]|%(?:25)?c[01]%(?:25)?(?:af|9c|2f|5c)|%u(?:2215|2216|efc8|f025)|0x2f|0x5c)(?<![./\\][/\\])|(?:\A|[/\\])\.\.[/\\]|\.{2,6}+[/\\]{1,4}(?:etc|proc|windows|winnt|boot|win\b|var|usr|home|root)\b|\.{2,6}[/\\]\.{1,6}[/\\]\.
        |/etc/(?:passwd|shadow|hosts|group|issue|motd|fstab|crontab)\b|/proc/(?:self|\d++|version|cpuinfo)|\b(?:boot|win|system|php)\.ini\b.{0,4}\Z|(?:\b(?:php|zip|phar|expect|glob|compress\.zlib)|\bfile):/{2,3}|\b[a-z]:[/\\]++(?:windows|winnt|boot\.ini|inetpub|autoexec)|[/\\]windows[/\\]system32|\.\.[/\\]?\Z(?<=/\.\.|\\\.\.)""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/shadow",
        "php://filter/convert.base64-encode/resource=index",
        "%2e%2e%2f%2e%2e%2fetc/passwd",
    ),
    harmless=("and so on...", "a/b/c", "see ./readme", "wait..what", "1..10", "the hosts file"),
)
