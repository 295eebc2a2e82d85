"""What every driver asks before it sends a statement, and tells afterwards: one record each.

What is decided of a text is kept; of a statement that was seen before, one look into a dictionary
is what it costs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from types import FrameType
from typing import Any, Final, Literal, NoReturn
from weakref import WeakKeyDictionary

from safehold.context import Context
from safehold.db.statements import Verdict, judge, rules
from safehold.errors import ConfigError, LimitExceeded, QueryRefused
from safehold.events import Event, Outcome, request_ids
from safehold.findings import Rule
from safehold.inputs.forms import lowered
from safehold.inputs.requests import Inputs, current
from safehold.inputs.sql import check_statement

Mode = Literal["off", "monitor", "enforce"]

_KEPT: Final = 1_000
"""Texts of one generation; there are two, so that what is in use stays."""
_LONGEST: Final = 20_000
_NONE: Final[set[str]] = set()
_VALUES: Final = re.compile(r"'(?:[^']|'')*'|(?<![\w.])\d[\d.]*")
_EVERY: Final = 60.0
"""Seconds between two plans of what has one fingerprint."""
_PLANNED: Final = frozenset(("select", "with", "values"))
_SHAPES: Final = 12
_PLACES: Final = (
    "/safehold/db/",
    "/sqlalchemy/",
    "/psycopg/",
    "/contextlib.py",
    "/aiosqlite/",
    "/asyncpg/",
    "/pymysql/",
    "/MySQLdb/",
    "/django/db/",
    "/django/utils/asyncio.py",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a guard allows at most; None and False are no limit."""

    slow_ms: float = 200
    statement_timeout_ms: int | None = None
    read_only: bool = False
    max_rows: int | None = None

    @property
    def holds_session(self) -> bool:
        """Say whether there is one that a statement could undo."""
        return self.read_only or self.statement_timeout_ms is not None


class Watch:
    """One guard: a policy's mode, what was decided of texts, where events go."""

    def __init__(
        self,
        hold: Context,
        dialect: str,
        limits: Limits,
        *,
        mode: str,
        records: bool,
        allow: Collection[str],
        modes: Collection[str],
    ) -> None:
        """Raises ConfigError for a rule that is not known, or a dialect."""
        known = {rule.id for rule in vars(rules).values() if isinstance(rule, Rule)}
        if unknown := sorted(set(allow) - known):
            raise ConfigError(f"allow has {unknown[0]!r}; there are: {', '.join(sorted(known))}")
        judge("select 0", dialect, modes)  # a dialect or mode that is unknown shows here
        self.limits = limits
        self.enforces = mode == "enforce"
        self.records = records
        self.slow = limits.slow_ms / 1000
        self.dialect = dialect
        self.clean: dict[str, Verdict] = {}
        """Verdicts of texts that nothing has to be asked about, unless there are inputs."""
        self._record = hold.recorder.record
        self._refuse = hold.recorder.refuse
        self._allow = frozenset(allow)
        self.modes = tuple(modes)
        self._judged: dict[str, Verdict] = {}
        self._older: dict[str, Verdict] = {}
        self._told: set[str] = set()
        self._planned: dict[str, float] = {}
        self._cleared: set[str] = set()
        self._passed: WeakKeyDictionary[Inputs, tuple[int, set[str]]] = WeakKeyDictionary()

    def admit(self, text: str) -> Verdict:
        """Return what a text is; may be skipped for one in `clean` outside of a request.

        Raises:
            QueryRefused: it may not be sent; that is recorded.
        """
        verdict = self._judged.get(text)
        if verdict is None:
            verdict = self._first_sight(text)
        rule, detail = self._broken(text, verdict)
        if rule is None:
            return verdict
        if self.enforces:
            self.refuse(rule, verdict, detail)
        return replace(verdict, refused=(rule,))

    def refuse(
        self, rule: Rule, verdict: Verdict, detail: Mapping[str, Any] | None = None
    ) -> NoReturn:
        """Record that a statement is refused. Raises QueryRefused."""
        event = self._event("refused", verdict, "QueryRefused", rule=rule.id, detail=detail)
        self._refuse(event, QueryRefused(f"{rule.title} ({rule.id}); not sent. {rule.remedy}"))

    def refusal(self, rule: Rule, verdict: Verdict) -> BaseException:
        """Record that a server refused what the guard forbids it; return the error to raise."""
        try:
            self.refuse(rule, verdict)
        except QueryRefused as error:
            return error.with_traceback(None)

    def noticed(self, rule: Rule) -> None:
        """Record what would be refused, were the mode not to monitor."""
        self._record(Event(action="statement", outcome="allowed", rule=rule.id, codec=self.dialect))

    def allows(self, rule: Rule) -> bool:
        """Say whether the program has said that it needs what a rule forbids."""
        return rule.id in self._allow

    def wants_plan(self, verdict: Verdict, started: float) -> bool:
        """Say whether to ask how a statement was run: it was slow, and is not asked of often."""
        if perf_counter() - started < self.slow or verdict.writes or verdict.verb not in _PLANNED:
            return False
        now = monotonic()
        if now - self._planned.get(verdict.fingerprint, -_EVERY) < _EVERY:
            return False
        if len(self._planned) >= _KEPT:
            self._planned.clear()
        self._planned[verdict.fingerprint] = now
        return True

    def done(
        self,
        verdict: Verdict,
        started: float,
        rows: int = -1,
        parameters: object = (),
        plan: list[str] | None = None,
    ) -> None:
        """Record a statement that ran."""
        seconds = perf_counter() - started
        is_slow = seconds >= self.slow
        noted = verdict.refused and verdict.refused[0].id
        if not (self.records or is_slow or noted):
            return
        detail: dict[str, Any] = {}
        if is_slow:
            noted = noted or rules.SLOW.id
            detail = {"slow": True, **({"plan": plan} if plan else {})}
        self._record(
            self._event("done", verdict, shape(verdict.verb, parameters), rule=noted or "",
                        seconds=seconds, size=max(rows, 0), detail=detail)
        )  # fmt: skip

    def failed(
        self, verdict: Verdict, started: float, error: BaseException, parameters: object = ()
    ) -> None:
        """Record a statement that did not."""
        seconds = perf_counter() - started
        detail = {"statement": shape(verdict.verb, parameters)}
        kind = type(error).__name__
        self._record(self._event("failed", verdict, kind, seconds=seconds, detail=detail))

    def transaction(self, action: str, started: float, error: BaseException | None = None) -> None:
        """Record a commit or rollback."""
        if self.records or error is not None:
            self._record(
                Event(
                    action=action,
                    outcome="done" if error is None else "failed",
                    reason="" if error is None else type(error).__name__,
                    codec=self.dialect,
                    caller=caller(),
                    seconds=perf_counter() - started,
                    request=_request(),
                )
            )

    def too_many(self, verdict: Verdict | None) -> LimitExceeded:
        """Record that a statement has more rows than may be read; return the error to raise."""
        rule = rules.TOO_MANY
        verdict = verdict or Verdict("", "", "", writes=False)
        self._record(self._event("refused", verdict, "LimitExceeded", rule=rule.id))
        most = self.limits.max_rows
        return LimitExceeded(f"{rule.title}: {most} ({rule.id}). {rule.remedy}")

    def _first_sight(self, text: str) -> Verdict:
        verdict = self._older.get(text)
        if verdict is None:
            verdict = judge(text, self.dialect, self.modes)
        if len(text) > _LONGEST:
            return verdict
        if len(self._judged) >= _KEPT:
            self._older, self._judged = self._judged, {}
            self.clean.clear()
        self._judged[text] = verdict
        if verdict.is_readable and self._unconditional(verdict) is None:
            self.clean[text] = verdict
        return verdict

    def _unconditional(self, verdict: Verdict) -> Rule | None:
        """Return the rule by which a statement is refused whoever sends it."""
        found = verdict.refused
        if self.limits.holds_session:
            found += verdict.limits
        if self.limits.read_only and verdict.writes:
            found += (rules.WRITES,)
        return next((rule for rule in found if rule.id not in self._allow), None)

    def _broken(self, text: str, verdict: Verdict) -> tuple[Rule | None, Mapping[str, Any]]:
        rule = self._unconditional(verdict)
        inputs = current()
        if rule is not None or inputs is None:
            return rule, {}
        try:
            texts = inputs.texts
        except LimitExceeded:
            # What was asked about in a request that could be followed is no text of this one.
            return (None if text in self._cleared else rules.UNFOLLOWED), {}
        if not texts:
            return None, {}
        # A request that sends a text again and again is asked about it once.
        count, passed = self._passed.get(inputs, (0, _NONE))
        if count == len(texts) and text in passed:
            return None, {}
        rule, detail = self._with_inputs(text, verdict, inputs)
        if rule is None:
            self._pass(text, inputs, len(texts))
        return rule, detail

    def _pass(self, text: str, inputs: Inputs, count: int) -> None:
        before, passed = self._passed.get(inputs, (0, _NONE))
        if before != count or len(passed) >= _KEPT:
            self._passed[inputs] = (count, {text})
        else:
            passed.add(text)
        if len(self._cleared) >= 2 * _KEPT:
            self._cleared.clear()
        if len(text) <= _LONGEST:
            self._cleared.add(text)

    def _with_inputs(
        self, text: str, verdict: Verdict, inputs: Inputs
    ) -> tuple[Rule | None, Mapping[str, Any]]:
        findings = check_statement(text, self.dialect, inputs, modes=self.modes)
        if findings:
            return findings[0].rule, {**findings[0].detail, "places": len(findings)}
        if not verdict.is_readable:
            return rules.UNREADABLE, {}
        shapes = [rule for rule in verdict.with_input if rule.id not in self._allow]
        if shapes and _holds(text, inputs):
            return shapes[0], {"shapes": [rule.id for rule in shapes]}
        return None, {}

    def _event(
        self,
        outcome: Outcome,
        verdict: Verdict,
        reason: str,
        *,
        rule: str = "",
        seconds: float = 0.0,
        size: int = 0,
        detail: Mapping[str, Any] | None = None,
    ) -> Event:
        told = dict(detail) if detail else {}
        # What the fingerprint stands for is said with the first event that has it.
        # (Of what is refused the text may be what somebody sent.)
        if outcome != "refused" and verdict.plain and verdict.fingerprint not in self._told:
            if len(self._told) >= 10 * _KEPT:
                self._told.clear()
            self._told.add(verdict.fingerprint)
            told["text"] = verdict.plain
        return Event(
            action="statement",
            outcome=outcome,
            reason=reason,
            rule=rule,
            artifact=verdict.fingerprint,
            codec=self.dialect,
            size=size,
            caller=caller(),
            seconds=seconds,
            request=_request(),
            detail=told,
        )


def _holds(text: str, inputs: Inputs) -> bool:
    """Say whether an input of more than a word is in a text, wherever that is."""
    low = lowered(text)
    return any(needle in low for needle in inputs.needles.others if len(needle) > 1)


def plan_line(line: str) -> str:
    """Return a line of a plan without the values that stand in it."""
    return _VALUES.sub("?", line)


def shape(verb: str, parameters: object) -> str:
    """Return what is recorded of parameters: how many, of what types, how long."""
    if not parameters:
        return verb
    if not isinstance(parameters, (list, tuple, Mapping)):
        return f"{verb} ({type(parameters).__name__})"
    if isinstance(parameters, list) and isinstance(parameters[0], (list, tuple, Mapping)):
        return f"{verb} x {len(parameters)}"
    values = list(parameters.values() if isinstance(parameters, Mapping) else parameters)
    kinds = [_kind(value) for value in values[:_SHAPES]]
    return f"{verb} ({', '.join(kinds)}{', ...' if len(values) > _SHAPES else ''})"


def _kind(value: object) -> str:
    if type(value) in (str, bytes):
        return f"{type(value).__name__} {len(value)}"  # type: ignore[arg-type]
    return type(value).__name__


def _request() -> dict[str, str]:
    """Return the id of the request that is served, unless the program has given it one."""
    inputs = current()
    return {} if inputs is None or "request" in request_ids() else {"request": inputs.id}


_skipped: dict[str, bool] = {}
called_by: ContextVar[str] = ContextVar("safehold_called_by", default="")
"""Who a thread works for, in which a driver runs a statement."""


def caller() -> str:
    """Return the file and line that a statement comes from, outside of drivers."""
    if said := called_by.get():
        return said
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (the cheapest way, and documented)
    while frame is not None:
        name = frame.f_code.co_filename
        skip = _skipped.get(name)
        if skip is None:
            if len(_skipped) > 10 * _KEPT:
                _skipped.clear()
            skip = _skipped[name] = any(place in name for place in _PLACES)
        if not skip:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
