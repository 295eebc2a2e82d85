"""What `safehold check` reads when no URL is given: files, an environment, or both."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from typing import TYPE_CHECKING

from safehold.errors import ConfigError

if TYPE_CHECKING:
    from safehold.findings import Finding
    from safehold.scan import FileReport

_ENVIRONMENT = "<environment>"


def reports(options: argparse.Namespace) -> list[FileReport]:
    """Return a report for each file that was read, and one of the environment.

    Raises:
        ConfigError: a path that is not there, or a file that was named and cannot be read.
    """
    from pathlib import Path

    from safehold.deploy import PRODUCTION, check_settings
    from safehold.deploy.readers.environment import of_env_file, of_mapping
    from safehold.deploy.reading import Read, read_path
    from safehold.scan import FileReport, Verdict

    into = Read()
    for path in options.paths:
        read_path(Path(path), into)
    for name in options.env_file:
        with open(name, encoding="utf-8-sig") as file:
            into.settings += of_env_file(file.read(), name)
        into.files.append(name)
    if options.environment:
        into.settings += of_mapping(os.environ)
        into.files.append(_ENVIRONMENT)
    if options.policy:
        from safehold.policy import Policy

        into.policies.append(Policy.load(options.policy))
    if not into.files and not into.failed:
        raise ConfigError("no file of settings was found; name one, or use --environment")
    target = PRODUCTION if options.deploy else "development"
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in check_settings(into.whole({}, 365), target):
        found[finding.location.path or _ENVIRONMENT].append(finding)
    failed = {where.path: why for where, why in into.failed}
    return [
        FileReport(
            path, "settings",
            Verdict.ERROR if path in failed else
            Verdict.SUSPICIOUS if found.get(path) else Verdict.CLEAN,
            tuple(found.get(path, ())) or _unread(path, failed.get(path, "")),
        )
        for path in sorted({*into.files, *found, *failed})
    ]  # fmt: skip


def _unread(path: str, why: str) -> tuple[Finding, ...]:
    from safehold.findings import Finding, Location
    from safehold.scan.rules import UNREADABLE_FILE

    if not why:
        return ()
    return (Finding.of(UNREADABLE_FILE, f"could not be read: {why}", Location(path)),)
