"""What is planned for one module, and the proof that the edits do that and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from safehold.source.outcome import Diagnostic, Edit, FileAudit
from safehold.source.rewrite import Change, NotProvenError, Span, digest, edited, prove
from safehold.source.rules.reference import REFERENCE
from safehold.source.text import Lines, Text, decode


@dataclass(frozen=True, slots=True)
class Draft:
    """The result for one module without its edits, and these. It holds no tree.

    ``wanted`` is the digest of the tree that the edited source has to have.
    """

    audit: FileAudit
    text: Text
    spans: tuple[tuple[str, tuple[Span, ...]], ...] = ()  # by rule
    after: bytes | None = None
    wanted: bytes = b""

    @classmethod
    def of(cls, audit: FileAudit, text: Text, tree: ast.Module, planned: Iterable[Change]) -> Draft:
        """Alter a tree to what it should become, and the text."""
        planned = tuple(planned)
        if not planned:
            return cls(audit, text)
        spans = tuple((change.rule, change.spans) for change in planned)
        try:
            after = edited(text, [span for _, each in spans for span in each])
        except NotProvenError as error:
            return cls(audit, text, spans).refused(str(error))
        for change in planned:
            change.transform()
        return cls(audit, text, spans, after, digest(tree))

    def proven(self) -> FileAudit:
        """Return the result with the edits; what cannot be proven becomes a diagnostic."""
        if self.after is None:
            return self.audit
        try:
            prove(self.after, self.wanted)
        except NotProvenError as error:
            return self.refused(str(error)).audit
        edits = tuple(self._edits(self.after))
        return replace(self.audit, edits=edits, before=self.text.data, after=self.after)

    def refused(self, why: str) -> Draft:
        """Leave the source as it is, and say so at each place that was to change."""
        rule, lines = REFERENCE.rule, Lines(self.text.utf8)
        message = f"cannot be rewritten without risk: {why}"
        missed = [
            Diagnostic(lines.line_at(spans[0].start), rule.id, message, rule.remedy)
            for _, spans in self.spans
        ]
        told = ordered([*self.audit.diagnostics, *missed])
        return Draft(replace(self.audit, diagnostics=told), self.text)

    def _edits(self, after: bytes) -> Iterator[Edit]:
        """Show each edited line once for each change; edits never add or remove lines."""
        before, new = Lines(self.text.utf8), Lines(decode(after).utf8)
        for rule, spans in sorted(self.spans, key=lambda item: item[1][0].start):
            line = before.line_at(spans[0].start)
            yield Edit(line, rule, before.text(line).strip(), new.text(line).strip())


def ordered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics by their lines, each once."""
    return tuple(sorted(set(diagnostics), key=lambda item: (item.line, item.message)))
