"""The headers of one application, made ready once, and put upon each answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, AnyStr, Generic

from safehold.context import Context
from safehold.events import Event
from safehold.findings import Finding, Location, Rule
from safehold.policy.web import NONCE, Web
from safehold.web.changes import Change, refuse_weaker
from safehold.web.cookies import exceptions_of, harden
from safehold.web.exchange import Exchange
from safehold.web.headers import DROPPED, Kind, build, weaker
from safehold.web.request_rules import LOOSENED_CHECK
from safehold.web.rules import LOOSENED

_LOOKED_AT = ("content-type", "content-length", "cache-control", "set-cookie")
_SPLITS = "a header has the end of a line in it"
_PAGES = ("text/html", "application/xhtml+xml")


class Site(Generic[AnyStr]):
    """Headers in the type of the interface: bytes for ASGI, text for WSGI."""

    def __init__(self, hold: Context, encode: Callable[[str], AnyStr]) -> None:
        """Take the ``[web]`` table of a policy.

        Raises:
            ConfigError: it is weaker than the default and gives no reason.
        """
        self.hold = hold
        self.findings: list[Finding] = []
        self._web = hold.policy.web
        self._encode: Callable[[str], AnyStr] = encode
        self._cookie: AnyStr = encode("set-cookie")
        # What is one character or byte of them: that is looked for ten times as fast.
        self._ends: tuple[Any, Any] = (encode("\r")[0], encode("\n")[0])
        # One look-up for each header: what is looked at, and "" for what is dropped.
        self._known: dict[AnyStr, str] = {encode(name): "" for name in DROPPED}
        self._known |= {encode(name): name for name in _LOOKED_AT}
        self._exceptions = exceptions_of(hold.policy.requests.cookies)
        self._pages: tuple[AnyStr, ...] = tuple(map(encode, _PAGES))
        self._lock = threading.Lock()
        path = str(hold.policy.path or "the policy")
        self._loosen(self._web, Web(), f"{path}: [web]", self._web.allow_unsafe)
        for key, what, reason in hold.policy.requests.loosened():
            detail = {"key": key, "allows": what, "reason": reason}
            self._allow(LOOSENED_CHECK, f"{path}: [requests]", f"{key} allows {what}", detail)
        self._sets: dict[Change | None, _Set[AnyStr]] = {None: _Set(self._web, encode, nonce=True)}

    def over(
        self,
        headers: Iterable[tuple[AnyStr, AnyStr]],
        status: int,
        exchange: Exchange,
        change: Change | None = None,
        *,
        sized: bool = False,
    ) -> list[tuple[AnyStr, AnyStr]]:
        """Return the headers of an answer with ours in the place of the application's.

        `sized`: the body is made already, as it is where its length is known.

        Raises:
            ValueError: one has the end of a line in it. Not every server looks for that, and what
                is behind it would be headers, or a body, of somebody else; ours are behind it.
        """
        kept = []
        page = cached = False
        known, (cr, lf) = self._known.get, self._ends
        for pair in headers:
            written, value = pair
            what = known(written.lower())
            if what == "set-cookie":
                kept += [(written, cookie) for cookie in self.cookies(value)]
            elif lf in value or cr in value or lf in written or cr in written:
                raise ValueError(_SPLITS)
            elif what is None:
                kept.append(pair)
            elif what:
                kept.append(pair)
                if what == "content-type":
                    page = value.strip().lower().startswith(self._pages)
                elif what == "content-length":
                    sized = True
                else:
                    cached = True
        ready = self._sets.get(change) or self._set_for(change)
        if status == 304:
            # Caches put these headers in the place of a stored page's, which has no nonce.
            kept += ready.page
        elif not page or 300 <= status < 400:
            kept += ready.data
        elif not ready.nonce or (sized and not exchange.asked):
            # Its length was known before anybody asked for a nonce: the body has none.
            kept += ready.page
        else:
            kept = self._uncached(kept) if cached else kept
            kept += ready.nonced(self._encode(exchange.nonce))
        return kept

    def _uncached(self, headers: list[tuple[AnyStr, AnyStr]]) -> list[tuple[AnyStr, AnyStr]]:
        return [pair for pair in headers if self._known.get(pair[0].lower()) != "cache-control"]

    def accepted(self, headers: Iterable[tuple[AnyStr, AnyStr]]) -> list[tuple[AnyStr, AnyStr]]:
        """Return the headers of a WebSocket that is let in, its cookies with their flags."""
        kept = []
        for pair in headers:
            is_cookie = pair[0].lower() == self._cookie
            kept += [(pair[0], one) for one in self.cookies(pair[1])] if is_cookie else [pair]
        if any(end in part for end in self._ends for pair in kept for part in pair):
            raise ValueError(_SPLITS)
        return kept

    def cookies(self, value: AnyStr) -> Iterator[AnyStr]:
        """Yield a `Set-Cookie` as it is sent; nothing if it must not be."""
        # Every byte stays as it was, whatever text it is meant to be.
        raw: Any = value
        text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
        cookie: Any = harden(text, self._exceptions)
        if cookie is not None:
            yield cookie.encode("latin-1") if isinstance(raw, bytes) else cookie

    def _set_for(self, change: Change | None) -> _Set[AnyStr]:
        with self._lock:
            if change not in self._sets and change is not None:
                web = change.over(self._web)
                self._loosen(web, self._web, change.where, change.allow_unsafe)
                self._sets[change] = _Set(web, self._encode, nonce=change.nonce)
            return self._sets[change]

    def _loosen(self, new: Web, base: Web, where: str, reason: str) -> None:
        """Record what is weaker, which needs a reason."""
        if not reason:
            refuse_weaker(new, base, where)
            return
        for row, what in weaker(new, base):
            detail = {"header": row.name, "allows": what, "reason": reason}
            self._allow(LOOSENED, where, f"{row.name} allows {what}", detail)

    def _allow(self, rule: Rule, where: str, message: str, detail: dict[str, str]) -> None:
        """Record that something is weaker: an event, and a finding."""
        reason = detail["reason"]
        self.hold.recorder.record(
            Event(
                action="web.loosen", outcome="allowed", rule=rule.id, caller=where,
                reason=reason, detail=detail,
            )
        )  # fmt: skip
        place = Location(path=where)
        self.findings.append(Finding.of(rule, f"{message}: {reason}", place, detail=detail))


class _Set(Generic[AnyStr]):
    """What is added to an answer of each kind."""

    def __init__(self, web: Web, encode: Callable[[str], AnyStr], *, nonce: bool) -> None:
        self.nonce = nonce
        self._open: AnyStr = encode("'nonce-")
        self._end: AnyStr = encode("'")

        def rows(kind: Kind) -> list[tuple[AnyStr, AnyStr]]:
            found = build(web, kind)
            return [(encode(_cased(name, encode)), encode(value)) for name, value in found]

        self.data: list[tuple[AnyStr, AnyStr]] = rows("data")
        self.page: list[tuple[AnyStr, AnyStr]] = rows("page")
        mark: AnyStr = encode(NONCE)
        whole: list[tuple[AnyStr, AnyStr]] = rows("nonced")
        self._plain: list[tuple[AnyStr, AnyStr]] = [pair for pair in whole if mark not in pair[1]]
        self._parts: list[tuple[AnyStr, list[AnyStr]]] = [
            (name, value.split(mark)) for name, value in whole if mark in value
        ]

    def nonced(self, nonce: AnyStr) -> list[tuple[AnyStr, AnyStr]]:
        """Return the headers of a page with this nonce."""
        source = self._open + nonce + self._end
        return [(name, source.join(parts)) for name, parts in self._parts] + self._plain


def _cased(name: str, encode: Callable[[str], str | bytes]) -> str:
    """Return a name as the interface wants it: ASGI in lower case."""
    return name.lower() if isinstance(encode(""), bytes) else name
