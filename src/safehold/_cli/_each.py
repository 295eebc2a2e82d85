"""Run one action on each of the named artifacts and report file by file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from safehold._cli import ERROR, FINDINGS, REFUSALS
from safehold._cli._shared import load_context
from safehold._cli._text import printable
from safehold.artifacts import Info, Store
from safehold.artifacts.codecs import CODECS
from safehold.artifacts.container import PREFIX_BYTES, is_sealed
from safehold.artifacts.sidecar import SUFFIX, is_sidecar
from safehold.errors import SafeholdError
from safehold.report.shown import plain

_SUFFIXES = tuple(suffix for row in CODECS.values() for suffix in row.suffixes)
_CODE_SUFFIXES = tuple(
    suffix for row in CODECS.values() if row.carries_code for suffix in row.suffixes
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A regular file below a named directory; sealed by itself or by a sidecar."""

    path: str
    is_sealed: bool

    @property
    def is_artifact(self) -> bool:
        """Say whether the suffix is one of a codec's."""
        return self.path.endswith(_SUFFIXES)

    @property
    def carries_code(self) -> bool:
        """Say whether the suffix is one of a codec that carries code."""
        return self.path.endswith(_CODE_SUFFIXES)


class Done(NamedTuple):
    """What was done to one file, in a word or two, and the artifact as it is now, if it is one."""

    outcome: str
    text: str = ""
    info: Info | None = None


Act = Callable[[Store, str], Done]


def each(
    options: argparse.Namespace,
    act: Act,
    *,
    below: Callable[[Candidate], bool],
) -> int:
    """Apply `act` to every named file, and below directories to those that `below` accepts.

    Returns the exit code: 1 after a refusal, 2 after an error, else 0. As JSON there is one line
    for each file, whatever became of it.
    """
    show = _show_json if options.format == "json" else _show_text
    code = 0
    with load_context(options) as hold:
        store = Store(hold)
        for path in options.paths:
            found = 0
            for name in _files(path, below):
                found += 1
                code = max(code, _one(store, name, act, show))
            if not found:
                print(printable(f"{path}: no file to act on"), file=sys.stderr)
    return code


def named(paths: Iterable[str]) -> Iterator[Candidate]:
    """Yield the named files, and the artifacts below named directories.

    Raises:
        OSError: a directory cannot be listed.
    """
    for path in paths:
        for file in _files(path, lambda file: file.is_sealed or file.is_artifact):
            if isinstance(file, OSError):
                raise file
            yield Candidate(file, os.path.isfile(file) and _is_sealed(file))


def _one(
    store: Store, name: str | OSError, act: Act, show: Callable[[str, Done | BaseException], int]
) -> int:
    if isinstance(name, OSError):
        return show(str(name.filename), name)
    try:
        return show(name, act(store, name))
    except (*REFUSALS, SafeholdError, OSError) as error:
        return show(name, error)


def _code(done: Done | BaseException) -> int:
    if isinstance(done, BaseException):
        return FINDINGS if isinstance(done, REFUSALS) else ERROR
    return 0


def _show_text(name: str, done: Done | BaseException) -> int:
    code = _code(done)
    if isinstance(done, BaseException):
        word = "refused" if code == FINDINGS else "error"
        text = f"{name}: {word}: {type(done).__name__}: {done}"
        print(printable(text), file=sys.stderr)
    else:
        print(printable(f"{name}: {done.outcome}{done.text}"))
    return code


def _show_json(name: str, done: Done | BaseException) -> int:
    code = _code(done)
    row: dict[str, Any] = {"schema": 1, "path": name}
    if isinstance(done, BaseException):
        row["outcome"] = "refused" if code == FINDINGS else "error"
        row |= {"error": type(done).__name__, "message": str(done)}
    else:
        row["outcome"] = done.outcome
        if done.info is not None:
            row["artifact"] = asdict(done.info)
    print(json.dumps(plain(row), ensure_ascii=True, allow_nan=False), flush=True)
    return code


def _files(path: str, below: Callable[[Candidate], bool]) -> Iterator[str | OSError]:
    """Yield a named file whatever it is, or in order what is accepted below a directory.

    A directory that cannot be listed is yielded as its error: silence would pass for "ok".
    """
    if not os.path.isdir(path):
        yield path
        return
    errors: list[OSError] = []
    for folder, folders, names in os.walk(path, onerror=errors.append):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            if os.path.isfile(file) and not _is_sidecar(file):
                sealed = _is_sealed(file) or _is_sidecar(file + SUFFIX)
                if below(Candidate(file, sealed)):
                    yield file
        yield from errors
        errors.clear()
    yield from errors


def _is_sealed(path: str) -> bool:
    return is_sealed(_start(path))


def _is_sidecar(path: str) -> bool:
    return path.endswith(SUFFIX) and os.path.isfile(path) and is_sidecar(_start(path))


def _start(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(PREFIX_BYTES)
    except OSError:
        return b""
