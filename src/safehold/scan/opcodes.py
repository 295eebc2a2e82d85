"""What opcodes do to stack and memo, names and calls; and the table of all opcodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from safehold.scan.containers import CONTAINERS, as_tuple, flat
from safehold.scan.judge import Judge
from safehold.scan.literals import LITERALS, length_of
from safehold.scan.machine import Handler, Machine
from safehold.scan.memo import Memo
from safehold.scan.numbers import parse_index
from safehold.scan.outcome import Broken, Outcome
from safehold.scan.values import UNKNOWN, Blob, Box, Data, Global, Opaque, Run

_HIGHEST_PROTOCOL: Final = 5


def run(
    data: Data,
    judge: Judge,
    *,
    start: int = 0,
    memo: Memo | None = None,
    arrays: Callable[[Machine, Any], Any] | None = None,
    most: int | None = None,
    skip: bool = True,
) -> tuple[Machine, Outcome]:
    """Follow one stream, so many opcodes at most, and return the machine as it then stood.

    Without ``skip``, each opcode is followed by itself; that takes longer and finds the same.
    """
    judge.programs.data = data
    machine = Machine(data, judge, start=start, memo=memo, arrays=arrays, skip=skip)
    return machine, machine.run(TABLE, most)


# Stack and memo


def _mark(m: Machine) -> None:
    if m.pos < m.skipper.next_try:
        m.mark()
        return
    stack = m.stack
    if len(stack) > m.fence and type(stack[-1]) is Box:
        # Most likely items for that box follow.
        m.mark()
        m.skipper.skip(m, m.pos)
    elif not m.skipper.skip(m, m.pos - 1):
        m.mark()


def _pop(m: Machine) -> None:
    if m.marks and m.marks[-1] == len(m.stack):
        m.unmark()
    else:
        m.pop()


def _pop_mark(m: Machine) -> None:
    m.above_mark()


def _dup(m: Machine) -> None:
    m.stack.append(m.top())


def _memoize(m: Machine) -> None:
    # Every text of protocol 4 and 5 passes here, so nothing is called that need not be.
    stack = m.stack
    value = stack[-1] if len(stack) > m.fence else m.top()
    if type(value) is Run:
        value = m.top()
    kept = m.kept
    if kept.log:
        kept.memoize(value)
    else:
        known = kept.known
        known[len(known)] = value


def _put_line(m: Machine) -> None:
    m.top()
    index = _index_line(m)
    if index is None:
        return
    if index < 0:
        m.judge.broken("a negative memo index", m.pos)
    else:
        m.put(index)


def _get_line(m: Machine) -> None:
    index = _index_line(m)
    m.stack.append(UNKNOWN if index is None else m.get(index))


def _index_line(m: Machine) -> int | None:
    line = m.short_line()
    try:
        return parse_index(line)
    except ValueError:
        m.judge.broken("a memo index that no loader accepts", m.pos)
        return None


def _put(width: int) -> Handler:
    def put(m: Machine) -> None:
        m.put(m.number(width))

    return put


def _put_byte(m: Machine) -> None:
    pos = m.pos
    if pos >= m.limit:
        m.put(m.number(1))
        return
    m.pos = pos + 1
    stack = m.stack
    value = stack[-1] if len(stack) > m.fence else m.top()
    kept = m.kept
    if kept.log or type(value) is Run:
        kept.put(m.data[pos], m.top())
        return
    # As `Memo.put` does.
    index, known = m.data[pos], kept.known
    if index > len(known):
        kept.gaps = True
    known[index] = value


def _get(width: int) -> Handler:
    def get(m: Machine) -> None:
        m.stack.append(m.get(m.number(width)))

    return get


def _get_byte(m: Machine) -> None:
    pos = m.pos
    kept = m.kept
    if pos < m.limit and not kept.log and m.data[pos] in kept.known:
        m.pos = pos + 1
        m.stack.append(kept.known[m.data[pos]])
    else:
        m.stack.append(m.get(m.number(1)))


# Names and calls


def _global(m: Machine) -> None:
    offset = m.pos - 1
    module = _name_line(m)
    m.stack.append(m.judge.named(module, _name_line(m), m.proto, offset))


def _name_line(m: Machine) -> str:
    line = m.short_line()
    return str(line[:-1], "utf-8", "surrogateescape")


def _stack_global(m: Machine) -> None:
    offset = m.pos - 1
    name = m.pop()
    module = m.pop()
    texts = m.text_of(module), m.text_of(name)
    if texts[0] is None or texts[1] is None:
        m.stack.append(m.judge.computed_name(module, name, offset))
    else:
        m.stack.append(m.judge.named(texts[0], texts[1], m.proto, offset))


def _extension(width: int) -> Handler:
    def push(m: Machine) -> None:
        offset = m.pos - 1
        m.stack.append(m.judge.extension(length_of(m, width, signed=width == 4), offset))

    return push


def _reduce(m: Machine) -> None:
    args = m.pop()
    m.stack.append(m.judge.called(m.pop(), args, m.pos - 1))


def _newobj(m: Machine) -> None:
    args = m.pop()
    m.stack.append(m.judge.instantiated(m.pop(), args, m.pos - 1))


def _newobj_ex(m: Machine) -> None:
    keywords = m.pop()
    args = m.pop()
    m.stack.append(m.judge.instantiated(m.pop(), args, m.pos - 1, keywords))


def _inst(m: Machine) -> None:
    offset = m.pos - 1
    module = _name_line(m)
    maker = m.judge.named(module, _name_line(m), m.proto, offset)
    m.stack.append(m.judge.called(maker, as_tuple(m, m.above_mark()), offset))


def _obj(m: Machine) -> None:
    offset = m.pos - 1
    items = flat(m.above_mark())
    if not items:
        raise Broken("stack underflow")
    args = as_tuple(m, items[1:])
    m.stack.append(m.judge.called(items[0], args, offset))


def _build(m: Machine) -> None:
    offset = m.pos - 1
    state = m.pop()
    target = m.top()
    m.judge.built(target, state, offset)
    if m.arrays is not None:
        m.stack[-1] = m.arrays(m, target)


def _persistent_line(m: Machine) -> None:
    start, stop = m.line()
    m.persistent.append(Blob("str", start, stop - 1))
    m.stack.append(Opaque("persistent"))


def _persistent(m: Machine) -> None:
    value = m.pop()
    m.persistent.append(value)
    # torch's old formats keep the class of a layer in an id, with its source; it is what is named.
    kept = type(value) is tuple and len(value) > 1 and value[0] == "module"
    m.stack.append(value[1] if kept and isinstance(value[1], Global) else Opaque("persistent"))


# Framing and buffers


def _protocol(m: Machine) -> None:
    m.proto = m.number(1)
    if m.proto > _HIGHEST_PROTOCOL:
        m.judge.broken(f"pickle protocol {m.proto} does not exist", m.pos)


def _frame(m: Machine) -> None:
    m.enter_frame(m.number(8))


def _next_buffer(m: Machine) -> None:
    m.stack.append(Opaque("buffer"))
    m.buffers += 1


def _readonly_buffer(m: Machine) -> None:
    m.top()


def _no_opcode(m: Machine) -> None:
    m.pos -= 1
    raise Broken(f"byte 0x{m.data[m.pos]:02x} is no opcode")


_OTHERS: Final[dict[int, Handler]] = {
    # protocol 0
    ord("("): _mark,
    ord("0"): _pop,
    ord("1"): _pop_mark,
    ord("2"): _dup,
    ord("P"): _persistent_line,
    ord("R"): _reduce,
    ord("b"): _build,
    ord("c"): _global,
    ord("g"): _get_line,
    ord("i"): _inst,
    ord("p"): _put_line,
    # protocol 1
    ord("Q"): _persistent,
    ord("h"): _get_byte,
    ord("j"): _get(4),
    ord("o"): _obj,
    ord("q"): _put_byte,
    ord("r"): _put(4),
    # protocol 2
    0x80: _protocol,
    0x81: _newobj,
    0x82: _extension(1),
    0x83: _extension(2),
    0x84: _extension(4),
    # protocol 4
    0x92: _newobj_ex,
    0x93: _stack_global,
    0x94: _memoize,
    0x95: _frame,
    # protocol 5
    0x97: _next_buffer,
    0x98: _readonly_buffer,
}
_HANDLERS: Final = {**LITERALS, **CONTAINERS, **_OTHERS}
TABLE: Final[tuple[Handler, ...]] = tuple(_HANDLERS.get(code, _no_opcode) for code in range(256))
