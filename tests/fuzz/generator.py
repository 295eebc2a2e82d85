"""Pickle streams opcode by opcode, with a model of the stack so that they go deep; and damage."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Final

Parts = list[bytes]

NAMES: Final = ("os", "system", "x.y", "collections", "OrderedDict", "a", "é", "__builtin__", "set")
_TEXTS: Final = (*NAMES, "", "a b", "\ud800", "'", "\\", "\\x41", "\\u0041", "n" * 300)
_NUMBERS: Final = (
    "0x10|010|00|01|0o7|0b1| 1|1 |+1|-0|1_0|1L|1.5|inf|-inf|nan|1e5|.5|5.||L|0x|08|1\0x|x|\t3|0_1|"
    "--1|1e|infinity|0xL|0x1fL|99999999999999999999|-9223372036854775808|9223372036854775808|\0|\0a|"
    "0x_1|0X1F|0O17|1e999|1_0.5|nan(1)|"
    "\x0b7|\x0c7|\r7|7\r|0 |0|1|2|3|-1|00001|0x0|0x1|\u0661|1e+5|+|-"
).split("|")
_LETTERS: Final = " \t\n\v\f\r+-0123456789abxXoOL_\0.einf"
_STRINGS: Final = (
    r"'\x41'", r"'\x4'", "'\\'", r"'\101'", r"'\777'", r"'\q'", r"'\''", "'a", '"a"', "'a\"", "a",
    "''", "'", "", "'é'", r"'\xe9'", r"'\u0041'", r"'\N{DIGIT ONE}'", "'a' ", r"'os\n'", "'a\0b'",
)  # fmt: skip
_ESCAPES: Final = (r"\u0041", r"\u00", r"\U00000041", r"\U99999999", r"\x41", "\\", r"\\u0041", "é")
_PLAIN: Final = b"(012NR]}tdlaesubo)Q\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98."


def number_text(rng: random.Random) -> bytes:
    """Text where a number belongs: usual, unusual, or of letters that numbers hold."""
    chance = rng.random()
    if chance < 0.4:
        return str(rng.randrange(-3, 12)).encode()
    if chance < 0.85:
        return rng.choice(_NUMBERS).encode()
    return "".join(rng.choices(_LETTERS, k=rng.randrange(1, 7))).encode()


def _sized(code: bytes, form: str, data: bytes) -> bytes:
    return code + struct.pack(form, len(data)) + data


def _text(rng: random.Random) -> bytes:
    text = rng.choice(NAMES) if rng.random() < 0.8 else rng.choice(_TEXTS)
    raw = text.encode("utf-8", "surrogatepass")
    form = rng.randrange(7)
    if form == 0:
        return b"X" + struct.pack("<I", len(raw)) + raw
    if form == 1:
        return b"\x8d" + struct.pack("<Q", len(raw)) + raw
    if form == 2:
        return b"V" + raw.replace(b"\n", b"") + b"\n"
    if form == 3:
        return b"S'" + raw.replace(b"\n", b"") + b"'\n"
    if form == 4 and len(raw) < 256:
        return _sized(b"U", "<B", raw)
    if form == 5:
        return _sized(b"T", "<i", raw)
    return _sized(b"\x8c", "<B", raw[:255])


def _number(rng: random.Random) -> bytes:
    form = rng.randrange(9)
    if form < 3:
        return b"ILF"[form : form + 1] + number_text(rng) + b"\n"
    if form == 3:
        return b"K" + bytes([rng.randrange(256)])
    if form == 4:
        return b"M" + rng.randbytes(2)
    if form == 5:
        return b"J" + rng.randbytes(4)
    if form == 6:
        return b"G" + rng.randbytes(8)
    data = rng.randbytes(rng.choice((0, 1, 2, 4, 8, 9, 40)))
    return _sized(b"\x8a", "<B", data) if form == 7 else _sized(b"\x8b", "<i", data)


def _bytes(rng: random.Random) -> bytes:
    data = rng.randbytes(rng.choice((0, 1, 3, 5, 300 if rng.random() < 0.1 else 2)))
    form = rng.randrange(4)
    if form == 0 and len(data) < 256:
        return _sized(b"C", "<B", data)
    if form == 1:
        return _sized(b"B", "<I", data)
    return _sized(b"\x8e" if form == 2 else b"\x96", "<Q", data)


def _global(rng: random.Random) -> bytes:
    return f"c{rng.choice(NAMES)}\n{rng.choice(NAMES)}\n".encode()


def _extension(rng: random.Random) -> bytes:
    return rng.choice(
        (b"\x82\x01", b"\x82\x02", b"\x83\x2c\x01", b"\x84\x70\x11\x01\x00", b"\x82\x00",
        b"\x82\x09",
         b"\x84\xff\xff\xff\xff", b"\x84\x01\x00\x00\x00")
    )  # fmt: skip


_ODD: Final[tuple[bytes, ...]] = (
    b"\x8b\xff\xff\xff\xff", b"\x8a\xff", b"T\xff\xff\xff\xff", b"X\xff\xff\xff\x7f",
    b"\x8d" + b"\xff" * 8,
    b"\x8e" + b"\xff" * 7 + b"\x7f", b"\x96" + b"\xff" * 8, b"\x80\x06", b"\x80\xff", b"\x80\x00",
    b"p-1\n", b"g-1\n", b"g99\n", b"h\x63", b"j\x63\0\0\0", b"X\x02\0\0\0\xff\xff",
    b"\x8c\x03\xed\xa0\x80",
    b"P1\n", b"P\xff\n", b"P\n", b"c\n\n", b"cos\n\n", b"c\xff\na\n", b"i\xff\na\n", b"\xff",
    b"\x8c\x05ab",
    b"\x8b\x00\x00\x00\x80",
)  # fmt: skip


def anything(rng: random.Random) -> bytes:  # noqa: PLR0911  one return for each form
    """Any opcode, with an argument of its form."""
    form = rng.randrange(13)
    if form < 3:
        return bytes([rng.choice(_PLAIN)])
    if form == 3:
        return rng.choice("Sp").encode() + rng.choice(_STRINGS).encode("latin-1") + b"\n"
    if form == 4:
        return rng.choice("gp").encode() + number_text(rng) + b"\n"
    if form == 5:
        return rng.choice(b"hq").to_bytes(1) + bytes([rng.randrange(12)])
    if form == 6:
        return rng.choice(b"rj").to_bytes(1) + struct.pack("<I", rng.randrange(300))
    if form == 7:
        return bytes([0x95]) + struct.pack("<Q", rng.randrange(60))
    if form == 8:
        return rng.choice(_ODD)
    if form == 9:
        return b"V" + rng.choice(_ESCAPES).encode("latin-1") + b"\n"
    if form == 10:
        return _extension(rng)
    if form == 11:
        return bytes([0x80, rng.randrange(7)])
    return rng.choice((_text, _number, _bytes, _global))(rng)


_VALUES: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    _text, _text, _number, _number, _bytes, _global, _global, _extension,
    lambda rng: bytes([rng.choice(b"N)]}\x88\x89\x8f\x97")]),
    lambda rng: bytes([rng.choice(b")]}\x8f")]),
)  # fmt: skip


class _Growing:
    """Kinds of values above each mark: what opcodes come next is what they can take."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.parts: Parts = []
        self.levels: list[list[str]] = [[]]
        self.memo: dict[int, str] = {}

    def push(self, part: bytes) -> None:
        self.parts.append(part)
        code = part[:1]
        kind = {
            b"]": "l",
            b"}": "d",
            b"\x8f": "e",
            b")": "t",
            b"c": "G",
            b"\x82": "G",
            b"\x83": "G",
        }
        self.levels[-1].append("s" if code in b"XVSUT\x8c\x8d" else kind.get(code, "v"))

    def take(self, part: bytes, count: int, kind: str | None) -> None:
        self.parts.append(part)
        level = self.levels[-1]
        del level[len(level) - count :]
        if kind is not None:
            level.append(kind)

    def step(self) -> None:
        level, rng = self.levels[-1], self.rng
        chance = rng.random()
        if chance < 0.12 and len(self.levels) < 6:
            self.parts.append(b"(")
            self.levels.append([])
        elif chance < 0.4 or not level:
            self._value()
        elif chance < 0.55:
            self._memo()
        elif chance < 0.72 and len(self.levels) > 1:
            self._close()
        else:
            self._use(level)

    def _value(self) -> None:
        self.push(self.rng.choice(_VALUES)(self.rng))

    def _memo(self) -> None:
        rng, level = self.rng, self.levels[-1]
        form = rng.randrange(8)
        if form < 2 and self.memo:
            index = rng.choice(tuple(self.memo))
            part = (b"h" + bytes([index]), f"g{index}\n".encode(), b"j" + struct.pack("<I", index))
            self.parts.append(rng.choice(part))
            level.append(self.memo[index])
        elif form < 4:
            self.memo[len(self.memo)] = level[-1]
            self.parts.append(b"\x94")
        elif form < 6:
            index = rng.randrange(9)
            self.memo[index] = level[-1]
            part = (b"q" + bytes([index]), f"p{index}\n".encode(), b"r" + struct.pack("<I", index))
            self.parts.append(rng.choice(part))
        elif form == 6:
            self.parts.append(b"2")
            level.append(level[-1])
        else:
            self.take(b"0", 1, None)

    def _close(self) -> None:
        items = self.levels.pop()
        level = self.levels[-1]
        forms: list[tuple[bytes, int, str | None]] = [
            (b"t", 0, "t"), (b"t", 0, "t"), (b"l", 0, "l"), (b"1", 0, None), (b"\x91", 0, "v"),
            (b"icollections\nOrderedDict\n", 0, "m"),
        ]  # fmt: skip
        if not items:
            forms.append((b"0", 0, None))
        if len(items) % 2 == 0:
            forms.append((b"d", 0, "d"))
        if items[:1] == ["G"]:
            forms += [(b"o", 0, "m")] * 4
        if level and level[-1] in "lmG":
            forms += [(b"e", 0, None)] * 3
        if level and level[-1] in "dmG" and len(items) % 2 == 0:
            forms += [(b"u", 0, None)] * 3
        if level and level[-1] in "emG":
            forms += [(b"\x90", 0, None)] * 3
        part, count, kind = self.rng.choice(forms)
        self.take(part, count, kind)

    def _use(self, level: list[str]) -> None:
        forms: list[tuple[bytes, int, str | None]] = [(b"\x85", 1, "t"), (b"Q", 1, "m")]
        below = level[-2] if len(level) > 1 else ""
        if below:
            forms += [(b"\x86", 2, "t")]
            if level[-1] == "t" and below in "Gm":
                forms += [(b"R", 2, "m")] * 6
            if level[-1] == "t" and below == "G":
                forms += [(b"\x81", 2, "m")] * 6
            if below in "Gm":
                forms += [(b"b", 1, None), (b"a", 1, None), (b")R", 1, "m")]
            if below == "l":
                forms += [(b"a", 1, None)] * 4
            if level[-1] == "s" and below == "s":
                forms += [(b"\x93", 2, "G")] * 8
        if level[-1] == "G":
            forms += [(b")R", 1, "m"), (b")\x81", 1, "m"), (b")}\x92", 1, "m")] * 2
        if level[-1] == "v" and self.parts[-1][:1] == b"\x96":
            forms += [(b"\x98", 0, None)] * 3
        if len(level) > 2:
            forms.append((b"\x87", 3, "t"))
            if level[-3] in "dGm":
                forms += [(b"s", 2, None)] * 4
        self.take(*self.rng.choice(forms))


def grow(rng: random.Random, memo: dict[int, str] | None = None) -> Parts:
    """Return the opcodes of one stream that mostly hold together, and its STOP."""
    growing = _Growing(rng)
    growing.memo = {} if memo is None else memo
    if rng.random() < 0.7:
        growing.parts.append(bytes([0x80, rng.choice((0, 1, 2, 3, 4, 5))]))
    for _ in range(rng.randrange(1, 30)):
        growing.step()
    while len(growing.levels) > 1:
        growing._close()
    if not growing.levels[-1]:
        growing.push(b"N")
    if rng.random() < 0.15:
        _frame(rng, growing.parts)
    return [*growing.parts, b"."]


def _frame(rng: random.Random, parts: Parts) -> None:
    """Put the opcodes from somewhere to somewhere into a frame; the last one holds the STOP."""
    first = rng.randrange(len(parts) + 1)
    last = rng.randrange(first, len(parts) + 1)
    length = len(b"".join(parts[first:last])) + (last == len(parts))
    if rng.random() < 0.2:
        length += rng.randrange(-2, 3)
    parts.insert(first, b"\x95" + struct.pack("<Q", max(0, length)))


def damage(rng: random.Random, parts: Parts, others: Parts) -> bytes:
    """Return the stream with a few opcodes or bytes changed."""
    parts = list(parts)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(parts))
        form = rng.randrange(8)
        if form == 0:
            parts.insert(at, anything(rng))
        elif form == 1 and len(parts) > 1:
            del parts[at]
        elif form == 2:
            parts.insert(at, parts[rng.randrange(len(parts))])
        elif form == 3:
            parts[at] = anything(rng)
        elif form == 4:
            parts[at:] = others[rng.randrange(len(others)) :]
        elif form == 5:
            parts[at:at] = parts[max(0, at - rng.randrange(1, 6)) : at]
        else:
            return _bytewise(rng, bytearray(b"".join(parts)))
    return b"".join(parts)


def _bytewise(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data))
        form = rng.randrange(5)
        if form == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif form == 1:
            data[at] = rng.randrange(256)
        elif form == 2 and len(data) > 1:
            del data[at:]
            if not data:
                data += b"."
        elif form == 3 and len(data) > 1:
            del data[at]
        else:
            data.insert(at, rng.choice(_PLAIN))
    return bytes(data)


def streams(seed: int, count: int) -> Iterator[bytes]:
    """Yield so many inputs; the same ones for the same seed."""
    rng = random.Random(seed)
    others = grow(rng)
    left = count
    while left > 0:
        memo: dict[int, str] = {}
        parts = grow(rng, memo)
        while rng.random() < 0.12:
            parts += grow(rng, memo)
        whole = b"".join(parts)
        made = [whole, *(damage(rng, parts, others) for _ in range(3))]
        others = parts
        yield from made[:left]
        left -= len(made)
