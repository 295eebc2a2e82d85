"""What is said of the uses of a library, and of what is left of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safehold.source.contexts import Context
from safehold.source.entries import Form
from safehold.source.facades import Access
from safehold.source.outcome import Diagnostic
from safehold.source.retarget import Group
from safehold.source.row import Use
from safehold.source.rules.reference import REFERENCE
from safehold.source.sites import Site


def of_site(site: Site, shown: str | None) -> str:
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


def notes(accesses: list[Access]) -> Iterator[Diagnostic]:
    for access in accesses:
        if access.is_model_outside and access.shown is not None and access.zone is not None:
            rule = access.site.row.rule
            message = (
                f"a model is written to {access.shown.pattern}, which lies in the external zone "
                f"{access.zone.name!r}; the call is signed, not turned into data"
            )
            remedy = "Name the directory in an internal zone of the policy."
            yield Diagnostic(access.site.line, rule.id, message, remedy, is_open=False)


def peers(group: Group) -> Iterator[Diagnostic]:
    """Say of own picklers, as those between processes, that both ends have to move."""
    for site in group.sites:
        if site.context is Context.BASE and site.use is Use.WRITE:
            message = f"a subclass of {site.name} writes sealed bytes from now on"
            remedy = "See that every reader of these bytes is migrated too."
            yield Diagnostic(site.line, site.row.rule.id, message, remedy, is_open=False)


def beyond(group: Group) -> Iterator[Diagnostic]:
    """Name the uses that a rewrite of single uses has left."""
    for site in group.active if group.by_use else ():
        if site.use is Use.BEYOND:
            rule = REFERENCE.rule
            message = f"{site.name} is not migrated ({site.library.facade} has none)"
            yield Diagnostic(site.line, rule.id, message, rule.remedy)


def elsewhere(group: Group) -> Iterator[Diagnostic]:
    """Say of what another module hands on that it is rewritten there."""
    for site in group.active:
        lines = [entry.node.lineno for entry in site.entries if entry.form is Form.SETTLED]
        if lines and site.is_unsafe:
            message = f"{site.name} is rewritten in the module that line {lines[0]} imports it from"
            remedy = "Migrate both modules together."
            yield Diagnostic(site.line, site.row.rule.id, message, remedy, is_open=False)


def left(group: Group, obstacle: str) -> Iterator[Diagnostic]:
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
