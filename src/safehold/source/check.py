"""Looks at the source of one module: no IO, and no error for bad input."""

from __future__ import annotations

import ast
import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field

from safehold.findings import Confidence, Finding, Location, Rule, Severity
from safehold.policy import Policy
from safehold.source.entries import Libraries, find_entries
from safehold.source.facades import Access, Accesses, accesses_of, facade_for
from safehold.source.neighbours import Neighbours
from safehold.source.outcome import ArtifactUse, Diagnostic, Edit, FileAudit
from safehold.source.prefilter import Prefilter
from safehold.source.retarget import Group, changes, group_entries
from safehold.source.rewrite import Change, NotProvenError, apply, parse
from safehold.source.row import Use
from safehold.source.rules import RULES
from safehold.source.rules.moved import MOVED, check_moved
from safehold.source.rules.others import OTHERS, Other, check_others
from safehold.source.rules.reference import REFERENCE, check_references
from safehold.source.rules.unreadable import LARGEST, UNREADABLE
from safehold.source.scopes import Module, analyse
from safehold.source.sites import Context, Site, Sites
from safehold.source.text import Lines, Text, UnreadableError, decode

LIBRARIES = Libraries(RULES)
PREFILTER = Prefilter(name for row in RULES for name in row.names)


def audit_source(
    data: bytes,
    path: str,
    policy: Policy,
    *,
    here: str | None = None,
    neighbours: Neighbours | None = None,
) -> FileAudit:
    """Find unsafe calls in one module's source and plan the edits that mend them.

    `path` names the file in findings; `here` is its path relative to the policy's root, where
    that differs; `neighbours` finds constants of other modules. A source that cannot be read
    is a finding, never an error.
    """
    if not PREFILTER.hits(data):
        return FileAudit(path)
    with _collector_paused():
        return _audit(data, path, policy, path if here is None else here, neighbours)


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


def _audit(
    data: bytes, path: str, policy: Policy, here: str, neighbours: Neighbours | None
) -> FileAudit:
    try:
        if len(data) > LARGEST:
            raise UnreadableError(f"larger than {LARGEST // 2**20} MiB")
        text = decode(data)
        tree = parse(text.utf8)
        module = analyse(tree)
        accesses = Accesses(module, policy, here, neighbours)
        return _Check(text, module, path, accesses).run()
    except UnreadableError as error:
        return unreadable(path, str(error))
    except (RecursionError, MemoryError):
        return unreadable(path, "nested too deeply to be analysed")


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

    text: Text
    module: Module
    path: str
    accesses: Accesses
    findings: list[Finding] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    artifacts: list[ArtifactUse] = field(default_factory=list)
    planned: list[Change] = field(default_factory=list)
    lines: Lines = field(init=False)

    def run(self) -> FileAudit:
        self.lines = Lines(self.text.utf8)
        entries = find_entries(self.module, LIBRARIES)
        sites = Sites(self.module, entries, LIBRARIES)
        for group in group_entries(entries, sites):
            self._group(group, list(accesses_of(group, self.accesses)))
        for site in sites.all:
            if site.is_unsafe:
                self.findings.append(self._finding(site, self.accesses.of(site)))
        for item in check_references(self.module, entries, LIBRARIES, self.lines, self.text.utf8):
            self.diagnostics.append(item.diagnostic)
            if item.change is not None:
                self.planned.append(item.change)
            if item.diagnostic.is_open:
                self.findings.append(self._diagnosed(item.diagnostic, REFERENCE.rule))
        for other in check_others(self.module):
            self._other(other)
        for moved in check_moved(self.module):
            self.diagnostics.append(moved)
            self.findings.append(self._diagnosed(moved, MOVED.rule))
        after = self._applied()
        return FileAudit(
            self.path,
            tuple(sorted(self.findings, key=lambda item: item.location.line or 0)),
            tuple(self._edits(after)) if after is not None else (),
            tuple(sorted(set(self.diagnostics), key=lambda item: (item.line, item.message))),
            tuple(sorted(set(self.artifacts), key=lambda item: (item.line, item.pattern))),
            self.text.data if after is not None else None,
            after,
        )

    def _group(self, group: Group, accesses: list[Access]) -> None:
        self.artifacts.extend(item for access in accesses if (item := access.artifact()))
        if not group.active and not group.exported:
            return
        obstacle = group.obstacle()
        if obstacle is None:
            try:
                planned = list(
                    changes(
                        group,
                        lambda library: facade_for(library, group, accesses),
                        self.module,
                        self.lines,
                        self.text.utf8,
                    )
                )
            except NotProvenError as error:
                obstacle = str(error)
            else:
                self.planned.extend(planned)
                self.diagnostics.extend(_notes(accesses))
                self.diagnostics.extend(_peers(group))
                return
        self.diagnostics.extend(_left(group, obstacle))

    def _applied(self) -> bytes | None:
        """Return the edited source; what cannot be proven becomes a diagnostic."""
        if not self.planned:
            return None
        try:
            return apply(self.text, self.module.tree, self.planned)
        except NotProvenError as error:
            rule = REFERENCE.rule
            for change in self.planned:
                line = self.lines.line_at(change.spans[0].start)
                message = f"cannot be rewritten without risk: {error}"
                self.diagnostics.append(Diagnostic(line, rule.id, message, rule.remedy))
            return None

    def _edits(self, after: bytes) -> Iterator[Edit]:
        """Show each edited line once for each change; edits never add or remove lines."""
        edited = Lines(decode(after).utf8)
        before, new = self.lines, edited
        for change in sorted(self.planned, key=lambda item: item.spans[0].start):
            line = before.line_at(change.spans[0].start)
            yield Edit(line, change.rule, before.text(line).strip(), new.text(line).strip())

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
            _message(site, shown),
            Location(path=self.path, line=site.line, column=site.node.col_offset + 1),
            severity=Severity.MEDIUM if site.use is Use.WRITE else rule.severity,
            confidence=Confidence.HIGH if site.context is Context.CALL else Confidence.MEDIUM,
            detail={key: value for key, value in detail.items() if value is not None},
        )

    def _diagnosed(self, item: Diagnostic, rule: Rule) -> Finding:
        where = Location(path=self.path, line=item.line)
        return Finding.of(rule, item.message, where, confidence=Confidence.MEDIUM)

    def _other(self, other: Other) -> None:
        """Report a call that has no facade, with its file where the source shows it."""
        rule = OTHERS.rule
        line = other.call.lineno
        use = self.accesses.of_other(other)
        if use is not None:
            self.artifacts.append(use)
        self.diagnostics.append(Diagnostic(line, rule.id, other.message, other.remedy))
        self.findings.append(
            Finding.of(
                rule,
                other.message,
                Location(path=self.path, line=line, column=other.call.col_offset + 1),
                severity=Severity.MEDIUM if other.use is Use.WRITE else rule.severity,
                detail={"call": other.name, "path": None if use is None else use.pattern},
                remedy=other.remedy,
            )
        )


def _message(site: Site, shown: str | None) -> str:
    if not site.member:
        return f"the module {site.library.name} is handed on to code that is not followed"
    if site.context is Context.HANDED:
        return f"{site.name} is handed on to code that is not followed"
    if site.context is Context.BASE:
        return f"a subclass of {site.name}"
    if site.use is Use.WRITE:
        target = f" to {shown}" if shown else ""
        return f"{site.name} writes{target} what must be read back by running it"
    source = f" from {shown}" if shown else ""
    return f"{site.name} runs what it reads{source}"


def _notes(accesses: list[Access]) -> Iterator[Diagnostic]:
    for access in accesses:
        if access.is_model_outside and access.shown is not None and access.zone is not None:
            rule = access.site.row.rule
            message = (
                f"a model is written to {access.shown.pattern}, which lies in the external zone "
                f"{access.zone.name!r}; the call is signed, not turned into data"
            )
            remedy = "Name the directory in an internal zone of the policy."
            yield Diagnostic(access.site.line, rule.id, message, remedy, is_open=False)


def _peers(group: Group) -> Iterator[Diagnostic]:
    """Say of own picklers, as those between processes, that both ends have to move."""
    for site in group.sites:
        if site.context is Context.BASE and site.use is Use.WRITE:
            message = f"a subclass of {site.name} writes sealed bytes from now on"
            remedy = "See that every reader of these bytes is migrated too."
            yield Diagnostic(site.line, site.row.rule.id, message, remedy, is_open=False)


def _left(group: Group, obstacle: str) -> Iterator[Diagnostic]:
    rule = REFERENCE.rule
    for site in group.active:
        if not site.is_unsafe and isinstance(getattr(site.node, "ctx", None), ast.Load):
            continue  # part of a class that has its own diagnostic
        message = f"{site.name} is not migrated ({obstacle})"
        yield Diagnostic(site.line, rule.id, message, rule.remedy)
    if not group.active:
        entry = group.entries[0]
        message = f"{entry.dotted} is imported for other modules and not migrated ({obstacle})"
        yield Diagnostic(entry.node.lineno, rule.id, message, rule.remedy)
