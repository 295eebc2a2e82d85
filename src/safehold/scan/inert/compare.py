"""Whether two readers saw the same: names, their order and use, the place of the STOP, the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from safehold.scan.inert.answers import Name, Reading
from safehold.scan.judge import Judge
from safehold.scan.machine import Machine
from safehold.scan.outcome import Outcome

_SHOWN: Final = 8
# A key or a member that is a list: no reader is misled, and what a GET puts there is not followed.
_UNHASHABLE: Final = "TypeError: unhashable type"


@dataclass
class Difference:
    """What the readers disagree about; ``unseen`` are names that only the loader reached.

    ``refused``: the loader does not take a value that the scanner has no need to look at.
    """

    message: str
    unseen: list[Name] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Ours:
    """One stream as the machine reads it, without its values; ``after``: where the file stands."""

    judge: Judge
    outcome: Outcome
    after: int

    @classmethod
    def of(cls, judge: Judge, machine: Machine, outcome: Outcome) -> Ours:
        """Keep what is compared of a stream that was just read."""
        return cls(judge, replace(outcome, last=None), machine.file_position)

    @property
    def names(self) -> list[Name]:
        """Names in the order in which they first occur."""
        return [(module, name) for module, name, role in self.judge.uses if role == "named"]

    @property
    def made(self) -> set[Name]:
        """Names that are called or instantiated."""
        return {(module, name) for module, name, role in self.judge.uses if role != "named"}

    @property
    def quiet(self) -> bool:
        """Whether the stream reads to its end and nothing is wrong with it."""
        return self.outcome.complete and not self.judge.notes


def differences(ours: Ours, theirs: Reading) -> list[Difference]:
    """Return what differs; nothing where the machine is only stricter, and says so."""
    found = _names(ours, theirs)
    if theirs.reader == "bytes":
        # Names that are bytes end it; what it does until then must still be known.
        return found
    if theirs.how == "lost":
        found.append(Difference("the readers find arrays at different places"))
    elif theirs.how == "stop":
        found += _ends(ours, theirs)
    elif theirs.how == "broken" and ours.quiet and theirs.why.startswith(_UNHASHABLE):
        found.append(Difference("a key that cannot be hashed", refused=True))
    elif theirs.how == "broken" and ours.quiet:
        found.append(Difference("CPython's loader refuses what the scanner reads to its end"))
    return found


def _names(ours: Ours, theirs: Reading) -> list[Difference]:
    known = ours.names
    seen = set(known)
    reached = list(theirs.names)
    if ours.outcome.status == "limit":
        # It stopped early and said so.
        return []
    unseen = [name for name in reached if name not in seen]
    if unseen:
        message = "CPython's loader reaches names that the scanner does not see"
        return [Difference(message, unseen, {"names": _shown(unseen)})]
    made = sorted(theirs.made - ours.made)
    if made:
        message = "CPython's loader calls what the scanner sees only named"
        return [Difference(message, made, {"names": _shown(made)})]
    if reached != known[: len(reached)]:
        message = "CPython's loader reaches the names in another order"
        return [Difference(message, [], {"names": _shown(reached)})]
    return []


def _ends(ours: Ours, theirs: Reading) -> list[Difference]:
    if ours.outcome.status == "limit":
        return []
    if not ours.outcome.complete:
        return [Difference("CPython's loader reads on where the scanner cannot")]
    stop = ours.after
    if theirs.stop != stop:
        detail = {"scanner": stop, "loader": theirs.stop}
        return [Difference("CPython's loader ends at another place", [], detail)]
    missed = ours.names[len(theirs.names) :]
    if missed:
        message = "CPython's loader does not reach all names that the scanner sees"
        return [Difference(message, [], {"names": _shown(missed)})]
    return []


def _shown(names: list[Name]) -> list[str]:
    return [f"{module}.{name}" for module, name in islice(names, _SHOWN)]
