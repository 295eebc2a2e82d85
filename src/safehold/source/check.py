"""Looks at the source of one module: no IO, and no error for bad input."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from safehold.findings import Confidence, Finding, Location, Severity
from safehold.policy import Policy
from safehold.source import messages
from safehold.source.contexts import Context
from safehold.source.doctests import audit_examples
from safehold.source.draft import Draft, ordered
from safehold.source.entries import Entry, Form, Libraries, find_entries
from safehold.source.facades import Access, Accesses, accesses_of, facade_for
from safehold.source.ignores import Ignores
from safehold.source.neighbours import Neighbours
from safehold.source.notebooks import SUFFIX, NotebookError, audit_notebook
from safehold.source.outcome import ArtifactUse, Diagnostic, FileAudit
from safehold.source.prefilter import Prefilter
from safehold.source.retarget import Group, changes, group_entries, offers
from safehold.source.rewrite import Change, NotProvenError, parse
from safehold.source.row import Item, SourceRule, Use
from safehold.source.rules import MIGRATED, RULES
from safehold.source.rules.reference import REFERENCE
from safehold.source.rules.unreadable import LARGEST, UNREADABLE
from safehold.source.scopes import Kind, analyse
from safehold.source.sites import Site, Sites
from safehold.source.text import Lines, UnreadableError, decode
from safehold.source.unit import Unit, is_test
from safehold.source.uses import use_changes

if TYPE_CHECKING:
    from safehold.source.offered import Offered

LIBRARIES = Libraries(RULES)
KNOWN = frozenset(row.rule.id for row in RULES)
PREFILTER = Prefilter(RULES)
MIGRATED_ALONE = Prefilter(MIGRATED)
"""For `safehold migrate` and the members of archives, which are looked at for loads alone."""


def audit_source(  # noqa: PLR0913  all but the source and its path are options by keyword
    data: bytes,
    path: str,
    policy: Policy,
    *,
    here: str | None = None,
    neighbours: Neighbours | None = None,
    prefilter: Prefilter = PREFILTER,
    offered: Offered | None = None,
    plans: bool = True,
) -> FileAudit:
    """Find unsafe calls in one module's source and plan the edits that mend them.

    `path` names the file in findings; `here` is its path relative to the policy's root, where
    that differs; `neighbours` finds constants of other modules, `offered` libraries that they hand
    on; `prefilter` holds the rules. Without `plans` there are no edits, which takes half of the
    memory. A source that cannot be read is a finding, never an error.
    """
    if is_test(path):
        prefilter = prefilter.in_tests
    if path.endswith(SUFFIX):
        return _audit_notebook(data, path, policy, here, neighbours, prefilter, plans=plans)
    here = path if here is None else here
    rows = prefilter.wanted(data)
    if offered is not None and offered.is_taker(here):
        rows = prefilter.with_libraries(rows)
    if not rows:
        return FileAudit(path)
    look = _Look(path, policy, here, neighbours, offered, plans)
    with _collector_paused():
        return _audit(data, look, rows)


def _audit_notebook(
    data: bytes,
    path: str,
    policy: Policy,
    here: str | None,
    neighbours: Neighbours | None,
    prefilter: Prefilter,
    *,
    plans: bool,
) -> FileAudit:
    """Look at the code cells of a notebook as at one module."""
    if not prefilter.wanted(data) and b"\\u" not in data:  # which can spell any letter
        return FileAudit(path)
    look = _Look(path, policy, path if here is None else here, neighbours, None, plans)

    def audit(source: bytes) -> FileAudit:
        rows = prefilter.wanted(source)
        if not rows:
            return FileAudit(path)
        with _collector_paused():
            return _audit(source, look, rows)

    def bad_cell(source: bytes) -> FileAudit:
        wanted = prefilter.wanted(source)
        return unreadable(path, "a cell that is no Python") if wanted else FileAudit(path)

    try:
        return audit_notebook(data, path, audit, bad_cell)
    except NotebookError as error:
        return unreadable(path, str(error))


_QUOTE = re.compile(r"[\"']")


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cycle collector from walking a growing syntax tree: half of the time goes there.

    Trees and tables hold no cycles, so they are freed as soon as the file is done.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Look:
    """What `audit_source` is asked about one module."""

    path: str
    policy: Policy
    here: str
    neighbours: Neighbours | None
    offered: Offered | None
    plans: bool


def _audit(data: bytes, look: _Look, rows: tuple[SourceRule, ...]) -> FileAudit:
    path = look.path
    try:
        # The tree is gone when the edited source is parsed: two are too much memory.
        return _draft(data, look, rows).proven()
    except UnreadableError as error:
        return unreadable(path, str(error))
    except (RecursionError, MemoryError):
        return unreadable(path, "nested too deeply to be analysed")


def _draft(data: bytes, look: _Look, rows: tuple[SourceRule, ...]) -> Draft:
    path = look.path
    if len(data) > LARGEST:
        raise UnreadableError(f"larger than {LARGEST // 2**20} MiB")
    text = decode(data)
    tree = parse(text.utf8)
    module = analyse(tree)
    if look.offered is not None and look.offered.is_taker(look.here):
        look.offered.name(module, look.here)
    accesses = Accesses(module, look.policy, look.here, look.neighbours)
    ignores = Ignores(text.utf8, tree)
    lines = Lines(text.utf8)
    unit = Unit(path, text, module, lines, look.policy, accesses, LIBRARIES, ignores, KNOWN)
    taken = look.offered.taken(look.here) if look.offered is not None else frozenset()
    return _Check(unit, rows, taken, plans=look.plans).run()


def unreadable(path: str, reason: str) -> FileAudit:
    """Return the result for a source file that cannot be judged."""
    head = reason.partition(":")[0].removeprefix("line ")
    line = int(head) if head.isdigit() else 1
    rule = UNREADABLE.rule
    message = f"not readable as Python 3: {reason}"
    finding = Finding.of(rule, message, Location(path=path, line=line))
    return FileAudit(path, (finding,), (), (Diagnostic(line, rule.id, message, rule.remedy),))


@dataclass(slots=True)
class _Check:
    """One module under examination; the lists fill up as its groups are looked at."""

    unit: Unit
    rows: tuple[SourceRule, ...]
    taken: frozenset[str] = frozenset()
    plans: bool = True
    findings: list[Finding] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    artifacts: list[ArtifactUse] = field(default_factory=list)
    planned: list[Change] = field(default_factory=list)

    def run(self) -> Draft:
        if any(row.library is not None for row in self.rows):
            self._libraries()
        for row in self.rows:
            if row.check is not None:
                for item in row.check(self.unit):
                    self._item(row, item)
        for examples in audit_examples(self.unit, self._of_examples):
            self.findings.extend(examples.findings)
            self.diagnostics.extend(examples.diagnostics)
            self.artifacts.extend(examples.artifacts)
            self._plan(*examples.changes)
        audit = FileAudit(
            self.unit.path,
            tuple(map(self._anchored, sorted(self.findings, key=_line_of))),
            diagnostics=ordered(self.diagnostics),
            artifacts=tuple(
                sorted(set(self.artifacts), key=lambda item: (item.line, item.pattern))
            ),
        )
        planned = self.planned if self.plans else ()
        return Draft.of(audit, self.unit.text, self.unit.module.tree, planned)

    def _anchored(self, finding: Finding) -> Finding:
        """Tie a finding to the text of its line, but for what can be a secret."""
        text = self.unit.lines.text(finding.location.line or 1)
        if finding.rule.id.startswith("SH3"):
            text = _QUOTE.split(text, maxsplit=1)[0]
        data = " ".join(text.split()).encode("utf-8", "surrogatepass")
        anchor = hashlib.sha256(data).hexdigest()[:32]
        return replace(finding, location=replace(finding.location, anchor=anchor))

    def _of_examples(self, source: bytes) -> FileAudit:
        """Look at the code of examples as at a module in the same place."""
        wanted = PREFILTER.wanted(source)
        rows = tuple(row for row in self.rows if row in wanted and row is not REFERENCE)
        if not rows:  # of a reference, the name can be the module's
            return FileAudit(self.unit.path)
        text = decode(source)
        try:
            module = analyse(parse(text.utf8))
        except UnreadableError:  # a doctest fails there, or expects the error
            return FileAudit(self.unit.path)
        unit = replace(self.unit, text=text, module=module, lines=Lines(text.utf8), refused=set())
        return _Check(unit, rows, plans=self.plans).run().proven()

    def _libraries(self) -> None:
        accesses = self.unit.accesses
        entries = find_entries(self.unit.module, LIBRARIES)
        sites = Sites(self.unit.module, entries, LIBRARIES)
        for group in group_entries(entries, sites, self.unit.module, self.taken):
            self._group(group, list(accesses_of(group, accesses)))
        for entry, name in sites.unused():
            if entry.scope.kind is Kind.CLASS and offers(entry, name, self.unit.module):
                self._attribute(entry, name)
        for site in sites.all:
            if site.is_unsafe and not self._is_ignored(site):
                self.findings.append(self._finding(site, accesses.of(site)))

    def _attribute(self, entry: Entry, name: str) -> None:
        """Report what an import makes an attribute of a class."""
        rule, line = entry.row.rule, entry.node.lineno
        if not self.unit.ignores.covers(rule.id, line):
            message = f"{entry.dotted} is made the attribute {name}, which is not followed"
            where = Location(path=self.unit.path, line=line, column=entry.node.col_offset + 1)
            self.findings.append(Finding.of(rule, message, where, confidence=Confidence.MEDIUM))

    def _group(self, group: Group, accesses: list[Access]) -> None:
        self.artifacts.extend(item for access in accesses if (item := access.artifact()))
        if group.by_use:
            sites = tuple(site for site in group.sites if not self._is_ignored(site))
            group = replace(group, sites=sites)
        if any(entry.form is Form.SETTLED for entry in group.entries):
            self.diagnostics.extend(messages.elsewhere(group))
            group = group.unsettled()
        if not group.active and not group.exported:
            return
        if self._is_left(group):
            self.unit.refused.update(entry.library.facade for entry in group.entries)
            return
        obstacle = group.obstacle()
        if obstacle is None:
            try:
                planned = list(self._changes(group, accesses))
            except NotProvenError as error:
                obstacle = str(error)
            else:
                self._plan(*planned)
                self.diagnostics.extend(messages.notes(accesses))
                self.diagnostics.extend(messages.peers(group))
                self.diagnostics.extend(messages.beyond(group))
                return
        self.unit.refused.update(entry.library.facade for entry in group.entries)
        kept = tuple(site for site in group.sites if not self._is_ignored(site))
        left = replace(group, sites=kept)
        if left.active or not group.active:
            self.diagnostics.extend(messages.left(left, obstacle))

    def _is_ignored(self, site: Site) -> bool:
        return self.unit.ignores.covers(site.row.rule.id, site.line)

    def _is_left(self, group: Group) -> bool:
        """Whether a comment at one of its imports says that they stay as they are."""
        covers = self.unit.ignores.covers
        asked = [covers(entry.row.rule.id, entry.node.lineno) for entry in group.entries]
        return any(asked)

    def _plan(self, *changes: Change) -> None:
        """Take changes; an import that two places need is made once."""
        for change in changes:
            if not any(change.spans == other.spans for other in self.planned):
                self.planned.append(change)

    def _changes(self, group: Group, accesses: list[Access]) -> Iterator[Change]:
        unit = self.unit
        if group.by_use:
            return use_changes(group, unit.module, unit.lines, unit.text.utf8)
        return changes(
            group,
            lambda library: facade_for(library, group, accesses),
            unit.module,
            unit.lines,
            unit.text.utf8,
        )

    def _finding(self, site: Site, access: Access | None) -> Finding:
        rule = site.row.rule
        shown = access.shown.pattern if access is not None and access.shown is not None else None
        detail = {"call": site.name, "use": site.use.value, "path": shown}
        if access is not None and access.input:
            detail["input"] = access.input
        if access is not None and access.zone is not None:
            detail["zone"] = access.zone.name
        return Finding.of(
            rule,
            messages.of_site(site, shown),
            Location(path=self.unit.path, line=site.line, column=site.node.col_offset + 1),
            severity=Severity.MEDIUM if site.use is Use.WRITE else rule.severity,
            confidence=Confidence.HIGH if site.context is Context.CALL else Confidence.MEDIUM,
            detail={key: value for key, value in detail.items() if value is not None},
        )

    def _item(self, row: SourceRule, item: Item) -> None:
        """Take what a rule says: a change, a finding, something to do by hand, a file."""
        line = item.node.lineno
        remedy = item.remedy or row.rule.remedy
        if item.artifact is not None:
            self.artifacts.append(item.artifact)
        if self.unit.ignores.covers(row.rule.id, line):
            return
        if item.change is not None:
            self._plan(item.change, *([] if item.needs is None else [item.needs]))
        if row.migrates and (item.change is None or not item.is_finding):
            self.diagnostics.append(
                Diagnostic(line, row.rule.id, item.message, remedy, is_open=item.is_open)
            )
        if item.is_finding:
            where = Location(path=self.unit.path, line=line, column=item.node.col_offset + 1)
            self.findings.append(
                Finding.of(
                    row.rule,
                    item.message,
                    where,
                    severity=item.severity,
                    confidence=item.confidence,
                    detail=item.detail,
                    remedy=remedy,
                )
            )


def _line_of(finding: Finding) -> int:
    return finding.location.line or 0
