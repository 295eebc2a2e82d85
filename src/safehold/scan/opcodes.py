"""What each opcode does to the machine: one function per opcode, one table at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.judge import Judge
from safehold.scan.machine import (
    KEPT_TEXT,
    LITERAL_OPCODES,
    MAX_NAME,
    Broken,
    Data,
    Machine,
    Outcome,
)
from safehold.scan.numbers import (
    parse_float,
    parse_index,
    parse_int,
    parse_long,
    parse_quoted,
)
from safehold.scan.values import (
    FLOAT,
    INTEGER,
    KEPT_ITEMS,
    UNKNOWN,
    Blob,
    Box,
    Global,
    Opaque,
    Run,
    weighs_more,
)

Handler = Callable[[Machine], None]

_HIGHEST_PROTOCOL: Final = 5
# Longer integers are not turned into numbers; nothing asks for their value.
_KEPT_INT: Final = 32
# Hashing one key may visit this many items.
_HEAVIEST_KEY: Final = 10_000
# A tuple with more items is kept as a kind only.
_KEPT_TUPLE: Final = 1024


def run(
    data: Data,
    judge: Judge,
    *,
    start: int = 0,
    memo: dict[int, Any] | None = None,
    arrays: Callable[[Machine, Any], Any] | None = None,
) -> tuple[Machine, Outcome]:
    """Follow one stream and return the machine as it stood at the end."""
    machine = Machine(data, judge, start=start, memo=memo, arrays=arrays)
    return machine, machine.run(TABLE)


# Literals


def _literal(width: int, value: Any) -> Handler:
    def push(m: Machine) -> None:
        after = m.pos + width
        if after < m.limit and m.data[after] in LITERAL_OPCODES and m.skip_literals(m.pos - 1):
            return
        m.take(width)
        m.stack.append(value)

    return push


def _integer(width: int, *, signed: bool) -> Handler:
    def push(m: Machine) -> None:
        after = m.pos + width
        if after < m.limit and m.data[after] in LITERAL_OPCODES and m.skip_literals(m.pos - 1):
            return
        start = m.take(width)
        m.stack.append(int.from_bytes(m.data[start : start + width], "little", signed=signed))

    return push


def _number_line(parse: Callable[[bytes], Any], fallback: Any) -> Handler:
    def push(m: Machine) -> None:
        start, stop = m.line()
        value = fallback
        if stop - start <= 2 * MAX_NAME:
            if stop - start < 2:
                raise Broken("an empty line where a value belongs")
            try:
                value = parse(bytes(m.data[start:stop]))
            except ValueError:
                m.judge.broken("a number that no loader accepts", start)
        m.stack.append(value)

    return push


def _long(width: int) -> Handler:
    def push(m: Machine) -> None:
        length = _length(m, width, signed=width == 4)
        start = m.take(length)
        if length <= _KEPT_INT:
            m.stack.append(int.from_bytes(m.data[start : start + length], "little", signed=True))
        else:
            m.stack.append(INTEGER)

    return push


def _length(m: Machine, width: int, *, signed: bool) -> int:
    start = m.take(width)
    length = int.from_bytes(m.data[start : start + width], "little", signed=signed)
    if length < 0:
        raise Broken("a negative length")
    return length


def _text(width: int) -> Handler:
    def push(m: Machine) -> None:
        start = m.pos + width
        length = int.from_bytes(m.data[m.pos : start], "little")
        if length <= m.limit - start:
            m.pos = start + length
        else:
            length = m.number(width)
            start = m.take(length)
        if length > KEPT_TEXT:
            m.stack.append(Blob("str", start, start + length))
            return
        try:
            m.stack.append(str(m.data[start : start + length], "utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            m.judge.broken("a text that is not UTF-8", start)
            m.stack.append(UNKNOWN)

    return push


def _old_text(width: int) -> Handler:
    """BINSTRING: the encoding is the loader's choice, names are ASCII in any of them."""

    def push(m: Machine) -> None:
        length = _length(m, width, signed=width == 4)
        start = m.take(length)
        if length > KEPT_TEXT:
            m.stack.append(Blob("str", start, start + length))
        else:
            m.stack.append(str(m.data[start : start + length], "ascii", "surrogateescape"))

    return push


def _quoted(m: Machine) -> None:
    start, stop = m.line()
    if stop - start > MAX_NAME:
        # Escapes would have to be undone first, so it never is a name.
        m.stack.append(Blob("text", start + 1, stop - 2))
        return
    try:
        m.stack.append(parse_quoted(bytes(m.data[start:stop])))
    except ValueError:
        m.judge.broken("a STRING that no loader accepts", start)
        m.stack.append(UNKNOWN)


def _unicode_line(m: Machine) -> None:
    start, stop = m.line()
    if stop - start > MAX_NAME:
        # Escapes would have to be undone first, so it never is a name.
        m.stack.append(Blob("text", start, stop - 1))
        return
    try:
        m.stack.append(str(m.data[start : stop - 1], "raw-unicode-escape"))
    except UnicodeDecodeError:
        m.judge.broken("a UNICODE that no loader accepts", start)
        m.stack.append(UNKNOWN)


def _bytes(width: int, kind: str = "bytes") -> Handler:
    def push(m: Machine) -> None:
        length = m.number(width)
        start = m.take(length)
        if kind == "bytes" and length <= KEPT_TEXT:
            m.stack.append(bytes(m.data[start : start + length]))
        else:
            m.stack.append(Blob(kind, start, start + length))

    return push


# Containers


def _empty_box(kind: str) -> Handler:
    def push(m: Machine) -> None:
        m.stack.append(Box(kind))

    return push


def _empty_tuple(m: Machine) -> None:
    m.stack.append(())


def _small_tuple(count: int) -> Handler:
    def make(m: Machine) -> None:
        items = [m.pop() for _ in range(count)]
        _hold(m, items)
        m.stack.append(tuple(reversed(items)))

    return make


def _tuple(m: Machine) -> None:
    m.stack.append(_as_tuple(m, m.above_mark()))


def _as_tuple(m: Machine, items: list[Any]) -> Any:
    _hold(m, items)
    expanded = m.expanded(items, _KEPT_TUPLE)
    return Opaque("tuple") if expanded is None else tuple(expanded)


def _list(m: Machine) -> None:
    box = Box("list")
    _fill(m, box, m.above_mark())
    m.stack.append(box)


def _dict(m: Machine) -> None:
    box = Box("dict")
    items = m.above_mark()
    _hold(m, items)
    _set_items(m, box, items)
    m.stack.append(box)


def _frozenset(m: Machine) -> None:
    box = Box("frozenset")
    items = m.above_mark()
    _check_keys(m, items)
    _fill(m, box, items)
    m.stack.append(box)


def _hold(m: Machine, items: list[Any]) -> None:
    if Global in map(type, items):
        m.judge.held(items, m.pos)


def _fill(m: Machine, box: Box, items: list[Any]) -> None:
    _hold(m, items)
    if box.items is None and len(items) <= KEPT_ITEMS and Run not in map(type, items):
        box.items = items
        return
    for item in items[: KEPT_ITEMS + 1]:
        if type(item) is Run:
            box.whole = False
        else:
            box.append(item)


def _append(m: Machine) -> None:
    item = m.pop()
    _add(m, m.top(), [item], ("list",))


def _appends(m: Machine) -> None:
    items = m.above_mark()
    _add(m, m.top(), items, ("list",))


def _add_items(m: Machine) -> None:
    items = m.above_mark()
    _check_keys(m, items)
    _add(m, m.top(), items, ("set",))


def _add(m: Machine, target: Any, items: list[Any], kinds: tuple[str, ...]) -> None:
    if isinstance(target, Box) and target.kind in kinds:
        _fill(m, target, items)
    else:
        _hold(m, items)
        m.judge.extended(target, kinds, m.pos)


def _set_item(m: Machine) -> None:
    value = m.pop()
    key = m.pop()
    _put_items(m, m.top(), [key, value])


def _set_items_marked(m: Machine) -> None:
    items = m.above_mark()
    _put_items(m, m.top(), items)


def _put_items(m: Machine, target: Any, items: list[Any]) -> None:
    _hold(m, items)
    if isinstance(target, Box) and target.kind == "dict":
        _set_items(m, target, items)
    else:
        _check_keys(m, items)
        m.judge.extended(target, ("dict",), m.pos)


def _set_items(m: Machine, box: Box, items: list[Any]) -> None:
    if Run in map(type, items):
        expanded = m.expanded(items, 2 * KEPT_ITEMS)
        if expanded is None:
            box.whole = False
            _check_keys(m, items)
            return
        items = expanded
    if len(items) % 2:
        m.judge.broken("a key without a value", m.pos)
        items.append(UNKNOWN)
    _check_keys(m, items[::2])
    for index in range(0, len(items), 2):
        box.put(items[index], items[index + 1])


def _check_keys(m: Machine, keys: list[Any]) -> None:
    """A key is hashed, and a tuple hashes what it holds, as often as it holds it."""
    for key in keys if tuple in map(type, keys) else ():
        if type(key) is tuple and weighs_more(key, _HEAVIEST_KEY):
            message = "a key that takes far longer to hash than to read"
            m.judge.note(rules.LIMIT_EXCEEDED, message, m.pos)
            return


# Stack and memo


def _mark(m: Machine) -> None:
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
    memo = m.memo
    memo[len(memo)] = m.top() if type(value) is Run else value


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
    m.memo[m.data[pos]] = m.top() if type(value) is Run else value


def _get(width: int) -> Handler:
    def get(m: Machine) -> None:
        m.stack.append(m.get(m.number(width)))

    return get


def _get_byte(m: Machine) -> None:
    pos = m.pos
    if pos < m.limit and m.data[pos] in m.memo:
        m.pos = pos + 1
        m.stack.append(m.memo[m.data[pos]])
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
        m.stack.append(m.judge.extension(_length(m, width, signed=width == 4), offset))

    return push


def _reduce(m: Machine) -> None:
    args = m.pop()
    m.stack.append(m.judge.called(m.pop(), args, m.pos - 1))


def _newobj(m: Machine) -> None:
    args = m.pop()
    m.stack.append(m.judge.instantiated(m.pop(), args, m.pos - 1))


def _newobj_ex(m: Machine) -> None:
    m.pop()
    args = m.pop()
    m.stack.append(m.judge.instantiated(m.pop(), args, m.pos - 1))


def _inst(m: Machine) -> None:
    offset = m.pos - 1
    module = _name_line(m)
    maker = m.judge.named(module, _name_line(m), m.proto, offset)
    m.stack.append(m.judge.called(maker, _as_tuple(m, m.above_mark()), offset))


def _obj(m: Machine) -> None:
    offset = m.pos - 1
    items = m.above_mark()
    if not items:
        raise Broken("stack underflow")
    # A literal first in a run is no class; the judge says so for any value.
    args = _as_tuple(m, items[1:])
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
    m.persistent.append(m.pop())
    m.stack.append(Opaque("persistent"))


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


_HANDLERS: Final[dict[int, Handler]] = {
    # protocol 0
    ord("("): _mark,
    ord("0"): _pop,
    ord("1"): _pop_mark,
    ord("2"): _dup,
    ord("F"): _number_line(parse_float, FLOAT),
    ord("I"): _number_line(parse_int, INTEGER),
    ord("L"): _number_line(parse_long, INTEGER),
    ord("S"): _quoted,
    ord("V"): _unicode_line,
    ord("N"): _literal(0, None),
    ord("P"): _persistent_line,
    ord("R"): _reduce,
    ord("a"): _append,
    ord("b"): _build,
    ord("c"): _global,
    ord("d"): _dict,
    ord("g"): _get_line,
    ord("i"): _inst,
    ord("l"): _list,
    ord("p"): _put_line,
    ord("s"): _set_item,
    ord("t"): _tuple,
    # protocol 1
    ord("G"): _literal(8, FLOAT),
    ord("J"): _integer(4, signed=True),
    ord("K"): _integer(1, signed=False),
    ord("M"): _integer(2, signed=False),
    ord("T"): _old_text(4),
    ord("U"): _old_text(1),
    ord("X"): _text(4),
    ord("Q"): _persistent,
    ord("]"): _empty_box("list"),
    ord("}"): _empty_box("dict"),
    ord(")"): _empty_tuple,
    ord("e"): _appends,
    ord("h"): _get_byte,
    ord("j"): _get(4),
    ord("o"): _obj,
    ord("q"): _put_byte,
    ord("r"): _put(4),
    ord("u"): _set_items_marked,
    # protocol 2
    0x80: _protocol,
    0x81: _newobj,
    0x82: _extension(1),
    0x83: _extension(2),
    0x84: _extension(4),
    0x85: _small_tuple(1),
    0x86: _small_tuple(2),
    0x87: _small_tuple(3),
    0x88: _literal(0, True),  # noqa: FBT003  the value pushed
    0x89: _literal(0, False),  # noqa: FBT003  the value pushed
    0x8A: _long(1),
    0x8B: _long(4),
    # protocol 3
    ord("B"): _bytes(4),
    ord("C"): _bytes(1),
    # protocol 4
    0x8C: _text(1),
    0x8D: _text(8),
    0x8E: _bytes(8),
    0x8F: _empty_box("set"),
    0x90: _add_items,
    0x91: _frozenset,
    0x92: _newobj_ex,
    0x93: _stack_global,
    0x94: _memoize,
    0x95: _frame,
    # protocol 5
    0x96: _bytes(8, "bytearray"),
    0x97: _next_buffer,
    0x98: _readonly_buffer,
}
TABLE: Final[tuple[Handler, ...]] = tuple(_HANDLERS.get(code, _no_opcode) for code in range(256))
