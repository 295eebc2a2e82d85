"""What every probe is given: the service, whom to ask, its endpoints, and a place for markers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safehold.credentials.redaction import Redactor, apply
from safehold.prove.asking import Asker
from safehold.prove.endpoints import discovered
from safehold.prove.hints import Endpoint, Hints
from safehold.prove.result import NotTried
from safehold.prove.target import Started

_REDACTOR = Redactor()


@dataclass
class World:
    """One run. ``started`` is None where the service runs by itself: its files are left alone."""

    hints: Hints
    place: Path
    ends: float
    started: Started | None = None
    running: Asker | None = None
    browser: str = ""
    _endpoints: tuple[Endpoint, ...] | None = field(default=None, repr=False)

    def is_over(self) -> bool:
        """Whether the time of the run is."""
        return time.monotonic() >= self.ends

    def files(self) -> Started:
        """Return the service whose files may be changed. Raises NotTried."""
        if self.started is None:
            raise NotTried("the service was started by somebody else: its files are left alone")
        return self.started

    def asker(self) -> Asker:
        """Return who asks the service, which runs. Raises NotTried."""
        if self.running is not None:
            return self.running
        started = self.files()
        if problem := started.ensure():
            raise NotTried(f"the service does not run: {problem}")
        return started.asker

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return where texts can be sent to: what the hints say, and OpenAPI. Raises NotTried."""
        if self._endpoints is None:
            # A service that somebody else runs has data of its own: nothing is posted unasked.
            methods = ("GET", "POST") if self.started is not None else ("GET",)
            found = discovered(self.asker(), methods)
            named = {(row.method, row.path, row.into) for row in self.hints.endpoints}
            more = (row for row in found if (row.method, row.path, row.into) not in named)
            self._endpoints = (*self.hints.endpoints, *more)
        return self._endpoints

    def texts(self) -> Iterator[Endpoint]:
        """Yield the endpoints that take a text. Raises NotTried if there is none."""
        found = [row for row in self.endpoints() if "{}" in row.path or row.into]
        if not found:
            raise NotTried("no endpoint that takes a text is known: name one in [[prove.endpoint]]")
        yield from found


def redacted(text: str) -> str:
    """Return evidence without secrets and control characters, bounded."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return apply(_REDACTOR.passes(plain), plain)[:400]
