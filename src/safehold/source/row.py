"""What one file of `rules/` holds: the rule, the modules it is about, and examples."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from safehold.findings import Confidence, Rule, Severity

if TYPE_CHECKING:
    import ast

    from safehold.source.outcome import ArtifactUse
    from safehold.source.rewrite import Change
    from safehold.source.scopes import Module, Scope

    Condition = Callable[[ast.Call | None, Scope, Module], bool]


class Use(enum.Enum):
    """What a name of a module does when it is used."""

    READ = "read"  # turns bytes into objects
    WRITE = "write"  # turns objects into bytes that somebody reads back
    BEYOND = "beyond"  # as READ or WRITE, but the facade has no such name
    ABSENT = "absent"  # harmless, but the facade has no such name
    OTHER = "other"  # harmless, and in the facade


@dataclass(frozen=True, slots=True)
class Hint:
    """Bytes without which a rule finds nothing in a file: its source is parsed only with them.

    ``needle`` is what is searched for, ``around`` the expression that has to match where it
    begins, which may look behind, and ``beside`` one that has to match anywhere in the file. With
    ``any_case`` the needle, in lower case, is any spelling.
    """

    needle: bytes
    around: re.Pattern[bytes]
    any_case: bool = False
    beside: re.Pattern[bytes] | None = None

    @classmethod
    def of(cls, needle: str, around: str = "", *, any_case: bool = False, beside: str = "") -> Hint:
        """Build a hint; without `around` and `beside` the needle alone decides."""
        flags = re.IGNORECASE if any_case else 0
        besides = re.compile(beside.encode()) if beside else None
        return cls(needle.encode(), re.compile(around.encode(), flags), any_case, besides)

    def matches(self, text: bytes, at: int) -> bool:
        """Say whether the bytes at a place of the needle are what is meant."""
        return self.around.match(text, at) is not None

    def is_accompanied(self, text: bytes) -> bool:
        """Say whether a source has what has to be in it besides."""
        return self.beside is None or self.beside.search(text) is not None

    def holds(self, text: bytes) -> bool:
        """Say whether the hint is anywhere in a source."""
        where = text.lower() if self.any_case else text
        at = where.find(self.needle)
        while at >= 0:
            if self.matches(text, at):
                return self.is_accompanied(text)
            at = where.find(self.needle, at + len(self.needle))
        return False


@dataclass(frozen=True, slots=True)
class Argument:
    """Where a call takes its file or value from: a position and keyword names."""

    position: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """A module whose uses can be pointed at a facade with the same signatures.

    With ``by_use`` the import stays, and each use that reads or writes gets the facade's name: for
    libraries of which this is a small part. ``only_if``: members that do so in calls for which
    it says so, and are harmless in all others (of what is handed on, there is no call).
    ``files``: what becomes of those that lie there already: they are sealed; or the program has to
    write them anew; or nothing, as they stay plain.
    ``modules``: dotted names under which it is imported. ``reads``, ``writes``: public names
    and where they take the file from. ``memory``: names among them that work on bytes.
    ``value``: where a write takes the object from. ``beyond``: names, also of submodules, that
    read or write but are not in the facade. ``offered``: all names that the facade has, None
    when it passes on every other one. ``same``: names of submodules that are the public ones.
    ``data_names``: what the facade for plain data has.
    """

    name: str
    modules: tuple[str, ...]
    facade: str
    reads: Mapping[str, Argument]
    writes: Mapping[str, Argument]
    value: Argument
    memory: frozenset[str] = frozenset()
    beyond: frozenset[str] = frozenset()
    offered: frozenset[str] | None = None
    same: Mapping[str, str] = field(default_factory=dict)
    data_facade: str | None = None
    data_names: frozenset[str] = frozenset()
    by_use: bool = False
    files: Literal["sealed", "kept", "plain"] = "sealed"
    only_if: Mapping[str, Condition] = field(default_factory=dict)

    def use(self, member: str) -> Use:
        """Say what a member of the module, given as a dotted name below it, does."""
        member = self.same.get(member, member)
        head, _, rest = member.partition(".")
        if head in self.reads:
            return Use.READ
        if head in self.writes:
            return Use.WRITE
        if head in self.beyond or f"{head}.{rest.partition('.')[0]}" in self.beyond:
            return Use.BEYOND
        if head and self.offered is not None and head not in self.offered:
            return Use.ABSENT
        return Use.OTHER


@dataclass(frozen=True, slots=True)
class Example:
    """Source before and after migration, and the lines of its findings.

    ``after`` is None when migration leaves the source alone.
    """

    before: str
    lines: tuple[int, ...] = ()
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What a rule says of a place: a finding unless `is_finding` is false.

    Without a `change` it is for the reader to mend, and `is_open` as long as it is there. A change
    can need another one, as an import, which is made once.
    """

    node: ast.expr | ast.stmt
    message: str
    remedy: str = ""
    severity: Severity | None = None
    confidence: Confidence = Confidence.HIGH
    detail: Mapping[str, Any] = field(default_factory=dict)
    change: Change | None = None
    needs: Change | None = None
    artifact: ArtifactUse | None = None
    is_finding: bool = True
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class SourceRule:
    """One row of the table of rules.

    ``names``: words that the prefilter searches for; empty when other rules' names cover it.
    ``harmless``: members of the library, none of them a module, that say nothing behind a name.
    With ``hints`` the rule is asked about files alone in which one of them holds.
    ``check`` yields what the rule finds besides uses of its library. ``migrates`` is false for
    what migration neither does nor asks for: a finding of `safehold scan` alone. ``in_tests`` is
    false for what is harmless in a test, which runs on its developer's data.
    """

    rule: Rule
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    names: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()
    library: Library | None = None
    check: Callable[[Any], Iterator[Item]] | None = None  # of a Unit, which holds such tables
    migrates: bool = True
    in_tests: bool = True
    hints: tuple[Hint, ...] = ()
