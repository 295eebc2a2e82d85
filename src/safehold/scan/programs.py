"""Texts that are programs: what an unknown callable is given tells what it is called for.

No list holds every callable that runs its argument. A text that only an interpreter, a shell or
another unpickler would understand gives one away, whatever its name is.
"""

from __future__ import annotations

import re
from typing import Any, Final

from safehold.scan.values import Box

# So many values, so much of each, are looked at in one call.
_MOST_VALUES: Final = 200
_LONGEST: Final = 4096

_PYTHON: Final = re.compile(
    r"\b__import__\s*\(|\b(?:exec|eval|compile|execfile)\s*\(\s*[\w'\"(]"
    r"|\b(?:os|posix|nt)\s*\.\s*(?:system|popen|exec[lv]\w*|spawn\w*|posix_spawn\w*|remove|unlink|kill)"
    r"\s*\(|\bsubprocess\s*\.\s*(?:run|call|check_\w+|Popen|getoutput|getstatusoutput)\s*\("
    r"|\bpty\s*\.\s*spawn\s*\(|\bsocket\s*\.\s*(?:socket|create_connection)\s*\("
    r"|\bopen\s*\([^()\n]{1,300},\s*(?:mode\s*=\s*)?['\"][wax]b?\+?['\"]"
    r"|(?:^|[\n;:])\s*(?:import|from)\s+(?:os|posix|subprocess|pty|socket|shutil|ctypes|importlib)\b"
    r"|__(?:builtins|globals|subclasses|bases|mro|code|loader|getattribute)__"
)
_SHELL: Final = re.compile(
    r"(?:^|[;|&`\n]|\$\()\s*(?:/(?:usr/)?(?:local/)?s?bin/)?"
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


def program_in(values: Any) -> str | None:
    """Return what kind of program stands among the values of a call, or None.

    Containers are searched as far as their items were kept.
    """
    waiting = [values]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return None
        value = waiting.pop()
        if isinstance(value, str):
            found = _kind(value[:_LONGEST])
            if found is not None:
                return found
        elif isinstance(value, bytes | bytearray):
            if _PICKLE.search(value, 0, _LONGEST):
                return "a pickle"
            found = _kind(value[:_LONGEST].decode("latin-1"))
            if found is not None:
                return found
        elif type(value) is tuple:
            waiting += value[:_MOST_VALUES]
        elif isinstance(value, Box) and value.items is not None:
            waiting += value.items.values() if isinstance(value.items, dict) else value.items
    return None


def _kind(text: str) -> str | None:
    if _PYTHON.search(text):
        return "Python"
    return "a shell command" if _SHELL.search(text) else None
