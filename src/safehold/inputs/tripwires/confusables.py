"""Letters that look like others."""

from __future__ import annotations

import re

from safehold.findings import Rule, Severity
from safehold.inputs.tripwires.row import Tripwire

CONFUSABLES = Tripwire(
    rule=Rule(
        id="SH528",
        name="tripwire-confusable",
        title="A text has letters that look like others, or turns around",
        why="Names that look equal are not; text that runs the other way shows another name than it is.",
        remedy="Nothing, if the endpoint does what it is for; see who sends it, and whether the place where the input goes compares names by their bytes, or allows one script.",
        severity=Severity.LOW,
        cwe=1007,
        cvss="CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N",
        score=6.3,
    ),
    hints=(),
    pattern=re.compile(
        r"""[\u202a-\u202e\u2066-\u2069]|[\uff1c\uff1e\uff07\uff02\uff0f\uff0e\uff1b\uff08\u2215\u2044\u29f8\ufe64\ufe65\u02b9\u02bc\u2024\u2025](?=[a-z\s/.=]|\Z)(?<=[\uff1c\uff1e\uff07\uff02\uff0f\uff0e\uff1b\uff08\u2215\u29f8\ufe64\ufe65\u2024\u2025])|[\u200b\u2060\ufeff](?=[a-z])(?<=[a-z].)|[a-z](?:[\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u04bb\u0501\u03bf\u03b1\u03c1\u03bd])++[a-z]|[a-z]{2}[\u0430\u0435\u043e\u0440\u0441\u0445\u0456\u03bf]\b""",
        re.VERBOSE | re.IGNORECASE,
    ),
    harmful=("pаypal", "a\u202etxt.exe", "＜script＞", "..∕etc", "adm\u200bin"),
    harmless=("Москва", "naïve", "Ελλάδα", "日本語", "paypal", "hello Москва", "Владимир and Anna"),
    ignores_ascii=True,
)
