"""Which files differ from those of a git revision.

The checkout may be hostile, and so may the configuration of its repository, which names programs:
filters, monitors, hooks, helpers. So git is asked only what a commit holds. The files are hashed
here, as git hashes what it stores, and neither the index nor the rules for ignored files count.
Where a filter or the ends of lines make the working file another one, it counts as changed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from safehold.errors import ConfigError
from safehold.scan.entries import is_below
from safehold.secrets.git import NoAnswerError, answer

_CHUNK: Final = 2**20
_FILE: Final = b"100"
_SUBMODULE: Final = b"160000"


@dataclass(frozen=True, slots=True)
class Revision:
    """The files of a commit, and of the submodules that it names: object ids by name."""

    top: str
    files: dict[bytes, bytes]

    @classmethod
    def of(cls, revision: str) -> Revision:
        """Return what a revision holds in the checkout of the current directory.

        Raises:
            ConfigError: there is no git, no checkout or no such revision; says what to do.
        """
        top = _top(os.getcwd())
        if not revision or revision.startswith("-"):
            raise ConfigError(f"--since: {revision!r} is not a revision")
        try:
            said = answer(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
            commit = said.decode("ascii").strip()
        except NoAnswerError as error:
            raise ConfigError(
                f"--since: {revision!r} is no commit of {top}{error}; in a shallow clone fetch it "
                "first (git fetch --unshallow, or fetch-depth: 0 in a workflow)"
            ) from None
        try:
            return cls(top, dict(_files(top, b"", commit)))
        except NoAnswerError as error:
            raise ConfigError(
                f"--since: {top} does not have all of {revision!r}{error}; fetch it first "
                "(git fetch --refetch)"
            ) from None

    def check(self, path: str) -> None:
        """Raise ConfigError if a path is outside the checkout."""
        if not is_below(_real(path), self.top):
            raise ConfigError(
                f"--since: {path} is outside the checkout {self.top}; name paths in it, or start "
                "in the checkout that holds them"
            )

    def has(self, path: str) -> bool:
        """Say whether the revision has a file of this name, or files below it."""
        name = self._name(path)
        return any(file == name or file.startswith(name + b"/") for file in self.files)

    def differs(self, path: str) -> bool:
        """Say whether a file is not that of the revision, or cannot be compared.

        Links always differ: what they lead to may have changed.
        """
        known = self.files.get(self._name(path))
        return known is None or _object_id(path, len(known)) != known

    def _name(self, path: str) -> bytes:
        return os.fsencode(os.path.relpath(_real(path), self.top))


def _top(folder: str) -> str:
    """Return the checkout that holds a directory.

    It is that of the current directory: one that stands in a scanned directory may come from
    whoever made the artifacts.
    """
    top = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(top, ".git")):
        if top == os.path.dirname(top):
            raise ConfigError(f"--since: {folder} is in no checkout of git; start in one")
        top = os.path.dirname(top)
    return top


def _real(path: str) -> str:
    """Return a path without links, but for a link to a file."""
    if os.path.isdir(path):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _files(top: str, prefix: bytes, commit: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, object id) of the files of a commit; nothing of submodules that lack it."""
    listing = answer(
        os.path.join(top, os.fsdecode(prefix)), "ls-tree", "-r", "-z", "--full-tree", commit
    )
    for row in filter(None, listing.split(b"\0")):
        head, _, name = row.partition(b"\t")
        mode, _, identity = head.split(b" ")
        if mode.startswith(_FILE):
            yield prefix + name, identity
        elif mode == _SUBMODULE:
            folder = os.path.join(top, os.fsdecode(prefix + name))
            # Names of a tree are not to be trusted, and links could make it endless.
            if os.path.realpath(folder) == folder and os.path.lexists(os.path.join(folder, ".git")):
                try:
                    inner = list(_files(top, prefix + name + b"/", identity.decode("ascii")))
                except (NoAnswerError, ConfigError):
                    continue  # so all of its files differ
                yield from inner


def _object_id(path: str, length: int) -> bytes | None:
    """Return what git calls the content of a regular file; None if it is none or not readable."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(path, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None
            sha1 = hashlib.sha1(usedforsecurity=False)
            digest = sha1 if length == 2 * sha1.digest_size else hashlib.sha256()
            digest.update(b"blob %d\0" % facts.st_size)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest().encode("ascii")
