"""joblib: a pickle with raw array bytes between its opcodes.

When joblib's loader has given a ``NumpyArrayWrapper`` its state, it reads the array from the
file at that place: padding, then as many bytes as shape and dtype say, or, for arrays of
objects, another pickle. A reader that takes these bytes for opcodes, or the opcodes for these
bytes, sees another file than joblib does.
"""

from __future__ import annotations

from typing import Any, Final

from safehold.scan import inert, rules
from safehold.scan.dtypes import parse_dtype
from safehold.scan.inert.compare import Ours
from safehold.scan.judge import Judge
from safehold.scan.machine import Machine
from safehold.scan.opcodes import run
from safehold.scan.outcome import Broken, Ended
from safehold.scan.streams import (
    close,
    merge,
    names_something,
    read_first,
    read_following,
    read_plainly,
    report_hidden,
)
from safehold.scan.values import Box, Global, Made, Opaque
from safehold.scan.visit import Source, Visit

_WRAPPER: Final = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_OLD_WRAPPERS: Final = frozenset({"NDArrayWrapper", "ZNDArrayWrapper"})
# joblib's modules, also as other packages carried them along.
_MODULES: Final = (
    "joblib.numpy_pickle",
    "joblib.numpy_pickle_compat",
    "sklearn.externals.joblib.numpy_pickle",
    "sklearn.externals.joblib.numpy_pickle_compat",
)
_WRAPPERS: Final = tuple(
    (module, name) for module in _MODULES for name in (_WRAPPER[1], *sorted(_OLD_WRAPPERS))
)


def is_wrapper(module: str, name: str) -> bool:
    return module in _MODULES and (name == _WRAPPER[1] or name in _OLD_WRAPPERS)


def read(source: Source, visit: Visit) -> str | None:
    """Read the file as joblib does, and count what ``pickle.load`` would do with it as well."""
    first = read_first(source, visit)
    if first is None or not any(is_wrapper(*use[:2]) for use in first.judge.uses):
        return None
    visit.first_taken = True
    judge = Judge(visit.names, visit.budget)
    arrays = Arrays(judge)
    machine, outcome = run(source.data, judge, arrays=arrays)
    alone = Ours.of(judge.copy(), machine, outcome)
    following: list[Judge] = []
    if outcome.complete:
        following = read_following(source, visit.names, machine, outcome)
    else:
        report_hidden(source, visit, outcome.stop, visit.names)
    close(source, judge, machine, outcome)
    # Array bytes are no opcodes, so reading them as such ends badly: few findings count.
    merge(judge, (note for note in first.judge.notes if note.counts_anyway))
    for one in read_plainly(source.data, visit.names, first):
        merge(judge, filter(names_something, one.notes))
    for one in (judge, *following):
        visit.take(source, one)
    first.let_go()
    machine.let_go(outcome)
    if inert.is_due(visit, (judge, *following)):
        inert.check_arrays(source, visit, alone, arrays.steps, _WRAPPERS)
        # As a pickle it need not end well.
        inert.check(source, visit, strict=False)
    return "joblib"


class Arrays:
    """Steps over array bytes when a wrapper got its state."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        # Where the file stood before and after each, for the second reader.
        self.steps: list[tuple[int, int] | None] = []

    def __call__(self, machine: Machine, target: Any) -> Any:
        """Return what stands on the stack afterwards: the array, or the target as it was.

        Raises:
            Broken: how many bytes the array takes cannot be told.
        """
        maker = target.maker if isinstance(target, Made) else None
        if not isinstance(maker, Global) or not is_wrapper(maker.module, maker.name):
            return target
        if maker.name in _OLD_WRAPPERS:
            message = "reads its arrays from other files beside it"
            self._judge.note(rules.UNKNOWN_GLOBAL, message, machine.pos, {"global": maker.dotted})
            self.steps.append(None)
            return Opaque("array")
        self._skip(machine, target)
        return Opaque("array")

    def _skip(self, machine: Machine, wrapper: Made) -> None:
        state = wrapper.state
        if not isinstance(state, Box) or state.kind != "dict" or not state.whole:
            raise Broken("an array wrapper whose state cannot be told")
        if wrapper.args != () or wrapper.built > 1:
            message = "an array wrapper that is not made the way joblib makes it"
            self._judge.note(rules.ATTACK_CONSTRUCTION, message, machine.pos)
        dtype = parse_dtype(state.get("dtype"))
        if dtype is None:
            raise Broken("an array wrapper whose dtype cannot be told")
        before = machine.file_position
        if dtype.has_objects:
            self.steps.append((before, -1))
            self._nested(machine)
            return
        count = _count(state.get("shape"))
        if count is None:
            raise Broken("an array wrapper whose shape cannot be told")
        position = machine.file_position
        if state.get("numpy_array_alignment_bytes") is not None:
            if position >= machine.size:
                raise Ended("the file ends before the bytes of an array")
            position += 1 + machine.data[position]
        position += count * dtype.size
        if position > machine.size:
            raise Ended("the file ends inside the bytes of an array")
        machine.move_file(position)
        self.steps.append((before, position))

    def _nested(self, machine: Machine) -> None:
        judge = self._judge.fresh()
        inner, outcome = run(machine.data, judge, start=machine.file_position)
        self._judge.join(judge.notes)
        self._judge.uses.update(judge.uses)
        if inner.persistent:
            self._judge.broken("uses persistent ids, which joblib does not resolve", None)
        if not outcome.complete:
            raise Broken(f"in an array of objects: {outcome.reason}")
        machine.move_file(outcome.stop)


def _count(shape: Any) -> int | None:
    """Return how many items an array of this shape has."""
    if not isinstance(shape, tuple):
        return None
    count = 1
    for size in shape:
        length = _plain_int(size)
        if length is None or length < 0:
            return None
        count *= length
    return count


def _plain_int(value: Any) -> int | None:
    return value if isinstance(value, int) else None
