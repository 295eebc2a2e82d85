"""Files that are replaced in one step: a crash leaves the old bytes or the new ones, no third.

    unnamed file (O_TMPFILE)   write, fsync, link to its name                 a name that is new
                               write, fsync, link to a temporary name, rename   one that is there
    temporary file (O_EXCL)    write, fsync, rename        where there are no unnamed files

then fsync of the directory. Until it is linked an unnamed file goes with the process that made it;
what is killed between link and rename leaves ``.NAME.TOKEN.sfh-tmp``. Writers that share a lock
share the token too, so that the next of them finds that file without a search.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")

_TEMPORARY = ".sfh-tmp"
_OF_LOCKED = f"{1:012x}"  # in the place of a random token: one writer at a time, one name
_STEM = 200
# A file system without unnamed files, or a kernel that does not know of them.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS)
# Any other error of a link may be that of a rule which lets files be made and renamed but not
# linked, or of a missing /proc.
_NO_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_COPY_STEP = 2**20


class FileRange(NamedTuple):
    """Bytes of an open file, to be copied by the system."""

    fd: int
    offset: int
    length: int


class Patch(NamedTuple):
    """Bytes for a place that was written already, known only when what follows it is."""

    offset: int
    data: bytes


Piece = bytes | bytearray | memoryview | FileRange | Patch


def length_of(piece: Piece) -> int:
    """Return by how many bytes a piece makes a file longer."""
    if isinstance(piece, Patch):
        return 0
    return piece.length if isinstance(piece, FileRange) else len(piece)


def replace_file(  # noqa: PLR0913  options by keyword
    directory: int,
    name: str,
    chunks: Iterable[Piece],
    *,
    mode: int | None = None,
    before_rename: Callable[[], None] | None = None,
    locked: bool = False,
    new: bool = False,
    flush: bool = True,
) -> None:
    """Replace or create a file so that a crash leaves the old bytes or the new ones.

    A file without a name where the file system has those, else a temporary one, in the same
    directory; fsync, then its name, directory fsync. Keeps the mode and (as far as permitted) the
    owner of the file that it replaces; a file that somebody else made meanwhile is replaced too.
    `locked` says that the caller holds the lock of all writers of this name: what a killed one
    left is removed first. With `new` nothing is replaced, also what was made meanwhile. Without
    `flush` a file still appears whole or not at all to other processes, but not after a crash of
    the system: for files that say themselves whether they are whole, and may be lost.

    Raises:
        FileExistsError: the name is taken and the file has to be `new`.
        OSError: also when the name belongs to something that is not a regular file.
    """
    if new:
        check_absent(directory, name)
    previous = None if new else _replaced(directory, name)
    if locked:
        remove_temporary(directory, name)
    # A new file gets what the umask leaves; one that takes the place of a private file is
    # private from its first byte.
    first = 0o666 if mode is None and previous is None else 0o600
    fd, temporary = _new_file(directory, name, first, locked=locked)
    try:
        try:
            _fill(fd, chunks, previous, mode, flush=flush)
            if previous is not None and not temporary:  # linkat replaces nothing, rename does
                temporary = _named(fd, directory, name, locked=locked)
            if before_rename is not None:
                before_rename()
            if not temporary and not _became(fd, directory, name, new=new):
                temporary = _named(fd, directory, name, locked=locked)
        finally:
            os.close(fd)
        if temporary and new:
            _renamed_to_new(directory, temporary, name)
        elif temporary:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:  # also an interrupt: the old file stays and no litter beside it
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
        raise
    if flush:
        os.fsync(directory)


def remove_temporary(directory: int, name: str) -> None:
    """Remove what a killed writer left of a file. Call it under the lock of all its writers."""
    temporary = _temporary(name, _OF_LOCKED)
    with contextlib.suppress(OSError):  # nothing is there, or it is not this user's to remove
        if stat.S_ISREG(os.stat(temporary, dir_fd=directory, follow_symlinks=False).st_mode):
            os.unlink(temporary, dir_fd=directory)


def has_temporary(directory: int, name: str) -> bool:
    """Say whether a writer under a lock is at work on a file, or was killed there."""
    try:
        os.stat(_temporary(name, _OF_LOCKED), dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def temporary_stem(name: str) -> str:
    """Return what the temporary files of a name carry: the name, or what stands for a long one."""
    if len(os.fsencode(name)) <= _STEM:
        return name
    stem = name[:_STEM]
    while len(os.fsencode(stem)) > _STEM:
        stem = stem[:-1]
    # Longer than any name that stands for itself, and told apart by what was cut off.
    return stem + "~~~" + sha256(os.fsencode(name)).hexdigest()[:24]


def _temporary(name: str, token: str) -> str:
    return f".{temporary_stem(name)}.{token}{_TEMPORARY}"


def _unused(name: str, make: Callable[[str], _T], *, locked: bool) -> tuple[str, _T]:
    """Make something under a temporary name; (name, what was made)."""
    if locked:
        temporary = _temporary(name, _OF_LOCKED)
        with contextlib.suppress(FileExistsError):  # by somebody who does not ask for the lock
            return temporary, make(temporary)
    temporary = _temporary(name, secrets.token_hex(6))
    return temporary, make(temporary)


def _new_file(directory: int, name: str, mode: int, *, locked: bool) -> tuple[int, str]:
    """Open an empty file in a directory; (descriptor, temporary name or nothing)."""
    flags = os.O_RDWR | os.O_CLOEXEC
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(".", flags | os.O_TMPFILE, mode, dir_fd=directory), ""
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
    flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    temporary, fd = _unused(
        name, lambda entry: os.open(entry, flags, mode, dir_fd=directory), locked=locked
    )
    return fd, temporary


def _link(fd: int, directory: int, name: str) -> None:
    os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory, follow_symlinks=True)


def check_absent(directory: int, name: str) -> None:
    """Raise FileExistsError if there is anything of this name, also a link to nothing."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def _renamed_to_new(directory: int, temporary: str, name: str) -> None:
    """Rename, but replace nothing: a second link to the file, then the first goes."""
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _NO_DISK:
            raise
        # Where files cannot be linked, a look and a rename are what there is.
        check_absent(directory, name)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        os.unlink(temporary, dir_fd=directory)


def _became(fd: int, directory: int, name: str, *, new: bool) -> bool:
    """Give an unnamed file its final name; False if that needs a temporary one before."""
    try:
        _link(fd, directory, name)
    except FileExistsError:
        if new:
            raise
        _replaced(directory, name)  # made meanwhile; refused if it is no regular file
        return False
    except OSError as error:
        if error.errno in _NO_DISK:
            raise
        return False
    return True


def _named(fd: int, directory: int, name: str, *, locked: bool) -> str:
    """Give an unnamed file a temporary name, or a copy of it where it cannot have one."""
    try:
        return _unused(name, lambda entry: _link(fd, directory, entry), locked=locked)[0]
    except OSError as error:
        if error.errno in _NO_DISK:
            raise
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    temporary, copy = _unused(
        name, lambda entry: os.open(entry, flags, 0o600, dir_fd=directory), locked=locked
    )
    try:
        try:
            status = os.fstat(fd)
            _fill(copy, [FileRange(fd, 0, status.st_size)], status, None)
        finally:
            os.close(copy)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    return temporary


def _fill(
    fd: int,
    chunks: Iterable[Piece],
    previous: os.stat_result | None,
    mode: int | None,
    *,
    flush: bool = True,
) -> None:
    """Write a file's bytes, give it its owner and mode, and flush it to the disk."""
    for chunk in chunks:
        if isinstance(chunk, FileRange):
            _copy(fd, chunk)
        elif isinstance(chunk, Patch):
            write_at(fd, chunk.offset, chunk.data)
        else:
            _write_all(fd, chunk)
    if previous is not None:
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(fd, previous.st_uid, previous.st_gid)
    if mode is not None:
        os.fchmod(fd, mode)
    elif previous is not None:
        os.fchmod(fd, previous.st_mode & 0o777)
    if flush:
        os.fsync(fd)


def _replaced(directory: int, name: str) -> os.stat_result | None:
    """Return the status of the file that a rename will replace, None if there is none."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):  # the link itself is replaced; its mode means nothing
        return None
    check_regular(status, name)  # never put a file in the place of a device or a FIFO
    return status


def _write_all(fd: int, chunk: bytes | bytearray | memoryview) -> None:
    view = memoryview(chunk).cast("B")
    while view:
        view = view[os.write(fd, view) :]


def write_at(fd: int, offset: int, data: bytes) -> None:
    """Write over bytes of a file, in one call unless the system takes less. Raises OSError."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _copy(fd: int, source: FileRange) -> None:
    """Copy within the kernel, which shares the blocks where the file system can."""
    offset, left = source.offset, source.length
    while left:
        try:
            count = os.copy_file_range(source.fd, fd, left, offset)
        except (AttributeError, OSError):  # not on this system, or not for these file systems
            data = os.pread(source.fd, min(left, _COPY_STEP), offset)
            _write_all(fd, data)
            count = len(data)
        if count == 0:
            raise OSError(errno.EIO, "the file was cut while it was copied")
        offset, left = offset + count, left - count


def check_regular(status: os.stat_result, text: str) -> None:
    """Raise OSError for what is not a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), text)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", text)
