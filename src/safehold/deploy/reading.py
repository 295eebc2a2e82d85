"""What is given to a check, whatever it is, as Settings; a directory is searched for its files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from safehold.deploy.names import named
from safehold.deploy.readers import document
from safehold.deploy.readers.command import is_command, of_command
from safehold.deploy.readers.container import of_dockerfile
from safehold.deploy.readers.environment import of_env_file, of_mapping
from safehold.deploy.readers.objects import of_object
from safehold.deploy.readers.source import is_elsewhere, of_source
from safehold.deploy.settings import Origin, Setting, Settings, flatten, settings_of
from safehold.errors import ConfigError, MissingExtra
from safehold.findings import Location
from safehold.policy import Policy
from safehold.policy.lines import read_regular
from safehold.policy.toml import parse_policy

_DOCUMENTS: Final = frozenset(
    {".toml", ".json", ".jsonc", ".yaml", ".yml", ".ini", ".cfg", ".conf", ".service"}
)
_FOLDERS: Final = frozenset(
    "config configs conf settings deploy deployment docker k8s kubernetes ops infra src app "
    "etc env envs environments .streamlit requirements helm manifests production prod".split()
)
_NAMES: Final = frozenset(
    "settings config configuration conf production prod base common app main wsgi asgi server api "
    "celeryconfig celery constants env manage run hypercorn gunicorn uvicorn logging_config".split()
)
_NOT_SETTINGS: Final = frozenset(
    "package.json package-lock.json tsconfig.json mkdocs.yml mkdocs.yaml poetry.lock uv.lock pipfile.lock "
    ".pre-commit-config.yaml setup.cfg tox.ini pytest.ini .gitlab-ci.yml action.yml composer.json "
    "renovate.json .eslintrc.json openapi.json openapi.yaml swagger.json unsealed.toml mypy.ini".split()
)
_APART: Final = frozenset(
    "node_modules venv env3 tests test testing docs doc examples example data datasets models "
    "dist build __pycache__ site-packages migrations static media htmlcov site target vendor "
    "notebooks fixtures templates locale benchmarks bench".split()
)
_MOST_FILES: Final = 300
_MOST_FOLDERS: Final = 400
_MOST_DEPTH: Final = 4
_MOST_BYTES: Final = 512 * 2**10


@dataclass
class Read:
    """What was read so far."""

    settings: list[Setting] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    services: frozenset[str] = frozenset()
    failed: list[tuple[Location, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def whole(self, names: Mapping[str, str], key_days: int) -> Settings:
        """Return it as Settings, with the names that policies give to topics."""
        own = {**names}
        for policy in self.policies:
            own |= dict(policy.deploy.names)
            key_days = policy.deploy.key_days
        return Settings(
            tuple(_renamed(setting, own) for setting in self.settings) if own
            else tuple(self.settings),
            tuple(self.policies), self.services, key_days=key_days, failed=tuple(self.failed),
        )  # fmt: skip


def _renamed(setting: Setting, names: Mapping[str, str]) -> Setting:
    topic = named(setting.name, names)
    if topic is None:
        return setting
    return replace(setting, topic="" if topic == "ignored" else topic)


def read(thing: Any, into: Read) -> None:  # noqa: PLR0912  one branch for a kind of thing
    """Add what a thing holds. Raises ConfigError for one that is not known."""
    if isinstance(thing, Settings):
        into.settings += thing.all
        into.policies += thing.policies
        into.services |= thing.services
    elif isinstance(thing, Policy):
        into.policies.append(thing)
    elif isinstance(getattr(thing, "policy", None), Policy):
        into.policies.append(thing.policy)
    elif isinstance(thing, Mapping):
        _read_mapping(thing, into)
    elif isinstance(thing, os.PathLike):
        read_path(Path(thing), into)
    elif isinstance(thing, str):
        if is_command(thing) and not os.path.exists(thing):
            into.settings += of_command(thing)
        else:
            read_path(Path(thing), into)
    elif isinstance(thing, list | tuple):
        if thing and all(isinstance(item, str) for item in thing):
            into.settings += of_command(thing)
        else:
            for item in thing:
                read(item, into)
    else:
        into.settings += of_object(thing)


def _read_mapping(thing: Mapping[str, Any], into: Read) -> None:
    if all(isinstance(value, str) for value in thing.values()):
        into.settings += of_mapping(thing)
        return
    if isinstance(thing.get("services"), Mapping):
        found, services = document.of_documents([thing], "")
        into.settings += found
        into.services |= services
        return
    into.settings += settings_of(flatten(thing), Origin.OBJECT)


def read_path(path: Path, into: Read) -> None:
    """Add what a file holds, or those of a directory that hold settings.

    Raises ConfigError for a path that is not there, or a file that is none of settings.
    """
    if path.is_dir():
        for file in find(path):
            try:
                read_file(file, into, root=path)
            except (ConfigError, MissingExtra, OSError) as error:
                into.failed.append((Location(str(file)), str(error)))
        return
    if not os.path.lexists(path):
        raise ConfigError(f"{str(path)!r} is not there; give a file, a directory or a mapping")
    read_file(path, into)


def read_file(path: Path, into: Read, root: Path | None = None) -> None:
    """Add what one file holds. Raises ConfigError and OSError."""
    try:
        if os.stat(path).st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has more than 512 KiB, which is no file of settings")
        text = read_regular(path).decode("utf-8-sig", "replace")
    except ValueError as error:
        raise ConfigError(f"{str(path)!a} cannot be read") from error
    into.files.append(str(path))
    _read_text(text, str(path), into, committed=_is_tracked(path, root or path.parent))


def read_text(text: str, name: str) -> Settings:
    """Return the settings of a text as if it stood in a file of that name. Raises ConfigError."""
    into = Read()
    _read_text(text, name, into, committed=False)
    return into.whole({}, 365)


def _read_text(text: str, path: str, into: Read, *, committed: bool) -> None:
    name = PurePath(path).name
    low, suffix = name.lower(), PurePath(path).suffix.lower()
    if low == "safehold.toml":
        into.policies.append(parse_policy(text, Path(path).absolute()))
        _of_policy(into.policies[-1], path, into)
    elif is_dockerfile(low):
        into.settings += of_dockerfile(text, path)
    elif low == "procfile" or low.startswith("procfile."):
        into.settings += document.of_procfile(text, path)
    elif is_env_file(low):
        into.settings += of_env_file(text, path, committed=committed)
    elif suffix == ".py":
        into.settings += of_source(text, path)
    elif suffix == ".txt" and ("require" in low or "requirements" in path):
        into.settings += document.of_requirements(text, path)
    elif suffix in _DOCUMENTS:
        documents = document.parse_document(text, path)
        if low == "pyproject.toml" and "[tool.safehold" in text:
            into.policies.append(parse_policy(text, Path(path).absolute()))
        found, services = document.of_documents(documents, path, text)
        into.settings += found
        into.services |= services
    elif suffix in (".sh", ""):
        for number, line in enumerate(text.splitlines(), 1):
            if is_command(line) and not line.lstrip().startswith("#"):
                into.settings += of_command(line.strip().removeprefix("exec "), path, number)
    else:
        raise ConfigError(f"{path} is none of the files of settings that are known")


def _of_policy(policy: Policy, path: str, into: Read) -> None:
    """Add what the policy says about headers and requests, under the names that it has there."""
    rows = {
        "web.hsts seconds": policy.web.hsts,
        "web.hsts include subdomains": policy.web.subdomains,
        "requests.hosts": list(policy.requests.hosts),
        "limits.artifact": policy.limits.artifact,
    }
    for setting in settings_of(rows.items(), Origin.POLICY, path):
        topic = "allowed-hosts" if setting.name == "requests.hosts" else setting.topic
        into.settings.append(replace(setting, topic=topic))


def is_dockerfile(low: str) -> bool:
    """Say whether a file of this name makes an image."""
    return low in ("dockerfile", "containerfile") or low.startswith(("dockerfile.", "containerfile.")) or (
        low.endswith((".dockerfile", ".containerfile"))
    )  # fmt: skip


def is_env_file(low: str) -> bool:
    """Say whether a file of this name holds variables of an environment."""
    return low in (".env", "env", ".flaskenv") or low.startswith(".env.") or low.endswith(".env")


def find(root: Path) -> Iterator[Path]:
    """Yield the files of a directory that hold settings for production, in order."""
    count = 0
    for folder, depth in _folders(root):
        for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
            if count >= _MOST_FILES:
                return
            path = folder / name
            if _holds_settings(path, depth) and not is_elsewhere(str(path.relative_to(root))):
                count += 1
                yield path


def _folders(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield a directory and those below it that may belong to a service, the outer ones first."""
    waiting, seen = [(root, 0)], 0
    while waiting and seen < _MOST_FOLDERS:
        folder, depth = waiting.pop(0)
        seen += 1
        yield folder, depth
        if depth < _MOST_DEPTH:
            waiting += [
                (Path(entry.path), depth + 1)
                for entry in sorted(os.scandir(folder), key=lambda item: item.name)
                if entry.is_dir(follow_symlinks=False) and _is_of_service(entry.name.lower())
            ]


def _is_of_service(low: str) -> bool:
    return low not in _APART and (not low.startswith(".") or low in _FOLDERS)


def _holds_settings(path: Path, depth: int) -> bool:
    low, suffix = path.name.lower(), path.suffix.lower()
    if low in _NOT_SETTINGS or low.endswith((".lock", ".lock.json")):
        return False
    if is_env_file(low) or is_dockerfile(low) or low == "procfile":
        return not low.endswith((".example", ".sample", ".template", ".dist"))
    if suffix == ".py":
        words = low[:-3].replace(".", "_").split("_")
        return not _NAMES.isdisjoint(words) or path.parent.name == "settings"
    if suffix == ".txt":
        return low.startswith("requirements") or path.parent.name == "requirements"
    is_told = (
        depth == 0
        or path.parent.name.lower() in _FOLDERS
        or low.startswith(
            ("compose.", "docker-compose", "safehold.", "pyproject.", "supervisord", "deployment.")
        )
    )
    is_told = is_told or not _NAMES.isdisjoint(low.replace("-", "_").replace(".", "_").split("_"))
    return (
        suffix in _DOCUMENTS
        and is_told
        and not (low.startswith(".") and depth == 0 and suffix != ".toml")
    )


def _is_tracked(path: Path, root: Path) -> bool:
    """Say whether git keeps a file: its name stands in the index of the checkout.

    The index is read and git is not called, which would follow what the checkout configures.
    """
    for top in (root, *root.absolute().parents):
        index = top / ".git" / "index"
        if index.is_file():
            try:
                name = str(path.absolute().relative_to(top.absolute())).encode()
                with open(index, "rb") as file:
                    data = file.read(64 * 2**20)
            except (OSError, ValueError):
                return False
            return data[:4] == b"DIRC" and (b"\0" + name + b"\0") in _names_apart(data, name)
    return False


def _names_apart(data: bytes, name: bytes) -> bytes:
    """Return an index with a NUL before each entry's name that is this one."""
    at = data.find(name + b"\0")
    while at > 0:
        flags = int.from_bytes(data[at - 2 : at], "big")
        if flags & 0xFFF == min(len(name), 0xFFF):
            return b"\0" + name + b"\0"
        at = data.find(name + b"\0", at + 1)
    return b""


def read_all(things: Iterable[Any], into: Read | None = None) -> Read:
    """Return what several things hold together."""
    into = Read() if into is None else into
    for thing in things:
        read(thing, into)
    return into


Source = Mapping[str, Any] | str | os.PathLike[str] | Sequence[Any]
