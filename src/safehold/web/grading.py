"""A running site judged by the rows that build headers: its pages, cookies, TLS, mixed content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from safehold.findings import Finding, Location, Severity
from safehold.scan.report import FileReport, Verdict
from safehold.web import cookies
from safehold.web.fetching import Fetcher, Page
from safehold.web.headers import Answer, Kind, judge
from safehold.web.request_rules import CERTIFICATE, MIXED, UNENCRYPTED, UNREACHABLE
from safehold.web.rules import POLICY

_NONCES: Final = re.compile(r"'nonce-([A-Za-z0-9+/_=-]+)'")
_GRADES: Final = {
    Severity.INFO: "A",
    Severity.LOW: "B",
    Severity.MEDIUM: "C",
    Severity.HIGH: "D",
    Severity.CRITICAL: "F",
}
# What a browser loads or sends by itself, or at one click.
_SOURCES: Final = {
    "script": "src", "img": "src", "iframe": "src", "audio": "src", "video": "src",
    "source": "src", "embed": "src", "object": "data", "form": "action", "input": "formaction",
    "button": "formaction", "base": "href",
}  # fmt: skip
_MOST_SHOWN: Final = 10


def check_site(urls: Iterable[str], fetcher: Fetcher, *, pages: int = 1) -> Iterator[FileReport]:
    """Yield a report for each address, and for pages of the same site that it links to.

    `pages` is how many there are of each address, itself included.
    """
    seen: set[str] = set()
    for url in urls:
        waiting, count = [url], 0
        while waiting and count < pages:
            address = waiting.pop(0)
            if address in seen:
                continue
            seen.add(address)
            page = fetcher.fetch(address)
            count += 1
            seen.add(page.url)
            yield report_of(address, page, fetcher)
            waiting += [link for link in _links(page) if link not in seen]


def report_of(url: str, page: Page, fetcher: Fetcher) -> FileReport:
    """Return the report of one page."""
    findings = tuple(_distinct(_findings(url, page, fetcher)))
    verdict = Verdict.SUSPICIOUS if findings else Verdict.CLEAN
    if page.problem:
        verdict = Verdict.ERROR
    return FileReport(page.url, "http", verdict, findings)


def grade(reports: Iterable[FileReport]) -> str:
    """Return A+ for no finding, else what the worst one leaves, A to F; - if a page is missing."""
    found = tuple(reports)
    if any(report.verdict is Verdict.ERROR for report in found):
        return "-"
    severities = [finding.severity for report in found for finding in report.findings]
    return _GRADES[max(severities)] if severities else "A+"


def _findings(url: str, page: Page, fetcher: Fetcher) -> Iterator[Finding]:
    for hop in page.hops:
        yield from _of_transport(hop)
        yield from cookies.judge(hop.all("set-cookie"), hop.url)
        if hop.encrypted:
            yield from judge(hop.headers, Answer(hop.url, "data"))
    yield from _of_transport(page)
    if page.problem:
        where = Location(path=page.url)
        yield Finding.of(UNREACHABLE, f"could not be fetched: {page.problem}", where)
        return
    kind = _kind(page)
    yield from judge(page.headers, Answer(page.url, kind))
    yield from cookies.judge(page.all("set-cookie"), page.url)
    yield from _of_encryption(url, page, fetcher)
    if kind == "nonced":
        yield from _of_nonces(page, fetcher)
    if page.is_html and page.encrypted:
        yield from _mixed(page)


def _distinct(findings: Iterable[Finding]) -> Iterator[Finding]:
    seen = set()
    for finding in findings:
        key = (finding.rule.id, finding.message, finding.location)
        if key not in seen:
            seen.add(key)
            yield finding


def _kind(page: Page) -> Kind:
    if not page.is_html:
        return "data"
    policies = page.all("content-security-policy")
    return "nonced" if any(map(_NONCES.search, policies)) else "page"


def _of_transport(page: Page) -> Iterator[Finding]:
    if page.certificate:
        message = f"the certificate does not verify: {page.certificate}"
        yield Finding.of(CERTIFICATE, message, Location(path=page.url))


def _of_encryption(url: str, page: Page, fetcher: Fetcher) -> Iterator[Finding]:
    where = Location(path=page.url)
    if not page.encrypted:
        if any(hop.encrypted for hop in page.hops):
            yield Finding.of(UNENCRYPTED, "a redirect leads from HTTPS to HTTP", where)
        else:
            yield Finding.of(UNENCRYPTED, "is answered over HTTP", where)
        return
    parts = urlsplit(page.url)
    # Which port HTTP has is known only where HTTPS has its own; else the given address may tell.
    if parts.port not in (None, 443) or url.startswith("http:"):
        return
    plain = fetcher.once(urlunsplit(("http", parts.hostname or "", parts.path, parts.query, "")))
    to = urljoin(plain.url, next(iter(plain.all("location")), ""))
    if not plain.problem and not (300 <= plain.status < 400 and to.startswith("https:")):
        yield Finding.of(UNENCRYPTED, f"{plain.url} does not lead to HTTPS", where)


def _of_nonces(page: Page, fetcher: Fetcher) -> Iterator[Finding]:
    again = fetcher.once(page.url)
    first, second = (
        {nonce for value in one.all("content-security-policy") for nonce in _NONCES.findall(value)}
        for one in (page, again)
    )
    if first & second:
        message = "Content-Security-Policy: two answers have the same nonce"
        yield Finding.of(POLICY, message, Location(path=page.url), severity=Severity.LOW)


class _Markup(HTMLParser):
    """Collects addresses that a page loads, sends to, and links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[tuple[str, str]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the addresses of one tag."""
        given = dict(attrs)
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link":
            if "canonical" not in (given.get("rel") or "").lower():
                self.loaded.append((tag, given.get("href") or ""))
        elif tag in _SOURCES:
            self.loaded.append((tag, given.get(_SOURCES[tag]) or ""))


def _markup(page: Page) -> _Markup:
    found = _Markup()
    found.feed(page.text)
    found.close()
    return found


def _mixed(page: Page) -> Iterator[Finding]:
    plain = [
        (tag, address) for tag, address in _markup(page).loaded
        if address.strip().lower().startswith(("http:", "ws:"))
    ]  # fmt: skip
    for tag, address in plain[:_MOST_SHOWN]:
        message = f"<{tag}> of the page names {address.strip()[:200]}"
        detail = {"tag": tag, "address": address.strip()[:200]}
        yield Finding.of(MIXED, message, Location(path=page.url), detail=detail)


def _links(page: Page) -> Iterator[str]:
    """Yield addresses of the same site."""
    if not page.is_html:
        return
    own = urlsplit(page.url)
    for link in _markup(page).links:
        try:
            parts = urlsplit(urljoin(page.url, link))
        except ValueError:
            continue
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            yield urlunsplit((*parts[:4], ""))
