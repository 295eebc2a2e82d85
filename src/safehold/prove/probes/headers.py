"""Judges what a page sends by the rows of `safehold check --url`, without what needs TLS."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

from safehold.prove.asking import Asker
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, Said
from safehold.prove.world import World
from safehold.web.fetching import Fetcher, Page
from safehold.web.grading import grade, report_of
from safehold.web.request_rules import UNENCRYPTED
from safehold.web.rules import TRANSPORT

# The service is asked over HTTP, on this machine: a proxy in front may add both.
_OF_TLS: Final = frozenset({UNENCRYPTED.id, TRANSPORT.id})
_PROXY: Final = "https://localhost:1"


class _Behind(Fetcher):
    """Gives what the asker is answered, as if it came through a proxy with TLS."""

    def __init__(self, asker: Asker) -> None:
        super().__init__()
        self._asker = asker

    def once(self, url: str) -> Page:
        """Return one answer under its address behind the proxy."""
        answer = self._asker.get(url.removeprefix(_PROXY))
        return Page(url, answer.status, answer.headers, answer.body, problem=answer.problem)


def _attempts(world: World) -> Iterator[Attempt]:
    paths = dict.fromkeys(("/", world.hints.ready, *world.hints.warm))
    for path in list(paths)[:5]:
        yield Attempt(f"the headers of {path}", functools.partial(_grade, world, path))


def _grade(world: World, path: str) -> Said:
    fetcher = _Behind(world.asker())
    page = fetcher.once(_PROXY + path)
    report = report_of(page.url, page, fetcher)
    if page.problem:
        return Said("not-tried", f"the page could not be fetched: {page.problem}")
    rules = sorted({row.rule.id for row in report.findings if row.rule.id not in _OF_TLS})
    if not rules:
        return Said("held", "nothing is missing, as far as that shows without TLS")
    return Said("got-in", f"grade {grade([report])}: {', '.join(rules)}")


HEADERS = Probe("headers", "SH401", "What answers tell browsers to enforce", _attempts)
