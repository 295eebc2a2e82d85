"""Events: every decision is recorded before it takes effect.

The order is decide, record, act. The trail must take the event or the caller fails closed;
any other exporter may fail without turning a refusal into an allowance.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any, Literal, NoReturn, Protocol, cast, runtime_checkable

import msgspec

from safehold.errors import ExportError, SafeholdError, TrailError

Outcome = Literal["allowed", "refused", "failed", "done"]

_CAP = 512
"""Longest text of one field in characters; identifiers are recorded, payloads are not."""
_NODES = 64
"""Most values in one event's detail, so that no event makes a line of more than 500 KB."""
_DEPTH = 4

_request: ContextVar[Mapping[str, str]] = ContextVar("safehold_request", default={})  # noqa: B039


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One decision or operation.

    ``action``: load, dump, seal, verify, migrate, ...; ``reason``: error class or short text;
    ``artifact``: logical name, never content; ``request``: ids bound by `request_context`;
    ``seconds``: how long the operation took up to here, 0 if nobody measured it.
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
    seconds: float = 0.0
    request: dict[str, str] = {}
    detail: dict[str, Any] = {}


class Exporter(Protocol):
    """Takes events somewhere."""

    def export(self, event: Event) -> None:
        """Deliver one event; raise when that is not possible."""


@runtime_checkable
class Watcher(Protocol):
    """An exporter that is also told how the trail does; it must not raise."""

    def appended(self, seconds: float) -> None:
        """Take how long the trail took for one event."""

    def not_appended(self) -> None:
        """Take that the trail did not accept one."""


class Recorder:
    """Hands each event to the trail first, then to the other exporters."""

    def __init__(self, trail: Exporter, *exporters: Exporter) -> None:
        """`trail` must accept every event; `exporters` are told afterwards."""
        self._trail = trail
        self._exporters = exporters
        self._watchers = tuple(item for item in exporters if isinstance(item, Watcher))

    def record(self, event: Event) -> None:
        """Record an event.

        Raises:
            TrailError: the trail did not take it, so the operation must not go on.
        """
        event = self._to_trail(event)
        for exporter in self._exporters:
            try:
                exporter.export(event)
            except Exception as error:  # noqa: BLE001  (the trail has the event; say so there)
                self._to_trail(_not_exported(exporter, error))

    def close(self) -> None:
        """Close the exporters that can be; what one of them has lost goes to the trail.

        Raises:
            TrailError: the trail did not take that.
        """
        for exporter in self._exporters:
            try:
                getattr(exporter, "close", _nothing)()
            except Exception as error:  # noqa: BLE001  (as when it exports)
                self._to_trail(_not_exported(exporter, error))

    def _to_trail(self, event: Event) -> Event:
        started = time.perf_counter() if self._watchers else 0.0
        try:
            event = _prepared(event)
            self._trail.export(event)
        except Exception as error:  # any failure of the trail means: not recorded, fail closed
            for watcher in self._watchers:
                watcher.not_appended()
            if isinstance(error, TrailError):
                raise
            message = f"the event could not be recorded: {type(error).__name__}: {error}"
            raise TrailError(message) from error
        for watcher in self._watchers:
            watcher.appended(time.perf_counter() - started)
        return event

    def refuse(self, event: Event, error: SafeholdError) -> NoReturn:
        """Record a refusal, then raise `error`, also when recording fails."""
        try:
            self.record(event)
        except TrailError as lost:
            error.add_note(f"this refusal could not be recorded: {lost}")
        raise error


def _not_exported(exporter: Exporter, error: Exception) -> Event:
    detail = {"exporter": str(getattr(exporter, "name", type(exporter).__name__))}
    if isinstance(error, ExportError):  # others may quote what they were given
        detail["message"] = str(error)
    reason = type(error).__name__
    return Event(action="export", outcome="failed", reason=reason, detail=detail)


def _nothing() -> None:
    pass


@contextlib.contextmanager
def request_context(**ids: str) -> Iterator[None]:
    """Attach ids (request, user, trace) to every event recorded inside the block."""
    token = _request.set({**_request.get(), **ids})
    try:
        yield
    finally:
        _request.reset(token)


_TEXTS = tuple(name for name, kind in Event.__annotations__.items() if kind in ("str", "Outcome"))


def _prepared(event: Event) -> Event:
    """Add the ids of the request, and bound every field; the event itself stays as it is."""
    changed: dict[str, Any] = {}
    if not _is_plain(event):
        changed = {name: _text(getattr(event, name)) for name in _TEXTS}
    ids = _request.get()
    if ids or event.request:
        ids = {**ids, **event.request}
        changed["request"] = {_text(name): _text(value) for name, value in ids.items()}
    if event.detail:
        changed["detail"] = _plain(event.detail, _DEPTH, [_NODES])
    return msgspec.structs.replace(event, **changed) if changed else event


def _is_plain(event: Event) -> bool:
    """Say whether all texts are short and ASCII, as most are; one by one in a loop is slow."""
    texts = (event.action, event.outcome, event.reason, event.rule, event.zone, event.artifact,
             event.codec, event.key, event.caller)  # fmt: skip
    for text in texts:
        if type(text) is not str:
            return False
    joined = "".join(texts)
    return len(joined) <= _CAP and joined.isascii()


def _text(value: object) -> str:
    """Return bounded text that has a UTF-8 form: file names may hold bytes that have none."""
    text = str.__str__(value) if isinstance(value, str) else _named(value)
    if len(text) > _CAP:
        text = text[:_CAP] + "…"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        text = text.encode("utf-8", "backslashreplace").decode()
    return text


def _plain(value: object, depth: int, left: list[int]) -> Any:
    """Return `value` as JSON can hold it. No method of a foreign class is called."""
    left[0] -= 1
    if left[0] < 0:
        return "…"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        number = int.__add__(value, 0)
        return number if number.bit_length() < 64 else f"a number of {number.bit_length()} bits"
    if isinstance(value, float):
        real = float.__add__(value, 0.0)
        return real if math.isfinite(real) else repr(real)
    if type(value) is dict and depth:
        return {
            _text(name): _plain(item, depth - 1, left)
            for name, item in itertools.islice(value.items(), max(left[0], 0) + 1)
        }
    if type(value) in (list, tuple, set, frozenset) and depth:
        items = itertools.islice(cast("Iterable[object]", value), max(left[0], 0) + 1)
        return [_plain(item, depth - 1, left) for item in items]
    return _named(value)


def _named(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, PurePath):
        return str(value)
    return f"<{type(value).__name__}>"
