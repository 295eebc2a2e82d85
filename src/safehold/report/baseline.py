"""The baseline: findings that are known, in a file beside the code, and do not count again.

    {"safehold": "baseline", "version": 1, "findings": [{
      "rule": "SH102", "path": "models/a.pkl", "member": null, "fingerprint": "...",
      "sha256": "...", "message": "...", "reason": "...", "expires": "2027-01-31"}]}

A finding is known when rule, path, member, fingerprint and the digest of the whole artifact are
those of an entry, so a changed file is new. Sources change daily: there ``sha256`` is null and
the fingerprint decides, which holds rule, the text of the line without its spaces at both ends and
the how-manieth of its kind in the file.
Paths are URI references relative to the baseline's directory.

Never known are findings of a file that could not be read or was not read to its end by a limit on
its size: without a digest any other file of that name would be known too. A finding that makes a
file malicious needs a written reason. Another version of the format is refused; who changes the
format counts ``VERSION`` up and keeps a reader of the older one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Final

import msgspec

from safehold.errors import ConfigError
from safehold.report.names import is_below, uri_of
from safehold.report.result import LINES, Entry, Item, Suppression, is_unread, items_of
from safehold.report.shown import escaped
from safehold.scan import FileReport, Verdict
from safehold.scan.report import makes_malicious

VERSION: Final = 1
_KIND: Final = "baseline"
_LARGEST: Final = 64 * 2**20


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file."""

    rule: Annotated[str, msgspec.Meta(pattern=r"^SH[0-9]{3}$")]
    path: Annotated[str, msgspec.Meta(min_length=1)]
    member: str | None
    fingerprint: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")] | None
    message: str
    reason: str = ""
    expires: date | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What a finding must have to be this one."""
        return self.rule, self.path, self.member or "", self.fingerprint, self.sha256 or ""

    @property
    def text(self) -> str:
        """How the entry is named to people."""
        member = "" if self.member is None else f"!{self.member}"
        return f"{self.rule} {self.path}{member}: {self.message}"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    safehold: str
    version: int
    findings: list[Known]


@dataclass
class Baseline:
    """The entries of one file, and which of them were found in this run."""

    path: str
    entries: Mapping[tuple[str, ...], Known] = field(default_factory=dict)
    today: date = date.max
    _found: set[tuple[str, ...]] = field(default_factory=set)
    _reported: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, path: str, today: date) -> Baseline:
        """Read a baseline. Raises ConfigError: it is broken, or of another version."""
        entries: dict[tuple[str, ...], Known] = {}
        for number, known in enumerate(_read(path).findings, 1):
            if known.key in entries:
                raise _broken(path, f"finding {number} is there twice")
            if makes_malicious(known.rule) and not known.reason.strip():
                message = f"finding {number} makes a file malicious; give it a reason"
                raise _broken(path, message)
            entries[known.key] = known
        return cls(path, entries, today)

    @property
    def directory(self) -> str:
        """What the paths in the file are relative to."""
        return os.path.dirname(os.path.abspath(self.path))

    def mark(self, report: FileReport) -> Entry:
        """Return the report with the findings that are known marked as such."""
        uri = uri_of(report.path, self.directory)
        self._reported.add(uri)
        return Entry(report, tuple(self._marked(report, uri, item) for item in items_of(report)))

    def stale(self, roots: Sequence[str], *, whole: bool = True) -> Iterator[str]:
        """Yield what was not found below the roots, or has expired; nothing of what was left out.

        ``whole`` says that everything below the roots was scanned, also what has no report.
        """
        for key, known in self.entries.items():
            if _is_over(known, self.today):
                yield f"expired on {known.expires}: {known.text}"
            elif key not in self._found and self._looked(known, roots, whole=whole):
                yield f"no longer found: {known.text}"

    def renewed(
        self,
        entries: Iterable[Entry],
        roots: Sequence[str],
        reason: str = "",
        expires: date | None = None,
        *,
        whole: bool = True,
    ) -> Baseline:
        """Return the baseline of these entries, which this one has marked.

        What they do not tell of, since it was not scanned, stays. So do reasons and dates, but
        for those that are over. What may not be known is left out.
        """
        kept = {
            key: known
            for key, known in self.entries.items()
            if key not in self._found and not self._looked(known, roots, whole=whole)
        }
        for entry in entries:
            uri = uri_of(entry.report.path, self.directory)
            for item in entry.items:
                made = known_as(entry.report, uri, item)
                if made is None:
                    continue
                known = self.entries.get(made.key)
                if known is None or _is_over(known, self.today):
                    known = msgspec.structs.replace(made, reason=reason, expires=expires)
                if known.reason.strip() or not makes_malicious(known.rule):
                    kept[known.key] = known
        return Baseline(self.path, kept, self.today)

    def document(self) -> str:
        """Return the file's text, sorted, so that a change shows as what it is in a diff."""
        rows = sorted(self.entries.values(), key=lambda known: (known.path, known.key))
        whole = {"safehold": _KIND, "version": VERSION, "findings": msgspec.to_builtins(rows)}
        return json.dumps(whole, indent=2, ensure_ascii=True) + "\n"

    def _looked(self, known: Known, roots: Sequence[str], *, whole: bool) -> bool:
        """Say whether this run would have found it, had it still been there."""
        if known.path in self._reported:
            return True
        places = (uri_of(root, self.directory) for root in roots)
        return whole and any(is_below(known.path, place) for place in places)

    def _marked(self, report: FileReport, uri: str, item: Item) -> Item:
        made = known_as(report, uri, item)
        known = None if made is None else self.entries.get(made.key)
        if known is None:
            return item
        self._found.add(known.key)
        if _is_over(known, self.today):
            return item
        return Item(item.finding, item.fingerprint, Suppression(known.reason, known.expires))


def known_as(report: FileReport, uri: str, item: Item) -> Known | None:
    """Return the entry by which a finding would be known; None if it may not be."""
    if is_unread(item) or report.verdict is Verdict.ERROR:
        return None
    if not report.digest and report.format not in LINES:
        return None
    finding = item.finding
    member = finding.location.member
    return Known(
        finding.rule.id,
        uri,
        None if member is None else escaped(member),
        item.fingerprint,
        report.digest or None,
        escaped(finding.message),
    )


def _is_over(known: Known, today: date) -> bool:
    return known.expires is not None and known.expires < today


def _read(path: str) -> _File:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from error
    if len(data) > _LARGEST:
        raise _broken(path, f"it is larger than {_LARGEST} bytes")
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"it is not JSON: {error}") from error
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise _broken(path, f"it is of version {version}, and this safehold reads {VERSION}")
    try:
        whole = msgspec.convert(value, _File)
    except msgspec.ValidationError as error:
        raise _broken(path, str(error)) from error
    if whole.safehold != _KIND:
        raise _broken(path, "it does not begin as a baseline")
    return whole


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice: a reviewer could read one and the other would count."""
    value = dict(pairs)
    if len(value) != len(pairs):
        message = "a key is there twice"
        raise ValueError(message)
    return value


def _broken(path: str, what: str) -> ConfigError:
    message = f"the baseline {path} cannot be used: {what}; write it anew with --write-baseline"
    return ConfigError(message)
