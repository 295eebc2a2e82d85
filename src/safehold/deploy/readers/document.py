"""TOML, YAML, JSON and INI files, and lists of requirements."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

from safehold.deploy.readers import container
from safehold.deploy.readers.command import of_command
from safehold.deploy.settings import Origin, Setting, flatten, settings_of
from safehold.errors import ConfigError, MissingExtra
from safehold.findings import Location

_KEY: Final = re.compile(r"(?m)^[ \t{,-]*[\"']?([\w.-]+)[\"']?[ \t]*[:=]")
_MOST_NODES: Final = 200_000
_DEPENDENCIES: Final = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?$")


def parse_document(text: str, path: str) -> list[Any]:
    """Return the documents of a file. Raises ConfigError, and MissingExtra for YAML."""
    suffix = PurePath(path).suffix.lower()
    try:
        if suffix == ".toml":
            from safehold.policy.lines import read_toml

            return [read_toml(text, Path(path))]
        if suffix in (".json", ".jsonc"):
            return [json.loads(text)]
        if suffix in (".yaml", ".yml"):
            return _yaml(text)
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are
        head = "" if re.search(r"(?m)^\s*\[", text) else "[settings]\n"
        parser.read_string(head + text)
        return [{section: dict(parser[section]) for section in parser.sections()}]
    except (ValueError, RecursionError, configparser.Error) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})") from error


def _yaml(text: str) -> list[Any]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingExtra("PyYAML", "yaml") from None

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Plain values alone; a tag of a template gives the text behind it."""

    Loader.add_multi_constructor("!", lambda _loader, tag, node: f"!{tag} {node.value}")
    try:
        for count, _ in enumerate(yaml.parse(text, Loader=Loader)):
            if count > _MOST_NODES:
                raise ConfigError("a YAML file has more than 200,000 parts")
        found = list(yaml.load_all(text, Loader=Loader))
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML ({type(error).__name__})") from error
    return found


def of_documents(
    documents: list[Any], path: str, text: str = "", *, committed: bool = True
) -> tuple[list[Setting], frozenset[str]]:
    """Return the settings of documents, and the names of containers that stand side by side."""
    found: list[Setting] = []
    services: frozenset[str] = frozenset()
    for data in documents:
        if not isinstance(data, Mapping):
            continue
        if isinstance(data.get("services"), Mapping) and not path.endswith(".toml"):
            found += container.of_compose(data, path)
            services |= container.services_of(data)
        elif "apiVersion" in data and "kind" in data:
            found += container.of_kubernetes(data, path)
        else:
            found += _plain(data, path, text, committed=committed)
    return found, services


def _plain(data: Mapping[str, Any], path: str, text: str, *, committed: bool) -> Iterator[Setting]:
    lines = _lines(text, path)
    name = PurePath(path).name
    if name == "pyproject.toml":
        tool = data.get("tool")
        yield from _project(data, path)
        data = {"tool": tool} if isinstance(tool, Mapping) else {}
        data = {"tool": {key: value for key, value in data.get("tool", {}).items()
                         if key not in _TOOLS}}  # fmt: skip
    yield from settings_of(flatten(data), Origin.DOCUMENT, path, lines, committed=committed)
    if PurePath(path).suffix.lower() in (".ini", ".conf", ".cfg", ".service"):
        for key, value in flatten(data):
            if key.rsplit(".", 1)[-1].lower() in ("command", "execstart") and value:
                yield from of_command(str(value), path, lines(key))
            elif key.rsplit(".", 1)[-1].lower() == "environment" and value:
                for pair in re.split(r"[,\s]+", str(value)):
                    variable, given, text = pair.strip("\"'").partition("=")
                    if given:
                        rows = [(variable, text)]
                        yield from settings_of(rows, Origin.DOCUMENT, path, committed=True)


# Tables of tools, not of a service.
_TOOLS: Final = frozenset(
    "ruff mypy pytest coverage black isort setuptools hatch poetry uv tox pylint pyright importlinter "
    "bandit codespell pdm cibuildwheel flit mutmut towncrier semantic_release commitizen nox "
    "safehold setuptools_scm".split()
)


def _project(data: Mapping[str, Any], path: str) -> Iterator[Setting]:
    """Yield dependencies that any version satisfies."""
    project = data.get("project")
    listed = project.get("dependencies") if isinstance(project, Mapping) else None
    for text in listed if isinstance(listed, list) else ():
        bare = str(text).split(";")[0].strip()
        if _DEPENDENCIES.match(bare) or bare.endswith("*"):
            yield Setting("project.dependencies", bare, Location(path), Origin.REQUIREMENT)
    tool = data.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, Mapping) else None
    names = poetry.get("dependencies") if isinstance(poetry, Mapping) else None
    for name, wanted in names.items() if isinstance(names, Mapping) else ():
        if wanted == "*":
            yield Setting("tool.poetry.dependencies", str(name), Location(path), Origin.REQUIREMENT)


def _lines(text: str, path: str) -> Any:
    if path.endswith(".toml"):
        from safehold.policy.lines import key_lines

        return key_lines(text).get

    places: dict[str, list[int]] = {}
    line, last = 1, 0
    for match in _KEY.finditer(text):
        line += text.count("\n", last, match.end())
        last = match.end()
        places.setdefault(match[1], []).append(line)

    def line_of(name: str) -> int | None:
        """Return the line that the last part of a name begins, if only one does."""
        found = places.get(re.sub(r"\[\d+\]$", "", name).rsplit(".", 1)[-1], ())
        return found[0] if len(found) == 1 else None

    return line_of


def of_requirements(text: str, path: str) -> Iterator[Setting]:
    """Yield what a list of requirements asks for; options of pip as well."""
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        wanted = re.sub(r"(^|\s)#.*$", "", line).strip()
        if wanted and not wanted.startswith(("-r", "-c", "--requirement", "--constraint", "-e")):
            number = text[: text.find(line.split("  ")[0])].count("\n") + 1
            yield Setting("requirement", wanted, Location(path, line=number), Origin.REQUIREMENT)


def of_procfile(text: str, path: str) -> Iterator[Setting]:
    """Yield the options of the programs that a Procfile starts."""
    for number, line in enumerate(text.splitlines(), 1):
        _, separator, command = line.partition(":")
        if separator and not line.lstrip().startswith("#"):
            yield from of_command(command, path, number)
