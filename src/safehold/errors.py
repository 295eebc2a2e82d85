"""Every exception of safehold.

    SafeholdError
    ├── ConfigError                 policy, keys or paths are not usable; says what to change
    │   └── WeakKey                 a key an attacker could guess
    ├── MissingExtra                an optional dependency is absent; also a ModuleNotFoundError
    ├── AdapterError                the guard does not know this version of a library
    ├── TrailError                  an event could not be recorded; callers fail closed
    ├── ExportError                 events did not reach an exporter; the trail has them
    ├── LimitExceeded               input is larger or deeper than the policy's limits
    ├── EncodeError                 a value has no lossless form in the codec
    ├── DecodeError                 verified bytes are not what their codec says
    ├── TypeNotAllowed              an artifact names something its zone does not allow
    ├── QueryRefused                a name or statement of SQL would be another one
    ├── InputRefused                an input is not what the endpoint expects
    ├── MigrationError              a database migration was refused, failed, or never got its turn
    ├── Blocked                     the caller may not load code-carrying artifacts
    └── VerificationError           the bytes are not authentic for this use
        ├── NotSealed               no seal at all
        ├── Tampered                a seal that does not match the bytes
        ├── UnknownKey              sealed with a key that is not in the keyring, or revoked
        ├── WrongContext            authentic, but for another zone, name or codec
        ├── Rollback                authentic, but older than what was seen before
        └── Revoked                 authentic, but on the policy's list of revoked artifacts

Refusals also derive from what callers of the replaced libraries already catch:
``pickle.UnpicklingError`` when loading, ``pickle.PicklingError`` when dumping.
"""

from __future__ import annotations

# The C module alone: `pickle` would import re, struct and the Python fallback at start-up.
from _pickle import PicklingError, UnpicklingError
from typing import Any


class SafeholdError(Exception):
    """Base of every error that safehold raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between worker processes, which calls no __init__ with keywords.
        return _without_init, (type(self), self.args), self.__dict__


class ConfigError(SafeholdError):
    """Policy, key source or path is not usable as configured."""


class WeakKey(ConfigError):
    """A key is empty, short, repeated, low in entropy or publicly known."""


class MissingExtra(SafeholdError, ModuleNotFoundError):
    """An optional package is not installed.

    Attributes:
        extra: name of the extra to install, as in ``pip install 'safehold[EXTRA]'``.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'safehold[{extra}]'"
        )
        self.extra = extra


class AdapterError(SafeholdError, ImportError):
    """The guard cannot make a library safe that a program imports; the import fails."""


class TrailError(SafeholdError):
    """An event could not be written to the trail, so the operation must not go on."""


class ExportError(SafeholdError):
    """Events did not reach an exporter; the trail has them, and records this.

    Attributes:
        is_final: the other side takes anything but this, so that to send it again is in vain.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class LimitExceeded(SafeholdError, UnpicklingError):
    """Input is larger, deeper or more expensive than the limits of the policy."""


class EncodeError(SafeholdError, PicklingError, TypeError):
    """A value cannot be stored without loss by the codec; nothing was written."""


class DecodeError(SafeholdError, UnpicklingError, ValueError):
    """Verified bytes are not valid for their codec."""


class TypeNotAllowed(SafeholdError, UnpicklingError):
    """An artifact names a class or function that its zone does not allow.

    Attributes:
        name: the dotted name that was refused.
    """

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class QueryRefused(SafeholdError, ValueError):
    """A name or statement would not be what the program means by it; nothing was sent."""


class InputRefused(SafeholdError, ValueError):
    """An input is not what the endpoint expects; the message shows nothing of it.

    Attributes:
        rule: id of the rule that decided. fields: pairs of a place in the input and what is
            wrong there, both fit to be shown.
    """

    def __init__(
        self, message: str, *, rule: str = "", fields: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.fields = fields


class MigrationError(SafeholdError, RuntimeError):
    """A database migration was refused, failed, or another one held the lock.

    Attributes:
        findings: each Finding for which it was refused; empty where it failed.
    """

    def __init__(self, message: str, *, findings: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class Blocked(SafeholdError, UnpicklingError):
    """The calling code is not trusted to load code-carrying artifacts.

    Attributes:
        rule: id of the rule that decided. zone: zone of the artifact. caller: source file.
    """

    def __init__(self, message: str, *, rule: str, zone: str, caller: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.zone = zone
        self.caller = caller


class VerificationError(SafeholdError, UnpicklingError):
    """Bytes are not authentic for the use they were asked for; nothing was parsed."""


class NotSealed(VerificationError):
    """The file or bytes carry no seal."""


class Tampered(VerificationError):
    """Seal and bytes do not match: changed, cut, extended, or sealed with another secret."""


class UnknownKey(VerificationError):
    """The seal names a key that the keyring does not list, or that is revoked."""


class WrongContext(VerificationError):
    """Authentic bytes that were sealed for another zone, name, position or codec."""


class Rollback(VerificationError):
    """Authentic bytes that are older than a generation already seen."""


class Revoked(VerificationError):
    """Authentic bytes of an artifact that the policy's `[revoked]` table lists."""


def _without_init(kind: type[SafeholdError], args: tuple[object, ...]) -> SafeholdError:
    return kind.__new__(kind, *args)
