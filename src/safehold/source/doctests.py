"""Examples in docstrings: what they import and call is looked at, as a module of its own.

An example that uses what its module imports needs no edit, since the module's import has it. One
that imports for itself is edited in the docstring, line by line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from safehold.findings import Confidence, Finding
from safehold.source.outcome import ArtifactUse, Diagnostic, FileAudit
from safehold.source.rewrite import Change, Span
from safehold.source.text import Lines
from safehold.source.unit import Unit

_PROMPT = ">>>"
_NOT_EDITED = "an example in a docstring is not rewritten"


@dataclass(frozen=True, slots=True)
class Examples:
    """What was found in the examples of one docstring, with the lines of the file."""

    findings: tuple[Finding, ...]
    diagnostics: tuple[Diagnostic, ...]
    artifacts: tuple[ArtifactUse, ...]
    changes: tuple[Change, ...]


def audit_examples(unit: Unit, audit: Callable[[bytes], FileAudit]) -> Iterator[Examples]:
    """Look at the docstrings that hold examples; `audit` looks at the source of a module."""
    for scope in unit.module.scopes:
        node = scope.node
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = _docstring(node)
            if text is not None and _PROMPT in text.value:
                found = _Docstring(unit, text, text.value)
                result = audit("\n".join(code for code, _ in found.lines).encode())
                if result.findings or result.after is not None:
                    yield found.examples(result)


@dataclass(frozen=True, slots=True)
class _Text:
    """A docstring's node and value."""

    node: ast.Constant
    value: str


def _docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> _Text | None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        value = first.value.value
        if isinstance(value, str):
            return _Text(first.value, value)
    return None


class _Docstring:
    """The examples of one docstring: each line of code, and which line of the docstring it is."""

    def __init__(self, unit: Unit, text: _Text, value: str) -> None:
        self._unit = unit
        self._node = text.node
        self._value = value.split("\n")
        import doctest  # which brings a debugger and unittest along

        try:
            examples = doctest.DocTestParser().get_examples(value)
        except ValueError:  # indented inconsistently: no doctest runs it
            examples = []
        self.lines = [
            (code, example.lineno + number)
            for example in examples
            for number, code in enumerate(example.source.removesuffix("\n").split("\n"))
        ]
        last = text.node.end_lineno or text.node.lineno
        self._is_placed = last - text.node.lineno == len(self._value) - 1

    def examples(self, result: FileAudit) -> Examples:
        """Give the result of a module the lines of the file, and the changes that it plans."""
        changes: list[Change] = []
        missed: list[Diagnostic] = []
        if result.after is not None:
            after = Lines(result.after)
            for edit in result.edits:
                change = self._change(edit.line, edit.rule, after.text(edit.line))
                if change is not None:
                    changes.append(change)
                else:
                    remedy = "Import the facade in the example."
                    missed.append(Diagnostic(edit.line, edit.rule, _NOT_EDITED, remedy))
        return Examples(
            tuple(
                replace(
                    item,
                    location=replace(
                        item.location,
                        path=self._unit.path,
                        line=self._line(item.location.line or 1),
                    ),
                    confidence=Confidence.MEDIUM,
                )
                for item in result.findings
            ),
            tuple(
                replace(item, line=self._line(item.line)) for item in (*result.diagnostics, *missed)
            ),
            tuple(replace(item, line=self._line(item.line)) for item in result.artifacts),
            () if missed else tuple(changes),
        )

    def _line(self, line: int) -> int:
        """Return the line of the file for one of the examples."""
        if not self._is_placed or not 1 <= line <= len(self.lines):
            return self._node.lineno
        return self._node.lineno + self.lines[line - 1][1]

    def _change(self, line: int, rule: str, new: str) -> Change | None:
        """Replace the code of a line; None where the source does not show it as it is."""
        code, index = self.lines[line - 1]
        old = self._value[index]
        physical = self._unit.lines.text(self._node.lineno + index) if self._is_placed else ""
        if not old.endswith(code) or physical.count(old) != 1 or not old.strip():
            return None
        start = len(physical[: physical.index(old) + len(old) - len(code)].encode())
        start += self._unit.lines.offset(self._node.lineno + index, 0)
        node, head = self._node, old[: len(old) - len(code)]

        def replace_line() -> None:
            value = str(node.value).split("\n")
            value[index] = head + new
            node.value = "\n".join(value)

        return Change(rule, (Span(start, start + len(code.encode()), new),), replace_line)
