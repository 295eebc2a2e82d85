"""Locks and declarations of dependencies: requirements of pip, uv, Poetry, PDM, pylock, Pipfile.

Nothing is resolved, fetched or run. Not read: setup.py, setup.cfg, conda's files.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SEPARATORS: Final = re.compile(r"[-_.]+")
_PIN: Final = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*===?\s*(?P<version>[^\s;\\#,*]+)"
)
_REQUIREMENT: Final = re.compile(r"\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;@#]|$)")
_OF_TOML: Final = frozenset({"uv.lock", "poetry.lock", "pdm.lock"})


@dataclass(frozen=True, slots=True)
class Pin:
    """A package in a lock."""

    name: str
    version: str
    line: int
    hashed: bool


@dataclass(frozen=True, slots=True)
class Declared:
    """A package that a service says it needs, as it says it."""

    text: str
    line: int


def canonical(name: str) -> str:
    """Return the name by which two spellings are the same package."""
    return _SEPARATORS.sub("-", name).lower()


def is_lock(name: str) -> bool:
    """Say whether a file of a name can hold locked packages."""
    return (
        name in _OF_TOML
        or name == "Pipfile.lock"
        or (name.startswith("pylock.") and name.endswith(".toml"))
        or (name.endswith(".txt") and ("requirements" in name or "constraints" in name))
    )


def parse_pins(text: str, name: str) -> list[Pin]:
    """Return what a lock has. Raises ValueError: it is broken."""
    if name == "Pipfile.lock":
        return list(_of_pipfile(text))
    if name.endswith(".txt"):
        return list(_of_requirements(text))
    return list(_of_toml(text))


def parse_declared(text: str, name: str) -> list[Declared]:
    """Return what pyproject.toml or requirements declare. Raises ValueError: it is broken."""
    if name.endswith(".toml"):
        project = tomllib.loads(text).get("project", {})
        wanted = project.get("dependencies", []) if isinstance(project, dict) else []
        lines = text.splitlines()
        return [
            Declared(item, next((n for n, line in enumerate(lines, 1) if item in line), 1))
            for item in wanted
            if isinstance(item, str)
        ]
    return [
        Declared(line.partition(" #")[0].partition(" --")[0].strip(), number)
        for number, line in _logical(text)
        if _REQUIREMENT.match(line) and not line.lstrip().startswith("#")
    ]


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file, those that go on put together."""
    whole, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\"):
            whole += line[:-1]
            continue
        yield first, whole + line
        whole, first = "", 0
    if whole:
        yield first, whole


def _of_requirements(text: str) -> Iterator[Pin]:
    for number, line in _logical(text):
        found = _PIN.match(line)
        if found is not None:
            yield Pin(canonical(found["name"]), found["version"], number, "--hash=" in line)


def _of_toml(text: str) -> Iterator[Pin]:
    whole = tomllib.loads(text)
    rows = whole.get("package", whole.get("packages", []))
    if not isinstance(rows, list):
        raise ValueError("its packages are no list")  # noqa: TRY004  as what tomllib raises
    lines = text.splitlines()
    spelled = {line.strip(): number for number, line in reversed(list(enumerate(lines, 1)))}
    loose = whole.get("metadata", {}).get("files", {})
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("version"), str):
            continue  # the project itself, or what has no version
        source = row.get("source")
        if isinstance(source, dict) and {"editable", "virtual", "directory"} & source.keys():
            continue
        name = str(row.get("name", ""))
        hashed = _has_hash(row) or _has_hash({"files": loose.get(name)})
        line = spelled.get(f'name = "{name}"', 1)
        yield Pin(canonical(name), row["version"], line, hashed)


def _has_hash(row: Mapping[str, Any]) -> bool:
    files = [row.get("sdist"), row.get("archive")]
    for key in ("wheels", "files"):
        several = row.get(key)
        files += several if isinstance(several, list) else []
    there = [item for item in files if isinstance(item, dict)]
    return bool(there) and all(item.get("hash") or item.get("hashes") for item in there)


def _of_pipfile(text: str) -> Iterator[Pin]:
    whole = json.loads(text)
    lines = text.splitlines()
    for section in ("default", "develop"):
        rows = whole.get(section, {}) if isinstance(whole, dict) else {}
        for name, row in rows.items() if isinstance(rows, dict) else ():
            version = row.get("version", "") if isinstance(row, dict) else ""
            if isinstance(version, str) and version.startswith("=="):
                line = next((n for n, text in enumerate(lines, 1) if f'"{name}":' in text), 1)
                yield Pin(canonical(name), version[2:], line, bool(row.get("hashes")))
