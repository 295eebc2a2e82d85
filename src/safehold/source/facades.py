"""Which facade a group of imports gets, and where its artifacts lie.

Every facade looks at the real path at run time. The choice made here only decides between the
general facade and the one for plain data, and which paths a report can name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from safehold.policy import OUTSIDE, Policy, Zone
from safehold.source.calls import Called
from safehold.source.contexts import Context
from safehold.source.entries import Form, last_name
from safehold.source.neighbours import Neighbours
from safehold.source.outcome import ArtifactUse
from safehold.source.places import Places, Shown
from safehold.source.retarget import Group, bound_names
from safehold.source.row import Argument, Library, Use
from safehold.source.scopes import Module
from safehold.source.sites import Site
from safehold.source.values import Values, names_model

# What a library's files are, where they are not pickles.
_KINDS = {"joblib": "joblib", "torch": "torch", "numpy": "npy"}


@dataclass(frozen=True, slots=True)
class Access:
    """A site that reads or writes, with what the source shows about it."""

    site: Site
    shown: Shown | None
    zone: Zone | None
    is_model: bool
    is_plain: bool
    input: str = ""  # of a read: file; content of a file; bytes from elsewhere; own bytes

    @property
    def is_model_outside(self) -> bool:
        """Say whether a model is written where the policy wants data alone."""
        is_write = self.site.use is Use.WRITE
        external = self.zone is not None and self.zone.trust == "external"
        return is_write and external and self.is_model

    def artifact(self) -> ArtifactUse | None:
        """Return the access for those who plan zones; None without a path or a sealed form."""
        files = self.site.library.files
        if self.shown is None or files == "plain":
            return None
        return ArtifactUse(
            pattern=self.shown.pattern,
            kind="read" if self.site.use is Use.READ else "write",
            codec=_KINDS.get(self.site.library.name, "pickle"),
            is_model=self.is_model,
            line=self.site.line,
            via=self.shown.via,
            is_sure=self.shown.sure,
            without_facade=self.site.name if files == "kept" else "",
        )


class Accesses:
    """Describes the accesses of one module."""

    def __init__(
        self, module: Module, policy: Policy, here: str, neighbours: Neighbours | None = None
    ) -> None:
        self._policy = policy
        self._places = Places(module, here, str(policy.root), neighbours)
        self._values = Values(module)

    def of(self, site: Site) -> Access | None:
        """Describe a call; None for anything that is not a read or a write."""
        if site.context is not Context.CALL or site.call is None:
            return None
        library = site.library
        member = library.same.get(site.member, site.member)
        if member in library.reads:
            argument = argument_of(site.call, library.reads[member])
            shown = self._shown(site, member, argument)
            is_model = self._values.reads_model(site.call) or _speaks_of_model(shown)
            read = _input_of(site, member, argument)
            return Access(site, shown, self._zone(shown), is_model, is_plain=False, input=read)
        if member in library.writes:
            argument = argument_of(site.call, library.writes[member])
            shown = self._shown(site, member, argument)
            value = argument_of(site.call, library.value)
            is_plain = value is not None and self._values.is_plain(value, site.scope)
            is_model = not is_plain and (
                (value is not None and self._values.is_model(value, site.scope))
                or library.name == "joblib"
                or _speaks_of_model(shown)
            )
            return Access(site, shown, self._zone(shown), is_model, is_plain)
        return None

    def of_call(self, called: Called, use: Use, file: Argument) -> ArtifactUse | None:
        """Describe a call of a library without a facade; None when it shows no file."""
        argument = called.argument(file.position, *file.names)
        shown = None if argument is None else self._places.of_file(argument, called.scope)
        if shown is None:
            return None
        return ArtifactUse(
            pattern=shown.pattern,
            kind="read" if use is Use.READ else "write",
            codec="pickle",
            is_model=False,
            line=called.node.lineno,
            via=shown.via,
            is_sure=shown.sure,
            without_facade=called.name,
        )

    def _shown(self, site: Site, member: str, argument: ast.expr | None) -> Shown | None:
        if member in site.library.memory:
            if site.use is Use.WRITE and site.call is not None:
                return self._places.of_written_bytes(site.call, site.scope)
            return None if argument is None else self._places.of_bytes(argument, site.scope)
        if argument is None:
            return None
        shown = self._places.of_file(argument, site.scope)
        if shown is not None and member == "Memory":
            return Shown(f"{shown.pattern}/**", shown.via, shown.sure)
        return shown

    def _zone(self, shown: Shown | None) -> Zone | None:
        if shown is None:
            return None
        if shown.pattern.startswith(("/", "../")):
            return OUTSIDE
        return self._policy.zone_for(shown.pattern)


def _input_of(site: Site, member: str, argument: ast.expr | None) -> str:
    """Say what a read is given, as far as the function around the call shows it."""
    if member not in site.library.memory:
        return "" if member == "Memory" else "file"
    called = {
        last_name(node.func)
        for value in _values_of(argument, site)
        for node in ast.walk(value)
        if isinstance(node, ast.Call)
    }
    if called & {"read_bytes", "read"}:
        return "content"
    return "own" if "dumps" in called else "bytes"


def _values_of(argument: ast.expr | None, site: Site) -> Iterator[ast.expr]:
    """Yield an argument and, when it is a name, what the name is bound to."""
    if argument is None:
        return
    yield argument
    if isinstance(argument, ast.Name):
        for _, binding in site.scope.lookup(argument.id):
            if binding.value is not None:
                yield binding.value


def _speaks_of_model(shown: Shown | None) -> bool:
    return shown is not None and names_model(shown.pattern)


def argument_of(call: ast.Call, argument: Argument) -> ast.expr | None:
    """Return an argument of a call by position or keyword."""
    if any(isinstance(item, ast.Starred) for item in call.args[: argument.position + 1]):
        return None
    if argument.position < len(call.args):
        return call.args[argument.position]
    return next((item.value for item in call.keywords if item.arg in argument.names), None)


def facade_for(library: Library, group: Group, accesses: list[Access]) -> str:
    """Choose the facade for a group of imports."""
    if library.data_facade is not None and _is_plain_outside(library, group, accesses):
        return library.data_facade
    return library.facade


def _is_plain_outside(library: Library, group: Group, accesses: list[Access]) -> bool:
    """Say whether the source shows that all is plain data outside the internal zones.

    The facade for data lacks whatever is about code, so one unknown call decides against it.
    """
    if group.exported or any(entry.form in (Form.STAR, Form.FIXED) for entry in group.entries):
        return False
    if not bound_names(group.entries) <= library.data_names:
        return False
    if any(site.member not in library.data_names for site in _touched(group)):
        return False
    if len(accesses) != sum(site.use in (Use.READ, Use.WRITE) for site in _touched(group)):
        return False
    written = {item.shown.pattern for item in accesses if item.shown and item.is_plain}
    return bool(written) and all(
        item.shown is not None
        and item.shown.sure
        and "*" not in item.shown.pattern  # one of the files may have a zone of its own
        and item.shown.via != "bytes"
        and item.zone is not None
        and item.zone.trust == "external"
        and not item.is_model
        and (item.is_plain or (item.site.use is Use.READ and item.shown.pattern in written))
        for item in accesses
    )


def _touched(group: Group) -> list[Site]:
    return [site for site in group.sites if site.context is not Context.ALIAS]


def accesses_of(group: Group, accesses: Accesses) -> Iterator[Access]:
    """Yield the accesses of a group in source order."""
    for site in group.sites:
        access = accesses.of(site)
        if access is not None:
            yield access
