"""Walks a tree of sources in a fixed order and looks at each file once.

Never leaves the tree, unless asked to: links to directories are not followed (what they name
beneath the tree is met on its own), links to files count as the file they lead to, once. A copy of
safehold itself is left out.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from safehold.policy import Policy
from safehold.source import notebooks
from safehold.source.check import LIBRARIES, MIGRATED_ALONE, PREFILTER, audit_source, unreadable
from safehold.source.journal import Journal
from safehold.source.neighbours import Neighbours
from safehold.source.offered import Offered
from safehold.source.outcome import Diagnostic, FileAudit
from safehold.source.parallel import batches, in_workers
from safehold.source.reexports import Reexports, find_reexports
from safehold.source.rules.unreadable import LARGEST, UNREADABLE

SKIPPED = frozenset(
    ".git .hg .svn .venv venv node_modules __pycache__ .safehold site-packages dist-packages "
    ".tox .nox .mypy_cache .pytest_cache .ruff_cache".split()
)
"""Directories below the root that hold no source of the service itself."""
_SUFFIXES = (".py", ".pyw", notebooks.SUFFIX)
_SHEBANG = re.compile(rb"#![^\n]*\bpython[\d.]*w?\b")
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: str  # as opened
    relative: str  # as reported
    is_named: bool = True  # by its name a Python source; others are told by their first line
    is_outside: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """How the files of a tree are looked at; `offset` is the tree's place below the policy's."""

    policy: Policy
    offset: str
    migrated_alone: bool
    plans: bool = True
    reexports: Reexports = field(default_factory=Reexports)

    def offered(self) -> Offered:
        """Return what modules hand on to others, for one worker."""
        return Offered(
            self.reexports,
            str(self.policy.root),
            LIBRARIES,
            self._planned if self.plans else None,
        )

    def _planned(self, data: bytes, here: str) -> FileAudit:
        """Plan the migration of a module whose names another one takes."""
        offered = Offered(self.reexports, str(self.policy.root), LIBRARIES, None)
        return audit_source(
            data, here, self.policy, here=here, prefilter=MIGRATED_ALONE, offered=offered
        )

    def neighbours(self) -> Neighbours:
        return Neighbours(str(self.policy.root))

    def at(self, batch: Sequence[_Candidate]) -> list[FileAudit | None]:
        """Look at several files, in a worker."""
        neighbours, offered = self.neighbours(), self.offered()
        return [_audit(candidate, self, neighbours, offered) for candidate in batch]


def audit_tree(  # noqa: PLR0913  all but the root are options by keyword
    root: str | Path,
    *,
    policy: Policy,
    exclude: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    keep: Callable[[str], bool] | None = None,
    follow: bool = False,
    migrated_alone: bool = False,
    plans: bool = True,
    jobs: int = 1,
) -> Iterator[FileAudit]:
    """Yield the result for every source file below a directory, ordered by path.

    `exclude` holds globs that are matched against the path relative to the root and against
    each name in it. `progress` is called with each path before it is read, `keep` before that: it
    says whether to read it. With `follow`, files outside the tree that links lead to are read;
    with `migrated_alone`, what `safehold migrate` has no part in is not looked for; without `plans`
    there are findings and no edits, in less time and memory. With `jobs` other than 1, so many
    processes look (-1: one for each core); results and their order are the same, and `progress` is
    called when a file is done.

    Raises:
        ConfigError: a worker was ended.
        MissingExtra: `jobs` is given, and joblib is not installed.
        OSError: the root itself cannot be read.
    """
    top = os.path.realpath(root)
    look = _Look(policy, _offset(top, policy), migrated_alone, plans)
    os.scandir(top).close()
    found = _candidates(top, tuple(exclude), follow=follow)
    wanted = [candidate for candidate in found if keep is None or keep(candidate.relative)]
    look = replace(look, reexports=_reexports(wanted, look))
    if jobs != 1:
        yield from _in_parallel(wanted, look, jobs, progress)
        return
    neighbours, offered = look.neighbours(), look.offered()
    for candidate in wanted:
        if progress is not None:
            progress(candidate.relative)
        audit = _audit(candidate, look, neighbours, offered)
        if audit is not None:
            yield audit


def _reexports(candidates: Sequence[_Candidate], look: _Look) -> Reexports:
    """Read all files once, for what they import from each other."""
    places = {
        posixpath.join(look.offset, candidate.relative): candidate.path
        for candidate in candidates
        if candidate.relative.endswith(".py") and not candidate.is_outside
    }

    def read(here: str) -> bytes:
        try:
            return _read(places[here], None, LARGEST) or b""
        except OSError:
            return b""  # told when the file is looked at

    return find_reexports(places, read, LIBRARIES)


def _in_parallel(
    wanted: list[_Candidate],
    look: _Look,
    jobs: int,
    progress: Callable[[str], None] | None,
) -> Iterator[FileAudit]:
    shared = batches(wanted, jobs)
    answers = in_workers(look.at, shared, jobs, lambda candidate: candidate.relative)
    for batch, audits in zip(shared, answers, strict=True):
        for candidate, audit in zip(batch, audits, strict=True):
            if progress is not None:
                progress(candidate.relative)
            if audit is not None:
                yield audit


def find_sources(
    root: str | Path, *, exclude: Sequence[str] = (), follow: bool = False
) -> Iterator[str]:
    """Yield the relative path of each file that `audit_tree` would look at, read or not."""
    for candidate in _candidates(os.path.realpath(root), tuple(exclude), follow=follow):
        yield candidate.relative


def audit_file(
    path: str | Path, *, policy: Policy, name: str | None = None, migrated_alone: bool = False
) -> FileAudit:
    """Look at one file, whatever it is called; `name` is the path to report."""
    real = os.path.realpath(path)
    relative = os.path.basename(real) if name is None else name
    look = _Look(policy, _offset(os.path.dirname(real), policy), migrated_alone)
    audit = _audit(_Candidate(real, relative), look, look.neighbours(), look.offered())
    return FileAudit(relative) if audit is None else audit


def migrate_file(journal: Journal, root: str | Path, audit: FileAudit) -> Diagnostic | None:
    """Write a planned edit through the journal; return why not when it was not possible.

    Nothing is written to a file that is read-only or no longer holds what was looked at.
    """
    if audit.after is None:
        return None
    path = os.path.join(os.path.realpath(root), audit.path)
    try:
        status = os.stat(path)
        if not status.st_mode & 0o222:
            return _failed(audit, "the file is read-only")
        with open(path, "rb") as file:
            if file.read() != audit.before:
                return _failed(audit, "the file changed while it was looked at")
        journal.replace(path, audit.after)
    except OSError as error:
        return _failed(audit, f"not written: {error.strerror or error}")
    return None


def carry_out(journal: Journal, root: str | Path, audit: FileAudit) -> FileAudit:
    """Write a planned edit as `migrate_file`; what was not possible becomes a diagnostic."""
    problem = migrate_file(journal, root, audit)
    if problem is None:
        return audit
    diagnostics = (*audit.diagnostics, problem)
    return replace(audit, edits=(), diagnostics=diagnostics, before=None, after=None, added=0)


def _failed(audit: FileAudit, reason: str) -> Diagnostic:
    line = audit.edits[0].line if audit.edits else 1
    rule = audit.edits[0].rule if audit.edits else UNREADABLE.rule.id
    return Diagnostic(line, rule, reason, "Make the file writable and migrate again.")


def _offset(top: str, policy: Policy) -> str:
    """Return the tree's path relative to the policy's root, empty when they are the same."""
    relative = os.path.relpath(top, os.path.realpath(policy.root))
    return "" if relative == "." else relative


def _audit(
    candidate: _Candidate, look: _Look, neighbours: Neighbours, offered: Offered
) -> FileAudit | None:
    if candidate.problem is not None:
        return unreadable(candidate.relative, candidate.problem)
    if candidate.is_outside:
        return unreadable(candidate.relative, "a link that leads out of the tree; not followed")
    try:
        wanted = None if candidate.is_named else _is_script
        data = _read(candidate.path, wanted, _largest(candidate.path))
    except OSError as error:
        return unreadable(candidate.relative, error.strerror or str(error))
    if data is None:
        limit = _largest(candidate.path)
        return unreadable(candidate.relative, f"larger than {limit // 2**20} MiB")
    if not data:
        return FileAudit(candidate.relative) if candidate.is_named else None
    return audit_source(
        data,
        candidate.relative,
        look.policy,
        here=posixpath.join(look.offset, candidate.relative),
        neighbours=neighbours,
        prefilter=MIGRATED_ALONE if look.migrated_alone else PREFILTER,
        offered=offered,
        plans=look.plans,
    )


def _largest(path: str) -> int:
    return notebooks.LARGEST if path.endswith(notebooks.SUFFIX) else LARGEST


def _read(path: str, wanted: Callable[[bytes], bool] | None, largest: int) -> bytes | None:
    """Read a regular file; None when it is larger than anything that is parsed.

    `wanted` looks at the first bytes; when it says no, the rest is not read and b"" returned.
    """
    fd = os.open(path, _READ_FLAGS)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = b""
        if wanted is not None:
            data = os.read(fd, 256)
            if not wanted(data):
                return b""
        if status.st_size > largest:
            return None
        data += os.read(fd, status.st_size + 1)
        while more := os.read(fd, 2**20):  # short reads, or a file that grows
            data += more
            if len(data) > largest:
                return None
        return data
    finally:
        os.close(fd)


def _is_script(head: bytes) -> bool:
    return _SHEBANG.match(head) is not None


def _candidates(top: str, exclude: tuple[str, ...], *, follow: bool) -> Iterator[_Candidate]:
    seen: set[str] = set()
    links: list[_Candidate] = []
    for candidate, is_link in _entries(top, exclude):
        if is_link:
            links.append(candidate)
        else:
            seen.add(candidate.path)
            yield candidate
    for link in links:
        real = os.path.realpath(link.path)
        if not os.path.exists(real):
            if link.is_named:
                yield link  # leads nowhere or to itself: the read says so
        elif follow and os.path.isfile(real) and not _is_below(real, top):
            if real not in seen:
                seen.add(real)
                yield _Candidate(real, link.relative, link.is_named)
        elif not _is_below(real, top):
            yield _Candidate(link.path, link.relative, is_outside=True)
        elif real not in seen and os.path.isfile(real):
            seen.add(real)
            yield _Candidate(real, os.path.relpath(real, top), link.is_named)


def _is_below(real: str, top: str) -> bool:
    return real == top or real.startswith(top.rstrip("/") + "/")


def _entries(top: str, exclude: tuple[str, ...]) -> Iterator[tuple[_Candidate, bool]]:
    """Yield files and links that may be source, depth first in the order of names."""
    stack = [("", top)]
    while stack:
        prefix, directory = stack.pop()
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            yield _Candidate(directory, prefix.rstrip("/"), problem=error.strerror), False
            continue
        below = []
        for entry in entries:
            relative = prefix + entry.name
            if exclude and _is_excluded(relative, entry.name, exclude):
                continue
            if entry.is_symlink():
                if _may_be_source(entry.name) or os.path.isdir(entry.path):
                    yield _Candidate(entry.path, relative, _is_named(entry.name)), True
            elif entry.is_dir(follow_symlinks=False):
                if not (
                    entry.name in SKIPPED
                    or _is_environment(entry.path)
                    or _is_safehold(entry.name, entry.path)
                ):
                    below.append((relative + "/", entry.path))
            elif _may_be_source(entry.name) and entry.is_file(follow_symlinks=False):
                yield _Candidate(entry.path, relative, _is_named(entry.name)), False
        stack.extend(reversed(below))


def _is_environment(directory: str) -> bool:
    """Tell a virtual environment by the file that makes Python treat it as one (PEP 405)."""
    return os.path.exists(os.path.join(directory, "pyvenv.cfg"))


def _is_safehold(name: str, directory: str) -> bool:
    """Tell a copy of this package, whose facades must go on importing the real libraries."""
    return name == "safehold" and os.path.exists(os.path.join(directory, "compat", "pickle.py"))


def _is_named(name: str) -> bool:
    return name.endswith(_SUFFIXES)


def _may_be_source(name: str) -> bool:
    return _is_named(name) or "." not in name


def _is_excluded(relative: str, name: str, exclude: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(relative, pattern.rstrip("/"))
        or fnmatch.fnmatchcase(name, pattern.rstrip("/"))
        for pattern in exclude
    )
