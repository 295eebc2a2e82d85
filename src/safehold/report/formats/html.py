"""One page for people: files by verdict, to be opened and closed without a script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from safehold._version import __version__
from safehold.findings import Rule
from safehold.report.page import group, page, text
from safehold.report.result import Entry, Item, Result
from safehold.scan import Verdict

_TITLE: Final = "What the scan found"
# In the order of what is to be looked at; the last is shown closed.
_GROUPS: Final = (
    (Verdict.MALICIOUS, "names something that runs code, or is built as an attack"),
    (Verdict.ERROR, "could not be read, so nothing is known of it"),
    (
        Verdict.SUSPICIOUS,
        "names something not known to be harmless, was not read to its end, or loads unsafely",
    ),
    (Verdict.CLEAN, "fully read, nothing found"),
)


# More files than this are shown by name, to be opened one by one.
_SHOWN_OPEN: Final = 20


def render(result: Result) -> str:
    """Return the page."""
    return page(_TITLE, _body(result))


def _body(result: Result) -> Iterator[str]:
    counts = result.summary
    made = "" if result.made is None else f"{result.made:%Y-%m-%d %H:%M:%S} UTC, "
    yield f'<p class="meta">{made}safehold {text(__version__)}, exit code {result.code}'
    if result.origin is not None:
        yield f"<br><code>{text(result.origin.repository)} {text(result.origin.revision)}</code>"
    yield '</p><ul class="counts">'
    yield f"<li><b>{counts['files']}</b>{'file' if counts['files'] == 1 else 'files'}</li>"
    for verdict, _ in _GROUPS:
        yield f"<li><b>{counts[verdict.value]}</b>{verdict}</li>"
    if result.compared:
        yield f"<li><b>{result.suppressed}</b>known findings</li>"
    yield "</ul>"
    for verdict, meaning in _GROUPS:
        entries = [entry for entry in result.entries if entry.report.verdict is verdict]
        if entries:
            yield from _group(verdict, meaning, entries)
    yield from _stale(result.stale)
    yield from _rules(result)


def _group(verdict: Verdict, meaning: str, entries: Sequence[Entry]) -> Iterator[str]:
    is_open = verdict is not Verdict.CLEAN
    yield group(verdict.capitalize(), verdict, meaning, count=len(entries), is_open=is_open)
    for entry in entries:
        yield from _file(entry, " open" if len(entries) <= _SHOWN_OPEN else "")
    yield "</details>"


def _file(entry: Entry, opened: str) -> Iterator[str]:
    report = entry.report
    known = sum(item.known is not None for item in entry.items)
    shown = f"<code>{text(report.path)}</code>"
    tags = f'<span class="tag">{text(report.format)}</span>'
    if entry.items:
        number = len(entry.items)
        tags += f' <span class="tag">{number} finding{"" if number == 1 else "s"}</span>'
    if known:
        tags += f' <span class="tag">{known} known</span>'
    digest = f"<p>SHA-256 <code>{text(report.digest)}</code></p>" if report.digest else ""
    if not entry.items:
        yield f"<div>{shown} {tags}{digest}</div>"
        return
    yield f'<details class="group"{opened}><summary><h3>{shown}</h3> {tags}</summary>{digest}'
    yield "<table><thead><tr><th>rule</th><th>where</th><th>what</th></tr></thead><tbody>"
    for item in entry.items:
        yield from _row(item)
    yield "</tbody></table></details>"


def _row(item: Item) -> Iterator[str]:
    finding, where = item.finding, item.finding.location
    place = where.member or ""
    if where.offset is not None:
        place += f"@{where.offset}"
    if where.line is not None:
        place += f"{', ' if place else ''}line {where.line}"
    rule = text(finding.rule.id)
    yield f'<tr><td><a href="#{rule}">{rule}</a> <span class="tag">{finding.severity.label}</span>'
    yield f"</td><td><code>{text(place)}</code></td><td>{text(finding.message)}"
    if finding.confidence.label != "high":
        yield f'<br><span class="tag">{finding.confidence.label} confidence</span>'
    if item.known is not None:
        until = "" if item.known.expires is None else f" until {item.known.expires}"
        yield f'<br><span class="known">known{until}. {text(item.known.reason)}</span>'
    if finding.remedy != finding.rule.remedy:
        yield f"<br><b>Remedy:</b> {text(finding.remedy)}"
    yield "</td></tr>"


def _stale(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield "<h2>In the baseline, but not found</h2><ul>"
        yield from (f"<li>{text(line)}</li>" for line in lines)
        yield "</ul>"


def _rules(result: Result) -> Iterator[str]:
    used: dict[str, Rule] = {
        item.finding.rule.id: item.finding.rule for entry in result.entries for item in entry.items
    }
    if used:
        yield "<h2>Rules</h2>"
    for name in sorted(used):
        rule = used[name]
        yield f'<section class="rule {rule.severity.label}" id="{text(name)}">'
        yield f"<h3>{text(name)} {text(rule.title)}</h3>"
        yield f'<p><span class="tag">{rule.severity.label}</span> '
        yield f'<span class="tag">CVSS 4.0 {rule.score}</span> '
        yield f'<span class="tag">CWE-{rule.cwe}</span> <code>{text(rule.cvss)}</code></p>'
        yield f"<p>{text(rule.why)}</p><p><b>Remedy:</b> {text(rule.remedy)}</p></section>"
