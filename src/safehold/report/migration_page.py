"""A migration as one HTML page: files by outcome, with their diffs and what is left by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from safehold._version import __version__
from safehold.report.migration import Migration
from safehold.report.page import group, page, text
from safehold.source import FileAudit, diff

_TITLES: Final = {False: "What a migration would change", True: "What the migration changed"}
# In the order of what is to be looked at, with the class that colours it; the last is closed.
_GROUPS: Final = (
    ("diagnosed", "high", "something unsafe stays in place until it is mended by hand"),
    ("migrated", "low", "edited; what is listed below a diff is left by hand"),
    ("unchanged", "clean", "nothing to change"),
)
# More files than this are shown by name, to be opened one by one.
_SHOWN_OPEN: Final = 20
_CLASSES: Final = {"+": "added", "-": "removed", "@": "place"}


def render(migration: Migration) -> str:
    """Return the page."""
    return page(_TITLES[migration.written], _body(migration))


def _body(migration: Migration) -> Iterator[str]:
    totals = migration.totals
    done = "changes are written" if migration.written else "nothing is changed yet"
    yield f'<p class="meta"><code>{text(migration.root)}</code><br>'
    yield f"safehold {text(__version__)}, exit code {migration.code}: {done}</p>"
    yield '<ul class="counts">'
    yield f"<li><b>{totals['files']}</b>{'file' if totals['files'] == 1 else 'files'}</li>"
    for outcome, _, _ in _GROUPS:
        yield f"<li><b>{totals[outcome]}</b>{outcome}</li>"
    yield f"<li><b>{totals['partly']}</b>migrated in part</li>"
    yield f"<li><b>{totals['edits']}</b>edits</li>"
    yield f"<li><b>{totals['diagnostics']}</b>diagnostics</li></ul>"
    for outcome, colour, meaning in _GROUPS:
        audits = [audit for audit in migration.audits if audit.outcome == outcome]
        if audits:
            yield from _group(outcome, colour, meaning, audits)


def _group(outcome: str, colour: str, meaning: str, audits: Sequence[FileAudit]) -> Iterator[str]:
    is_open = outcome != "unchanged"
    yield group(outcome.capitalize(), colour, meaning, count=len(audits), is_open=is_open)
    for audit in audits:
        yield from _file(audit, " open" if len(audits) <= _SHOWN_OPEN else "")
    yield "</details>"


def _file(audit: FileAudit, opened: str) -> Iterator[str]:
    name = f"<code>{text(audit.path)}</code>"
    if audit.after is None and not audit.diagnostics:
        yield f"<div>{name}</div>"
        return
    yield f'<details class="group"{opened}><summary><h3>{name}</h3></summary>'
    lines = list(diff(audit))[2:]  # the name of the file is there already
    if lines:
        yield f"<pre>{''.join(map(_line, lines))}</pre>"
    if audit.diagnostics:
        yield (
            "<table><thead><tr><th class='short'>line</th><th class='short'>rule</th>"
            "<th>what</th><th>remedy</th></tr>"
        )
        yield "</thead><tbody>"
        for item in audit.diagnostics:
            note = "" if item.is_open else '<span class="tag">note</span> '
            yield f"<tr><td class='short'>{item.line}</td><td class='short'>{text(item.rule)}</td>"
            yield f"<td>{note}{text(item.message)}</td><td>{text(item.remedy)}</td></tr>"
        yield "</tbody></table>"
    yield "</details>"


def _line(line: str) -> str:
    """Return a line of a diff; tabs stay."""
    shown = "\t".join(map(text, line.split("\t")))
    kind = _CLASSES.get(line[:1])
    return f'<span class="{kind}">{shown}</span>\n' if kind else f"{shown}\n"
