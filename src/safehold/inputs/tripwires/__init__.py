"""Tripwires: what attacks look like, one file each. They tell, and block nothing."""

from __future__ import annotations

from typing import Final

from safehold.inputs.tripwires.code import CODE
from safehold.inputs.tripwires.commands import COMMANDS
from safehold.inputs.tripwires.confusables import CONFUSABLES
from safehold.inputs.tripwires.encodings import ENCODINGS
from safehold.inputs.tripwires.headers import HEADERS
from safehold.inputs.tripwires.nul import NUL
from safehold.inputs.tripwires.paths import PATHS
from safehold.inputs.tripwires.row import Tripwire
from safehold.inputs.tripwires.scripting import SCRIPTING
from safehold.inputs.tripwires.sql import SQL
from safehold.inputs.tripwires.templates import TEMPLATES

__all__ = ["TRIPWIRES", "Tripwire"]

TRIPWIRES: Final = (
    SQL, SCRIPTING, PATHS, COMMANDS, TEMPLATES, CODE, HEADERS, NUL, CONFUSABLES, ENCODINGS,
)  # fmt: skip
RULES: Final = tuple(row.rule for row in TRIPWIRES)
