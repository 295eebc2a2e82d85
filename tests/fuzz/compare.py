"""What counts as agreement between the machine and a loader.

For each stream in a row, with the memo that the one before left:

- The events of the loader (a name looked up, a call or instance with its arguments, a
  state) are the first events of the machine, in the same order.
- A loader that reaches its STOP: the machine reaches it too, at the same offset, with the same
  value on top and no event more. It may be stricter only by a finding of SH103 about values that
  stand-ins or the C loader take and no real dump has: a state, items, a call, a key.
- A loader that fails: the machine fails as well, or reads on (it takes no value for bad), which
  may add events after those of the loader.
- A frame that readers of files and of bytes take differently: only that there is a finding.

An input that reserves memory or never ends hashing is not given to a loader: the finding of that
is what the machine owes. A value that the machine keeps no content of agrees with any of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from safehold.allow import AllowList
from safehold.scan import rules
from safehold.scan.judge import Judge
from safehold.scan.memo import Memo
from safehold.scan.names import Names
from safehold.scan.opcodes import run
from safehold.scan.outcome import Outcome
from safehold.scan.values import Blob, Box, Global, Made, Opaque
from tests.fuzz.loader import EXTENSIONS, MOST_STREAMS, dotted, folded

NAMES: Final = Names(AllowList.of())
_DEEPEST: Final = 3
_STRICTER: Final = ("items", "state", "call", "key")


class Watcher(Judge):
    """A judge that keeps events as the loader's stand-ins do."""

    __slots__ = ("_inside", "events", "extensions", "framed")

    def __init__(self, extensions: set[int]) -> None:
        super().__init__(NAMES)
        self.events: list[Any] = []
        self.extensions = extensions
        self.framed: int | None = None
        self._inside = False

    def note(self, rule: Any, message: str, offset: Any, detail: Any = None) -> Any:
        if self.framed is None and "frame" in message:
            self.framed = len(self.events)
        return super().note(rule, message, offset, detail)

    def named(self, module: str, name: str, protocol: int, offset: int) -> Any:
        self.events.append(("find", folded(module), folded(name)))
        return super().named(module, name, protocol, offset)

    def extension(self, code: int, offset: int) -> Any:
        if code not in self.extensions:
            if code in EXTENSIONS:
                self.extensions.add(code)
            self.events.append(("find", "extension", str(code)))
        super().extension(code, offset)
        return Global("extension", str(code), 4)

    def called(self, maker: Any, args: Any, offset: int) -> Any:
        return self._made("call", super().called, maker, args, offset)

    def instantiated(self, maker: Any, args: Any, offset: int, keywords: Any = None) -> Any:
        return self._made("new", super().instantiated, maker, args, offset, keywords)

    def _made(self, role: str, judged: Any, maker: Any, args: Any, *more: Any) -> Any:
        inside, self._inside = self._inside, True
        if not inside:
            name = dotted(maker.module, maker.name) if isinstance(maker, Global) else "<made>"
            self.events.append((role, name, shown(args)))
        try:
            return judged(maker, args, *more)
        finally:
            self._inside = inside

    def built(self, target: Any, state: Any, offset: int) -> None:
        if _is_stub(target):
            self.events.append(("state", shown(state)))
        super().built(target, state, offset)


def _is_stub(value: Any) -> bool:
    if isinstance(value, Opaque):
        return value.kind == "persistent"
    return isinstance(value, Global | Made)


def shown(value: Any, depth: int = 0) -> Any:
    """Return a value in the form of `loader.shown`; None where its content was not kept."""
    if value is None or type(value) is bool:
        return ("is", str(value))
    if type(value) is int:
        return ("int", str(value) if value.bit_length() <= 128 else None)
    if type(value) is str or type(value) is bytes:
        plain = len(value) < 64 and value.isascii()
        text = str(value, "latin-1") if type(value) is bytes and plain else value
        return ("text", text if plain else None)
    if isinstance(value, tuple):
        return _several("tuple", value, depth)
    if isinstance(value, Box):
        if value.kind != "list":
            return (value.kind,)
        return _several("list", value.items or (), depth) if value.whole else None
    if isinstance(value, Global):
        return ("global", dotted(value.module, value.name))
    return ("made",) if _is_stub(value) else _of_kind(value)


def _of_kind(value: Any) -> Any:
    kind = value.kind if isinstance(value, Opaque | Blob) else None
    if kind in {"str", "text", "bytes"}:
        return ("text", None)
    if kind in {"float", "bytearray"}:
        return (kind,)
    return ("int", None) if kind == "int" else None


def _several(kind: str, items: Any, depth: int) -> Any:
    if depth >= _DEEPEST or len(items) > 16:
        return None
    return (kind, *(shown(item, depth + 1) for item in items))


def agrees(ours: Any, theirs: Any) -> bool:
    """Whether two shown values, or events, can be the same."""
    if ours is None or theirs is None or ours == theirs:
        return True
    if not (isinstance(ours, tuple) and isinstance(theirs, tuple)) or len(ours) != len(theirs):
        return False
    if ours[0] != theirs[0]:
        # INST and OBJ make an instance without a call where there are no arguments.
        none = ours[:1] == ("call",) and theirs[0] == "new" and theirs[2] == ("tuple",)
        return none and ours[1:] == theirs[1:]
    return all(map(agrees, ours[1:], theirs[1:]))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the machine made of one stream."""

    watcher: Watcher
    outcome: Outcome
    top: Any
    persistent: int


def read(data: bytes, *, python: bool = False) -> list[Reading]:
    """Read streams in a row with the memo kept."""
    found: list[Reading] = []
    memo = Memo()
    extensions: set[int] = set()
    stop = 0
    for _ in range(MOST_STREAMS):
        watcher = Watcher(extensions)
        arrays = (lambda _machine, target: target) if python else None
        machine, outcome = run(data, watcher, start=stop, memo=memo, arrays=arrays)
        top = shown(outcome.top) if outcome.complete else None
        found.append(Reading(watcher, outcome, top, len(machine.persistent)))
        stop = outcome.stop
        machine.leave_memo()
        if not outcome.complete or stop >= len(data) or watcher.framed is not None:
            break
    return found


def is_too_heavy(readings: list[Reading]) -> bool:
    """Whether loading would take memory or time without end, which the machine says."""
    return any(note.rule is rules.LIMIT_EXCEEDED for one in readings for note in one.watcher.notes)


def difference(  # noqa: C901, PLR0911, PLR0912  one return for each way to differ
    readings: list[Reading], loads: list[tuple[Any, ...]], *, python: bool = False
) -> str | None:
    """Return in what machine and loader differ, or None."""
    for number, (events, stop, top, error, persistent) in enumerate(loads):
        if number >= len(readings):
            return f"stream {number} is not read, the loader: {events} {error}"
        one = readings[number]
        watcher, outcome = one.watcher, one.outcome
        notes = watcher.notes
        if watcher.framed is not None:
            if not notes:
                return f"stream {number}: no finding for a frame"
            return _unlike(number, watcher, events[: watcher.framed])
        # No real module or name is empty: there, the Python loader ends with an error.
        empty = next(
            (at for at, event in enumerate(events) if event[0] == "find" and "" in event), None
        )
        if empty is not None:
            return _unlike(number, watcher, events[:empty])
        if found := _unlike(number, watcher, events):
            return found
        same = one.persistent >= persistent if error else one.persistent == persistent
        if not (same or (python and error)):
            return f"stream {number}: {persistent} persistent ids, not {one.persistent}"
        if error:
            return None
        if not python and (wrong := _called_broken(watcher)):
            return f"stream {number}: the loader reads to the end, the machine says: {wrong}"
        if not outcome.complete:
            if python and notes:
                return None
            return f"stream {number}: the loader stops at {stop}, the machine: {outcome}"
        if outcome.stop != stop:
            return f"stream {number}: the loader stops at {stop}, the machine at {outcome.stop}"
        if len(watcher.events) != len(events):
            return f"stream {number}: the machine has more: {watcher.events[len(events) :]}"
        if not _is_altered(watcher) and not agrees(one.top, top):
            return f"stream {number}: the loader returns {top}, the machine {one.top}"
    return None


def _unlike(number: int, watcher: Watcher, events: tuple[Any, ...]) -> str | None:
    ours = watcher.events
    if len(events) > len(ours):
        return f"stream {number}: the machine misses {events[len(ours) :]}"
    altered = _is_altered(watcher)
    for mine, theirs in zip(ours, events, strict=False):
        if altered and mine[0] == theirs[0] != "find":
            continue
        if not agrees(mine, theirs):
            return f"stream {number}: the machine has {mine}, the loader {theirs}"
    return None


def _called_broken(watcher: Watcher) -> str | None:
    for note in watcher.notes:
        if note.rule is rules.UNREADABLE_STREAM and not any(
            word in note.message for word in _STRICTER
        ):
            return note.message
    return None


def _is_altered(watcher: Watcher) -> bool:
    """Whether values may differ since an opcode did what no pickler writes, which is noted."""
    return any(note.rule is rules.UNREADABLE_STREAM for note in watcher.notes)
