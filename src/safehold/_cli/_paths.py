"""What a scan reads of the paths it is given: each file once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from safehold.errors import ConfigError
from safehold.scan.entries import Found, is_below, list_directory
from safehold.scan.hub import is_repository
from safehold.scan.remote import is_url

SUFFIXES = (".py", ".pyw", ".ipynb")


def is_source(path: str) -> bool:
    """Say whether a local file is a Python source, by its name."""
    return path.endswith(SUFFIXES) and not is_url(path)


def distinct(paths: Iterable[str]) -> list[str]:
    """Return the paths without those that name the same file or URL again."""
    known: dict[str, str] = {}
    for path in paths:
        known.setdefault(path if is_url(path) else real_name(path), path)
    return list(known.values())


def real_name(path: str) -> str:
    """Return a path without links, but for a link to a file, which is a file of its own."""
    try:
        if os.path.isdir(path):
            return os.path.realpath(path)
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    except ValueError:  # a NUL in it
        return path


class Once:
    """Says of each file of a walk whether it comes for the first time.

    A file that is given by name is read under that name: below a directory it would be left out
    if it is no artifact. Names are remembered only where one directory holds another.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        local = [path for path in paths if not is_url(path)]
        self._named = {real_name(path) for path in local if not os.path.isdir(path)}
        roots = sorted(real_name(path) for path in local if os.path.isdir(path))
        self._overlap = any(is_below(roots[i + 1], roots[i]) for i in range(len(roots) - 1))
        self._seen: set[str] = set()

    def __call__(self, found: Found) -> bool:
        """Whether to read it."""
        if found.named or not (self._named or self._overlap):
            return True
        name = real_name(found.path)
        if name in self._named or name in self._seen:
            return False
        if self._overlap:
            self._seen.add(name)
        return True


def repositories(path: str) -> Iterator[str]:
    """Yield the repositories of Hugging Face that a directory is or holds."""
    if is_repository(path):
        yield path
        return
    for entry in list_directory(path):
        if not isinstance(entry, OSError) and is_repository(entry.path):
            yield entry.path


def results() -> str:
    """Return where results of scans are kept unless a directory is named.

    As https://specifications.freedesktop.org/basedir/latest/ says: a relative path is ignored.

    Raises:
        ConfigError: nobody knows where that is.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    if not os.path.isabs(base):
        raise ConfigError("cache: this user has no home directory; name one: --cache DIR")
    return os.path.join(base, "safehold", "scan")


def hub() -> str:
    """Return where the library of Hugging Face keeps its cache."""
    environment = os.environ
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return os.path.expanduser(environment[name])
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(cache, "huggingface")
    return os.path.expanduser(os.path.join(home, "hub"))


def size_of(path: str) -> int:
    """Return how many bytes a file has; none if that cannot be told."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0
