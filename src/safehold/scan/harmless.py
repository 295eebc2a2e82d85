"""Names of which nothing is noted, with the uses of which nothing is, either, as the judge says."""

from __future__ import annotations

from typing import NamedTuple

from safehold.allow import Rule
from safehold.scan.judge import FORMS, GETATTR, LONGEST_NAME, NESTS, RANGES
from safehold.scan.names import Names
from safehold.scan.values import Global


class Harmless(NamedTuple):
    """Such a name, as a value and as uses.

    ``called`` with what ``rule`` takes, and ``instantiated`` without arguments; None is for uses
    that have to be judged.
    """

    value: Global
    named: tuple[str, str, str]
    called: tuple[str, str, str] | None
    rule: Rule | None
    instantiated: tuple[str, str, str] | None


def harmless(names: Names, module: str, name: str, protocol: int) -> Harmless | None:
    """Return what is known of such a name; None if that has to be judged use by use."""
    status = names.status(module, name, protocol)
    form = (status.module, status.name)
    long = len(status.module) > LONGEST_NAME or len(status.name) > LONGEST_NAME
    if not status.known or status.danger is not None or (module, name) == NESTS or long:
        return None
    if name in RANGES:  # of which any call is judged that is given one
        return None
    bare = status.role != "function" and (status.own or names.arguments_ok(status, ()))
    return Harmless(
        Global(module, name, protocol),
        (*form, "named"),
        None if status.own or form in FORMS or form == GETATTR else (*form, "called"),
        names.arguments_rule(status),
        (*form, "instantiated") if bare else None,
    )
