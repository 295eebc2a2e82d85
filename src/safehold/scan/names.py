"""What is known of a name: whether an artifact may carry it, in which role, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from safehold import dangers
from safehold.allow import AllowList, Rule, any_arguments
from safehold.dangers import Danger
from safehold.scan.values import argument

# Longer names than this are looked up each time: they are remembered from file to file.
_REMEMBERED: Final = 256
_MOST_REMEMBERED: Final = 2**16


class Status(NamedTuple):
    """What is known about a name."""

    module: str
    name: str
    role: str | None
    own: bool
    danger: Danger | None

    @property
    def known(self) -> bool:
        """Whether an artifact may name it."""
        return self.role is not None or self.own


class Names:
    """Looks names up in the allow list and the dangers, once per name."""

    def __init__(
        self,
        allow: AllowList,
        own: frozenset[str] = frozenset(),
        extra: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        # Exact names in the allow list are the caller's own classes, with the same few roles.
        listed = frozenset(name.replace(":", ".") for name in allow.names if "." in name)
        self._allow = allow
        self._own = own | listed
        self._extra = extra or {}
        self._known: dict[tuple[str, str, bool], Status] = {}
        self._rules: dict[tuple[str, str], Rule] = {}
        self._more: Names | None = None
        # What quick.py remembers of names.
        self.quick: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the names are made of; a worker looks them up for itself."""
        return Names, (self._allow, self._own, self._extra)

    def made_of(self) -> list[Any]:
        """Return what decides of every name, as JSON can hold it."""
        extra = sorted([module, name, role] for (module, name), role in self._extra.items())
        return [list(self._allow.names), sorted(self._own), extra]

    def with_extra(self, extra: Mapping[tuple[str, str], str]) -> Names:
        """Return the same names and, with their roles, those of one container format."""
        if self._more is None:
            self._more = Names(self._allow, self._own, extra)
        return self._more

    def status(self, module: str, name: str, protocol: int) -> Status:
        """Return what is known of a name under a pickle protocol."""
        key = (module, name, protocol < 3)
        found = self._known.get(key)
        if found is None:
            found = self._look_up(module, name, protocol)
            if len(self._known) < _MOST_REMEMBERED and len(module) + len(name) < _REMEMBERED:
                self._known[key] = found
        return found

    def arguments_ok(self, status: Status, args: tuple[Any, ...]) -> bool:
        """Whether real dumps make such a call, with values of the machine as arguments."""
        rule = self.arguments_rule(status)
        return rule is None or rule(argument(args))

    def arguments_rule(self, status: Status) -> Rule | None:
        """Return what says that of the arguments; None if any are such."""
        key = (status.module, status.name)
        rule = self._rules.get(key)
        if rule is None:
            rule = self._allow.arguments_rule(*key)
            if len(self._rules) < _MOST_REMEMBERED and sum(map(len, key)) < _REMEMBERED:
                self._rules[key] = rule
        return None if rule is any_arguments else rule

    def keywords_ok(self, status: Status) -> bool:
        """Whether real dumps make instances with keywords."""
        return self._allow.keywords_ok(status.module, status.name)

    def _look_up(self, module: str, name: str, protocol: int) -> Status:
        danger = dangers.lookup(module, name)
        if protocol < 3:
            module, name = dangers.modern(module, name)
        dotted = f"{module}.{name}"
        own = danger is None and dotted in self._own
        role = None if own else self._allow.role(module, name)
        if role is None and danger is None:
            return Status(module, name, self._extra.get((module, name)), own, None)
        return Status(module, name, role, own, danger)
