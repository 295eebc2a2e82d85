"""Known vulnerabilities, asked for through pip-audit: from a file, or from its own service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from safehold.dependencies.locks import Pin, canonical
from safehold.errors import ConfigError, MissingExtra

_LARGEST: Final = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Known:
    """A vulnerability of a package, and the versions without it."""

    pin: Pin
    id: str
    aliases: tuple[str, ...]
    description: str
    mended: tuple[str, ...]


def check_installed() -> None:
    """Raise MissingExtra if pip-audit is not installed."""
    try:
        import pip_audit  # noqa: F401
    except ImportError as error:
        raise MissingExtra("pip-audit", "deps") from error


def vulnerabilities(pins: Iterable[Pin], database: str | None) -> Iterator[Known | tuple[Pin, str]]:
    """Yield what is known of pins, and (pin, reason) for those that could not be looked up.

    Without a database pip-audit asks its service, over the network.

    Raises:
        ConfigError: the database cannot be used.
        MissingExtra: pip-audit is not installed.
    """
    check_installed()
    # pip-audit has no public names; these are those of its own command.
    from packaging.version import InvalidVersion, Version
    from pip_audit._audit import Auditor
    from pip_audit._service import PyPIService, ResolvedDependency, ServiceError

    service = PyPIService() if database is None else _offline(read_database(database))
    for pin in pins:
        try:
            wanted = ResolvedDependency(name=pin.name, version=Version(pin.version))
            # Its auditor puts the same hole under several names together.
            for dependency, found in Auditor(service).audit(_One(wanted)):
                if dependency.is_skipped():
                    yield pin, "the service does not know it"
                for one in found:
                    mended = tuple(str(item) for item in one.fix_versions)
                    aliases = tuple(sorted(one.aliases))
                    yield Known(pin, one.id, aliases, one.description, mended)
        except InvalidVersion:
            yield pin, f"{pin.version!r} is no version"
        except (ServiceError, OSError) as error:
            yield pin, f"could not be looked up: {type(error).__name__}"


class _One:
    """A source of pip-audit that holds one package."""

    def __init__(self, dependency: Any) -> None:
        self._dependency = dependency

    def collect(self) -> Iterator[Any]:
        yield self._dependency


def _offline(rows: Mapping[str, list[dict[str, Any]]]) -> Any:
    """Return a service of pip-audit that reads records of OSV."""
    from pip_audit._service import VulnerabilityService
    from pip_audit._service.interface import VulnerabilityResult

    class Offline(VulnerabilityService):  # type: ignore[misc]  # untyped without the extra
        def query(self, spec: Any) -> tuple[Any, list[Any]]:
            found = []
            for record in rows.get(spec.canonical_name, []):
                is_hit, mended = _affected(record, spec.canonical_name, spec.version)
                if is_hit:
                    said = str(record.get("summary") or record.get("details") or "")
                    ids = [record["id"], *record.get("aliases", [])]
                    text = " ".join(said.split())
                    found.append(VulnerabilityResult.create(ids, text, mended, None))
            return spec, found

    return Offline()


def read_database(path: str) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a file in OSV's JSON by package: a list, `{"vulns": [...]}`, or one.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST} bytes")
        value = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"the database {path} cannot be used: {error}") from error
    records = value.get("vulns", [value]) if isinstance(value, dict) else value
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        for record in records:
            if record.get("withdrawn") is None:
                names = {
                    canonical(affected["package"]["name"])
                    for affected in record.get("affected", [])
                    if affected["package"]["ecosystem"] == "PyPI"
                }
                record["id"] = str(record["id"])
                for name in names:
                    found.setdefault(name, []).append(record)
    except (AttributeError, KeyError, TypeError) as error:
        why = "a record is not as OSV's schema says"
        raise ConfigError(f"the database {path} cannot be used: {why}") from error
    return found


def _affected(record: Mapping[str, Any], name: str, version: Any) -> tuple[bool, list[Any]]:
    """Say whether a record tells of a version, and return the versions that are mended."""
    from packaging.version import Version

    is_hit, mended = False, []
    for affected in record["affected"]:
        package = affected["package"]
        if package["ecosystem"] != "PyPI" or canonical(package["name"]) != name:
            continue
        is_hit = is_hit or str(version) in affected.get("versions", [])
        for span in affected.get("ranges", []):
            if span.get("type") != "ECOSYSTEM":
                continue
            events = span.get("events", [])
            is_hit = is_hit or _is_within(events, version)
            mended += [Version(event["fixed"]) for event in events if "fixed" in event]
    return is_hit, sorted(set(mended))


def _is_within(events: Iterable[Mapping[str, str]], version: Any) -> bool:
    """Say whether a version lies between the events of a range."""
    from packaging.version import Version

    def place(event: Mapping[str, str]) -> Any:
        text = next(iter(event.values()))
        return Version("0.dev0" if text == "0" else text)

    is_in = False
    for event in sorted(events, key=place):
        if "introduced" in event and place(event) <= version:
            is_in = True
        elif ("fixed" in event and place(event) <= version) or (
            "last_affected" in event and place(event) < version
        ):
            is_in = False
    return is_in
