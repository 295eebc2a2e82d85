"""What the process that read a file said, as values; a line of another shape is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from safehold.scan.inert.process import Unavailable

# Names are compared up to this length, as the judge keeps them.
LONGEST_NAME: Final = 120
_USES: Final = frozenset({"called", "instantiated", "built"})
# Ends of the process that say why.
_SIGNALS: Final = {
    -9: "it was killed; most likely its time was up",
    -24: "its time was up",
    -31: "it called the system",
    -11: "it ended with a segmentation fault",
    -6: "it aborted",
    -7: "it ended with a bus error",
}

Name = tuple[str, str]


@dataclass
class Reading:
    """One stream as one loader reads it."""

    reader: str
    start: int
    names: dict[Name, None] = field(default_factory=dict)
    uses: dict[tuple[str, Name], tuple[Any, ...]] = field(default_factory=dict)
    # stop, broken, lost (an array elsewhere) or limit; "" while it is going on.
    how: str = ""
    stop: int = 0
    why: str = ""

    @property
    def made(self) -> set[Name]:
        """Names that were called or instantiated."""
        return {name for kind, name in self.uses if kind != "built" and not is_result(name)}


def is_result(name: Name) -> bool:
    """Whether this stands for something that was made, and no name of the pickle."""
    return not name[0] or name[1].endswith("()")


@dataclass
class Answer:
    """All readings of a file, and what the process could not give up."""

    readings: list[Reading]
    missing: tuple[str, ...]


def parse(lines: Iterable[list[Any]]) -> Answer:
    """Return what was said.

    Raises:
        Unavailable: the file was not read.
    """
    answer = Answer([], ())
    confined = False
    left: Any = None
    for words in lines:
        match words:
            case ["confined", list() as missing]:
                confined = True
                answer.missing = tuple(str(one) for one in missing)
            case ["refused", str() as why]:
                raise Unavailable(why)
            case ["stream", str() as reader, int() as start]:
                answer.readings.append(Reading(reader, start))
            case ["left", int() | str() as left]:
                pass
            case _ if answer.readings:
                _add(answer.readings[-1], words)
            case _:
                pass
    if not confined:
        raise Unavailable(f"it ended before it was confined ({left})")
    if answer.readings and not answer.readings[-1].how:
        answer.readings[-1].how = "limit"
        answer.readings[-1].why = _reason(left)
    elif left != 0 and not any(one.how == "limit" for one in answer.readings):
        raise Unavailable(_reason(left))
    return answer


def _add(reading: Reading, words: list[Any]) -> None:
    match words:
        case ["name", str() as module, str() as name]:
            reading.names[_cut(module, name)] = None
        case [str() as kind, str() as module, str() as name, list() as shape, int() as count] if (
            kind in _USES
        ):
            reading.uses[kind, _cut(module, name)] = (*shape, count)
        case ["end", str() as how, int() as stop, str() as why]:
            reading.how = "limit" if how == "memory" else how
            reading.stop = stop
            reading.why = "it needs more memory than it may have" if how == "memory" else why
        case ["arrays", "fewer"]:
            reading.how = "lost"
            reading.why = "an array less"
        case _:
            pass


def _cut(module: str, name: str) -> Name:
    return module[:LONGEST_NAME], name[:LONGEST_NAME]


def _reason(left: Any) -> str:
    if left == "late":
        return "its time was up"
    if isinstance(left, int):
        return _SIGNALS.get(left, f"it ended with {left}")
    return "it was not heard to its end"
