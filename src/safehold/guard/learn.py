"""The smallest policy under which a monitored run would have been let through.

What would have been refused is in the trail. Files that were unpickled or pickled to outside of an
internal zone need one, with the names that they carried; callers that loaded need to be trusted.
What is dangerous is never proposed, and neither is a name in bytes that came from no file: those
have to be sealed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from safehold.allow import smallest_list
from safehold.policy import Policy, Zone


@dataclass
class Learned:
    """What a policy lacked: zones by directory, callers, files to seal, and what stays refused."""

    zones: dict[str, set[str]] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    to_seal: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


def learn(rows: Iterable[Mapping[str, Any]], policy: Policy) -> Learned:
    """Gather what the events of a trail say; rows as `safehold.observe.tail.Tail` gives them."""
    learned = Learned()
    for row in rows:
        event = row.get("e")
        if isinstance(event, dict) and event.get("reason") == "mode monitor":
            _add(learned, event, policy)
    return learned


def _add(learned: Learned, event: Mapping[str, Any], policy: Policy) -> None:
    rule, artifact = str(event.get("rule", "")), str(event.get("artifact", ""))
    detail = event.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    name = str(detail.get("global", ""))
    if rule == "SH172":
        learned.to_seal.add(os.path.join(policy.root, artifact))
    elif rule == "SH117":
        caller = str(event.get("caller", "")).rpartition(":")[0] or str(event.get("caller", ""))
        relative = _relative(caller, policy)
        (learned.trusted if relative else learned.refused).add(relative or f"{caller} loads")
    elif rule in ("SH171", "SH175") and artifact:
        relative = _relative(artifact, policy)
        if relative is None:
            learned.refused.add(f"{artifact} is outside the policy's root {policy.root}")
            return
        names = learned.zones.setdefault(os.path.dirname(relative) or ".", set())
        if rule == "SH171":
            names.add(name)
            learned.to_seal.add(os.path.join(policy.root, relative))
    else:
        loader = detail.get("module") or detail.get("loader", "pickle")
        learned.refused.add(f"{loader}: {name or detail.get('message', rule)}")


def _relative(path: str, policy: Policy) -> str | None:
    if not os.path.isabs(path):
        return path
    relative = os.path.relpath(path, policy.root)
    return None if relative.startswith("..") else relative


def widened(policy: Policy, learned: Learned) -> tuple[Policy, list[str]]:
    """Return the policy with what was learned, and what cannot be allowed."""
    from dataclasses import replace

    refused = sorted(learned.refused)
    zones = list(policy.zones)
    taken = {zone.name for zone in zones}
    for directory, names in sorted(learned.zones.items()):
        smallest = smallest_list(names)
        refused += [f"{name}: {why}" for name, why in sorted(smallest.refused.items())]
        name = _unused(directory, taken)
        pattern = "*" if directory == "." else f"{directory}/**"
        zones.append(
            Zone(
                name=name,
                paths=(pattern,),
                trust="internal",
                codecs=("pickle", "joblib"),
                allow=smallest.allow,
            )
        )
    trusted = policy.trusted
    if trusted is not None:
        trusted = tuple(sorted({*trusted, *learned.trusted}))
    return replace(policy, zones=tuple(zones), trusted=trusted, mode="enforce"), refused


def _unused(directory: str, taken: set[str]) -> str:
    stem = directory.strip("./").replace("/", "-") or "root"
    name = next(one for one in (stem, *(f"{stem}-{n}" for n in range(2, 10_000)))
                if one not in taken)  # fmt: skip
    taken.add(name)
    return name
