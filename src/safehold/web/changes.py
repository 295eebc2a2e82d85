"""Changes of the headers for single routes: tighter for free, weaker for a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from safehold.errors import ConfigError
from safehold.policy.web import KEYS, Web, frozen, problem
from safehold.web.headers import weaker

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__safehold_web__"
_OF_ALL = ("allow_unsafe", "docs", "report")  # of a site, not of a route


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """What one route sends in place of the policy's; known by identity."""

    where: str
    given: Mapping[str, Any]
    nonce: bool = True
    allow_unsafe: str = ""

    def over(self, base: Web) -> Web:
        """Return the settings of the route under a policy."""
        given = dict(self.given)
        for key in ("csp", "report_only"):
            if key in given:
                given[key] = tuple({**dict(getattr(base, key)), **dict(given[key])}.items())
        return replace(base, **given)


def sends(*, nonce: bool = True, allow_unsafe: str = "", **given: Any) -> Callable[[_F], _F]:
    """Decorate a route with what its answers send in place of the ``[web]`` table's values.

    The keys are those of the table. With `nonce` false its pages have none, so that no script runs
    but those whose hashes are given, and caches may keep the page.

    Raises:
        ConfigError: no such key or value, or weaker than the default without `allow_unsafe`.
    """
    for key, value in given.items():
        if key not in KEYS or key in _OF_ALL:
            known = ", ".join(name for name in KEYS if name not in _OF_ALL)
            message = f"a route cannot send {key!r}; it can: {known}"
            raise ConfigError(message)
        if wrong := problem(key, value):
            message = f"{key} {wrong}"
            raise ConfigError(message)
    plain = {key: frozen(value) for key, value in given.items()}

    def mark(route: _F) -> _F:
        where = f"{getattr(route, '__module__', '?')}.{getattr(route, '__qualname__', route)}"
        change = Change(where, plain, nonce, allow_unsafe)
        if not allow_unsafe:
            refuse_weaker(change.over(Web()), Web(), where)
        try:
            setattr(route, _MARK, change)
        except AttributeError as error:
            message = f"{where} takes no mark; put @web.sends below the decorator of the route"
            raise ConfigError(message) from error
        return route

    return mark


def refuse_weaker(new: Web, base: Web, where: str) -> None:
    """Raise ConfigError if `new` allows what `base` does not."""
    found = [f"{row.name} ({what})" for row, what in weaker(new, base)]
    if found:
        message = (
            f"{where} would be weaker in {', '.join(found)}; "
            f"give the reason: allow_unsafe = '...', or leave it"
        )
        raise ConfigError(message)


def change_of(route: Any) -> Change | None:
    """Return the change that a route was decorated with."""
    found = getattr(route, _MARK, None)
    return found if isinstance(found, Change) else None


def change_of_view(view: Any) -> Change | None:
    """Return the change of a view of Flask or Django, which may stand for a class."""
    return change_of(view) or change_of(getattr(view, "view_class", None))
