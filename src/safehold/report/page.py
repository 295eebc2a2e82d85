"""A page of HTML that runs no script and loads nothing: its head, its style, its escapes.

The style is the only one that the page's policy lets in, by its hash; every text that comes from
what was scanned goes through `text`.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from typing import Final

from safehold.report.shown import escaped

# Colours of the tags have a contrast of at least 4.5 to 1 on either ground.
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882;
  --bad: light-dark(#a4001d, #ff8f9c); --warn: light-dark(#8a3a00, #ffb066);
  --mild: light-dark(#6b5200, #e6c84f); --cool: light-dark(#1d5a9c, #8fc1ff);
  --good: light-dark(#1a6b35, #7ddb9a); --dim: light-dark(#555, #bbb); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin: 0; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.meta { color: var(--dim); margin-top: .25rem; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: .75rem; padding: 0; list-style: none; }
.counts li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem;
  min-width: 5rem; }
.counts b { display: block; font-size: 1.5rem; }
.rule { border: 1px solid var(--line); border-left-width: .4rem; border-radius: .5rem;
  padding: .75rem 1rem; margin: 1rem 0; break-inside: avoid-page; }
.critical, .malicious { border-left-color: var(--bad); }
.high, .suspicious { border-left-color: var(--warn); }
.medium, .error { border-left-color: var(--mild); } .low { border-left-color: var(--cool); }
.clean { border-left-color: var(--good); } .info { border-left-color: var(--dim); }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { font: .875em/1.5 ui-monospace, monospace; overflow-x: auto; margin: .5rem 0; }
.added { color: var(--good); } .removed { color: var(--bad); } .place { color: var(--dim); }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
td, th { text-align: left; vertical-align: top; padding: .25rem .5rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
td.short, th.short { white-space: nowrap; overflow-wrap: normal; }
.tag { background: var(--soft); border-radius: .25rem; padding: 0 .4rem; font-size: .85rem;
  white-space: nowrap; }
.known { color: var(--dim); }
summary { cursor: pointer; padding: .35rem 0; }
summary h2, summary h3 { display: inline; }
summary:focus-visible { outline: 2px solid var(--cool); outline-offset: 2px; }
details.group { border-top: 1px solid var(--line); padding: .5rem 0; }
svg { max-width: 28rem; width: 100%; font-size: 14px; fill: currentColor; }
rect.critical { fill: var(--bad); } rect.high { fill: var(--warn); }
rect.medium { fill: var(--mild); } rect.low { fill: var(--cool); } rect.info { fill: var(--dim); }
dl { margin: .5rem 0; } dt { font-weight: 600; } dd { margin: 0 0 .5rem 1rem; }
dd, dt { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block; } thead { display: none; }
  tr { border-top: 1px solid var(--line); padding: .25rem 0; } td { border: 0; padding: .1rem 0; }
}
@media print {
  body { max-width: none; margin: 0; font-size: 10pt; } .rule { border-color: #888; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
""".strip()
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)


def group(heading: str, colour: str, meaning: str, *, count: int, is_open: bool) -> str:
    """Return the beginning of a group of files, which `</details>` ends."""
    number = "1 file" if count == 1 else f"{count} files"
    return (
        f'<details class="rule {colour}"{" open" if is_open else ""}>'
        f"<summary><h2>{heading}: {number}</h2></summary>"
        f'<p class="meta">{meaning}</p>'
    )


def page(title: str, body: Iterator[str]) -> str:
    """Return a complete document; the body's parts are HTML."""
    return "\n".join((*_head(title), *body, "</main></body></html>")) + "\n"


def text(value: object) -> str:
    """Escape, and show characters that would not print or would reorder the line."""
    # A page on standard output is a log of lines too; see `shown`.
    return html.escape(escaped(value), quote=True).replace("##", "#&#35;")


def _head(title: str) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{text(title)}</h1>"
