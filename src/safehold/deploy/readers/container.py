"""Dockerfiles, and services of compose files and of Kubernetes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from safehold.deploy.readers.command import of_command
from safehold.deploy.readers.environment import parse_env
from safehold.deploy.settings import Origin, Setting, flatten, settings_of
from safehold.findings import Location

_INSTRUCTION: Final = re.compile(r"^\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_DEFAULTED: Final = re.compile(r"\$\{(\w+):?-([^}]+)\}")
_INSTALL: Final = re.compile(r"\bpip3?\s+install\s+([^&|;]*)")
_WITH_VALUE: Final = frozenset(
    "-r --requirement -c --constraint -e --editable -i --index-url -t --target --prefix --root "
    "--find-links -f --platform --cache-dir --timeout --retries".split()
)
_MEMORY: Final = ("mem_limit", "deploy.resources.limits.memory")


def of_dockerfile(text: str, path: str) -> Iterator[Setting]:
    """Yield what an image is made with; of its stages the user of the last one counts."""
    user: Setting | None = None
    stages: set[str] = set()
    for line, name, rest in _instructions(text):
        where = Location(path, line=line)
        if name == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            user = None
            if words and words[0] not in stages:
                yield Setting("FROM", words[0], where, Origin.REQUIREMENT)
            if len(words) > 2:
                stages.add(words[2])
        elif name == "USER":
            user = Setting("USER", rest.strip(), where, Origin.CONTAINER, topic="run-as")
        elif name in ("ENV", "ARG"):
            for key, value in _variables(rest):
                for setting in settings_of([(key, value)], Origin.CONTAINER, path):
                    yield replace(setting, where=where, committed=bool(value))
        elif name in ("CMD", "ENTRYPOINT"):
            yield from of_command(_words(rest), path, line, Origin.CONTAINER)
        elif name == "RUN":
            yield from _installed(rest, where)
    if user is None:
        user = Setting(
            "USER", "root", Location(path), Origin.CONTAINER, default=True, topic="run-as"
        )
    yield user


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    joined, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not joined and not line.strip()):
            continue
        start = start if joined else number
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        found = _INSTRUCTION.match(joined)
        if found is not None:
            yield start, found[1].upper(), found[2]
        joined = ""


def _variables(rest: str) -> Iterator[tuple[str, str]]:
    if "=" not in rest.split(None, 1)[0]:
        name, _, value = rest.partition(" ")
        yield name, value.strip()
        return
    for word in re.findall(r"""[\w.-]+=(?:"(?:[^"\\]|\\.)*"|'[^']*'|\S*)""", rest):
        yield from parse_env(word)


def _words(rest: str) -> str | list[str]:
    if rest.startswith("["):
        try:
            return [str(word) for word in json.loads(rest)]
        except ValueError:
            return rest
    return rest


def _installed(rest: str, where: Location) -> Iterator[Setting]:
    for found in _INSTALL.finditer(rest):
        words = iter(found[1].split())
        for word in words:
            if word in _WITH_VALUE:
                next(words, None)
            elif not word.startswith(("-", ".", "/", "$", ">")) or word.startswith("--extra-index"):
                text = word.strip("\"'")
                if text not in ("pip", "setuptools", "wheel"):
                    yield Setting("pip install", text, where, Origin.REQUIREMENT)


def of_compose(data: Mapping[str, Any], path: str) -> Iterator[Setting]:
    """Yield the settings of each service."""
    services = data.get("services")
    for name, service in services.items() if isinstance(services, Mapping) else ():
        if not isinstance(service, Mapping):
            continue
        kept = {key: value for key, value in service.items() if key not in _APART}
        if isinstance(kept.get("ports"), list):
            kept["ports"] = [_port(item) for item in kept["ports"]]
        flat = dict(flatten(kept))
        for setting in settings_of(flat.items(), Origin.CONTAINER, path):
            yield replace(setting, name=f"services.{name}.{setting.name}")
        for key, value in _environment(service.get("environment")):
            yield from _of_variable(f"services.{name}.environment.{key}", value, path)
        for key in ("command", "entrypoint"):
            if isinstance(service.get(key), str | list):
                yield from of_command(service[key], path, None, Origin.CONTAINER)
        if not any(flat.get(key) for key in _MEMORY):
            yield Setting(
                f"services.{name}.mem_limit", None, Location(path), Origin.CONTAINER, default=True,
                topic="limit",
            )  # fmt: skip


_APART: Final = frozenset({"environment", "command", "entrypoint", "healthcheck", "labels"})


def _port(item: Any) -> str:
    """Return a port in the short form, whatever form it has."""
    if not isinstance(item, Mapping):
        return str(item)
    parts = [item.get(key) for key in ("host_ip", "published", "target")]
    return ":".join(str(part) for part in parts if part is not None)


def services_of(data: Mapping[str, Any]) -> frozenset[str]:
    """Return the names by which the containers of a compose file reach each other."""
    services = data.get("services")
    return frozenset(map(str, services)) if isinstance(services, Mapping) else frozenset()


def _environment(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list):
        for item in value:
            name, separator, text = str(item).partition("=")
            if separator:
                yield name, text


def _of_variable(name: str, value: Any, path: str) -> Iterator[Setting]:
    given = _DEFAULTED.fullmatch(str(value).strip()) if isinstance(value, str) else None
    if given is not None:
        for setting in settings_of([(name, given[2])], Origin.CONTAINER, path):
            yield replace(setting, default=True)
        return
    if value is None:
        return  # taken from the environment of whoever starts it
    for setting in settings_of([(name, value)], Origin.CONTAINER, path):
        yield replace(setting, committed=not setting.is_reference)


def of_kubernetes(data: Mapping[str, Any], path: str) -> Iterator[Setting]:
    """Yield the settings of what runs: variables as such, all else by its place."""
    for name, value in flatten(data):
        if re.search(r"\.env\[\d+\]\.(name|value)$", name):
            continue
        yield from settings_of([(name, value)], Origin.CONTAINER, path)
    for entry in _containers(data):
        for variable in entry.get("env") or ():
            if isinstance(variable, Mapping) and "value" in variable:
                yield from _of_variable(str(variable.get("name")), variable["value"], path)
        words = [*(entry.get("command") or ()), *(entry.get("args") or ())]
        if words:
            yield from of_command([str(word) for word in words], path, None, Origin.CONTAINER)
        limits = ((entry.get("resources") or {}).get("limits")) or {}
        if "memory" not in limits:
            name = f"{entry.get('name')}.resources.limits.memory"
            yield Setting(name, None, Location(path), Origin.CONTAINER, default=True, topic="limit")


def _containers(data: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if depth > 12:
        return
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key in ("containers", "initContainers") and isinstance(value, list):
                yield from (item for item in value if isinstance(item, Mapping))
            else:
                yield from _containers(value, depth + 1)
    elif isinstance(data, list):
        for item in data:
            yield from _containers(item, depth + 1)
