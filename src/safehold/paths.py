"""Files by where they really lead: opened handles, never compared strings.

A path is opened first and asked for its name afterwards, so there is no moment between a
check and its use. Below the root the kernel's ``openat2`` (Linux 5.6) with RESOLVE_BENEATH
resolves; elsewhere the real path is walked component by component with O_NOFOLLOW.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safehold.errors import ConfigError
from safehold.replacing import FileRange, check_regular, replace_file, temporary_stem

__all__ = [
    "FileRange",
    "Place",
    "Root",
    "StrPath",
    "open_beneath",
    "replace_file",
    "temporary_stem",
]

StrPath = str | os.PathLike[str]

_SYS_OPENAT2 = 437  # the same number on every Linux architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_BENEATH = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS
_BY_NAME = _BENEATH | _RESOLVE_NO_SYMLINKS
_NO_WAIT = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # a FIFO must not block the open
# A directory on the way needs to be searchable, not readable, as for any open.
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS
_MAX_TRIES = 16  # of a path with `..` while anything on the machine is renamed
_NO_NAME = ("", ".", "/")
_GONE = " (deleted)"  # what the kernel puts behind the name of an open file that is gone


class Place(NamedTuple):
    """Where an opened file really is: `real` absolute, `relative` to the root or None."""

    real: str
    relative: str | None


class Root:
    """The directory that zone patterns are relative to."""

    def __init__(self, directory: StrPath) -> None:
        """Open the directory.

        Raises:
            ConfigError: it does not exist or is not a directory.
        """
        try:
            self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"root {os.fspath(directory)} cannot be opened: {error.strerror}"
            raise ConfigError(message) from error
        self.path = Path(_real_path(self._fd, os.fspath(directory)))
        self._real = str(self.path)
        self._prefix = self._real.rstrip("/") + "/"
        self._file = os.fstat(self._fd)[1:3]  # inode and device

    def close(self) -> None:
        """Close the directory handle; the object is of no use afterwards."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        """Return the descriptor of the directory, which stays this object's to close."""
        return self._fd

    def place(self, fd: int, path: str = "") -> Place:
        """Say where an open descriptor leads."""
        real = _real_path(fd, path)
        return Place(real, self._relative(real))

    def open_file(self, path: StrPath) -> tuple[int, os.stat_result, Place]:
        """Open a regular file for reading; the caller closes the descriptor.

        Raises:
            OSError: as ``open`` does; also when the path is not a regular file.
        """
        text = _text(path)
        opened = self._open_by_name(text)
        if opened is None:
            return self._checked(self._open(text, os.O_RDONLY | _NO_WAIT), text)
        fd, name = opened
        try:
            status = os.fstat(fd)
            check_regular(status, text)
            if self._is_at_its_path():
                return fd, status, Place(self._prefix + name, name)
        except BaseException:  # only a descriptor that was returned is the caller's to close
            os.close(fd)
            raise
        return self._checked(fd, text)

    def _open_by_name(self, text: str) -> tuple[int, str] | None:
        """Open a file below the root whose path is its real one; None if it may be another.

        Without links and dots the kernel goes through the very components that the name has, so
        that where it leads need not be asked afterwards.
        """
        prefix = self._prefix
        if not text.startswith(prefix):
            return None
        name = text[len(prefix) :]
        if name[:1] in _NO_NAME or "/." in name or "//" in name or name[-1] == "/":
            return None
        if not _openat2_works():
            return None
        fd = _try_openat2(self._fd, name, os.O_RDONLY | _NO_WAIT, _BY_NAME)
        return None if fd < 0 else (fd, name)

    def _is_at_its_path(self) -> bool:
        """Say whether the root is still the directory that its path leads to."""
        try:
            return os.stat(self._real)[1:3] == self._file
        except OSError:
            return False

    def open_in(
        self, directory: int, name: str, *, write: bool = False
    ) -> tuple[int, os.stat_result, Place]:
        """Open a regular file of a directory that `open_parent` yielded; as `open_file`."""
        access = os.O_RDWR if write else os.O_RDONLY
        fd = os.open(name, access | os.O_NOFOLLOW | _NO_WAIT, dir_fd=directory)
        return self._checked(fd, name)

    def _checked(self, fd: int, text: str) -> tuple[int, os.stat_result, Place]:
        try:
            status = os.fstat(fd)
            check_regular(status, text)
            return fd, status, self.place(fd, text)
        except BaseException:  # only a descriptor that was returned is the caller's to close
            os.close(fd)
            raise

    @contextlib.contextmanager
    def open_parent(self, path: StrPath) -> Iterator[tuple[int, str, Place]]:
        """Open the directory that a file will be written to.

        Yields (directory descriptor, file name, place of the file). A symbolic link at the
        end of the path is followed, so that the link stays and its target is replaced.
        """
        text = asked = _text(path)
        for _ in range(_MAX_LINKS):
            head, name = os.path.split(text)
            if name in ("", ".", ".."):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), asked)
            fd = self._open(head or ".", os.O_RDONLY | os.O_DIRECTORY | _NO_WAIT)
            try:
                directory = _real_path(fd, head or ".")
                target = _link_target(fd, name)
                if target is None:
                    real = os.path.join(directory, name)
                    yield fd, name, Place(real, self._relative(real))
                    return
                text = os.path.join(directory, target)
            finally:
                os.close(fd)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), asked)

    def _relative(self, real: str) -> str | None:
        # Both names come from the kernel and are free of links and dots, and the prefix ends
        # in a separator; `models_evil` is not below `models`.
        return real[len(self._prefix) :] if real.startswith(self._prefix) else None

    def _open(self, path: str, flags: int) -> int:
        full = path if path.startswith("/") else os.path.join(os.getcwd(), path)
        if full.startswith(self._prefix) and _openat2_works():
            try:
                return _openat2(self._fd, full[len(self._prefix) :] or ".", flags)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ELOOP, errno.EAGAIN):
                    raise OSError(error.errno, error.strerror, path) from None
        # Leads out of the root (or openat2 is missing): resolve, then walk without links, so
        # that a component exchanged meanwhile is refused and not followed.
        return _open_walking(os.path.realpath(full, strict=True), flags)


def open_beneath(
    directory: int, path: str, flags: int, mode: int = 0o666, *, links: bool = True
) -> int:
    """Open what a relative path leads to below an open directory, and nothing else.

    The caller closes the descriptor. Links are followed as long as they stay below, or not at all.

    Raises:
        OSError: as ``open`` does; EXDEV where the path, or a link on it, leads out, ELOOP where
            there is a link and none may be.
    """
    if "\0" in path:  # C would end the name there and open another file
        message = "embedded null byte"
        raise ValueError(message)
    if _openat2_works():
        resolve = _BENEATH if links else _BY_NAME
        for _ in range(_MAX_TRIES):
            fd = _try_openat2(directory, path, flags, resolve, mode)
            if fd >= 0:
                return fd
            code = ctypes.get_errno()
            if code != errno.EAGAIN:
                raise OSError(code, os.strerror(code), path)
    return _walk_beneath(directory, path, flags, mode, links=links)


def _walk_beneath(directory: int, path: str, flags: int, mode: int, *, links: bool) -> int:
    """Do what the kernel does, by opened directories: their chain is what `..` goes back by."""
    if path.startswith("/"):
        raise _leads_out(path)
    chain, parts, followed = [os.dup(directory)], _parts(path), 0
    try:
        while parts:
            part = parts.pop()
            if part == "..":
                os.close(chain.pop())
                if not chain:
                    raise _leads_out(path)
                continue
            step = _STEP if parts else flags
            try:
                fd = os.open(part, step | os.O_NOFOLLOW, mode, dir_fd=chain[-1])
            except OSError as error:
                steps = _steps_of_link(error, chain[-1], part)
                followed += 1
                if steps is None:
                    raise OSError(error.errno, error.strerror, path) from None
                if not links or followed > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                if steps.startswith("/"):
                    raise _leads_out(path) from None
                parts += _parts(steps)
                continue
            if not parts:
                return fd
            chain.append(fd)
        return os.open(".", flags, dir_fd=chain[-1])
    finally:
        for fd in chain:
            os.close(fd)


def _steps_of_link(error: OSError, directory: int, name: str) -> str | None:
    """Return where to go on after a name was not opened, None if the error stands."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # the latter is what O_DIRECTORY says
        return None
    target = _link_target(directory, name)
    if target is not None:
        return target
    try:
        kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError:
        return name
    # What was a link a moment ago is tried again.
    is_file = error.errno == errno.ENOTDIR and not stat.S_ISDIR(kind) and not stat.S_ISLNK(kind)
    return None if is_file else name


def _parts(path: str) -> list[str]:
    """Return the steps of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _leads_out(path: str) -> OSError:
    return OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _text(path: StrPath) -> str:
    text = os.fsdecode(path)
    if "\0" in text:  # C would end the name there and open another file
        message = "embedded null byte"
        raise ValueError(message)
    return text


def _link_target(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:  # no link, or nothing there
        return None


def _open_walking(real: str, flags: int) -> int:
    parts = [part for part in real.split("/") if part]
    fd = os.open("/", _STEP)
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        step = flags if last else _STEP
        try:
            following = os.open(part, step | os.O_NOFOLLOW, dir_fd=fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, real) from None
        finally:
            os.close(fd)
        fd = following
    return fd


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _openat2(directory: int, path: str, flags: int) -> int:
    fd = _try_openat2(directory, path, flags, _BENEATH)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return fd


def _try_openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    how, size = _open_how(flags, resolve, mode if flags & os.O_CREAT else 0)
    fd: int = _syscall()(_SYS_OPENAT2, directory, os.fsencode(path), how, size)
    return fd


@functools.cache
def _open_how(flags: int, resolve: int, mode: int) -> tuple[Any, int]:
    how = _OpenHow(flags, mode, resolve)
    return ctypes.byref(how), ctypes.sizeof(how)


@functools.cache
def _syscall() -> Any:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (
        ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t
    )  # fmt: skip
    return call


@functools.cache
def _openat2_works() -> bool:
    """Ask the kernel once; ENOSYS on old kernels, EPERM under some seccomp profiles."""
    if sys.platform != "linux":
        return False
    probe = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(_openat2(probe, ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError:
        return False
    finally:
        os.close(probe)
    return True


def _real_path(fd: int, path: str) -> str:
    """Return the kernel's name of an open descriptor."""
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return _real_path_without_proc(fd, path)
    if name.endswith(_GONE) and not _has_name(fd, name):
        # Replaced between open and now by an atomic rename; it was opened under this name.
        return name.removesuffix(_GONE)
    return name


def _has_name(fd: int, name: str) -> bool:
    """Say whether a file really has a name that looks like one that is gone.

    The number of its links does not tell: another one may be left, such as a backup's.
    """
    try:
        return os.path.samestat(os.stat(name, follow_symlinks=False), os.fstat(fd))
    except OSError:
        return False


def _real_path_without_proc(fd: int, path: str) -> str:
    real = os.path.realpath(path)
    here, there = os.fstat(fd), os.stat(real)
    if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
        raise OSError(errno.ESTALE, "the path changed while it was opened", path)
    return real
