"""Where the references of a model lead: to a file beside it, or elsewhere."""

from __future__ import annotations

import os
import re
from typing import Final

from safehold.scan.visit import Visit

_OUTSIDE: Final = re.compile(
    r"^[/\\~]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|^[A-Za-z][\w+.-]*:/|\0"
)


def leads_outside(text: str) -> bool:
    """Whether a path is absolute, a URL, or climbs with ``..``."""
    return bool(_OUTSIDE.search(text.strip()))


def has_neighbours(visit: Visit) -> bool:
    """Whether what is read is a file here, so that others may stand beside it."""
    visit.depends()
    return os.path.isfile(visit.path)


def size_beside(visit: Visit, location: str) -> int | None:
    """Return the size of a regular file that stands below the directory of the one that is read.

    None if there is none: nothing, no regular file, or a link that leads elsewhere.
    """
    directory, target = _beside(visit, location)
    if not target.startswith(directory) or not os.path.isfile(target):
        return None
    return os.path.getsize(target)


def is_link_outside(visit: Visit, location: str) -> bool:
    """Whether a name beside the file is a link, or below one, to outside of the directory."""
    directory, target = _beside(visit, location)
    return not target.startswith(directory)


def _beside(visit: Visit, location: str) -> tuple[str, str]:
    """Return the directory of the file that is read, with a slash, and where a name leads."""
    visit.depends()
    directory = os.path.realpath(os.path.dirname(visit.path) or ".")
    target = os.path.realpath(os.path.join(directory, location))
    return directory.rstrip(os.sep) + os.sep, target
