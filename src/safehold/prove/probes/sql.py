"""Sends texts that change a statement which is put together from them; nothing is written by any.

Got in: a product that only the database can have computed comes back, or a condition that is
always true and one that is never give different answers. An error alone proves nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from safehold.prove.asking import Answer, Asker
from safehold.prove.hints import Endpoint
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.world import World

_PRODUCT: Final = "73*8191"
_COMPUTED: Final = b"597943"
_QUOTES: Final = ("'", '"', "')", "")
_COLUMNS: Final = 12
_NOBODY: Final = "nosuchvalue"


def _attempts(world: World) -> Iterator[Attempt]:
    for endpoint in world.texts():
        what = f"boolean and UNION texts at {endpoint.name}"
        yield Attempt(what, functools.partial(_inject, world, endpoint))


def _inject(world: World, endpoint: Endpoint) -> Said:
    asker = world.asker()
    usual = asker.at(endpoint, endpoint.value)
    if usual.away:
        return Said("not-tried", usual.away)
    for text in _unions():
        if world.is_over():
            return Said("not-tried", "the time of the run is over")
        answer = asker.at(endpoint, text)
        if _COMPUTED in answer.body and _COMPUTED not in usual.body:
            return Said("got-in", f"the database computed {_PRODUCT} for: {text[:80]}")
    for quote in _QUOTES:
        if _differ(asker, endpoint, quote):
            what = f"{_NOBODY}{quote} OR {quote}1{quote}={quote}1"
            return Said("got-in", f"a condition that is always true changes the answer: {what}")
    return Said("held", f"no text changed the statement; the last answer has status {usual.status}")


def _unions() -> Iterator[str]:
    for quote in _QUOTES:
        start = _NOBODY if quote else "0"
        for count in range(1, _COLUMNS + 1):
            yield f"{start}{quote} UNION SELECT {','.join([_PRODUCT] * count)} -- "


def _differ(asker: Asker, endpoint: Endpoint, quote: str) -> bool:
    """Say whether always and never differ, and never is the same as nothing, twice."""
    mark, base = quote[:1], _NOBODY if quote else "0"
    # Behind a parenthesis the rest is cut off; else the statement's own quote closes the text.
    end = f"{mark} -- " if len(quote) > 1 else ""
    texts = [f"{base}{quote} OR {mark}1{mark}={mark}{number}{end}" for number in ("1", "2")]
    nothing = _plain(asker.at(endpoint, base), base)
    for _ in range(2):
        always, never = (_plain(asker.at(endpoint, text), text) for text in texts)
        if not (always and never) or always == never or never != nothing:
            return False
    return True


def _plain(answer: Answer, text: str) -> bytes:
    """Return a good answer without the text that was sent, nothing for any other."""
    if answer.status != 200:
        return b""
    # A single digit would be taken out of numbers that have nothing to do with it.
    return answer.body.replace(text.encode(), b"") if len(text) > 1 else answer.body


SQL = Probe("sql-injection", "SH201", "Texts that change a statement of SQL", _attempts)
