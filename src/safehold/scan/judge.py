"""What the names in a pickle mean: allowed, known to be dangerous, or unknown, by role.

The machine reports each use (named, called, instantiated, given state); this module compares it
with the allow list and the table of dangers and keeps one note per distinct observation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from safehold.findings import Rule
from safehold.scan import rules
from safehold.scan.budget import Budget
from safehold.scan.instances import items_fault, state_fault, written_with
from safehold.scan.names import Names, Status
from safehold.scan.programs import Programs
from safehold.scan.values import UNKNOWN, Box, Global, Made, Opaque, call_text, show

# Of one kind per artifact; a hostile file can hold a different name every few bytes.
_MOST_NOTES: Final = 200
LONGEST_NAME: Final = 120

_RECONSTRUCTOR: Final = ("copyreg", "_reconstructor")
_NEWOBJ: Final = ("copyreg", "__newobj__")
_NEWOBJ_EX: Final = ("copyreg", "__newobj_ex__")
# How protocols below 4 spell `Class.member`.
GETATTR: Final = ("builtins", "getattr")
FORMS: Final = frozenset({_RECONSTRUCTOR, _NEWOBJ, _NEWOBJ_EX})
# How pickles of tensors, other than torch's own, hold a storage: a file of torch as bytes.
NESTS: Final = ("torch.storage", "_load_from_bytes")
_MOST_NESTED: Final = 10_000
RANGES: Final = frozenset({"range", "xrange"})
_BASES: Final = frozenset(
    "object list dict tuple set frozenset int float complex str bytes bytearray".split()
)
# Python data that a codec without code can store; old protocols spell bytes `_codecs.encode`.
_PLAIN: Final = frozenset(
    {("_codecs", "encode")}
    | {("builtins", name) for name in "set frozenset bytearray bytes complex".split()}
)


class GlobalUse(NamedTuple):
    """A name that an artifact carries, and what happens to it: named, called or instantiated."""

    name: str
    role: str


@lru_cache(maxsize=4096)
def _use(found: tuple[str, str, str]) -> GlobalUse:
    module, name, role = found
    return GlobalUse(f"{module}.{name}", role)


@dataclass(slots=True)
class Note:
    """A finding in the making: place and evidence are completed later."""

    rule: Rule
    message: str
    offset: int | None
    detail: dict[str, Any] = field(default_factory=dict)
    # What a call that loads torch's bytes was given each time; None if it is used otherwise, too.
    nested: list[Any] | None = None

    @property
    def counts_anyway(self) -> bool:
        """Whether it counts in a reading that may be of bytes which are no opcodes.

        A dangerous name does, and what is wrong with an instance; those take several opcodes
        in order, which array bytes do not hold by chance.
        """
        return self.rule is rules.DANGEROUS_GLOBAL or "instance" in self.detail


class Judge:
    """Collects what one artifact does; never raises for what it sees."""

    __slots__ = (
        "_counts", "_evidence", "_notes", "budget", "names", "programs", "uses", "versions",
    )  # fmt: skip

    def __init__(self, names: Names, budget: Budget | None = None) -> None:
        """Judge by these names; the machines that report to it share one budget, if any."""
        self.names = names
        self.budget = Budget() if budget is None else budget
        self._notes: dict[tuple[str, str], Note] = {}
        self._evidence: dict[tuple[str, str], Note] = {}
        self._counts: dict[str, int] = {}
        self.programs = Programs()
        # Insertion order is the order in the file.
        self.uses: dict[tuple[str, str, str], None] = {}
        self.versions: set[tuple[str, str]] = set()

    def copy(self) -> Judge:
        """Return another that saw the same so far."""
        found = Judge(self.names, self.budget)
        found._notes.update(self._notes)
        found.uses.update(self.uses)
        found.versions |= self.versions
        return found

    def fresh(self) -> Judge:
        """Return another for the same file that saw nothing yet."""
        return Judge(self.names, self.budget)

    @property
    def notes(self) -> list[Note]:
        """Everything noted so far, in order."""
        return list(self._notes.values())

    @property
    def globals(self) -> tuple[GlobalUse, ...]:
        """The names seen, in order of appearance."""
        return tuple(map(_use, self.uses))

    @property
    def plain(self) -> bool:
        """Whether nothing beyond Python's own data types is named."""
        return all((module, name) in _PLAIN for module, name, _ in self.uses)

    def note(
        self, rule: Rule, message: str, offset: int | None, detail: Mapping[str, Any] | None = None
    ) -> Note | None:
        """Keep an observation once; return it when it is new."""
        key = (rule.id, message)
        if key in self._notes:
            return None
        count = self._counts.get(rule.id, 0)
        if count >= _MOST_NOTES:
            return None
        self._counts[rule.id] = count + 1
        found = self._notes[key] = Note(rule, message, offset, dict(detail or {}))
        return found

    def join(self, notes: Iterable[Note]) -> None:
        """Note what another judge did."""
        for note in notes:
            new = self.note(note.rule, note.message, note.offset, note.detail)
            if new is not None:
                new.nested = None if note.nested is None else note.nested.copy()
                continue
            known = self._notes.get((note.rule.id, note.message))
            if known is not None and known.nested is not None:
                known.nested = None if note.nested is None else [*known.nested, *note.nested]

    def forget(self) -> None:
        """Drop everything: the bytes turned out to be no pickle."""
        self._notes.clear()
        self._counts.clear()
        self._evidence.clear()
        self.uses.clear()
        self.versions.clear()

    def broken(self, message: str, offset: int | None) -> None:
        """Keep that the content is not what a loader accepts."""
        self.note(rules.UNREADABLE_STREAM, message, offset)

    def named(self, module: str, name: str, protocol: int, offset: int) -> Global:
        """Judge a name by itself and return it as a value."""
        status = self.names.status(module, name, protocol)
        self._used(status, "named")
        return self._as_value(status, module, name, protocol, offset)

    def _as_value(
        self, status: Status, module: str, name: str, protocol: int, offset: int
    ) -> Global:
        guarded = (status.known and status.danger is not None) or (module, name) == NESTS
        found = Global(module, name, protocol, guarded=guarded)
        if not status.known:
            self._unwanted(status, found, offset)
        return found

    def held(self, values: Iterable[Any], offset: int) -> None:
        """Judge that values are put into a container, an argument list or a state."""
        for value in values:
            if isinstance(value, Global) and value.guarded:
                status = self.names.status(value.module, value.name, value.protocol)
                self._unwanted(status, value, offset)
                self._nests(value, None)

    def called(self, maker: Any, args: Any, offset: int) -> Made | Global:
        """Judge ``maker(*args)``."""
        made = Made(maker, args)
        if not isinstance(args, tuple):
            if not (isinstance(args, Opaque) and args.kind == "tuple"):
                self.broken("a call whose arguments are no tuple", offset)
            args = (UNKNOWN,)
        if not isinstance(maker, Global):
            self._computed(maker, offset)
            return made
        status = self.names.status(maker.module, maker.name, maker.protocol)
        self._used(status, "called")
        if not status.known:
            self._unknown_call(status, maker, args, offset)
            self._nests(maker, args)
        elif (status.module, status.name) in FORMS:
            return self._form(status, maker, args, offset)
        elif status.own:
            if args:
                self._unusual(maker, args, offset, "a class of your own is called with arguments")
        elif not self.names.arguments_ok(status, args):
            self._misused(status, maker, args, offset, "unusual arguments")
        if (status.module, status.name) == GETATTR and len(args) == 2:
            return self._member(made, args[0], args[1], offset)
        if Made in map(type, args) and any(map(_is_range, args)):
            message = f"{_short(show(maker))} unfolds a range while loading"
            self.note(rules.LIMIT_EXCEEDED, message, offset, {"call": call_text(maker, args)})
        return made

    def instantiated(self, maker: Any, args: Any, offset: int, keywords: Any = None) -> Made:
        """Judge ``maker.__new__(maker, *args, **keywords)``."""
        made = Made(maker, args)
        if not isinstance(maker, Global):
            self._computed(maker, offset)
            return made
        status = self.names.status(maker.module, maker.name, maker.protocol)
        self._used(status, "instantiated")
        given = args if isinstance(args, tuple) else (UNKNOWN,)
        if not status.known:
            self._unknown_call(status, maker, (*given, keywords), offset)
            self._nests(maker, None)
        elif status.role == "function":
            self._misused(status, maker, given, offset, "a function is used as a class")
        elif not status.own and not self.names.arguments_ok(status, given):
            self._misused(status, maker, given, offset, "unusual arguments")
        elif not (status.own or keywords is None or _is_empty(keywords)) and (
            not isinstance(keywords, Box) or not self.names.keywords_ok(status)
        ):
            self._misused(status, maker, given, offset, "keyword arguments")
        return made

    def built(self, target: Any, state: Any, offset: int) -> None:
        """Judge that a value is given a state."""
        if isinstance(state, Global):
            self.held((state,), offset)
        if isinstance(target, Global):
            self._tampered(target, offset)
        elif isinstance(target, Made):
            target.state = state
            target.built += 1
            self._changed(target, state_fault(target, state, own=self._is_open(target)), offset)
            self._check_slots(target, state, offset)
            self.versions |= written_with(target, state)
        else:
            self.broken("state for a value that takes none", offset)

    def extended(
        self, target: Any, kinds: tuple[str, ...], offset: int, keys: list[Any] | None = None
    ) -> None:
        """Judge that items are added to a value; of a dict, with these keys."""
        if isinstance(target, Global):
            self._tampered(target, offset)
        elif isinstance(target, Box):
            if target.kind not in kinds:
                self.broken(f"items of another kind added to a {target.kind}", offset)
        elif isinstance(target, Made):
            function = self._is_function(target)
            self._changed(target, items_fault(target, keys, function=function), offset)
        else:
            self.broken("items added to a value that takes none", offset)

    def computed_name(self, module: Any, name: Any, offset: int) -> Global:
        """Judge a global whose name is not a text of the pickle."""
        message = "a global whose name is made while loading"
        detail = {"module": show(module), "name": show(name)}
        self.note(rules.ATTACK_CONSTRUCTION, message, offset, detail)
        return Global("<computed>", "<computed>", 4)

    def extension(self, code: int, offset: int) -> Global:
        """Judge a global given as a code of the extension registry."""
        message = "a global hidden behind a code of the extension registry"
        self.note(rules.ATTACK_CONSTRUCTION, message, offset, {"code": code})
        return Global("<extension>", str(code), 4)

    def _member(self, made: Made, owner: Any, name: Any, offset: int) -> Made | Global:
        """Judge what a call of getattr gives by its name, which is none of the file's own."""
        if not isinstance(owner, Global) or not isinstance(name, str):
            return made
        status = self.names.status(owner.module, owner.name, owner.protocol)
        module, dotted = status.module, f"{status.name}.{name}"
        return self._as_value(self.names.status(module, dotted, 4), module, dotted, 4, offset)

    def _used(self, status: Status, role: str) -> None:
        module, name = status.module, status.name
        if len(module) > LONGEST_NAME or len(name) > LONGEST_NAME:
            module, name = module[:LONGEST_NAME], name[:LONGEST_NAME]
        if len(self.uses) < 2**16:
            self.uses[module, name, role] = None

    def _unwanted(self, status: Status, found: Global, offset: int) -> None:
        key = (found.module, found.name)
        danger = status.danger
        rule = rules.UNKNOWN_GLOBAL if danger is None else rules.DANGEROUS_GLOBAL
        if key in self._evidence or self._counts.get(rule.id, 0) >= _MOST_NOTES:
            return
        dotted = _short(found.dotted)
        if danger is not None:
            detail = {"global": dotted, "powers": danger.powers.label, "cwe": danger.cwe}
            message = f"names {dotted}, which {danger.why}"
            note = self.note(rule, message, offset, detail)
        else:
            message = f"names {dotted}, which is not known to be harmless"
            note = self.note(rule, message, offset, {"global": dotted})
        if note is not None:
            note.nested = [] if key == NESTS else None
            self._evidence[key] = note

    def _nests(self, maker: Global, args: Any) -> None:
        """Keep what is loaded by a call that loads nothing else; ``args``: None for another use."""
        note = self._evidence.get((maker.module, maker.name))
        if note is None or note.nested is None:
            return
        if isinstance(args, tuple) and len(args) == 1 and len(note.nested) < _MOST_NESTED:
            note.nested.append(args[0])
        else:
            note.nested = None

    def _unknown_call(
        self, status: Status, maker: Global, args: tuple[Any, ...], offset: int
    ) -> None:
        self._show_call(maker, args)
        listed = status.danger is not None or maker.module.startswith("<")
        kind = None if listed else self.programs.find(args)
        if kind is not None:
            message = f"gives {_short(maker.dotted)}, which is not known, a program: {kind}"
            detail = {"global": _short(maker.dotted), "call": call_text(maker, args)}
            self.note(rules.ATTACK_CONSTRUCTION, message, offset, detail)
        elif self.programs.left < 0 and not listed:
            message = "more arguments of unknown names than are searched for programs"
            self.note(rules.LIMIT_EXCEEDED, message, offset)

    def _show_call(self, maker: Global, args: tuple[Any, ...]) -> None:
        note = self._evidence.get((maker.module, maker.name))
        if note is not None and "call" not in note.detail:
            note.detail["call"] = call_text(maker, args)

    def _misused(
        self, status: Status, maker: Global, args: tuple[Any, ...], offset: int, why: str
    ) -> None:
        if status.danger is None:
            self._unusual(maker, args, offset, why)
            return
        self._unwanted(status, maker, offset)
        self._show_call(maker, args)

    def _unusual(self, maker: Global, args: tuple[Any, ...], offset: int, why: str) -> None:
        dotted = _short(maker.dotted)
        detail = {"global": dotted, "call": call_text(maker, args)}
        self.note(rules.UNKNOWN_GLOBAL, f"calls {dotted}: {why}", offset, detail)

    def _computed(self, maker: Any, offset: int) -> None:
        message = "calls something that was made while loading"
        self.note(rules.ATTACK_CONSTRUCTION, message, offset, {"call": show(maker)})

    def _tampered(self, target: Global, offset: int) -> None:
        message = f"changes {_short(target.dotted)} itself, not an instance"
        detail = {"global": _short(target.dotted)}
        self.note(rules.ATTACK_CONSTRUCTION, message, offset, detail)

    def _changed(self, target: Made, fault: str | None, offset: int) -> None:
        if fault is not None:
            message = f"what {_short(show(target))} made {fault}"
            self.note(rules.ATTACK_CONSTRUCTION, message, offset, {"instance": show(target)})

    def _is_open(self, target: Made) -> bool:
        """Whether its class may take a state of any form: the caller's own, or one not known."""
        maker = target.maker
        if not isinstance(maker, Global):
            return False
        status = self.names.status(maker.module, maker.name, maker.protocol)
        return status.own or not status.known

    def _is_function(self, target: Made) -> bool:
        maker = target.maker
        if not isinstance(maker, Global):
            return False
        return self.names.status(maker.module, maker.name, maker.protocol).role == "function"

    def _form(self, status: Status, maker: Global, args: tuple[Any, ...], offset: int) -> Made:
        form = (status.module, status.name)
        if form == _NEWOBJ and args:
            return self.instantiated(args[0], args[1:], offset)
        if form == _NEWOBJ_EX and len(args) == 3:
            return self.instantiated(args[0], args[1], offset, args[2])
        if form == _RECONSTRUCTOR and len(args) == 3 and self._is_base(args[1]):
            return self.instantiated(args[0], (), offset)
        self._unusual(maker, args, offset, "unusual arguments")
        return Made(maker, args)

    def _is_base(self, value: Any) -> bool:
        if not isinstance(value, Global):
            return False
        status = self.names.status(value.module, value.name, value.protocol)
        return status.module == "builtins" and status.name in _BASES

    def _check_slots(self, target: Made, state: Any, offset: int) -> None:
        """The second half of a two-part state is set attribute by attribute."""
        slots = state[1] if isinstance(state, tuple) and len(state) == 2 else None
        if not isinstance(slots, Box) or not isinstance(slots.items, dict):
            return
        for key in slots.items:
            if key.startswith("__") and key.endswith("__"):
                message = f"sets {key[:40]} of an instance"
                detail = {"call": show(target)}
                self.note(rules.ATTACK_CONSTRUCTION, message, offset, detail)


def _is_empty(keywords: Any) -> bool:
    return isinstance(keywords, Box) and keywords.kind == "dict" and not keywords.items


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, Made) and isinstance(value.maker, Global) and value.maker.name in RANGES
    )


def _short(text: str) -> str:
    """Printable and bounded, as it comes from a hostile file."""
    clean = text.encode("ascii", "backslashreplace").decode("ascii")
    clean = "".join(char if char.isprintable() else "?" for char in clean)
    return clean if len(clean) <= LONGEST_NAME else clean[:LONGEST_NAME] + "..."
