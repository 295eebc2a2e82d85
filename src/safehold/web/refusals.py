"""What a refused request gets, and how its refusals are recorded without filling the trail."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from safehold.errors import TrailError
from safehold.events import Event, Recorder
from safehold.findings import Rule

_MINUTE: Final = 60.0
_MOST_PEERS: Final = 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not reach the application, or does no further.

    ``location``: where it is sent instead. ``detail`` goes into the trail, never to the client.
    """

    status: int
    rule: Rule
    reason: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    location: str = ""

    @property
    def body(self) -> bytes:
        """The text of the answer, which holds nothing of the request."""
        return f"{self.status} {PHRASES[self.status]}\n".encode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the answer, but for the strict ones."""
        found = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self.body))),
        ]
        if self.location:
            found.append(("Location", self.location))
        return found


PHRASES: Final = {
    204: "No Content",
    308: "Permanent Redirect",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


class Rate:
    """Says how much goes through in a minute: in all, and of one peer."""

    def __init__(self, most: int, of_one: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_out = 0
        """How many did not since the last that did; for who tells of it."""
        self._most, self._of_one = most, of_one
        self._clock = clock
        self._ends = 0.0
        self._all = 0
        self._peers: dict[str, int] = {}
        self._lock = threading.Lock()

    def takes(self, peer: str) -> int:
        """Return -1 if one more is too many, else how many were too many before it."""
        with self._lock:
            now = self._clock()
            if now >= self._ends:
                self._ends, self._all = now + _MINUTE, 0
                self._peers.clear()
            count = self._peers.get(peer, 0)
            # Whose address is new when the table is full shares one entry with its like.
            if peer not in self._peers and len(self._peers) >= _MOST_PEERS:
                peer = ""
                count = self._peers.get(peer, 0)
            if self._all >= self._most or count >= self._of_one:
                self.left_out += 1
                return -1
            self._all += 1
            self._peers[peer] = count + 1
            left_out, self.left_out = self.left_out, 0
            return left_out


class Refusals:
    """Records refusals: of each minute the first, and how many there were beyond."""

    def __init__(self, recorder: Recorder, rate: Rate | None = None) -> None:
        self._recorder = recorder
        self._rate = Rate(600, 60) if rate is None else rate

    def record(self, refusal: Refusal, method: str, path: str, peer: str) -> None:
        """Record a refusal. It stands, whether or not the trail takes it."""
        if refusal.location:  # nothing was refused that does not come again
            return
        left_out = self._rate.takes(peer)
        if left_out < 0:
            return
        detail = {"method": method, "path": path, "peer": peer, **refusal.detail}
        if left_out:
            detail["unrecorded"] = left_out
        event = Event(
            action="request",
            outcome="refused",
            rule=refusal.rule.id,
            reason=refusal.reason,
            detail=detail,
        )
        with contextlib.suppress(TrailError):
            self._recorder.record(event)
