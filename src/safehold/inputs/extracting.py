"""Archives of strangers, unpacked below a directory: whole, or nothing is there.

Every part of a name is one that any system can have, and no two are the same to any of them. The
files are made in a new directory, by opened directories that no link leads out of, and the
directory gets its name when it is complete. Modes, owners and times of members are not taken over.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from safehold.errors import InputRefused
from safehold.inputs.archives import ArchiveLimits, Member, members, refused
from safehold.inputs.names import check_relative
from safehold.paths import temporary_stem

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(file: BinaryIO, parent: int, name: str, limits: ArchiveLimits) -> list[str]:
    """Unpack an archive to a new directory `name` of an open one; return the paths of its files.

    Raises:
        InputRefused: it is refused. OSError: the name is taken, or files cannot be written.
    """
    if _is_there(parent, name):
        raise FileExistsError(f"{name} is there already")
    temporary = f".{temporary_stem(name)}.{secrets.token_hex(6)}.sfh-tmp"
    os.mkdir(temporary, dir_fd=parent)
    try:
        fd = os.open(temporary, _DIRECTORY, dir_fd=parent)
        try:
            paths = list(_made(fd, members(file, limits), _Names(limits)))
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:  # also an interrupt: no half of an archive stays
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary, dir_fd=parent)
        raise
    return paths


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _made(top: int, found: Iterable[Member], names: _Names) -> Iterator[str]:
    for member in found:
        parts = names.add(member.name, is_file=member.chunks is not None)
        if member.chunks is None:
            os.close(_directory(top, parts))
            continue
        directory = _directory(top, parts[:-1])
        try:
            fd = os.open(parts[-1], _NEW, 0o666, dir_fd=directory)
        finally:
            os.close(directory)
        with open(fd, "wb") as target:
            target.writelines(member.chunks)
        yield "/".join(parts)


def _directory(top: int, parts: Iterable[str]) -> int:
    """Open a directory below, and make what is missing on the way; the caller closes it."""
    fd = os.dup(top)
    for part in parts:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=fd)
            following = os.open(part, _DIRECTORY, dir_fd=fd)  # raises where a link was put
        finally:
            os.close(fd)
        fd = following
    return fd


class _Names:
    """The paths of an archive so far, as any system would tell them apart."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._files: set[str] = set()
        self._spelled: dict[str, str] = {}

    def add(self, path: str, *, is_file: bool) -> list[str]:
        """Return the parts of a path.

        Raises:
            InputRefused: it is no relative path, too deep, or there already in some spelling.
        """
        try:
            parts = check_relative(path.removesuffix("/"), hidden=True).split("/")
        except InputRefused as error:
            raise refused(f"an archive has a name that is refused: {error}") from None
        if len(parts) > self._limits.depth:
            raise refused(f"an archive has at most {self._limits.depth} directories in each other")
        for end in range(1, len(parts) + (not is_file)):
            self._add_directory("/".join(parts[:end]))
        if is_file:
            spelled = "/".join(parts)
            key = _key(spelled)
            if key in self._spelled:
                raise refused("an archive has a name twice")
            self._spelled[key] = spelled
            self._files.add(key)
        if len(self._spelled) > 2 * self._limits.files:
            raise refused("an archive has too many directories")
        return parts

    def _add_directory(self, spelled: str) -> None:
        key = _key(spelled)
        if key in self._files or self._spelled.setdefault(key, spelled) != spelled:
            raise refused("an archive has a name twice")


def _key(path: str) -> str:
    """Return what is the same for paths that some file system, or reader, takes for one.

    Upper and lower case, letters that are composed in another way or look wide, and characters
    that are not shown, which HFS+ left out.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    if folded.isascii():
        return folded
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")
