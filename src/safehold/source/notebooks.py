"""Jupyter notebooks (nbformat 4): their code cells are one module, and edits go back into the JSON.

Cells are looked at together, in the order of the file, since one imports what another uses. Lines
that are for IPython (magics, shell commands, help) are left out, and so is a cell that is no Python
even then; such a cell is reported where it names what a rule is about. An edit replaces the
characters of a line in the JSON and nothing else.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from json.decoder import JSONDecoder
from typing import Any, Final, Protocol

from safehold.findings import Finding, Location
from safehold.source.outcome import Diagnostic, FileAudit

SUFFIX: Final = ".ipynb"
LARGEST: Final = 64 * 2**20
"""Bytes of the largest notebook that is read: outputs hold pictures."""
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_PYTHON_CELLS: Final = ("time", "timeit", "capture", "prun", "memit", "mprun", "heat")
_CELL_MAGIC: Final = re.compile(r"%%(\w+)")
_FOR_IPYTHON: Final = re.compile(r"[ \t]*(?:[%!?]|[\w.]+\?{1,2}[ \t]*$)")
_ASSIGNED: Final = re.compile(r"([ \t]*[\w, \t]+=[ \t]*)(?:!|%[a-zA-Z])")
_LINE: Final = re.compile(r"\bline (\d+)")


class Audit(Protocol):
    """Looks at the source of a module, and says what it finds and would change."""

    def __call__(self, source: bytes, /) -> FileAudit: ...


class NotebookError(ValueError):
    """The file is no notebook that can be read; the message says why."""


@dataclass(frozen=True, slots=True)
class _Literal:
    """A string of a cell's source: where its characters are in the JSON, and its value."""

    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class _Cell:
    """A code cell; `python` are its lines as Python, as many, blank where they are none."""

    number: int
    literals: tuple[_Literal, ...]
    lines: tuple[str, ...]
    python: tuple[str, ...]
    is_readable: bool


def audit_notebook(data: bytes, path: str, audit: Audit, unreadable: Audit) -> FileAudit:
    """Look at a notebook. `audit` looks at a module, `unreadable` makes the result of a bad one.

    Raises:
        NotebookError: it cannot be read.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotebookError(f"not UTF-8: {error.reason}") from None
    cells = list(_code_cells(text))
    placed = _Placed(text, cells)
    found = audit("\n".join(line for cell in cells for line in cell.python).encode())
    findings = [placed.finding(item) for item in found.findings]
    diagnostics = [placed.diagnostic(item) for item in found.diagnostics]
    for cell in cells:
        if not cell.is_readable:
            bad = unreadable("\n".join(cell.lines).encode())
            line = placed.line_of(cell, 0)
            findings += [
                replace(item, location=Location(path=path, line=line), detail={"cell": cell.number})
                for item in bad.findings
            ]
            diagnostics += [replace(item, line=line) for item in bad.diagnostics]
    after = None if found.after is None else placed.edited(found.after.decode())
    if after is not None and not _is_proven(text, after, cells, found):
        raise NotebookError("an edit would change more than was planned")
    return FileAudit(
        path,
        tuple(sorted(findings, key=lambda item: item.location.line or 0)),
        tuple(replace(item, line=placed.physical(item.line)) for item in found.edits),
        tuple(sorted(diagnostics, key=lambda item: (item.line, item.message))),
        tuple(replace(item, line=placed.physical(item.line)) for item in found.artifacts),
        None if after is None else data,
        None if after is None else after.encode(),
    )


class _Placed:
    """Where the lines of the module are in the notebook."""

    def __init__(self, text: str, cells: Sequence[_Cell]) -> None:
        self._text = text
        self._lines = [(cell, index) for cell in cells for index in range(len(cell.python))]
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._known: dict[int, list[int]] = {}

    def physical(self, line: int) -> int:
        """Return the line of the file for one of the module."""
        if not 1 <= line <= len(self._lines):
            return 1
        return self.line_of(*self._lines[line - 1])

    def line_of(self, cell: _Cell, index: int) -> int:
        """Return the line of the file on which a line of a cell begins."""
        before = sum(len(line) + 1 for line in cell.lines[:index])
        return bisect_left(self._breaks, self._places(cell)[before]) + 1

    def _places(self, cell: _Cell) -> list[int]:
        if cell.number not in self._known:
            self._known[cell.number] = _places(self._text, cell)
        return self._known[cell.number]

    def finding(self, finding: Finding) -> Finding:
        line = finding.location.line or 1
        cell = self._lines[line - 1][0].number if line <= len(self._lines) else 0
        return replace(
            finding,
            location=replace(finding.location, line=self.physical(line)),
            message=self._worded(finding.message),
            detail={**finding.detail, "cell": cell},
        )

    def diagnostic(self, item: Diagnostic) -> Diagnostic:
        message, line = self._worded(item.message), self.physical(item.line)
        return replace(item, line=line, message=message)

    def _worded(self, message: str) -> str:
        return _LINE.sub(lambda found: f"line {self.physical(int(found[1]))}", message)

    def edited(self, module: str) -> str:
        """Return the notebook with the lines of an edited module.

        Raises:
            NotebookError: a line that is not in the notebook as it is in the module.
        """
        pieces: list[tuple[int, int, str]] = []
        lines = module.split("\n")
        for (cell, index), new in zip(self._lines, lines, strict=True):
            old = cell.python[index]
            if old == new:
                continue
            if old != cell.lines[index]:
                raise NotebookError("an edit of a line that is for IPython")
            start = _common(old, new)
            stop = _common(old[start:][::-1], new[start:][::-1])
            before = sum(len(line) + 1 for line in cell.lines[:index])
            places = self._places(cell)
            first, last = places[before + start], places[before + len(old) - stop]
            written = json.dumps(new[start : len(new) - stop], ensure_ascii=False)[1:-1]
            pieces.append((first, last, written))
        result = self._text
        for first, last, written in reversed(pieces):
            result = result[:first] + written + result[last:]
        return result


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _places(text: str, cell: _Cell) -> list[int]:
    """Return where each character of a cell's source is in the JSON, and the end of the last."""
    found: list[int] = []
    for literal in cell.literals:
        at = literal.start
        while at < literal.end:
            found.append(at)
            if text[at] != "\\":
                at += 1
            elif text[at + 1] == "u":
                high = int(text[at + 2 : at + 6], 16)
                paired = 0xD800 <= high < 0xDC00 and text[at + 6 : at + 8] == "\\u"
                at += 12 if paired and 0xDC00 <= int(text[at + 8 : at + 12], 16) < 0xE000 else 6
            else:
                at += 2
    found.append(cell.literals[-1].end if cell.literals else 0)
    return found


def _code_cells(text: str) -> Iterator[_Cell]:
    """Yield the code cells of a notebook whose kernel is Python.

    Raises:
        NotebookError: no JSON, or no notebook.
    """
    try:
        found = list(_read_cells(text))
        whole = json.loads(text)
    except (ValueError, IndexError, RecursionError) as error:
        raise NotebookError(f"no JSON: {error}") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("cells"), list):
        raise NotebookError("no notebook of nbformat 4")
    if not _is_python(whole):
        return
    for number, (kind, literals) in enumerate(found):
        if kind != "code" or not literals:
            continue
        lines = "".join(item.value for item in literals).split("\n")
        python = tuple(_as_python(lines))
        readable = _parses("\n".join(python))
        blank = ("",) * len(lines)
        yield _Cell(number, literals, tuple(lines), python if readable else blank, readable)


def _is_python(whole: dict[str, Any]) -> bool:
    metadata = whole.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    named = info.get("name") if isinstance(info, dict) else None
    return (language or named or "python") in ("python", "python3", "ipython")


def _as_python(lines: Sequence[str]) -> Iterator[str]:
    """Yield each line, blank or with its value left out where it is for IPython."""
    magic = next((_CELL_MAGIC.match(line) for line in lines if line.strip()), None)
    if magic is not None and magic[1] not in _PYTHON_CELLS:
        yield from ("" for _ in lines)
        return
    for line in lines:
        if line.startswith("%%"):
            yield ""
        elif _FOR_IPYTHON.match(line):
            yield line[: len(line) - len(line.lstrip())] + "pass"
        elif found := _ASSIGNED.match(line):
            yield f"{found[1]}None"
        else:
            yield line


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _read_cells(text: str) -> Iterator[tuple[str, tuple[_Literal, ...]]]:
    """Yield the kind and the source of each cell, with the places of its strings."""
    decoder = JSONDecoder()
    for key, at in _members(text, _after_space(text, 0), decoder):
        if key == "cells" and text[at] == "[":
            for cell in _elements(text, at, decoder):
                kind = ""
                source: tuple[_Literal, ...] = ()
                if text[cell] == "{":
                    for name, value in _members(text, cell, decoder):
                        if name == "cell_type":
                            kind = decoder.raw_decode(text, value)[0]
                        elif name == "source":
                            source = tuple(_literals(text, value, decoder))
                yield kind, source


def _literals(text: str, at: int, decoder: JSONDecoder) -> Iterator[_Literal]:
    places = _elements(text, at, decoder) if text[at] == "[" else iter([at])
    for place in places:
        if text[place] == '"':
            value, end = decoder.raw_decode(text, place)
            yield _Literal(place + 1, end - 1, value)


def _members(text: str, at: int, decoder: JSONDecoder) -> Iterator[tuple[str, int]]:
    """Yield the keys of an object and the places of their values."""
    if text[at] != "{":
        raise ValueError("an object is expected")
    at = _after_space(text, at + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _after_space(text, at)
        at = _after_space(text, at + 1)  # the colon
        yield key, at
        at = _after_value(text, at, decoder)


def _elements(text: str, at: int, decoder: JSONDecoder) -> Iterator[int]:
    """Yield the places of the values of an array."""
    at = _after_space(text, at + 1)
    while text[at] != "]":
        yield at
        at = _after_value(text, at, decoder)


def _after_value(text: str, at: int, decoder: JSONDecoder) -> int:
    at = _after_space(text, decoder.raw_decode(text, at)[1])
    return _after_space(text, at + 1) if text[at] == "," else at


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _is_proven(before: str, after: str, cells: Sequence[_Cell], found: FileAudit) -> bool:
    """Whether the edited notebook holds the edited module, and is the same in all else."""
    try:
        old, new = json.loads(before), json.loads(after)
        changed = list(_code_cells(after))
    except ValueError:
        return False
    module = "\n".join(line for cell in changed for line in cell.python)
    if found.after is None or module != found.after.decode() or len(changed) != len(cells):
        return False
    for one, other in zip(old["cells"], new["cells"], strict=True):
        if isinstance(one, dict) and one.get("cell_type") == "code":
            if type(one.get("source")) is not type(other.get("source")):
                return False
            one.pop("source", None)
            other.pop("source", None)
    return bool(old == new)
