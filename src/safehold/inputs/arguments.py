"""Arguments of programs: lists, never text for a shell, and no value that would be an option."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from safehold.errors import InputRefused
from safehold.inputs._schema import checked
from safehold.inputs.rules import ARGUMENT

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_LONGEST = 2**17 - 1  # bytes of one argument, on Linux
_UNFIT = re.compile("[\0\ud800-\udfff]")
_SHELLS = frozenset("sh bash dash zsh ksh csh tcsh fish ash busybox cmd powershell pwsh".split())
_BATCH = (".bat", ".cmd")


def check_argument(value: str, *, first: str = "-") -> str:
    """Return a value that no program takes for an option.

    `first` are the characters that it must not begin with: some programs also read ``+`` as an
    option and ``@`` as the name of a file with more of them.

    Raises:
        InputRefused: it would be one, has a null byte or half a character, or is too long.
    """
    if value[:1] and value[0] in first:
        raise InputRefused("an argument does not begin like an option", rule=ARGUMENT.id)
    if _UNFIT.search(value):
        raise InputRefused("an argument has no null byte and no half a character", rule=ARGUMENT.id)
    if len(value.encode()) > _LONGEST:
        raise InputRefused(f"an argument has at most {_LONGEST} bytes", rule=ARGUMENT.id)
    return value


def argv(program: Sequence[str], *values: str, first: str = "-") -> list[str]:
    """Return what ``subprocess.run`` takes: the program's own words, then values from outside.

    `program` is the program and its fixed options: ``argv(["grep", "-c", "--"], pattern, name)``.
    End them with ``--`` where the program knows it.

    Raises:
        InputRefused: a value would be an option; `check_argument`. TypeError: the program is a
            text. ValueError: it is a shell that is given a text to run, or a batch file, whose
            arguments Windows reads as commands.
    """
    if isinstance(program, str) or not program or not all(isinstance(w, str) for w in program):
        message = "the program is a list of words, as in argv(['ls', '-l', '--'], name)"
        raise TypeError(message)
    name = re.split(r"[/\\]", program[0])[-1].lower()
    if name.endswith(_BATCH):
        raise ValueError("the arguments of a batch file are read as commands; run its program")
    runs = any(re.fullmatch(r"-[a-z]*c[a-z]*|/[ck]|-command|-encodedcommand", word.lower())
               for word in program[1:])  # fmt: skip
    if name.removesuffix(".exe") in _SHELLS and runs and values:
        raise ValueError("a shell reads values as commands; run the program itself")
    return [*program, *(check_argument(value, first=first) for value in values)]


@dataclass(frozen=True, slots=True)
class Argument:
    """Metadata of `ShellArg`, for other first characters: ``Annotated[str, Argument("-+@")]``."""

    first: str = "-"

    def check(self, value: str) -> str:
        """Return the value; raise InputRefused where it would be an option."""
        return check_argument(value, first=self.first)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return checked(self.check, max_length=_LONGEST)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        found = handler(schema)
        found["pattern"] = (
            rf"^(?![{re.escape(self.first)}])[^\u0000]*$" if self.first else r"^[^\u0000]*$"
        )
        return found


ShellArg = Annotated[str, Argument()]
"""A value that goes to a program as one argument, by `argv`."""
