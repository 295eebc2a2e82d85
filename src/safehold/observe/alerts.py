"""Alerts, the direct path: what breaks the policy is told over the channels of ``[alerts]``.

An exporter. An alert is a file before `export` returns, so a kill loses none (see `spool`); a
thread for each channel sends what waits, grouped, at most so often, and tries again for ever, more
and more slowly. The same alert is told once in ``repeat`` seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Final

from safehold.errors import ExportError, SafeholdError
from safehold.events import Event
from safehold.findings import Severity
from safehold.keys.sources import Environment
from safehold.observe import labels
from safehold.observe.channels import Alert, Surroundings, send
from safehold.observe.spool import Spool, fingerprint
from safehold.policy import Policy
from safehold.policy.alerts import Channel

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_LOOK_SECONDS: Final = 5.0
"""How often to look for what another process left behind."""
_BATCH: Final = 500
_REPORT_SECONDS: Final = 60.0


def alert_of(event: Event) -> Alert:
    """Return the alert that an event is: its labels are from a closed vocabulary."""
    op, form, outcome, reason = labels.operation(event)
    severity = labels.severity(event).label
    rule = labels.rule(event)
    named = {
        "alertname": "SafeholdViolation",
        "severity": severity,
        "rule": rule,
        "op": op,
        "format": form,
        "outcome": outcome,
        "reason": reason,
    }
    what = f"{op} {outcome}: {reason if reason != labels.NONE else rule}"
    notes = {"summary": what, "artifact": event.artifact, "zone": event.zone,
             "caller": event.caller}  # fmt: skip
    return Alert(named, {name: text for name, text in notes.items() if text}, time.time())


class Alerts:
    """Tells the channels of a policy; threads share it, a forked child has threads of its own."""

    name = "alerts"

    def __init__(
        self, policy: Policy, environ: Mapping[str, str] | None = None, *, patience: float = 5.0
    ) -> None:
        """Wait `patience` seconds at the end for what can still be sent; the rest stays."""
        rules = policy.alerts
        where = Surroundings(policy.root, Environment(environ))
        self._least = labels.SEVERITIES[rules.severity]
        self._repeat = rules.repeat
        self._patience = patience
        self._seen: dict[str, float] = {}
        folder = policy.root / rules.spool
        self.couriers = tuple(
            Courier(channel, Spool(folder / channel.name), where, rules.group, rules.rate)
            for channel in rules.channels
        )
        self._told_at = 0.0
        self._closed = False
        _ALL.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))
        for courier in self.couriers:
            # A folder that cannot be read keeps nobody from recording; the first alert tells.
            with contextlib.suppress(OSError):
                if courier.spool.waiting():  # a former process was killed
                    courier.wake()

    def export(self, event: Event) -> None:
        """Keep the alert of an event for every channel, if it is one.

        Raises:
            ExportError: it could not be kept, or a channel does not take what waits.
        """
        if labels.is_violation(event):
            severity: Severity = labels.severity(event)
            if severity >= self._least:
                self._keep(alert_of(event))
        self._tell_failures()

    def _keep(self, alert: Alert) -> None:
        name, now = fingerprint(alert), time.monotonic()
        if now < self._seen.get(name, 0.0):
            return
        self._seen[name] = now + self._repeat
        problems = []
        for courier in self.couriers:
            try:
                if courier.spool.add(alert, self._repeat):
                    courier.wake()
            except OSError as error:
                problems.append(f"{courier.channel.name}: {error.strerror or error}")
        if problems:
            self._seen.pop(name, None)
            raise ExportError(f"an alert could not be kept: {'; '.join(problems)}")

    def _tell_failures(self) -> None:
        refused = [line for courier in self.couriers for line in courier.take_refused()]
        if refused:
            raise ExportError(f"alerts are set aside, and not told: {'; '.join(refused)}")
        now = time.monotonic()
        failing = [courier.failure for courier in self.couriers if courier.failure]
        if failing and (not self._told_at or now - self._told_at >= _REPORT_SECONDS):
            self._told_at = now
            raise ExportError(f"alerts wait: {'; '.join(failing)}")

    def close(self) -> None:
        """Send what can be sent in time; the rest waits for the next process.

        Raises:
            ExportError: alerts still wait.
        """
        if self._closed:
            return
        self._closed = True
        ends = time.monotonic() + self._patience
        for courier in self.couriers:
            courier.end(ends)
        refused = [line for courier in self.couriers for line in courier.take_refused()]
        left = sum(len(courier.spool.waiting()) for courier in self.couriers if courier.started)
        problems = [f"{left} alerts wait for the next process"] if left else []
        if refused:
            problems.append(f"alerts are set aside, and not told: {'; '.join(refused)}")
        if problems:
            raise ExportError("; ".join(problems))

    def start_anew(self) -> None:
        """In a forked child: threads do not come along, what waits does."""
        for courier in self.couriers:
            courier.start_anew()


class Courier:
    """Sends what waits for one channel."""

    def __init__(
        self, channel: Channel, spool: Spool, where: Surroundings, group: float, rate: int
    ) -> None:
        """Wait `group` seconds for more before a message; send at most `rate` per hour."""
        self.channel = channel
        self.spool = spool
        self._where = where
        self._group = group
        self._rate = rate
        self.start_anew()

    def start_anew(self) -> None:
        """Have no thread yet."""
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        # Its `put` may interrupt itself, as a signal handler that records does.
        self._more: SimpleQueue[None] = SimpleQueue()
        self._ending = threading.Event()
        self._ended = False
        self._left = float(self._rate)
        self._filled = time.monotonic()
        self.started = False
        self.failure = ""
        # Fewer after a message that was not acceptable, so that one bad alert gets found.
        self._batch = _BATCH
        self._refused: SimpleQueue[str] = SimpleQueue()

    def take_refused(self) -> Iterator[str]:
        """Yield what was set aside since, for the trail."""
        with contextlib.suppress(Empty):
            while True:
                yield self._refused.get_nowait()

    def wake(self) -> None:
        """Say that there is something to send."""
        self.started = True
        self._more.put(None)
        with self._lock:
            if self._thread is None and not self._ended:
                thread = threading.Thread(
                    target=self._work, name=f"safehold alerts {self.channel.name}", daemon=True
                )
                thread.start()
                self._thread = thread

    def end(self, deadline: float) -> None:
        """Send what waits without waiting for more, until the deadline."""
        with self._lock:
            self._ended = True
            thread = self._thread
        self._ending.set()
        self._more.put(None)
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self._wait_for_more()
            if not self._ended:  # then there is only so much time, and it is sent now
                with contextlib.suppress(OSError):  # it is sent all the same
                    self.spool.sync()
            if not self._ended and self._group and self.spool.waiting():
                self._ending.wait(self._group)
            try:
                self._send_waiting()
            except Exception as error:  # noqa: BLE001  tried again; the next event tells the trail
                known = isinstance(error, SafeholdError)
                self.failure = str(error) if known else type(error).__name__
                if self._ended:
                    return
                # Half to whole, so that many processes do not come back at once.
                self._ending.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                self._more.put(None)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self.failure = ""
                pause = _FIRST_PAUSE
                if self._ended:
                    return

    def _wait_for_more(self) -> None:
        with contextlib.suppress(Empty):
            self._more.get(timeout=_LOOK_SECONDS)
            while True:
                self._more.get_nowait()

    def _send_waiting(self) -> None:
        with self.spool.alone() as alone:
            if not alone:
                return
            while (files := self.spool.waiting()[: self._batch]) and self._may_send():
                found = [(file, alert) for file in files if (alert := self.spool.read(file))]
                try:
                    if found:
                        send(self.channel, [alert for _, alert in found], self._where)
                except ExportError as error:
                    if not error.is_final:
                        raise
                    self._batch = max(1, len(found) // 2)
                    if len(found) == 1:
                        aside = self.spool.set_aside(found[0][0])
                        self._refused.put(f"{error}, see {aside}")
                    continue
                self._batch = min(_BATCH, self._batch * 2)
                for file, _ in found:
                    self.spool.told(file)

    def _may_send(self) -> bool:
        now = time.monotonic()
        self._left = min(self._rate, self._left + (now - self._filled) * self._rate / 3600)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _close_at_exit(alerts: weakref.ref[Alerts]) -> None:
    found = alerts()
    if found is not None:
        try:
            found.close()
        except Exception:  # noqa: BLE001  what waits stays in its files
            return


_ALL: weakref.WeakSet[Alerts] = weakref.WeakSet()


def _start_all_anew() -> None:
    for alerts in list(_ALL):
        alerts.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_anew)
