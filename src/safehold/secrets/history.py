"""Secrets in the history of a checkout: what its commits added, each secret once, at its first.

git prints the lines that commits add; merges show what is in none of their parents. What git
takes for bytes is not looked at, nor are messages of commits, tags' texts and what no branch or tag
reaches.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import IO, Final

from safehold.errors import ConfigError
from safehold.findings import Finding
from safehold.scan import FileReport, Verdict
from safehold.scan.entries import is_excluded
from safehold.scan.one import unreadable
from safehold.secrets.detecting import hits_of
from safehold.secrets.git import NoAnswerError, answer, command, environment, failure
from safehold.secrets.rules import IN_HISTORY, OLD
from safehold.secrets.tree import finding_of

FORMAT: Final = "commits"
MOST_BYTES: Final = 8 * 2**30
MOST_SECONDS: Final = 1800.0
_LONGEST_LINE: Final = 2**20
_MOST_LINES: Final = 50_000  # of one hunk at once
_HUNK: Final = re.compile(rb"(@@+) .*?\+(\d+)(?:,\d+)? @@")
_OCTAL: Final = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
_COVERING: Final = frozenset({"SH301", "SH340", IN_HISTORY.id})


@dataclass
class _State:
    """Where in git's output the reader is."""

    top: str
    commit: str = ""
    when: date = date.min
    path: str = ""
    parents: int = 0  # 0 outside of a hunk
    first: int = 0
    added: list[str] = field(default_factory=list)


def scan_history(
    path: str,
    since: str = "",
    exclude: tuple[str, ...] = (),
    *,
    today: date | None = None,
    max_age: int | None = None,
    most_bytes: int = MOST_BYTES,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[FileReport]:
    """Yield a report for each file of the history that has held a secret, newest names.

    ``since`` leaves out the commits that a revision reaches. With ``max_age`` a secret that was
    first committed more days before ``today`` is a finding of its own.

    Raises:
        ConfigError: there is no git, no checkout or no such revision.
    """
    top = _top(path)
    wanted = ["--all"] if not since else ["--all", "--not", _commit(top, since)]
    arguments = (
        "log", "--reverse", "--full-history", "--no-color", "--no-ext-diff", "--no-textconv",
        "--no-show-signature", "--no-renames", "--no-notes", "--diff-merges=dense-combined",
        "--src-prefix=a/", "--dst-prefix=b/", "--unified=0", "--patch",
        "--submodule=short", "--encoding=UTF-8", "--format=%x00%H %ct", *wanted, "--",
        os.path.realpath(path),
    )  # fmt: skip
    found: dict[str, list[Finding]] = {}
    seen: set[tuple[str, bytes]] = set()
    problem = ""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  no shell
            command(top, *arguments),
            env=environment(top),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        try:
            out = process.stdout
            if out is None:
                raise ConfigError("git cannot be read from")
            budget = _Budget(most_bytes, time.monotonic() + most_seconds)
            for state in _hunks(out, _State(top), budget):
                if exclude and _is_left_out(os.path.join(top, state.path), path, exclude):
                    continue
                for finding in _findings(state, seen, today, max_age):
                    found.setdefault(state.path, []).append(finding)
            problem = budget.problem
        finally:
            if process.poll() is None:
                process.kill() if problem else None
            if process.stdout is not None:
                process.stdout.close()
            code = process.wait()
        if code and not problem:
            said.seek(0)
            error = failure(top, said.read(4096))
            if isinstance(error, ConfigError):
                raise error
            problem = f"git ended with {code}{error}"
    for name, findings in sorted(found.items()):
        shown = os.path.relpath(os.path.join(top, name))
        placed = tuple(findings)
        yield FileReport(shown, FORMAT, Verdict.of(placed), placed)
    if problem:
        yield unreadable(path, f"the history was not read to its end: {problem}")


def _is_left_out(name: str, path: str, exclude: tuple[str, ...]) -> bool:
    """Say whether a file, or a directory that holds it below the path, is not wanted."""
    parts = os.path.relpath(name, os.path.realpath(path)).split("/")
    return any(is_excluded("/".join(parts[: end + 1]), exclude) for end in range(len(parts)))


@dataclass
class _Budget:
    """How much of git's output is read."""

    left: int
    until: float
    problem: str = ""

    def take(self, size: int) -> bool:
        self.left -= size
        if self.left < 0:
            self.problem = "it is larger than the limit"
        elif time.monotonic() > self.until:
            self.problem = "it takes longer than the limit"
        return not self.problem


def _hunks(out: IO[bytes], state: _State, budget: _Budget) -> Iterator[_State]:
    """Yield the state at the end of each run of added lines."""
    while row := out.readline(_LONGEST_LINE):
        if not budget.take(len(row)):
            break
        if not row.endswith(b"\n"):  # the rest of a line that is too long to look at
            while (rest := out.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                if not budget.take(len(rest)):
                    break
        is_head = row[:1] in (b"\0", b"d", b"@")
        if state.added and (is_head or len(state.added) >= _MOST_LINES):
            yield state
            state.first += len(state.added)
            state.added = []
        if is_head:
            _begin(state, row)
        elif not state.parents:
            if row.startswith(b"+++ "):
                state.path = _name(row[4:].rstrip(b"\n"))
        elif row.startswith(b"+" * state.parents):
            state.added.append(row[state.parents :].rstrip(b"\r\n").decode("utf-8", "replace"))
    if state.added:
        yield state


def _begin(state: _State, row: bytes) -> None:
    """Take what a line says that no line of a file can be: a commit, a file, a hunk."""
    if row[:1] == b"\0":
        identity, _, seconds = row[1:].decode("ascii", "replace").partition(" ")
        state.commit, state.parents = identity, 0
        state.when = datetime.fromtimestamp(int(seconds), UTC).date()
    elif row[:1] == b"d":
        state.parents, state.path = 0, ""
    elif hunk := _HUNK.match(row):
        state.parents, state.first = len(hunk[1]) - 1, int(hunk[2])


def _name(quoted: bytes) -> str:
    """Return the path that git prints, which quotes what is not printable."""
    if quoted.startswith(b'"'):
        quoted = _OCTAL.sub(_plain, quoted[1:].rstrip(b"\t").removesuffix(b'"'))
    return os.fsdecode(quoted.rstrip(b"\t").removeprefix(b"b/"))


def _plain(found: re.Match[bytes]) -> bytes:
    mark = found[1]
    return bytes([int(mark, 8) & 255]) if len(mark) == 3 else _ESCAPES.get(mark, mark)


def _findings(
    state: _State, seen: set[tuple[str, bytes]], today: date | None, max_age: int | None
) -> Iterator[Finding]:
    text = "\n".join(state.added)
    member = state.commit[:12]
    for hit in hits_of(text, state.path, _COVERING, state.first):
        key = (state.path, hit.identity)
        if key in seen:
            continue
        seen.add(key)
        found = finding_of(IN_HISTORY, hit, state.path, member)
        detail = {**found.detail, "committed": state.when.isoformat()}
        yield Finding.of(
            IN_HISTORY,
            found.message,
            found.location,
            severity=found.severity,
            confidence=found.confidence,
            detail=detail,
        )
        age = None if today is None else (today - state.when).days
        if max_age is not None and age is not None and age > max_age:
            message = f"{hit.name or hit.what} was committed {age} days ago, on {state.when}"
            yield Finding.of(OLD, message, found.location, detail={**detail, "days": age})


def _top(path: str) -> str:
    folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
    top = os.path.realpath(folder)
    while not os.path.lexists(os.path.join(top, ".git")):
        if top == os.path.dirname(top):
            raise ConfigError(f"--history: {path} is in no checkout of git")
        top = os.path.dirname(top)
    return top


def _commit(top: str, revision: str) -> str:
    if revision.startswith("-"):
        raise ConfigError(f"--since: {revision!r} is not a revision")
    try:
        said = answer(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except NoAnswerError as error:
        raise ConfigError(f"--since: {revision!r} is no commit of {top}{error}") from None
    return said.decode("ascii").strip()
