"""The look at the locks below a path: holes, hashes, declarations, the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from safehold.dependencies.known import Known, check_installed, vulnerabilities
from safehold.dependencies.locks import (
    Declared,
    Pin,
    canonical,
    is_lock,
    parse_declared,
    parse_pins,
)
from safehold.dependencies.rules import NO_HASH, NOT_LOCKED, OTHER_INSTALLED, VULNERABLE
from safehold.findings import Confidence, Finding, Location
from safehold.scan import FileReport, Verdict
from safehold.scan.one import unreadable
from safehold.scan.walk import find_files

FORMAT: Final = "lock"
_LARGEST: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Installed:
    """A package of an environment."""

    version: str
    licence: str


def check_dependencies(
    path: str,
    *,
    database: str | None = None,
    environment: str | None = None,
    exclude: Sequence[str] = (),
) -> Iterator[FileReport]:
    """Yield a report for each lock below a path.

    ``database`` is a file in OSV's JSON; without it pip-audit asks its service. ``environment`` is
    the directory of installed packages to compare with.

    Raises:
        ConfigError: the database or the environment cannot be used.
        MissingExtra: pip-audit is not installed.
    """
    check_installed()
    there = installed(environment) if environment else {}
    for found in find_files(path, exclude, hub_names=False):
        name = os.path.basename(found.path)
        if found.problem:
            yield unreadable(found.path, found.problem)
        elif found.named or is_lock(name):
            yield _report(found.path, name, database, there)


def installed(folder: str) -> Mapping[str, Installed]:
    """Return what a directory of packages has. Raises ConfigError: there is nothing in it."""
    from importlib.metadata import distributions

    from safehold.errors import ConfigError

    found: dict[str, Installed] = {}
    for one in distributions(path=[folder]):
        name = one.metadata["Name"]
        if name:
            found[canonical(name)] = Installed(one.version, licence_of(one.metadata))
    if not found:
        raise ConfigError(f"{folder} holds no installed packages; name a site-packages directory")
    return found


def licence_of(metadata: object) -> str:
    """Return what metadata say of the licence: the expression, the field, or classifiers."""
    get = metadata.get_all  # type: ignore[attr-defined]  # a message; typeshed has a protocol
    for key in ("License-Expression", "License"):
        said = [text for text in get(key) or () if text and "\n" not in text and len(text) < 100]
        if said and said[0] != "UNKNOWN":
            return str(said[0])
    classifiers = [text for text in get("Classifier") or () if text.startswith("License ::")]
    return " AND ".join(sorted(text.rpartition(" :: ")[2] for text in classifiers))


def _report(
    path: str, name: str, database: str | None, there: Mapping[str, Installed]
) -> FileReport:
    try:
        text = _text(path)
        pins = parse_pins(text, name)
    except (OSError, ValueError) as error:
        return unreadable(path, str(error))
    findings: list[Finding] = []
    problems: list[str] = []
    for known in vulnerabilities(pins, database):
        if isinstance(known, Known):
            findings.append(_vulnerable(path, known))
        else:
            pin, why = known
            problems.append(f"{pin.name} {pin.version}: {why}")
    if problems:
        return unreadable(path, f"not audited: {'; '.join(problems[:5])}")
    findings += _without_hash(path, pins)
    findings += _drifted(path, name, pins)
    findings += _installed(path, pins, there)
    packages = tuple(
        (pin.name, pin.version, there[pin.name].licence if pin.name in there else "")
        for pin in pins
    )
    return FileReport(path, FORMAT, Verdict.of(findings), tuple(findings), packages=packages)


def _text(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError("it is too large for a lock")
    return data.decode("utf-8")


def _vulnerable(path: str, known: Known) -> Finding:
    pin = known.pin
    mended = f"; mended in {', '.join(known.mended)}" if known.mended else "; no version is mended"
    said = f": {known.description[:200]}" if known.description else ""
    detail = {"package": pin.name, "version": pin.version, "id": known.id}
    return Finding.of(
        VULNERABLE,
        f"{pin.name} {pin.version} has {known.id}{said}{mended}",
        Location(path=path, line=pin.line),
        detail={**detail, "aliases": list(known.aliases), "mended": list(known.mended)},
    )


def _without_hash(path: str, pins: Sequence[Pin]) -> Iterator[Finding]:
    """Yield one finding for a file, since it was written with hashes or without."""
    bare = [pin for pin in pins if not pin.hashed]
    if bare:
        some = ", ".join(pin.name for pin in bare[:5])
        message = f"{len(bare)} of {len(pins)} packages have no hash: {some}"
        detail = {"packages": [pin.name for pin in bare]}
        yield Finding.of(NO_HASH, message, Location(path=path, line=bare[0].line), detail=detail)


def _drifted(path: str, name: str, pins: Sequence[Pin]) -> Iterator[Finding]:
    """Compare a lock with what stands beside it: requirements.in, or pyproject.toml."""
    folder = os.path.dirname(path)
    if name.endswith(".txt"):
        beside = [name[: -len(".txt")] + ".in"]
    else:
        beside = [] if name == "Pipfile.lock" else ["pyproject.toml"]
    locked = {pin.name: pin for pin in pins}
    for source in beside:
        place = os.path.join(folder, source)
        if not os.path.isfile(place):
            continue
        try:
            declared = parse_declared(_text(place), source)
        except (OSError, ValueError) as error:
            message = f"{source} cannot be read: {error}"
            yield Finding.of(NOT_LOCKED, message, Location(path=path), confidence=Confidence.LOW)
            continue
        for one in declared:
            problem = _problem(one, locked)
            if problem:
                detail = {"declared": one.text, "in": source}
                where = Location(path=path, line=1)
                yield Finding.of(NOT_LOCKED, f"{source}: {problem}", where, detail=detail)


def _problem(declared: Declared, locked: Mapping[str, Pin]) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(declared.text)
    except InvalidRequirement:
        return ""
    pin = locked.get(canonical(wanted.name))
    if pin is None:
        # A lock for one platform leaves out what is for others.
        is_meant = wanted.marker is None or wanted.marker.evaluate()
        return f"{wanted.name} is declared and not in the lock" if is_meant else ""
    if wanted.url is None and not wanted.specifier.contains(pin.version, prereleases=True):
        return f"{declared.text} is declared, and the lock has {pin.version}"
    return ""


def _installed(path: str, pins: Sequence[Pin], there: Mapping[str, Installed]) -> Iterator[Finding]:
    versions: dict[str, set[str]] = {}
    for pin in pins:
        versions.setdefault(pin.name, set()).add(pin.version)
    for pin in pins:
        one = there.get(pin.name)
        if one is not None and one.version not in versions.pop(pin.name, {one.version}):
            message = f"{pin.name} is locked at {pin.version}, and {one.version} is installed"
            detail = {"package": pin.name, "locked": pin.version, "installed": one.version}
            where = Location(path=path, line=pin.line)
            yield Finding.of(OTHER_INSTALLED, message, where, detail=detail)
