"""Asks for a file outside the service that was put there for this: does its word come back?"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from safehold.prove.asking import Answer
from safehold.prove.hints import Endpoint
from safehold.prove.probe import Probe
from safehold.prove.result import Attempt, NotTried, Said
from safehold.prove.world import World

_UP = 16


def _attempts(world: World) -> Iterator[Attempt]:
    outside = world.place / "outside.txt"
    outside.write_text(secrets.token_hex(16), "ascii")
    try:
        for endpoint in world.texts():
            act = functools.partial(_at, world, endpoint, outside)
            yield Attempt(f"a path outside at {endpoint.name}", act)
    except NotTried:
        pass  # the bare path is tried nevertheless
    yield Attempt("a path outside as the address", functools.partial(_bare, world, outside))


def _at(world: World, endpoint: Endpoint, outside: Path) -> Said:
    asker = world.asker()
    if away := asker.at(endpoint, endpoint.value).away:
        return Said("not-tried", away)
    return _judged(outside, _spelled(outside), lambda text: asker.at(endpoint, text))


def _bare(world: World, outside: Path) -> Said:
    asker = world.asker()
    up = "../" * _UP + str(outside).lstrip("/")
    texts = [f"/{up}", f"/static/{up}", "/" + quote(up, safe=""), "/static/" + quote(up, safe="")]
    return _judged(outside, iter(texts), asker.get)


def _spelled(outside: Path) -> Iterator[str]:
    bare = str(outside).lstrip("/")
    yield str(outside)
    yield "../" * _UP + bare
    yield "....//" * _UP + bare
    yield quote("../" * _UP + bare, safe="")


def _judged(outside: Path, texts: Iterator[str], ask: Callable[[str], Answer]) -> Said:
    word = outside.read_bytes()
    answered = False
    for text in texts:
        answer = ask(text)
        answered = answered or not answer.problem
        if word in answer.body:
            return Said("got-in", f"the file outside came back for: {text[:80]}")
    if not answered:
        return Said("not-tried", "the endpoint does not answer")
    return Said("held", "the file outside did not come back")


TRAVERSAL = Probe("path-traversal", "SH552", "Paths that lead out of their directory", _attempts)
