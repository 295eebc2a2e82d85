"""The directory of a cache: one user's alone, every entry with a MAC, unused ones removed.

    CACHEDIR.TAG    says that it is a cache, to backups (https://bford.info/cachedir/) and here
    key             32 random bytes; who can read them can write entries that count. Its mode is
                    400, which no checkout of git gives a file that a stranger has committed
    ab/cdef...      entries: magic, HMAC-SHA256 over name and content, content

Entries are written in one step and not flushed: what a power failure leaves of one fails its MAC.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import secrets
import stat
import time
from typing import Final

from safehold.errors import ConfigError

MOST_BYTES: Final = 256 * 2**20
"""What all entries may take of the disk, about."""
_UNUSED: Final = 30 * 86400
_DAY: Final = 86400
_TAG: Final = "CACHEDIR.TAG"
_TAG_TEXT: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# Results of `safehold scan --cache`. All of this may be deleted.\n"
)
_KEY: Final = "key"
_KEY_SIZE: Final = 32
_MAGIC: Final = b"\xf9safehold scan cache 1\n"
_MAC_SIZE: Final = 32
_HEAD: Final = len(_MAGIC) + _MAC_SIZE
_LARGEST: Final = 2**20
_SHELVES: Final = 256
# One of so many writes looks after the shelf that it wrote to.
_TIDIED: Final = 64
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BY_OTHERS: Final = 0o022
_KEY_MODE: Final = 0o400


class UnusableError(Exception):
    """The directory cannot be used; says why, for people."""


class DamagedError(Exception):
    """An entry is not what was written under its name with this key."""


class CacheFiles:
    """One open directory; safe to use from several threads and processes at once."""

    def __init__(self, path: str, most: int) -> None:
        """Open or make the directory.

        Raises:
            ConfigError: it is something else, which the caller may have meant to be scanned.
            UnusableError: it is not private, or cannot be made or read.
        """
        self._handle = -1
        try:
            self._handle = _opened(path)
            status = os.fstat(self._handle)
            self.identity = (status.st_dev, status.st_ino)
            _check_private(status, path)
            _claim(self._handle, path)
            self._key = _key(self._handle, path)
        except OSError as error:
            raise UnusableError(f"{path}: {error.strerror or error}") from error
        self._share = most // _SHELVES
        # Processes that write little do their part, too.
        self._writes = secrets.randbelow(_TIDIED)

    def __del__(self) -> None:
        """Close the directory."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.close(self._handle)

    def read(self, name: bytes) -> bytes | None:
        """Return the content of an entry; None if there is none.

        Raises:
            DamagedError: what is there is no entry, or not this one.
        """
        shelf, rest = _split(name)
        try:
            directory = os.open(shelf, _DIRECTORY, dir_fd=self._handle)
            try:
                handle = os.open(rest, _FILE, dir_fd=directory)
            finally:
                os.close(directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedError(error.strerror) from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or not _HEAD <= status.st_size <= _LARGEST:
                raise DamagedError("no entry")
            _check_private(status, rest)
            data = os.read(handle, status.st_size)
            self._used(handle, status)
        except (OSError, UnusableError) as error:
            raise DamagedError(str(error)) from error
        finally:
            os.close(handle)
        content = data[_HEAD:]
        mac = data[len(_MAGIC) : _HEAD]
        if data[: len(_MAGIC)] != _MAGIC or not hmac.compare_digest(mac, self._mac(name, content)):
            raise DamagedError("written by another")
        return content

    def write(self, name: bytes, content: bytes) -> None:
        """Make or replace an entry; one that is too large is left out. Raises OSError."""
        from safehold.replacing import replace_file

        if len(content) + _HEAD > _LARGEST:
            return
        shelf, rest = _split(name)
        try:
            directory = os.open(shelf, _DIRECTORY, dir_fd=self._handle)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):  # by another process, meanwhile
                os.mkdir(shelf, 0o700, dir_fd=self._handle)
            directory = os.open(shelf, _DIRECTORY, dir_fd=self._handle)
        try:
            pieces = [_MAGIC, self._mac(name, content), content]
            replace_file(directory, rest, [b"".join(pieces)], mode=0o600, flush=False)
            self._writes += 1
            if self._writes % _TIDIED == 0:
                self._tidy(directory)
        finally:
            os.close(directory)

    def remove(self, name: bytes) -> None:
        """Remove what stands where an entry should be, as far as that is possible."""
        shelf, rest = _split(name)
        with contextlib.suppress(OSError):
            directory = os.open(shelf, _DIRECTORY, dir_fd=self._handle)
            try:
                os.unlink(rest, dir_fd=directory)
            finally:
                os.close(directory)

    def _mac(self, name: bytes, content: bytes) -> bytes:
        # Names have one length, so no other pair gives the same message.
        return hmac.digest(self._key, _MAGIC + name + content, "sha256")

    def _used(self, handle: int, status: os.stat_result) -> None:
        """Note the day of use; a directory that cannot be written is of use all the same."""
        if abs(time.time() - status.st_mtime) > _DAY:
            with contextlib.suppress(OSError):
                os.utime(handle)

    def _tidy(self, directory: int) -> None:
        """Remove what was not used for long, and the longest unused beyond a shelf's share."""
        now, rows = time.time(), []
        with os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    rows.append((status.st_mtime, status.st_blocks * 512, entry.name))
        total = 0
        for used, size, name in sorted(rows, reverse=True):
            total += size
            if total > self._share or not now - _UNUSED < used < now + _DAY:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=directory)


def _opened(path: str) -> int:
    """Return a handle of the directory, which is made if nothing is there."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        return os.open(path, _DIRECTORY)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"cache: {path} is a link or no directory; name another") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConfigError(f"cache: {path} is a link or no directory; name another") from error
        raise


def _check_private(status: os.stat_result, path: str) -> None:
    """Raises UnusableError if somebody else may change a file or directory."""
    if status.st_uid != os.geteuid():
        raise UnusableError(f"{path} belongs to another user")
    if status.st_mode & _BY_OTHERS:
        raise UnusableError(f"{path} is open to other users; chmod go= it, or name another")


def _claim(directory: int, path: str) -> None:
    """Check that a directory is a cache, or make an empty one into one."""
    from safehold.replacing import replace_file

    if _is_tagged(directory):
        return
    if any(not name.startswith(f".{_TAG}.") for name in os.listdir(directory)):
        if _is_tagged(directory):  # by another process, meanwhile
            return
        raise ConfigError(
            f"cache: {path} has something else in it; name an empty directory or a new one"
        )
    with contextlib.suppress(FileExistsError):
        replace_file(directory, _TAG, [_TAG_TEXT], mode=0o600, new=True)


def _is_tagged(directory: int) -> bool:
    try:
        handle = os.open(_TAG, _FILE, dir_fd=directory)
    except FileNotFoundError:
        return False
    try:
        return os.read(handle, len(_TAG_TEXT) + 1) == _TAG_TEXT
    finally:
        os.close(handle)


def _key(directory: int, path: str) -> bytes:
    """Return the key, made if there is none."""
    from safehold.replacing import replace_file

    place = f"{path}/{_KEY}"
    for _ in range(2):
        try:
            handle = os.open(_KEY, _FILE, dir_fd=directory)
        except FileNotFoundError:
            made = secrets.token_bytes(_KEY_SIZE)
            with contextlib.suppress(FileExistsError):  # another process made one
                replace_file(directory, _KEY, [made], mode=_KEY_MODE, new=True)
            continue
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size != _KEY_SIZE:
                raise UnusableError(f"{place} is no key; delete {path}")
            _check_private(status, place)
            if stat.S_IMODE(status.st_mode) != _KEY_MODE:
                raise UnusableError(f"{place} is not of mode 400, as it was made; delete {path}")
            return os.read(handle, _KEY_SIZE)
        finally:
            os.close(handle)
    raise UnusableError(f"{place} vanishes")


def _split(name: bytes) -> tuple[str, str]:
    text = name.hex()
    return text[:2], text[2:]
