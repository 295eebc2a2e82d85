"""Reports of browsers about what a policy forbade: read, checked, told once.

    Reports(recorder).take(kind, body, peer) -> status

Both forms are taken: `application/csp-report`, and `application/reports+json` of the Reporting
API. Anybody can send them, so nothing in them is believed or kept that is long, holds a query or
a piece of the page; what was told within the hour is only counted.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from safehold.errors import DecodeError, TrailError
from safehold.events import Event, Recorder
from safehold.web.limits import Brackets
from safehold.web.refusals import Rate
from safehold.web.request_rules import VIOLATION

MOST_BYTES: Final = 64 * 1024
"""The largest body that is read."""
_MOST_REPORTS: Final = 20  # of one body
_DEEPEST: Final = 8
_HOUR: Final = 3600.0
_MOST_KNOWN: Final = 1024
_KINDS: Final = frozenset((
    "csp-violation", "coep", "coop", "permissions-policy-violation", "integrity-violation",
    "csp-hash",
))  # fmt: skip
"""Types of the Reporting API that tell of a policy; crashes and old functions do not."""
_DIRECTIVE: Final = re.compile(r"[a-z][a-z-]{0,60}")
_KEYWORDS: Final = frozenset((
    "inline", "eval", "wasm-eval", "self", "trusted-types-policy", "trusted-types-sink",
))  # fmt: skip
# Pages that an extension changed report what it did; that is nobody's attack.
_EXTENSION: Final = re.compile(r"(?:[a-z-]{1,20}-)?extension$")
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Violation:
    """What is kept of a report."""

    kind: str
    directive: str
    blocked: str
    document: str
    source: str
    line: int
    disposition: str

    @property
    def key(self) -> tuple[str, ...]:
        """By what a report is the same as an earlier one."""
        return (
            self.kind, self.directive, self.blocked, self.document, self.source, self.disposition
        )  # fmt: skip


class Reports:
    """Takes reports and records violations, each once in an hour, few in a minute."""

    def __init__(
        self,
        recorder: Recorder,
        rate: Rate | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recorder = recorder
        self._rate = Rate(60, 20) if rate is None else rate
        self._clock = clock
        self._known: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: str, body: bytes, peer: str) -> int:
        """Return the status of the answer: 204 taken, 400 malformed, 429 too many, 503 no trail."""
        try:
            found = list(parse(kind, body))
        except DecodeError:
            return 400
        for violation in found:
            again = self._is_known(violation.key)
            if again < 0:
                continue
            left_out = self._rate.takes(peer)
            if left_out < 0:
                self._forget(violation.key)
                return 429
            try:
                self._recorder.record(_event(violation, again, left_out))
            except TrailError:
                self._forget(violation.key)
                return 503
            self._trim()
        return 204

    def _is_known(self, key: tuple[str, ...]) -> int:
        """Return -1 for what was told within the hour, else how often it came after that."""
        with self._lock:
            now = self._clock()
            told, count = self._known.get(key, (-_HOUR, 0))
            if now - told < _HOUR:
                self._known[key] = (told, count + 1)
                self._known.move_to_end(key)
                return -1
            self._known[key] = (now, 0)
            self._known.move_to_end(key)
            return count

    def _trim(self) -> None:
        """Keep few; what was not told makes nothing else forgotten."""
        with self._lock:
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)

    def _forget(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._known.pop(key, None)


def is_report(kind: str) -> bool:
    """Say whether a content type is one of a report."""
    return _type(kind) in _READERS


def parse(kind: str, body: bytes) -> Iterator[Violation]:
    """Yield the violations that a body tells of. Raises DecodeError for one that is malformed."""
    reader = _READERS.get(_type(kind))
    if reader is None or len(body) > MOST_BYTES or Brackets(_DEEPEST).feed(body):
        raise DecodeError("no report")
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("no JSON") from error
    yield from reader(data)


def _type(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _old(data: Any) -> Iterator[Violation]:
    """Read `{"csp-report": {...}}`, CSP level 2."""
    body = data.get("csp-report") if isinstance(data, dict) else None
    if not isinstance(body, dict):
        raise DecodeError("no csp-report")
    yield from _violation("csp-violation", body, body.get("document-uri"))


def _new(data: Any) -> Iterator[Violation]:
    """Read a list of reports, https://www.w3.org/TR/reporting-1/."""
    if not isinstance(data, list) or not data or len(data) > _MOST_REPORTS:
        raise DecodeError("no list of reports")
    for row in data:
        if not isinstance(row, dict) or not isinstance(row.get("type"), str):
            raise DecodeError("no report")
        if not isinstance(row.get("body"), dict):
            raise DecodeError("no body")
    for row in data:
        if row["type"] in _KINDS:
            body = row["body"]
            yield from _violation(row["type"], body, body.get("documentURL") or row.get("url"))


_READERS: Final[Mapping[str, Callable[[Any], Iterator[Violation]]]] = {
    "application/csp-report": _old,
    "application/reports+json": _new,
}


def _violation(kind: str, body: Mapping[str, Any], document: object) -> Iterator[Violation]:
    def first(*names: str) -> Any:
        return next((body[name] for name in names if body.get(name) is not None), "")

    blocked = first("blockedURL", "blocked-uri", "blockedURI")
    source = first("sourceFile", "source-file")
    if _is_extension(blocked) or _is_extension(source):
        return
    directive = first(
        "effectiveDirective", "effective-directive", "violated-directive", "policyId", "type"
    )
    directive = directive.split()[0] if isinstance(directive, str) and directive.split() else ""
    line = first("lineNumber", "line-number")
    disposition = first("disposition")
    yield Violation(
        kind,
        directive if _DIRECTIVE.fullmatch(directive) else "",
        address(blocked),
        address(document),
        address(source),
        line if type(line) is int and 0 <= line < 2**31 else 0,
        "report" if disposition in ("report", "reporting") else "enforce",
    )


def _is_extension(value: object) -> bool:
    return isinstance(value, str) and bool(_EXTENSION.match(value[:60].partition(":")[0].lower()))


def address(value: object) -> str:
    """Return what may be kept of an address: scheme, host and path, or a keyword; "" if neither.

    Queries and fragments hold what people typed; `data:` holds a whole document.
    """
    if not isinstance(value, str):
        return ""
    text = value[:2000]
    if text in _KEYWORDS:
        return text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https", "ws", "wss"):
        return f"{parts.scheme}:" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", parts.scheme) else ""
    where = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    if not where.isascii() or not where.isprintable() or " " in where:
        return f"{parts.scheme}:"
    return where[:_LONGEST]


def _event(violation: Violation, again: int, left_out: int) -> Event:
    detail: dict[str, Any] = {
        "directive": violation.directive,
        "blocked": violation.blocked,
        "document": violation.document,
        "source": violation.source,
        "line": violation.line,
        "disposition": violation.disposition,
    }
    detail = {name: value for name, value in detail.items() if value}
    if again:
        detail["again"] = again
    if left_out:
        detail["unrecorded"] = left_out
    return Event(
        action="report", outcome="done", rule=VIOLATION.id, reason=violation.kind, detail=detail
    )
