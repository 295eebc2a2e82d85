"""Opcodes that push a number, a text or bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from safehold.scan.machine import KEPT_TEXT, MAX_NAME, Handler, Machine
from safehold.scan.numbers import parse_float, parse_int, parse_long, parse_quoted
from safehold.scan.outcome import Broken
from safehold.scan.values import FLOAT, INTEGER, UNKNOWN, Blob

# Longer integers are not turned into numbers; nothing asks for their value.
_KEPT_INT: Final = 32


def _literal(width: int, value: Any) -> Handler:
    def push(m: Machine) -> None:
        if m.pos > m.skipper.next_scalar and m.skipper.skip(m, m.pos - 1, scalar=True):
            return
        end = m.pos + width
        if end <= m.limit:
            m.pos = end
        else:
            m.take(width)
        m.stack.append(value)

    return push


def _integer(width: int, *, signed: bool) -> Handler:
    def push(m: Machine) -> None:
        if m.pos > m.skipper.next_scalar and m.skipper.skip(m, m.pos - 1, scalar=True):
            return
        start = m.take(width)
        m.stack.append(int.from_bytes(m.data[start : start + width], "little", signed=signed))

    return push


def _byte(m: Machine) -> None:
    pos = m.pos
    if pos > m.skipper.next_scalar and m.skipper.skip(m, pos - 1, scalar=True):
        return
    if pos < m.limit:
        m.pos = pos + 1
    else:
        pos = m.take(1)
    m.stack.append(m.data[pos])


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
        length = length_of(m, width, signed=width == 4)
        start = m.take(length)
        if length <= _KEPT_INT:
            m.stack.append(int.from_bytes(m.data[start : start + length], "little", signed=True))
        else:
            m.stack.append(INTEGER)

    return push


def length_of(m: Machine, width: int, *, signed: bool) -> int:
    """Return a length that stands before its content.

    Raises:
        Broken: it is negative.
    """
    start = m.take(width)
    length = int.from_bytes(m.data[start : start + width], "little", signed=signed)
    if length < 0:
        raise Broken("a negative length")
    return length


def _text(width: int) -> Handler:
    def push(m: Machine) -> None:
        if m.pos > m.skipper.next_scalar and m.skipper.skip(m, m.pos - 1, scalar=True):
            return
        start = m.pos + width
        raw = m.data[m.pos : start]
        length = raw[0] if width == 1 and raw else int.from_bytes(raw, "little")
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
        length = length_of(m, width, signed=width == 4)
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
        if length <= KEPT_TEXT and kind == "bytes":
            m.stack.append(bytes(m.data[start : start + length]))
        else:
            m.stack.append(Blob(kind, start, start + length))

    return push


LITERALS: Final[dict[int, Handler]] = {
    # protocol 0
    ord("F"): _number_line(parse_float, FLOAT),
    ord("I"): _number_line(parse_int, INTEGER),
    ord("L"): _number_line(parse_long, INTEGER),
    ord("S"): _quoted,
    ord("V"): _unicode_line,
    ord("N"): _literal(0, None),
    # protocol 1
    ord("G"): _literal(8, FLOAT),
    ord("J"): _integer(4, signed=True),
    ord("K"): _byte,
    ord("M"): _integer(2, signed=False),
    ord("T"): _old_text(4),
    ord("U"): _old_text(1),
    ord("X"): _text(4),
    # protocol 2
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
    # protocol 5
    0x96: _bytes(8, "bytearray"),
}
