"""Events: every decision is recorded before it takes effect.

The order is decide, record, act. The trail must take the event or the caller fails closed;
any other exporter may fail without turning a refusal into an allowance.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import PurePath
from typing import Any, Literal, NoReturn, Protocol, cast, runtime_checkable

import msgspec

from safehold.credentials.redaction import WINDOW, Pass, Redactor, apply, marker
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
class Watcher(Exporter, Protocol):
    """An exporter that is also told how the trail and other exporters do; it decides nothing."""

    def appended(self, seconds: float) -> None:
        """Take how long the trail took for one event."""

    def not_appended(self) -> None:
        """Take that the trail did not accept one."""


class Recorder:
    """Hands each event to the trail first, then to the other exporters."""

    def __init__(
        self,
        trail: Exporter,
        *exporters: Exporter,
        redactor: Redactor | None = None,
        opening: Event | None = None,
    ) -> None:
        """`trail` must accept every event; `exporters` are told afterwards.

        Without a `redactor`, secrets are known by their shapes and names alone. `opening` is
        recorded before the first event, and where there is none not at all.
        """
        self._trail = trail
        self._opening = opening
        self._exporters = exporters
        self._watchers = tuple(item for item in exporters if isinstance(item, Watcher))
        self._redactor = Redactor() if redactor is None else redactor

    def record(self, event: Event) -> None:
        """Record an event.

        Raises:
            TrailError: the trail did not take it, so the operation must not go on.
        """
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                self.record(opening)
            except TrailError:
                self._opening = opening
                raise
        event = self._to_trail(event)
        for exporter in self._exporters:
            try:
                exporter.export(event)
            except Exception as error:  # noqa: BLE001  (the trail has the event; say so there)
                self._say_lost(exporter, error)

    def close(self) -> None:
        """Close the exporters that can be; what one of them has lost goes to the trail.

        Raises:
            TrailError: the trail did not take that.
        """
        for exporter in self._exporters:
            try:
                getattr(exporter, "close", _nothing)()
            except Exception as error:  # noqa: BLE001  (as when it exports)
                self._say_lost(exporter, error)

    def _say_lost(self, exporter: Exporter, error: Exception) -> None:
        event = self._to_trail(_not_exported(exporter, error))
        for watcher in self._watchers:
            if watcher is not exporter:
                with contextlib.suppress(Exception):
                    watcher.export(event)

    def _to_trail(self, event: Event) -> Event:
        started = time.perf_counter() if self._watchers else 0.0
        try:
            event = _prepared(event, self._redactor)
            self._trail.export(event)
        except Exception as error:  # any failure of the trail means: not recorded, fail closed
            for watcher in self._watchers:
                with contextlib.suppress(Exception):
                    watcher.not_appended()
            if isinstance(error, TrailError):
                raise
            message = f"the event could not be recorded: {type(error).__name__}: {error}"
            raise TrailError(message) from error
        seconds = time.perf_counter() - started if self._watchers else 0.0
        for watcher in self._watchers:
            with contextlib.suppress(Exception):
                watcher.appended(seconds)
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


def request_ids() -> Mapping[str, str]:
    """Return the ids that are attached here."""
    return _request.get()


_TEXTS = tuple(name for name, kind in Event.__annotations__.items() if kind in ("str", "Outcome"))


def _prepared(event: Event, redactor: Redactor) -> Event:
    """Add the ids of the request, redact and bound every field; the event stays as it is."""
    ids = _request.get()
    if ids and event.request:
        ids = {**ids, **event.request}
    elif not ids:
        ids = event.request
    if not event.detail and _is_plain(event, ids, redactor):
        return event if ids is event.request else msgspec.structs.replace(event, request=ids)
    walk = _Walk()
    changed = walk.over(event, ids)
    # One look at everything joined: few events hold anything that has to go.
    passes = redactor.passes("\n".join(walk.seen))
    if passes:
        changed = _Walk(redactor, passes).over(event, ids)
    return msgspec.structs.replace(event, **changed) if changed else event


def _is_plain(event: Event, ids: Mapping[str, str], redactor: Redactor) -> bool:
    """Say whether nothing of an event without detail has to be changed, as is so of most."""
    texts = _texts(event)
    if not _TEXT.issuperset(map(type, texts)) or not redactor.is_clean("\n".join(texts)):
        return False
    if not ids:
        return True
    values = ids.values()
    if not (_TEXT.issuperset(map(type, ids)) and _TEXT.issuperset(map(type, values))):
        return False
    # Values are new with each request: they are looked at, and not remembered.
    joined = "\n".join(values)
    is_short = len(joined) <= _CAP and joined.isascii()
    return is_short and redactor.is_clean("\n".join(ids)) and not redactor.passes(joined)


_TEXT = frozenset({str})
"""No other type's methods are called, not even to compare."""


def _texts(event: Event) -> tuple[str, ...]:
    return (event.action, event.outcome, event.reason, event.rule, event.zone,
            event.artifact, event.codec, event.key, event.caller)  # fmt: skip


class _Walk:
    """One walk over an event's values, which bounds them and, given a redactor, redacts them.

    What it has `seen` is as long as a redactor looks at it.
    """

    def __init__(self, redactor: Redactor | None = None, passes: Sequence[Pass] = ()) -> None:
        self.seen: list[str] = []
        self._redactor = redactor
        self._passes = passes
        self._left = _NODES

    def over(self, event: Event, ids: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields that are not as they were."""
        changed: dict[str, Any] = {}
        texts = _texts(event)
        joined = "\n".join(texts) if _TEXT.issuperset(map(type, texts)) else ""
        if self._redactor is None and joined.isascii() and 0 < len(joined) <= _CAP:
            self.seen.append(joined)
        else:
            changed = {name: self._text(getattr(event, name)) for name in _TEXTS}
        if ids:
            changed["request"] = {
                self._text(name): self._labelled(name, value) or self._text(value)
                for name, value in ids.items()
            }
        if event.detail:
            changed["detail"] = self._plain(event.detail, _DEPTH)
        return changed

    def _text(self, value: object) -> str:
        """Return bounded text that has a UTF-8 form: file names may hold bytes that have none."""
        text = str.__str__(value) if isinstance(value, str) else _named(value)
        if self._redactor is None:
            self.seen.append(text if len(text) <= WINDOW else text[:WINDOW])
        else:
            text = apply(self._passes, text)
        if len(text) > _CAP:
            text = text[:_CAP] + "…"
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            text = text.encode("utf-8", "backslashreplace").decode()
        return text

    def _plain(self, value: object, depth: int) -> Any:
        """Return `value` as JSON can hold it. No method of a foreign class is called."""
        self._left -= 1
        if self._left < 0:
            return "…"
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            number = int.__add__(value, 0)
            bits = number.bit_length()
            return number if bits < 64 else f"a number of {bits} bits"
        if isinstance(value, float):
            real = float.__add__(value, 0.0)
            return real if math.isfinite(real) else repr(real)
        if type(value) is dict and depth:
            return self._mapping(value, depth)
        if type(value) in (list, tuple, set, frozenset) and depth:
            return self._sequence(cast("Iterable[object]", value), depth)
        return self._text(value)

    def _mapping(self, value: dict[object, object], depth: int) -> dict[str, Any]:
        named = value.get("name", value.get("key")) if "value" in value else None
        out: dict[str, Any] = {}
        for name, item in itertools.islice(value.items(), max(self._left, 0) + 1):
            mark = self._labelled(name, item)
            if mark is None and named is not None and name == "value":
                mark = self._labelled(named, item)
            out[self._text(name)] = self._plain(item, depth - 1) if mark is None else mark
        return out

    def _sequence(self, values: Iterable[object], depth: int) -> list[Any]:
        items = list(itertools.islice(values, max(self._left, 0) + 1))
        out: list[Any] = []
        for at, item in enumerate(items):
            before = items[at - 1] if at else None
            # The words of a command line, or a name and its value.
            is_value = isinstance(before, str) and (before[:1] == "-" or len(items) == 2)
            mark = self._labelled(before, item) if is_value else None
            out.append(self._plain(item, depth - 1) if mark is None else mark)
        return out

    def _labelled(self, name: object, value: object) -> str | None:
        """Return what takes the place of a value because of its name, None if it may stay."""
        if self._redactor is None or value is None or value == "" or isinstance(value, bool):
            return None
        if not isinstance(name, str):
            return None
        label = self._redactor.label(str.__str__(name))
        return None if label is None else marker(label.kind)


def _named(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, PurePath):
        return str(value)
    return f"<{type(value).__name__}>"
