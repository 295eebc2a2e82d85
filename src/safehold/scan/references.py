"""Where the references of a model lead: to a file beside it, or elsewhere."""

from __future__ import annotations

import os
import re
from typing import Final

_OUTSIDE: Final = re.compile(
    r"^[/\\~]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|^[A-Za-z][\w+.-]*:/|\0"
)


def leads_outside(text: str) -> bool:
    """Whether a path is absolute, a URL, or climbs with ``..``."""
    return bool(_OUTSIDE.search(text.strip()))


def size_beside(path: str, location: str) -> int | None:
    """Return the size of a regular file that stands below the directory of ``path``.

    None if there is none: nothing, no regular file, or a link that leads elsewhere.
    """
    directory = os.path.realpath(os.path.dirname(path) or ".")
    target = os.path.realpath(os.path.join(directory, location))
    if not target.startswith(directory.rstrip(os.sep) + os.sep) or not os.path.isfile(target):
        return None
    return os.path.getsize(target)


def is_link_outside(path: str, location: str) -> bool:
    """Whether a name beside ``path`` is a link, or below one, to outside of the directory."""
    directory = os.path.realpath(os.path.dirname(path) or ".")
    target = os.path.realpath(os.path.join(directory, location))
    return not target.startswith(directory.rstrip(os.sep) + os.sep)
