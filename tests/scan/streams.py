"""Random pickle streams whose opcodes mostly find on the stack what they need."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_TEXTS = ("a", "os", "system", "x.y", "collections", "OrderedDict", "\u00e9")
_NUMBERS = (
    *("1", "0x10", "010", "00", "01", " 1", "+1", "-0", "1_0", "1L", "0x1fL", "5", "inf", "1.5"),
    *("1\0x", "-7", "\t3", "9" * 20),
)
_GLOBALS = (b"cos\nsystem\n", b"ccollections\nOrderedDict\n", b"c__builtin__\nset\n")
_SIMPLE = (
    *(b"N", b"\x88", b"\x89", b"]", b"}", b")", b"\x8f", b"K\x07", b"M\x07\x07"),
    b"J\xff\xff\xff\xff",
    *(b"G" + struct.pack(">d", 1.5), b"\x8a\x02\x01\x02", b"C\x01a", b"B\x01\0\0\0a"),
)  # fmt: skip


class _Growing:
    """A stream in the making, with the number of values above each mark."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.parts: list[bytes] = []
        self.levels = [0]
        self.memo: set[int] = set()

    def add(self, opcodes: bytes, change: int) -> None:
        self.parts.append(opcodes)
        self.levels[-1] += change

    def text(self) -> None:
        text = self.rng.choice(_TEXTS)
        raw = text.encode()
        forms = (
            b"X" + struct.pack("<I", len(raw)) + raw,
            b"\x8c" + bytes([len(raw)]) + raw,
            b"U" + bytes([len(raw)]) + raw,
            f"V{text}\n".encode("latin-1"),
            f"S'{text}'\n".encode("latin-1"),
        )
        self.add(self.rng.choice(forms), 1)

    def number(self) -> None:
        self.add(f"{self.rng.choice('ILF')}{self.rng.choice(_NUMBERS)}\n".encode(), 1)

    def put(self) -> None:
        index = self.rng.randrange(6)
        forms = (b"q" + bytes([index]), f"p{index}\n".encode(), b"r" + struct.pack("<I", index))
        self.memo.add(index)
        self.add(self.rng.choice(forms), 0)

    def memoize(self) -> None:
        self.add(b"\x94", 0)
        self.memo.add(len(self.memo))

    def get(self) -> None:
        index = self.rng.choice(sorted(self.memo))
        forms = (b"h" + bytes([index]), f"g{index}\n".encode(), b"j" + struct.pack("<I", index))
        self.add(self.rng.choice(forms), 1)

    def mark(self) -> None:
        self.add(b"(", 0)
        self.levels.append(0)

    def close(self) -> None:
        above = self.levels.pop()
        forms = [(b"t", 1), (b"l", 1), (b"1", 0), (b"\x91", 1), (b"icollections\nOrderedDict\n", 1)]
        if above % 2 == 0:
            forms.append((b"d", 1))
        if self.levels[-1]:
            forms += [(b"e", 0), (b"u", 0), (b"\x90", 0)]
        if above:
            forms.append((b"o", 1))
        self.add(*self.rng.choice(forms))

    def choices(self) -> list[Callable[[], None]]:
        """What can be done with the values there are; what consumes them is likelier."""
        pick = self.rng.choice
        found: list[Callable[[], None]] = [
            lambda: self.add(pick(_SIMPLE), 1),
            lambda: self.add(pick(_GLOBALS), 1),
            self.text,
            self.number,
            self.mark,
        ]
        if self.levels[-1] >= 1:
            found += [self.put, self.memoize, lambda: self.add(b"\x85", 0)]
            found += [lambda: self.add(b"2", 1), lambda: self.add(b"0", -1)]
        if self.levels[-1] >= 2:
            found += 3 * [lambda: self.add(pick((b"R", b"0)R", b"0)\x81", b"\x81", b"b")), -1)]
            found += 2 * [lambda: self.add(pick((b"\x86", b"a", b"\x93")), -1)]
        if self.levels[-1] >= 3:
            found += 2 * [lambda: self.add(pick((b"\x87", b"s")), -2)]
        if self.memo:
            found.append(self.get)
        if len(self.levels) > 1:
            found += 3 * [self.close]
        return found


def grow(rng: random.Random, length: int) -> bytes:
    """Return a stream of so many opcodes, and a STOP."""
    growing = _Growing(rng)
    if rng.random() < 0.7:
        growing.add(bytes([0x80, rng.choice((0, 2, 3, 4, 5))]), 0)
    for _ in range(length):
        rng.choice(growing.choices())()
    return b"".join(growing.parts) + b"."
