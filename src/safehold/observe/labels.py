"""Label values of metrics: a closed vocabulary, so that no event makes a new time series.

What an event says is partly chosen by whoever is refused: a file's name never becomes a label,
and any other word that is not known becomes ``other``.
"""

from __future__ import annotations

import builtins
import re
from typing import Final

from safehold import errors
from safehold.events import Event
from safehold.findings import Severity, severity_of
from safehold.policy import CODE_CODECS, DATA_CODECS

OTHER: Final = "other"
NONE: Final = "none"

OPERATIONS: Final = frozenset(
    """
    call check checkpoint command commit contain db.downgrade db.restamp db.upgrade dump export
    finalize import input inspect interpreter limit list load mark migrate open policy.load
    prove prune quarantine read rename renew report request rollback rotate scan seal sign
    statement trail.open tripwire unpickle unseal verify web.loosen
    """.split()
)
OUTCOMES: Final = frozenset({"allowed", "refused", "failed", "done"})
DIALECTS: Final = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})
FORMATS: Final = frozenset({*CODE_CODECS, *DATA_CODECS, *DIALECTS})
SEVERITIES: Final = {severity.label: severity for severity in Severity}
_MONITORED = "mode monitor"
REASONS: Final = frozenset(
    {
        _MONITORED,
        "resource limits",
        *(name for name, kind in vars(errors).items() if isinstance(kind, type)),
        *(
            name
            for name, kind in vars(builtins).items()
            if isinstance(kind, type) and issubclass(kind, Exception)
        ),
    }
)
_RULE = re.compile(r"SH[1-6]\d\d")

# How bad a refusal is that no rule's finding stands for: somebody changed or forged something,
# tried what is not allowed, or the file is simply another one.
_SEVERITY_OF_REASON: Final = {
    "Tampered": Severity.CRITICAL,
    "Revoked": Severity.CRITICAL,
    "TypeNotAllowed": Severity.CRITICAL,
    "Blocked": Severity.CRITICAL,
    "UnknownKey": Severity.HIGH,
    "NotSealed": Severity.HIGH,
    "WrongContext": Severity.HIGH,
    "Rollback": Severity.HIGH,
    "QueryRefused": Severity.HIGH,
    "DecodeError": Severity.HIGH,
    "TrailError": Severity.HIGH,
    _MONITORED: Severity.HIGH,
}


def operation(event: Event) -> tuple[str, str, str, str]:
    """Return op, format, outcome and reason of an event."""
    return (
        _known(event.action, OPERATIONS),
        _known(event.codec, FORMATS),
        _known(event.outcome, OUTCOMES),
        _known(event.reason, REASONS),
    )


def is_violation(event: Event) -> bool:
    """Say whether an event breaks the policy, also where the policy only monitors."""
    return event.outcome == "refused" or bool(event.rule)


def rule(event: Event) -> str:
    """Return the rule of a violation: one of 600."""
    if not event.rule:
        return NONE
    return event.rule if _RULE.fullmatch(event.rule) else OTHER


def severity(event: Event) -> Severity:
    """Return how bad a violation is: what the event says, else its rule, else its reason."""
    said = event.detail.get("severity")
    if isinstance(said, str) and said in SEVERITIES:
        return SEVERITIES[said]
    by_rule = severity_of(event.rule) if event.rule else None
    if by_rule is not None:
        return by_rule
    return _SEVERITY_OF_REASON.get(event.reason, Severity.MEDIUM)


class Most:
    """Gives the words that are said often a label of their own, a fixed number of them at most.

    A word has to be said `least` times first, so that what is made up once takes no place; and only
    so many are counted until then, as long as nothing is forgotten of those that have a label.
    """

    def __init__(self, most: int = 100, least: int = 10) -> None:
        """Take how many labels there may be, and how often a word is said before it gets one."""
        self._most, self._least = most, least
        self._labels: set[str] = set()
        self._said: dict[str, int] = {}

    def label(self, word: str) -> str:
        """Return the word, or ``other``."""
        if word in self._labels:
            return word
        if not word or len(self._labels) >= self._most:
            return OTHER
        said = self._said.pop(word, 0) + 1
        if said >= self._least:
            self._labels.add(word)
            return word
        self._said[word] = said
        if len(self._said) > 10 * self._most:
            del self._said[next(iter(self._said))]  # said the longest ago
        return OTHER


def _known(value: str, known: frozenset[str]) -> str:
    if not value:
        return NONE
    return value if value in known else OTHER
