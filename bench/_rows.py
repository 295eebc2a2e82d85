"""A row of a table: what was measured, against what, and the goal; how it is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench._clocks import Clock, Pairs

Unit = Literal["s", "B", "B/s", ""]

_MEBI = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `result` is what the goal, an upper bound, is about.

    `ours` and `other` are in `unit`. The result is a ratio unless `absolute` says that it is in
    that unit too. A row without a result was left out, and `note` says why.
    """

    label: str
    ours: float | None = None
    other: float | None = None
    result: float | None = None
    goal: float | None = None
    against: str = ""
    unit: Unit = "s"
    absolute: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Say whether the goal is met; None without goal or result."""
        return None if self.goal is None or self.result is None else self.result <= self.goal


def ratio(
    label: str, pairs: Pairs, clock: Clock = "cpu", *, against: str, goal: float | None = None
) -> Row:
    """Return the row of a median ratio by one clock."""
    ours, other = pairs.medians(clock)
    return Row(f"{label}, {clock}", ours, other, pairs.ratio(clock), goal, against)


def difference(
    label: str, pairs: Pairs, clock: Clock = "cpu", *, against: str, goal: float | None = None
) -> Row:
    """Return the row of how much longer ours takes by one clock."""
    ours, other = pairs.medians(clock)
    more = pairs.difference(clock)
    return Row(f"{label}, {clock}", ours, other, more, goal, f"more than {against}", absolute=True)


def value(
    label: str, measured: float, *, goal: float | None = None, unit: Unit = "s", note: str = ""
) -> Row:
    """Return the row of one number that stands by itself."""
    return Row(label, measured, None, measured, goal, unit=unit, absolute=True, note=note)


def left_out(label: str, why: str, *, goal: float | None = None) -> Row:
    """Return the row of what could not be measured here."""
    return Row(label, goal=goal, note=f"left out: {why}")


_WIDTHS = (58, 10, 10, 10, 10)


def head() -> str:
    """Return the heading of a table."""
    return _columns("", "ours", "other", "result", "goal") + "  against"


def line(row: Row) -> str:
    """Return a row as text."""
    shown: Unit | Literal["x"] = row.unit if row.absolute else "x"
    text = _columns(
        row.label,
        _number(row.ours, row.unit),
        _number(row.other, row.unit),
        _number(row.result, shown),
        "" if row.goal is None else "<= " + _number(row.goal, shown),
    )
    verdict = {None: "", True: "", False: "MISSED "}[row.met]
    return f"{text}  {verdict}{'; '.join(filter(None, (row.against, row.note)))}".rstrip()


def _columns(label: str, *numbers: str) -> str:
    first, *others = _WIDTHS
    cells = (number.rjust(width) for number, width in zip(numbers, others, strict=True))
    return f"{label:<{first}} " + " ".join(cells)


def _number(number: float | None, unit: Unit | Literal["x"]) -> str:
    if number is None:
        return ""
    if unit == "x":
        return f"{number:.2f}x"
    if unit == "s":
        return _seconds(number)
    if unit == "":
        return f"{number:,.0f}"
    scaled = f"{number / _MEBI:,.1f}" if abs(number) >= 0.1 * _MEBI else f"{number / _MEBI:.4f}"
    return f"{scaled} Mi{unit}"


def _seconds(number: float) -> str:
    size = abs(number)
    if size < 1e-6:
        return f"{number * 1e9:.0f} ns"
    if size < 1e-3:
        return f"{number * 1e6:.1f} us"
    return f"{number * 1e3:.2f} ms" if size < 1 else f"{number:.2f} s"
