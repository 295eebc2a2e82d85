"""By what results are reached: the program's own files, and what the interpreter brings.

A version number would not do: it stays the same between releases, and whoever changes a rule would
have to remember to change the number.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

_LOADED: Final = time.time_ns()
"""When the rules that this process has were loaded."""
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What unpacks more when it is installed, see unpacking.py; a test compares.
OPTIONAL: Final = ("compression.zstd", "lz4.frame", "zstandard")


class UnknownRules(Exception):
    """The rules of this process cannot be told from others; says why."""


@functools.cache
def rules_digest() -> bytes:
    """Return the SHA-256 of everything but the question that a result depends on.

    Raises:
        UnknownRules: the files are not there, or are not those that this process runs.
    """
    found = hashlib.sha256()
    for part in (sys.version, sys.platform, sys.implementation.cache_tag or "", *_installed()):
        found.update(f"{len(part)}:{part}".encode())
    count = 0
    for path in _files(_PACKAGE):
        with open(path, "rb") as file:
            changed = os.fstat(file.fileno()).st_ctime_ns
            content = file.read()
        if changed > _LOADED:
            raise UnknownRules("safehold was changed after this process began; start it again")
        name = os.path.relpath(path, _PACKAGE)
        found.update(f"{len(name)}:{name}{len(content)}:".encode("utf-8", "surrogatepass"))
        found.update(content)
        count += 1
    if not count:
        raise UnknownRules("the files that safehold consists of are not there to be compared")
    return found.digest()


def _files(directory: str) -> Iterator[str]:
    """Yield the files of the package in an order of their own."""
    for here, below, names in os.walk(directory):
        below[:] = sorted(name for name in below if name != "__pycache__")
        yield from (os.path.join(here, name) for name in sorted(names))


def _installed() -> Iterator[str]:
    for name in OPTIONAL:
        try:
            there = find_spec(name) is not None
        except (ImportError, ValueError):  # the package that it would be in is missing
            there = False
        yield f"{name}={there}"
