"""Which libraries with a preset of their own a service imports, beyond those always allowed."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from safehold.policy import Policy
from safehold.source.tree import SKIPPED

_LIBRARIES = ("category_encoders", "imblearn", "lightgbm", "torch", "xgboost")
_IMPORT = re.compile(
    rb"^[ \t]*(?:import|from)[ \t]+(%s)\b" % "|".join(_LIBRARIES).encode(), re.MULTILINE
)
_LARGEST = 2**20  # of a source file; a larger one is data


def with_libraries(policy: Policy) -> Policy:
    """Return the policy with the presets of imported libraries in its internal zones."""
    used = sorted(_imported(policy.root))
    zones = tuple(
        replace(zone, allow=(*zone.allow, *(name for name in used if name not in zone.allow)))
        if zone.trust == "internal"
        else zone
        for zone in policy.zones
    )
    return replace(policy, zones=zones)


def _imported(root: Path) -> set[str]:
    found: set[str] = set()
    for directory, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            path = os.path.join(directory, name)
            if not name.endswith((".py", ".pyw")) or not os.path.isfile(path):
                continue
            for word in _IMPORT.findall(_head(path)):
                found.add(word.decode("ascii"))
        if len(found) == len(_LIBRARIES):
            break
    return found


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST)
    except OSError:
        return b""  # the look at the sources reports it
