"""Results of earlier scans, by everything that they depend on.

A result is the answer to a question: the content's SHA-256, the name, what the scan was asked to
accept, its limits, and the rules, as the digest of the program itself. Only an answer that the same
question always has is kept. What is not in the question must not decide: whoever lets a format look
at anything but bytes and name calls `Visit.depends` there.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from safehold.errors import ConfigError
from safehold.policy import Limits
from safehold.scan.cache_entries import decode, encode
from safehold.scan.cache_files import MOST_BYTES, CacheFiles, DamagedError, UnusableError
from safehold.scan.cache_rules import UnknownRules, rules_digest
from safehold.scan.entries import is_below
from safehold.scan.names import Names
from safehold.scan.reading import READ_WHOLE
from safehold.scan.report import FileReport
from safehold.scan.values import Data

_DAMAGED: Final = "entries that were damaged, or written with another key, were not used"


class Asked(Protocol):
    """What of the settings of a scan its results depend on."""

    @property
    def limits(self) -> Limits:
        """What is read at most."""

    @property
    def names(self) -> Names:
        """What an artifact may name."""

    @property
    def paranoid(self) -> bool:
        """Whether the second reader is asked about everything."""

    @property
    def sources(self) -> object:
        """What looks at sources in archives; what it finds in one is never kept."""


class Question(NamedTuple):
    """What is asked: the name of its entry, the path in the report, the content's SHA-256."""

    name: bytes
    path: str
    digest: str


class Answer(NamedTuple):
    """What an earlier scan found; no report if that was no artifact."""

    report: FileReport | None


class Cache:
    """Results of earlier scans in a directory of its own.

    It never fails a scan: `problem` says in words for people why results are not kept or used.
    Whoever can read the directory can forge results, as the key is in it.
    """

    def __init__(self, directory: str | os.PathLike[str], *, most: int = MOST_BYTES) -> None:
        """Open the directory, or make it.

        Args:
            directory: an empty or new one, or one that was a cache before.
            most: bytes that all results may take of the disk, about; those that were not used
                for longest are removed, and those not used for 30 days in any case.

        Raises:
            ConfigError: it is no directory, or has something else in it.
        """
        # A slash at the end would follow a link.
        self.path = os.path.abspath(os.fsdecode(directory))
        self.problem = ""
        self._most = most
        self._files: CacheFiles | None = None
        self._asked: tuple[Asked | None, str] = (None, "")
        self._full = False
        self._rules = b""
        try:
            self._rules = rules_digest()
            self._files = CacheFiles(self.path, most)
        except (UnknownRules, UnusableError) as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"safehold's own files: {error.strerror}"

    def check_apart(self, paths: Iterable[str]) -> None:
        """Check that the directory is not part of what is scanned, and as little to be trusted.

        Raises:
            ConfigError: it is one of these, or lies below one.
        """
        real = os.path.realpath(self.path)
        for path in paths:
            if is_below(real, os.path.realpath(path)):
                raise ConfigError(
                    f"cache: {self.path} lies in {path}, which is scanned and could bring results "
                    "of its own; name a directory elsewhere"
                )

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process open the directory for itself, once."""
        return _reopened, (self.path, self._most, self.identity)

    @property
    def identity(self) -> tuple[int, int] | None:
        """Device and inode of the directory; None if it is not used."""
        return self._files.identity if self._files is not None else None

    def question(self, data: Data, path: str, asked: Asked, *, named: bool) -> Question | None:
        """Return what is asked; None where an answer could not be trusted, or does not pay.

        Bytes that somebody else can change, as those of a mapped file, could be others when they
        are scanned than when they were hashed.
        """
        if self._files is None or type(data) is not bytes or len(data) > READ_WHOLE:
            return None
        digest = hashlib.sha256(data)
        parts = [
            self._rules,
            self._asked_of(asked).encode(),
            sys.get_int_max_str_digits(),
            digest.digest(),
            path.encode("utf-8", "surrogatepass"),
            named,
        ]
        name = hashlib.sha256(msgspec.msgpack.encode(parts)).digest()
        return Question(name, path, digest.hexdigest())

    def find(self, question: Question, *, digests: bool) -> Answer | None:
        """Return what is known; None if nothing is, or nothing that can be trusted."""
        if self._files is None:
            return None
        try:
            content = self._files.read(question.name)
            if content is None:
                return None
            report = decode(content, question.path, question.digest if digests else "")
        except (DamagedError, KeyError, ValueError):
            self.problem = self.problem or f"{self.path}: {_DAMAGED}"
            self._files.remove(question.name)
            return None
        if report is not None:
            report = dataclasses.replace(report, cached=True)
        return Answer(report)

    def keep(self, question: Question, report: FileReport | None) -> None:
        """Keep what a scan found, for the next that asks the same."""
        if self._files is None or self._full:
            return
        content = encode(report)
        if content is None or (report is not None and report.path != question.path):
            return
        try:
            self._files.write(question.name, content)
        except OSError as error:
            # The next would fail as well.
            self._full = True
            self.problem = f"{self.path}: results are not kept: {error.strerror or error}"

    def _asked_of(self, asked: Asked) -> str:
        known, text = self._asked
        if known is not asked:
            limits = dataclasses.asdict(asked.limits)
            check = type(asked.sources)
            parts = [asked.names.made_of(), asked.paranoid, check.__module__, check.__qualname__]
            text = json.dumps([limits, *parts], sort_keys=True)
            self._asked = (asked, text)
        return text


def cache_of(cache: Cache | str | os.PathLike[str] | None) -> Cache | None:
    """Return a cache that was given as one, or by its directory. Raises ConfigError."""
    return cache if cache is None or isinstance(cache, Cache) else Cache(cache)


@functools.lru_cache(maxsize=8)
def _reopened(path: str, most: int, _identity: tuple[int, int] | None) -> Cache:
    """Return the cache of a worker: the same for each task, anew for another directory."""
    return Cache(path, most=most)
