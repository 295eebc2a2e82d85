"""Which names files carry, and the smallest allow list under which they load.

Nothing is loaded: sealed files are verified, and then, as plain files are, scanned.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safehold.allow import PRESETS, AllowList, smallest_list
from safehold.artifacts.codecs import CODECS
from safehold.artifacts.container import MAGIC, Sealed, is_sealed
from safehold.artifacts.files import Files
from safehold.artifacts.writing import names_of
from safehold.errors import ConfigError
from safehold.policy import Limits
from safehold.scan import FileReport, Verdict, scan_bytes, scan_path


@dataclass(frozen=True, slots=True)
class Named:
    """The names that a file carries, and what would be found in it under the list."""

    path: str
    is_sealed: bool
    names: tuple[str, ...]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The list, the names that cannot be on one with the reason, and what each file carries."""

    allow: tuple[str, ...]
    refused: Mapping[str, str]
    files: tuple[Named, ...]

    @property
    def suffices(self) -> bool:
        """Say whether every file would be taken under the list."""
        return not self.refused and not any(file.findings for file in self.files)


def suggest_allow(
    paths: Iterable[str], store: Files | None = None, limits: Limits | None = None
) -> Suggestion:
    """Propose the smallest allow list for files.

    Sealed ones are verified by `store`, plain ones are scanned within `limits`. A list only
    says that these files would be taken: whether they should be is another question.

    Raises:
        As Store.inspect for a sealed file; ConfigError for one without `store`. OSError for one
        that cannot be opened.
    """
    looks = [_Look(path, store, limits or Limits()) for path in paths]
    everything = AllowList.of(PRESETS)
    names = [look.names(everything) for look in looks]
    smallest = smallest_list(frozenset().union(*names))
    allow = AllowList.of(smallest.allow)
    files = tuple(
        Named(look.path, look.sealed is not None, tuple(sorted(found)), look.findings(allow))
        for look, found in zip(looks, names, strict=True)
    )
    return Suggestion(smallest.allow, smallest.refused, files)


class _Look:
    """One file that is looked at under different lists."""

    def __init__(self, path: str, store: Files | None, limits: Limits) -> None:
        self.path = path
        self.sealed: list[Sealed] | None = None
        self._limits = limits
        if not stat.S_ISREG(os.stat(path).st_mode):  # nobody may write to a FIFO
            return
        with open(path, "rb") as file:
            sealed = is_sealed(file.read(len(MAGIC)))
        if sealed and store is None:
            message = f"{path} is sealed; verifying it needs a policy and its keys"
            raise ConfigError(message)
        if sealed and store is not None:
            self.sealed = store.containers(path)

    def names(self, allow: AllowList) -> set[str]:
        """Return the names it carries."""
        found = {name for report in self._reports(allow) for name in names_of(report)}
        found.update(name for sealed in self.sealed or () for name in sealed.header.globals)
        return found

    def findings(self, allow: AllowList) -> tuple[str, ...]:
        """Return why `seal` would refuse it, or for a sealed file why nothing should load it."""
        reports = self._reports(allow)
        if self.sealed is not None and not any(sealed.header.raw for sealed in self.sealed):
            # What `dump` makes may hold what `seal` leaves to the eye, such as calls of one's own.
            reports = [report for report in reports if report.verdict is Verdict.MALICIOUS]
        return tuple(finding.message for report in reports for finding in report.findings)

    def _reports(self, allow: AllowList) -> list[FileReport]:
        if self.sealed is None:
            return list(scan_path(self.path, self._limits, allow=allow).files)
        return [
            scan_bytes(sealed.segments[0], self.path, self._limits, allow=allow)
            for sealed in self.sealed
            if CODECS[sealed.header.codec].carries_code
        ]
