"""The tree of a service: its digest, and the copy that is attacked in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from safehold.errors import ConfigError

_LEFT_OUT: Final = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox",
     ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
)  # fmt: skip
_MOST_FILES: Final = 50_000
_MOST_BYTES: Final = 4 * 2**30


def files_of(root: Path) -> Iterator[Path]:
    """Yield the regular files that a copy takes along, in order. Raises OSError."""
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path


def digest_of(root: Path, without: tuple[Path, ...] = ()) -> str:
    """Return the digest of names and contents, but for what lies below `without`."""
    whole = sha256()
    for path in files_of(root):
        if any(path.is_relative_to(place) for place in without):
            continue
        with open(path, "rb") as file:
            content = _digest(file.fileno())
        whole.update(f"{path.relative_to(root)}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def copy_tree(root: Path, to: Path) -> None:
    """Copy the service. Raises ConfigError if it is too large for that, OSError."""
    count = size = 0
    for path in files_of(root):
        count, size = count + 1, size + path.stat().st_size
        if count > _MOST_FILES or size > _MOST_BYTES:
            message = (
                f"{root} has more than {_MOST_FILES} files or {_MOST_BYTES >> 30} GiB: prove copies"
                " the tree; name the directory of the service alone"
            )
            raise ConfigError(message)
    shutil.copytree(root, to, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))


def _digest(descriptor: int) -> str:
    found = sha256()
    while block := os.read(descriptor, 2**20):
        found.update(block)
    return found.hexdigest()


def _raise(error: OSError) -> None:
    raise error
