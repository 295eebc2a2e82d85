"""The smallest allow list for names: presets where they cover them, exact names for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from safehold.allow._list import AllowList
from safehold.allow._presets import PRESETS, preset, with_needed
from safehold.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Smallest:
    """A list without an entry that could be left out, and why a name is not permitted by it."""

    allow: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict)


def smallest_list(names: Iterable[str]) -> Smallest:
    """Return the list that permits dotted names and as few others as possible.

    Presets come first, since they know with which arguments a name is called. What is dangerous
    is never listed, and neither is ``"*"``.
    """
    always = AllowList.of()
    wanted = {name for name in names if not always.permits_dotted(name)}
    covered = {
        one: frozenset(filter(AllowList.of([one]).permits_dotted, wanted)) for one in PRESETS
    }
    rest = wanted.difference(*covered.values())
    own, refused = [], {}
    for name in sorted(rest):
        try:
            if "." not in name:  # neither a preset's name nor "*" is one that a file carries
                message = f"{name!r} is not an exact dotted name"
                raise ConfigError(message)
            AllowList.of([name])
        except ConfigError as error:
            refused[name] = str(error)
        else:
            own.append(name)
    return Smallest((*_presets(covered, wanted - rest), *own), refused)


def _presets(covered: Mapping[str, frozenset[str]], wanted: set[str]) -> tuple[str, ...]:
    """Choose the presets that cover all names and permit least; of equals, the fewest."""
    useful = [one for one, names in covered.items() if names]
    choices = [
        chosen
        for count in range(len(useful) + 1)
        for chosen in combinations(useful, count)
        if wanted <= frozenset().union(*(covered[one] for one in chosen))
    ]
    return min(choices, key=lambda chosen: (_permitted(chosen), len(chosen)))


def _permitted(chosen: tuple[str, ...]) -> int:
    """Return how many names presets permit, together with those that they bring."""
    presets = [preset(one) for one in with_needed(frozenset(chosen))]
    return len(frozenset().union(*(one.classes | one.functions for one in presets)))
