"""One comment line in a migrated module, after its shebang, encoding cookie and docstring.

The line is told by how it begins, so that a module never gets a second one. Everything below it
moves down by a line, which the proof takes into account.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Final

from safehold.source import notebooks
from safehold.source.outcome import Diagnostic, FileAudit
from safehold.source.rewrite import Change, NotProvenError, Span, apply, parse
from safehold.source.text import Lines, Text, UnreadableError, cookie_line, decode, parse_encoding

MARK: Final = "# Migrated by safehold: "
_THERE: Final = re.compile(rb"(?:\A|[\r\n])" + re.escape(MARK.encode()))
_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")
# Words that Python or safehold itself would obey.
_OBEYED: Final = re.compile(r"coding[:=]|safehold:\s*ignore|type:", re.IGNORECASE)
_LONGEST: Final = 200


def comment_line(text: str) -> str:
    """Return the line for a text.

    Raises:
        ValueError: the text is empty, too long, not on one line, or would be obeyed.
    """
    shown = text.strip()
    if not shown or not shown.isprintable() or len(shown) > _LONGEST:
        message = f"one line of 1 to {_LONGEST} printable characters"
        raise ValueError(message)
    if found := _OBEYED.search(shown):
        message = f"{found[0]!r} in a comment has a meaning of its own; choose other words"
        raise ValueError(message)
    return MARK + shown


def with_comment(audit: FileAudit, line: str) -> FileAudit:
    """Return the audit of a module that would change, with the line in what it would become.

    Notebooks get none. Where the line cannot be put without risk, a note says so.
    """
    if audit.after is None or audit.path.endswith(notebooks.SUFFIX):
        return audit
    try:
        text = decode(audit.after)
        if _THERE.search(text.utf8):
            return audit
        number, after = _inserted(text, line)
    except (NotProvenError, UnreadableError) as error:
        note = Diagnostic(
            1,
            audit.edits[0].rule,
            f"the comment is not added: {error}",
            "Add it by hand, or migrate without --comment.",
            is_open=False,
        )
        return replace(audit, diagnostics=(*audit.diagnostics, note))
    return replace(audit, after=after, added=number)


def _inserted(text: Text, line: str) -> tuple[int, bytes]:
    """Return the number that the line gets, and the source with it."""
    tree = parse(text.utf8)
    lines = Lines(text.utf8)
    number = _place(text, tree, lines)
    newline = _NEWLINE.search(text.utf8, lines.offset(max(number - 1, 1), 0))
    if newline is None:
        raise NotProvenError("no line ends where it would stand")
    start = newline.end() if number > 1 else 0
    span = Span(start, start, line + newline[0].decode())

    def move() -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and node.lineno >= number:
                node.lineno += 1

    after = apply(text, tree, [Change("", (span,), move)])
    if parse_encoding(after) != text.encoding:
        raise NotProvenError("the encoding would be another one")
    return number, after


def _place(text: Text, tree: ast.Module, lines: Lines) -> int:
    """Return the number of the line before which it is put."""
    first = tree.body[0] if tree.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        return (first.end_lineno or first.lineno) + 1
    cookie = cookie_line(text.utf8)
    return max(cookie, int(lines.text(1).startswith("#!"))) + 1
