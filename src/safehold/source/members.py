"""Sources in archives, which the scanner hands over: what they load, as for those of a tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from safehold.findings import Finding
from safehold.policy import Policy
from safehold.source.check import MIGRATED_ALONE, audit_source
from safehold.source.tree import SKIPPED


@dataclass(frozen=True, slots=True)
class Members:
    """The look at members, by a policy. Members of directories that a tree skips are left out."""

    policy: Policy

    def is_worth(self, name: str, data: bytes, /) -> bool:
        """Whether it has to be parsed."""
        return SKIPPED.isdisjoint(name.split("/")[:-1]) and bool(MIGRATED_ALONE.wanted(data))

    def findings(self, name: str, data: bytes, /) -> Iterable[Finding]:
        """Return what is found, with lines as locations."""
        return audit_source(data, name, self.policy, prefilter=MIGRATED_ALONE, plans=False).findings
