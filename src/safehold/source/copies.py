"""Copies, links and digests of files, for the journal and what undoes it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path

from safehold.paths import temporary_stem

_BLOCK = 2**20


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file's content, None when it is no regular file."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", opener=_open_regular) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _open_regular(path: str, flags: int) -> int:
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file another name, or a copy where it cannot have one. Raises OSError."""
    try:
        os.link(source, target)
    except OSError:
        # Another device, no links on this file system, or links to others' files forbidden.
        copy_file(source, target)


def temporary_of(path: Path) -> Path:
    """Return the name of a copy that is not whole yet, which a rollback removes."""
    return path.with_name(f".{temporary_stem(path.name)}.{0:012x}.sfh-tmp")


def copy_file(source: Path, target: Path) -> None:
    """Copy content, mode, mtime and, where permitted, the owner; synced."""
    with open(source, "rb") as reader, open(target, "xb") as writer:
        shutil.copyfileobj(reader, writer, _BLOCK)
        writer.flush()
        status = os.fstat(reader.fileno())
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        os.fchmod(writer.fileno(), stat.S_IMODE(status.st_mode))
        os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(writer.fileno())


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
