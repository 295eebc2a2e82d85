"""Code for interpreters and bytes that make objects."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

CODE = Tripwire(
    rule=Rule(
        id="SH525",
        name="tripwire-code",
        title="A text looks like code for an interpreter",
        why="Somebody tries whether an input is evaluated, or unpickled.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes evaluates nothing.",
        severity=Severity.LOW,
        cwe=94,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(
        "__",
        "<?",
        "os.",
        "eval",
        "exec",
        "phpinfo",
        "system",
        "java",
        "child_process",
        "$_",
        "o:",
        "ro0ab",
        "process",
        "$",
        "builtin",
        "md5",
    ),
    pattern=re.compile(
        r"""
        <\?(?:php\b|=)|\bphpinfo\s*+\(|__(?:import|globals|builtins|mro|bases)__\s*+[.([]|__class__\s*+\.\s*+__(?:base|mro|init|sub)|\b(?:exit|die|print|echo)\s*+\(?\s*+(?:md5|base64_\w++)\s*+\(|\bos\.(?:system|popen|exec\w*+)\s*+\(|\bsubprocess\.(?:run|call|Popen|check_output)\s*+\(\s*+\[?['"]|child_process|getRuntime\s*+\(|\bjava\.lang\.(?:Runtime|ProcessBuilder|System)|\b(?:eval|exec|assert|create_function|call_user_func)\s*+\(\s*+(?:base64_decode|compile|chr|atob|String\.|\$_|__import__|gzinflate|str_rot13)|\b(?:shell_exec|passthru|proc_open|pcntl_exec|popen)\s*+\(|\bsystem\s*+\(\s*+['"$]|\$_(?:GET|POST|REQUEST|COOKIE|SERVER|FILES)\b|(?:\A|[;{}])[OC]:\d++:"|\brO0AB[A-Za-z0-9+/]|process\.(?:mainModule|binding|env)\b|['"]?\$(?:where|ne|gt|regex|function)['"]?\s*+[:\]]|\bc(?:os|posix|builtins|__builtin__)\n\w|\bnew\s++Function\s*+\(|\$\{@?(?:print|system|phpinfo)""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=(
        "__import__('os').system('id')",
        '<?php system($_GET["c"]); ?>',
        "require('child_process').exec('id')",
        'O:8:"stdClass":0:{}',
        '{"$where": "1"}',
        "';phpinfo();'",
    ),
    harmless=(
        "import os",
        "the eval suite",
        "exec summary",
        "print(x)",
        "system (of a down)",
        "PHP is a language",
        "costs $5",
    ),
)
