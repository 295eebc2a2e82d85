"""One tripwire: what it looks for, and examples that the tests try."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safehold.findings import Rule


@dataclass(frozen=True, slots=True)
class Tripwire:
    """A rule and the expression that finds what it is about, in linear time.

    ``hints``: one of them is in every text that can match, in lower case; none: all are looked at.
    ``is_raw``: the text is looked at as it came, and nothing that it decodes to.
    """

    rule: Rule
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    harmful: tuple[str, ...]
    harmless: tuple[str, ...]
    ignores_ascii: bool = False
    is_raw: bool = False
