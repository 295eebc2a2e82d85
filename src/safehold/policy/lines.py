"""TOML text with bounds on size and depth, and the line on which each of its keys stands.

`tomllib` gives no positions. `key_lines` reads text that it has accepted, so it only follows
the structure: strings and comments are skipped, and names get an index where they name one
of several tables, as in ``zone[1].paths``.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safehold.errors import ConfigError

_MAX_TEXT = 256 * 2**10
_MAX_BYTES = 2**20  # more than `read_toml` takes
# tomllib takes a minute for one key of 60,000 dotted parts.
_LONG_KEY = re.compile(r"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<text>\"\"\"(?:\\.|[^\\])*?\"{3,5}|'''.*?'{3,5})
    |(?P<name>"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^\s\#"'\[\]{}=,.]+)
    |(?P<mark>[\[\]{}=,.\n])""",
    re.VERBOSE | re.DOTALL,
)


def read_regular(file: Path) -> bytes:
    """Read a file without waiting for a FIFO or filling the memory from a device.

    Raises OSError, and ValueError for NUL in the name.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(file))
        return os.read(fd, _MAX_BYTES)
    finally:
        os.close(fd)


def read_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse TOML text; `path` is for messages.

    Raises:
        ConfigError: not TOML, or larger or deeper than a policy can be.
    """
    if len(text) > _MAX_TEXT:
        message = f"{path}: more than {_MAX_TEXT // 1024} KiB, which is no policy"
        raise ConfigError(message)
    if _LONG_KEY.search(text):
        message = f"{path}: a name of more than 32 dotted parts"
        raise ConfigError(message)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError; int() on thousands of digits
        message = f"{path}: not valid TOML: {error}"
        raise ConfigError(message) from error
    except RecursionError:
        message = f"{path}: nested too deeply"
        raise ConfigError(message) from None


def key_lines(text: str) -> dict[str, int]:
    """Map every key and table, written as ``table.key``, to the line it first stands on."""
    return _Lines(text).found


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            yield kind, match[0], line
        line += match[0].count("\n")


class _Lines:
    """One reading: `found` is the result."""

    def __init__(self, text: str) -> None:
        self.found: dict[str, int] = {}
        self._tables: dict[str, int] = {}  # array of tables -> index of its last one
        self._table = ""
        tokens = _tokens(text)
        for kind, piece, line in tokens:
            if piece == "[":
                self._header(tokens, line)
            elif kind == "name":
                self._statement(tokens, piece, line)

    def _note(self, name: str, line: int) -> str:
        self.found.setdefault(name, line)
        return name

    def _path(self, start: str, parts: list[str], line: int) -> str:
        """Join dotted parts; a part that is an array of tables means its last table."""
        path = start
        for part in parts:
            path = self._note(f"{path}.{part}" if path else part, line)
            if path in self._tables:
                path += f"[{self._tables[path]}]"
        return path

    def _header(self, tokens: Iterator[tuple[str, str, int]], line: int) -> None:
        parts: list[str] = []
        several = False
        for kind, piece, _ in tokens:
            if kind == "name":
                parts.append(_bare(piece))
            elif piece == "[":
                several = True
            elif piece == "\n":
                break
        if several and parts:
            parent = self._path("", parts[:-1], line)
            name = self._note(f"{parent}.{parts[-1]}" if parent else parts[-1], line)
            self._tables[name] = self._tables.get(name, -1) + 1
            self._table = self._note(f"{name}[{self._tables[name]}]", line)
        else:
            self._table = self._path("", parts, line)

    def _statement(self, tokens: Iterator[tuple[str, str, int]], first: str, line: int) -> None:
        """Read ``key = value`` to the end of its line; the value may hold tables."""
        # Each open bracket: its name, and the index of the next element (None in a table).
        stack: list[tuple[str, int | None]] = []
        parts, value = [_bare(first)], ""
        reading_key = True
        for kind, piece, where in tokens:
            if piece == "\n" and not stack:
                return
            if reading_key:
                if kind == "name":
                    parts.append(_bare(piece))
                    line = where
                elif piece == "=":
                    value = self._path(stack[-1][0] if stack else self._table, parts, line)
                    reading_key = False
                elif piece == "}" and stack:
                    stack.pop()
                    reading_key = False
                continue
            if piece in "[{":
                reading_key = piece == "{"
                parts = []
                name = _element(stack, value)
                if stack and stack[-1][1] is not None:
                    self._note(name, where)
                stack.append((name, None if reading_key else 0))
            elif piece in "]}" and stack:
                stack.pop()
            elif piece == "," and stack:
                name, index = stack[-1]
                reading_key = index is None
                parts = []
                stack[-1] = (name, None if index is None else index + 1)


def _element(stack: list[tuple[str, int | None]], value: str) -> str:
    """Name what a bracket opens: the value of a key, or one element of an array."""
    if stack and stack[-1][1] is not None:
        return f"{stack[-1][0]}[{stack[-1][1]}]"
    return value


def _bare(name: str) -> str:
    return name[1:-1] if name[0] in "\"'" else name
