"""Events: every decision is recorded before it takes effect.

The order is decide, record, act. The trail must take the event or the caller fails closed;
any other exporter may fail without turning a refusal into an allowance.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Literal, NoReturn, Protocol

import msgspec

from safehold.errors import SafeholdError, TrailError

Outcome = Literal["allowed", "refused", "failed", "done"]

_CAP = 512
"""Longest text of one field in characters; identifiers are recorded, payloads are not."""

_request: ContextVar[Mapping[str, str]] = ContextVar("safehold_request", default={})  # noqa: B039


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One decision or operation.

    ``action``: load, dump, seal, verify, migrate, ...; ``reason``: error class or short text;
    ``artifact``: logical name, never content; ``request``: ids bound by `request_context`.
    """

    action: str
    outcome: Outcome
    reason: str = ""
    rule: str = ""
    zone: str = ""
    artifact: str = ""
    codec: str = ""
    key: str = ""
    generation: int = 0
    size: int = 0
    caller: str = ""
    request: dict[str, str] = {}
    detail: dict[str, Any] = {}


class Exporter(Protocol):
    """Takes events somewhere."""

    def export(self, event: Event) -> None:
        """Deliver one event; raise when that is not possible."""


class Recorder:
    """Hands each event to the trail first, then to the other exporters."""

    def __init__(self, trail: Exporter, *exporters: Exporter) -> None:
        """`trail` must accept every event; `exporters` are told afterwards."""
        self._trail = trail
        self._exporters = exporters

    def record(self, event: Event) -> None:
        """Record an event.

        Raises:
            TrailError: the trail did not take it, so the operation must not go on.
        """
        event = _prepared(event)
        try:
            self._trail.export(event)
        except TrailError:
            raise
        except Exception as error:  # any failure of the trail means: not recorded, fail closed
            message = f"the event could not be recorded: {type(error).__name__}: {error}"
            raise TrailError(message) from error
        for exporter in self._exporters:
            try:
                exporter.export(event)
            except Exception as error:  # noqa: BLE001  (the trail has the event; say so there)
                self._trail.export(
                    Event(
                        action="export",
                        outcome="failed",
                        reason=type(error).__name__,
                        detail={"exporter": type(exporter).__name__},
                    )
                )

    def refuse(self, event: Event, error: SafeholdError) -> NoReturn:
        """Record a refusal, then raise `error`, also when recording fails."""
        try:
            self.record(event)
        except TrailError as lost:
            error.add_note(f"this refusal could not be recorded: {lost}")
        raise error


@contextlib.contextmanager
def request_context(**ids: str) -> Iterator[None]:
    """Attach ids (request, user, trace) to every event recorded inside the block."""
    token = _request.set({**_request.get(), **ids})
    try:
        yield
    finally:
        _request.reset(token)


def _prepared(event: Event) -> Event:
    request = dict(_request.get())
    long = {
        name: value[:_CAP] + "…"
        for name in ("reason", "artifact", "caller")
        if len(value := getattr(event, name)) > _CAP
    }
    if not request and not long:
        return event
    return msgspec.structs.replace(event, request=request or event.request, **long)
