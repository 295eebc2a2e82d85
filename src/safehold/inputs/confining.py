"""Files below a directory: names come from outside, what they lead to does not.

A path is opened, never checked first and opened then: whoever can exchange directories and links
meanwhile gains nothing. The kernel resolves (``openat2``), or this walks by opened directories.
"""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NoReturn, Self, cast

from safehold.context import Context
from safehold.errors import InputRefused
from safehold.events import Event
from safehold.inputs.rules import ESCAPES
from safehold.paths import Root, StrPath, open_beneath, replace_file
from safehold.replacing import check_regular

if TYPE_CHECKING:
    from safehold.inputs.archives import ArchiveLimits

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # a FIFO must not block the open
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def confine(root: StrPath, *, links: bool = True, hold: Context | None = None) -> Confined:
    """Return the files below a directory, for paths that come from outside.

    With `links` symbolic links are followed as long as they stay below; absolute ones never do.
    A refusal becomes an event of `hold`.

    Raises:
        ConfigError: the directory cannot be opened.
    """
    return Confined(root, links=links, hold=hold)


class Confined:
    """An opened directory. Every path is relative to it, and `InputRefused` if it leads out.

    Does not protect from hard links and mounts that somebody made below: they are files there.
    """

    def __init__(self, root: StrPath, *, links: bool = True, hold: Context | None = None) -> None:
        """Use `confine`."""
        self._root = Root(root)
        self._fd = self._root.fileno()
        self._links = links
        self._hold = hold
        self.path = self._root.path

    def open(
        self, path: StrPath, mode: str = "rb", *, encoding: str | None = None,
        permissions: int = 0o666,
    ) -> IO[Any]:  # fmt: skip
        """Open a regular file as the built-in ``open`` does, for reading or writing.

        Raises:
            InputRefused: the path leads out. OSError: as ``open`` does.
        """
        text = path if type(path) is str else os.fsdecode(path)
        if "\0" in text:
            self.refuse("a path has no null byte", text)
        opener = (
            self.open_fd if permissions == 0o666 else partial(self.open_fd, permissions=permissions)
        )
        if encoding is None and "b" not in mode:
            encoding = "utf-8"
        return open(text, mode, encoding=encoding, opener=opener)

    def read(self, path: StrPath) -> bytes:
        """Return the content of a file; as `open`."""
        with cast("BinaryIO", self.open(path)) as file:
            return file.read()

    def open_fd(self, path: StrPath, flags: int = os.O_RDONLY, permissions: int = 0o666) -> int:
        """Open a regular file with the flags of ``os.open``; the caller closes the descriptor.

        Raises:
            InputRefused: the path leads out. OSError: as ``os.open``, and if it is no file.
        """
        text = path if type(path) is str else os.fsdecode(path)
        # What is no file must not be cut before it is known not to be one.
        fd = self._open(text, (flags & ~os.O_TRUNC) | _FLAGS, permissions)
        try:
            check_regular(os.fstat(fd), text)
            if flags & os.O_TRUNC:
                os.ftruncate(fd, 0)
        except BaseException:  # only a descriptor that was returned is the caller's to close
            os.close(fd)
            raise
        return fd

    def write(self, path: StrPath, data: bytes) -> None:
        """Create or replace a file in one step; a link at the end of the path is replaced.

        Raises:
            InputRefused: the path leads out. OSError: as ``open`` does.
        """
        with self.parent(path) as (directory, name):
            replace_file(directory, name, [data])

    def list(self, path: StrPath = ".") -> list[str]:
        """Return the sorted names in a directory; as `open`."""
        fd = self._open(os.fsdecode(path), _DIRECTORY, 0)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def mkdir(self, path: StrPath, permissions: int = 0o777) -> None:
        """Make a directory; as `open`."""
        with self.parent(path) as (directory, name):
            os.mkdir(name, permissions, dir_fd=directory)

    def remove(self, path: StrPath) -> None:
        """Remove a file, or a link and not what it leads to; as `open`."""
        with self.parent(path) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def extract(
        self, file: BinaryIO, into: StrPath, limits: ArchiveLimits | None = None
    ) -> builtins.list[str]:
        """Unpack a zip or tar archive to a new directory; return the paths of its files there.

        Nothing is left of an archive that is refused: because of a link, a device, a name that is
        no relative path or there twice, or of what it unpacks to.

        Raises:
            InputRefused: the archive is refused. OSError: as ``os.mkdir``.
        """
        from safehold.inputs.archives import ArchiveLimits
        from safehold.inputs.extracting import extract

        with self.parent(into) as (directory, name):
            try:
                return extract(file, directory, name, limits or ArchiveLimits())
            except InputRefused as error:
                self.refuse(str(error), os.fsdecode(into), error.rule, error.__cause__)

    def asgi(self) -> Callable[..., Awaitable[None]]:
        """Return an ASGI application that serves the files; see `safehold.inputs.serving`."""
        from safehold.inputs.serving import asgi

        return asgi(self)

    def wsgi(self) -> Callable[..., Iterable[bytes]]:
        """Return a WSGI application that serves the files; see `safehold.inputs.serving`."""
        from safehold.inputs.serving import wsgi

        return wsgi(self)

    @contextmanager
    def parent(self, path: StrPath) -> Iterator[tuple[int, str]]:
        """Open the directory of a path, for what is made there; yields it and the last name."""
        head, _, name = os.fsdecode(path).rpartition("/")
        if name in ("", ".", "..") or "\0" in name:
            raise InputRefused("a path ends in the name of a file", rule=ESCAPES.id)
        fd = self._open(f"{head}/" if head or "/" in os.fsdecode(path) else ".", _DIRECTORY, 0)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def _open(self, text: str, flags: int, permissions: int) -> int:
        try:
            return open_beneath(self._fd, text, flags, permissions, links=self._links)
        except ValueError:
            why = "a path has no null byte"
        except OSError as error:
            if error.errno != errno.EXDEV and not (error.errno == errno.ELOOP and not self._links):
                raise
            why = "a path leads out of its directory"
        return self.refuse(why, text)

    def refuse(
        self, why: str, path: str, rule: str = ESCAPES.id, cause: BaseException | None = None
    ) -> NoReturn:
        """Record that something was refused, and raise `InputRefused`."""
        refused = InputRefused(why, rule=rule)
        refused.__cause__ = cause
        if self._hold is None:
            raise refused
        detail = {"directory": str(self.path), "path": path}
        event = Event(action="input", outcome="refused", reason=why, rule=rule, detail=detail)
        self._hold.recorder.refuse(event, refused)

    def close(self) -> None:
        """Close the directory handle; the object is of no use afterwards."""
        self._root.close()
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
