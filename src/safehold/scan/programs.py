"""Texts that are programs: what an unknown callable is given tells what it is called for.

No list holds every callable that runs its argument. A text that only an interpreter, a shell or
another unpickler would understand gives one away, whatever its name is.
"""

from __future__ import annotations

import re
from typing import Any, Final

from safehold.scan.values import Blob, Box, Data

# So many values, so much of each, are looked at in one call.
_MOST_VALUES: Final = 200
_LONGEST: Final = 4096
# So much of all calls of a stream.
_MOST_BYTES: Final = 2**20

_PYTHON: Final = re.compile(
    r"\b__import__\s*\(|\b(?:exec|eval|compile|execfile)\s*\(\s*[\w'\"(]"
    r"|\b(?:os|posix|nt)\s*\.\s*(?:system|popen|exec[lv]\w*|spawn\w*|posix_spawn\w*|remove|unlink|kill)"
    r"\s*\(|\bsubprocess\s*\.\s*(?:run|call|check_\w+|Popen|getoutput|getstatusoutput)\s*\("
    r"|\bpty\s*\.\s*spawn\s*\(|\bsocket\s*\.\s*(?:socket|create_connection)\s*\("
    r"|\bopen\s*\([^()\n]{1,300},\s*(?:mode\s*=\s*)?['\"][wax]b?\+?['\"]"
    r"|(?:^|[\n;:])[ \t]*+(?:import|from)\s+"
    r"(?:os|posix|subprocess|pty|socket|shutil|ctypes|importlib)\b"
    r"|__(?:builtins|globals|subclasses|bases|mro|code|loader|getattribute)__"
)
_SHELL: Final = re.compile(
    r"(?:^|[;|&`\n]|\$\()[ \t]*+(?:/(?:usr/)?(?:local/)?s?bin/)?"
    r"(?:(?:ba|da|z|k)?sh|curl|wget|nc|ncat|socat|python[\d.]*|perl|ruby|touch|chmod|rm|powershell|cmd)"
    r"(?:\.exe)?\s+(?:-{1,2}\w|/\w|~|https?:|\.{0,2}/|[A-Za-z]:\\\\)"
)
# The names with which a pickle reaches the system, in either spelling.
_PICKLE: Final = re.compile(
    rb"[ci](?:os|posix|nt|subprocess|builtins|__builtin__)\n\w+\n"
    rb"|(?:\x8c|U|X).(?:\0\0\0)?(?:os|posix|nt|subprocess|builtins)"
    rb"(?:\x94|q.|r.{4})?(?:\x8c|U|X).(?:\0\0\0)?\w+(?:\x94|q.|r.{4})?\x93",
    re.DOTALL,
)


class Programs:
    """Looks for programs among the values of calls, within a budget."""

    __slots__ = ("data", "left")

    def __init__(self) -> None:
        self.left = _MOST_BYTES
        # Where longer texts were left.
        self.data: Data = b""

    def find(self, values: Any) -> str | None:
        """Return what kind of program stands among the values of a call, or None.

        Containers are searched as far as their items were kept. ``left`` is negative once something
        was not searched.
        """
        waiting = [values]
        for _ in range(_MOST_VALUES):
            if not waiting or self.left < 0:
                return None
            value = waiting.pop()
            self.left -= 1
            if isinstance(value, Blob):
                value = bytes(self.data[value.start : min(value.stop, value.start + _LONGEST)])
            if isinstance(value, str | bytes):
                self.left -= min(len(value), _LONGEST)
                found = _kind(value)
                if found is not None:
                    return found
            elif type(value) is tuple:
                waiting += value[:_MOST_VALUES]
            elif isinstance(value, Box) and value.items is not None:
                waiting += value.items.values() if isinstance(value.items, dict) else value.items
        return None


def _kind(value: str | bytes) -> str | None:
    if isinstance(value, str):
        text = value[:_LONGEST]
    elif _PICKLE.search(value, 0, _LONGEST):
        return "a pickle"
    else:
        text = value[:_LONGEST].decode("latin-1")
    if _PYTHON.search(text):
        return "Python"
    return "a shell command" if _SHELL.search(text) else None
