"""Whether each input of the request stays inside one word of a command for a POSIX shell.

For programs that cannot do without a shell. What the started program makes of the word, and of one
that begins with a dash where the program's own text has none before it, is told apart: the latter
is a finding, as it would be an option.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection
from typing import Final

from safehold.errors import InputRefused
from safehold.events import Event, Recorder
from safehold.findings import Finding, Location
from safehold.inputs.context import COMMAND
from safehold.inputs.forms import lowered
from safehold.inputs.requests import Inputs, current

_PIECE: Final = re.compile(
    r"""(?P<single>'[^']*+')
    |(?P<double>"(?:[^"\\$`]++|\\.|\$(?![({]))*+")
    |(?P<escape>\\.)
    |(?P<comment>(?<![^\s;&|()])\#[^\n]*+)
    |(?P<plain>[^\s'"\\$`;&|<>(){}*?[\]~!]++)
    |(?P<space>[ \t]++)
    |(?P<active>.)""",
    re.VERBOSE | re.DOTALL,
)
_SINGLE: Final = re.compile(r"[^']*+")
_DOUBLE: Final = re.compile(r"[^\"\\$`!]*+")
_PLAIN: Final = re.compile(r"[^\s'\"\\$`;&|<>(){}*?[\]~!#]*+")


def check_command(text: str, inputs: Inputs | Collection[object] | None = None) -> list[Finding]:
    """Return a finding for each input that is more than a part of one word of a command.

    `inputs` are those of the request that is being served, unless they are given.
    """
    if inputs is None:
        inputs = current()
        if inputs is None:
            return []
    elif not isinstance(inputs, Inputs):
        inputs = Inputs(inputs)
    low = lowered(text)
    needles = inputs.needles
    held = [item for item in (*needles.others, *needles.quotes) if item in low]
    if not held and not any(word in low for word in (*needles.words, *needles.numbers)):
        return []
    pieces = [
        (match.start(), match.end(), match.lastgroup or "") for match in _PIECE.finditer(text)
    ]
    if any(
        (kind == "active" and text[at] in "'\"\\`\0") or text.startswith(("<<", "$'", '$"'), at)
        for at, _, kind in pieces
    ):
        return [_finding(0, "the command holds an input and cannot be read for sure")]
    found = []
    for needle in held:
        at = low.find(needle)
        while at >= 0:
            if why := _why(text, pieces, needle, at):
                found.append(_finding(at, why))
                break
            at = low.find(needle, at + 1)
    return found


def verify_command(
    text: str,
    inputs: Inputs | Collection[object] | None = None,
    *,
    recorder: Recorder | None = None,
) -> None:
    """Refuse a command in which an input is more than a part of one word.

    Raises:
        InputRefused: there is one; recorded first, where a recorder is given.
    """
    found = check_command(text, inputs)
    if not found:
        return
    error = InputRefused(f"{found[0].message}. {COMMAND.remedy}", rule=COMMAND.id)
    if recorder is None:
        raise error
    recorder.refuse(
        Event(
            action="command",
            outcome="refused",
            reason="InputRefused",
            rule=COMMAND.id,
            detail=dict(found[0].detail),
        ),
        error,
    )


def _why(text: str, pieces: list[tuple[int, int, str]], needle: str, start: int) -> str:
    end = start + len(needle)
    part = text[start:end]
    first, last, kind = pieces[bisect.bisect_right(pieces, start, key=_begin) - 1]
    is_mark = len(part) == 1 and not part.isalnum()
    if is_mark and not (kind == "double" and part in "$`"):
        return ""  # a text of a shell is full of them
    if kind in ("single", "double"):
        allowed = _SINGLE if kind == "single" else _DOUBLE
        is_inside = first < start and end < last and allowed.fullmatch(part)
        if not is_inside:
            return "an input is more than the text between quotes"
    elif kind == "comment":
        return "" if first < start and end <= last else "an input begins or ends a comment"
    elif kind != "plain" or end > last or not _PLAIN.fullmatch(part):
        return "an input is more than one word"
    begins = start == first + (kind in ("single", "double"))
    is_option = part[0] == "-" and not part[1:2].isdigit()
    if begins and is_option and (not first or text[first - 1].isspace()):
        return "an input begins with a dash, as options do"
    return ""


def _begin(piece: tuple[int, int, str]) -> int:
    return piece[0]


def _finding(offset: int, why: str) -> Finding:
    """Say where and why, and nothing of the input."""
    return Finding.of(
        COMMAND,
        f"At character {offset}: {why}",
        Location(offset=offset),
        detail={"offset": offset, "why": why},
    )
