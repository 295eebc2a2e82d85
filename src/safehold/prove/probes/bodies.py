"""Sends a body that is larger than any that the service expects: is it read to its end?"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from safehold.prove.hints import Endpoint
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, NotTried, Said
from safehold.prove.world import World

_ENDPOINTS = 2


def _attempts(world: World) -> Iterator[Attempt]:
    taking = {row.path: row for row in world.endpoints() if row.into}
    if not taking:
        raise NotTried("no endpoint that takes a body is known: name one in [[prove.endpoint]]")
    size = world.hints.body
    for row in list(taking.values())[:_ENDPOINTS]:
        for chunked, how in ((False, "declared"), (True, "in chunks")):
            what = f"{size} bytes, {how}, to {row.method} {row.path}"
            yield Attempt(what, functools.partial(_send, world, row, chunked=chunked))


def _send(world: World, row: Endpoint, *, chunked: bool) -> Said:
    if away := world.asker().at(row, row.value).away:
        return Said("not-tried", away)
    answer = world.asker().send_large(row, world.hints.body, chunked=chunked)
    if answer.status == 413:
        return Said("held", "refused with 413")
    if answer.early:
        how = f"status {answer.status}" if answer.status else answer.problem
        return Said("held", f"ended before all of it was sent: {how}")
    if not answer.status:
        return Said(
            "got-in", f"all of it was taken, and then there was no answer: {answer.problem}"
        )
    return Said("got-in", f"all of it was read, then answered with {answer.status}")


BODIES = Probe("oversize-body", "SH423", "A body beyond all measure", _attempts)
