"""``safehold db``: migrations of a database, under a lock, recorded and judged beforehand."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safehold.db import Migrator
    from safehold.findings import Finding

HELP = """`lint` judges all revisions of an Alembic project and asks no database; `plan` shows what
`upgrade` would run, with its SQL and its risks; `upgrade` and `downgrade` run revisions, one runner
at a time; `verify` compares what ran with the files; `drift` compares the database with the tables
of a program; `restamp` records what ran before safehold was here, or a revision that was changed on
purpose. The project itself is not changed."""

_FROM_ENVIRONMENT = "env:"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("task", choices=tuple(_TASKS), help="what to do")
    parser.add_argument("project", metavar="PROJECT", help="directory of alembic.ini or of env.py")
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the database, as SQLAlchemy names it, or env:VARIABLE, which keeps its password out "
        "of lists of processes (default: what env.py connects to)",
    )
    parser.add_argument(
        "--to", metavar="REVISION", help="the revision to end at; upgrade and plan: the heads"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS", help="wait for another runner"
    )
    parser.add_argument(
        "--refuse",
        choices=("low", "medium", "high", "critical"),
        default="high",
        help="upgrade refuses revisions with a finding of this severity or above",
    )
    parser.add_argument(
        "--accept", action="append", default=[], metavar="RULE", help="and not for this rule"
    )
    parser.add_argument(
        "--metadata", metavar="MODULE:NAME", help="the tables that drift compares with"
    )
    _shared.add_policy(parser)
    _shared.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 with findings, a difference or a refusal."""
    from safehold._cli import _shared
    from safehold.db import Migrator
    from safehold.errors import MigrationError
    from safehold.findings import Severity

    with _shared.load_context(options) as hold:
        migrator = Migrator(
            _url(options.url),
            options.project,
            hold,
            patience=options.patience,
            refuse=Severity[options.refuse.upper()],
            accept=options.accept,
        )
        try:
            return _TASKS[options.task](migrator, options)
        except MigrationError as error:
            if not error.findings:
                raise
            print(_shared.printable(f"refused: {error}"), file=sys.stderr)
            return 1


def _url(text: str | None) -> str | None:
    from safehold.errors import ConfigError

    if text is None or not text.startswith(_FROM_ENVIRONMENT):
        return text
    name = text.removeprefix(_FROM_ENVIRONMENT)
    if not os.environ.get(name):
        raise ConfigError(f"the environment variable {name!r}, which --url names, is not set")
    return os.environ[name]


def _lint(migrator: Migrator, options: argparse.Namespace) -> int:
    return _tell(migrator.lint(), options)


def _verify(migrator: Migrator, options: argparse.Namespace) -> int:
    return _tell(migrator.check(), options)


def _tell(findings: Iterable[Finding], options: argparse.Namespace) -> int:
    from safehold._cli import _shared

    found = list(findings)
    if options.format == "json":
        _shared.print_json({"schema": 1, "findings": [_as_json(one) for one in found]})
        return 1 if found else 0
    for one in found:
        _print(one)
    print(f"{len(found)} findings")
    return 1 if found else 0


def _as_json(finding: Finding) -> dict[str, Any]:
    row = finding.as_json()
    return {**row, "location": {"path": finding.location.path, **row["location"]}}


def _print(finding: Finding) -> None:
    from safehold._cli import _shared

    place = f"{finding.location}: " if finding.location.path else ""
    words = f"{place}{finding.severity.label}: {finding.rule.id}: {finding.message}"
    print(_shared.printable(words))


def _plan(migrator: Migrator, options: argparse.Namespace) -> int:
    from safehold._cli import _shared

    plan = migrator.plan(options.to or "heads")
    if options.format == "json":
        steps = [
            {
                "revision": step.revision,
                "path": str(step.path),
                "statements": None if step.statements is None else list(step.statements),
                "findings": [_as_json(one) for one in step.findings],
            }
            for step in plan.steps
        ]
        _shared.print_json({"schema": 1, "from": list(plan.heads), "steps": steps})
        return 1 if plan.findings else 0
    for step in plan.steps:
        print(_shared.printable(f"revision {step.revision}: {step.path}"))
        for statement in step.statements or ():
            for line in statement.splitlines():
                print(_shared.printable(f"    {line.rstrip()}"))
        for one in step.findings:
            _print(one)
    print(f"{len(plan.steps)} revisions to run, {len(plan.findings)} findings")
    return 1 if plan.findings else 0


def _upgrade(migrator: Migrator, options: argparse.Namespace) -> int:
    return _ran(migrator.upgrade(options.to or "heads"), "ran", options)


def _downgrade(migrator: Migrator, options: argparse.Namespace) -> int:
    from safehold.errors import ConfigError

    if options.to is None:
        raise ConfigError("say where downgrade ends: --to REVISION, or --to base")
    return _ran(migrator.downgrade(options.to), "taken back", options)


def _restamp(migrator: Migrator, options: argparse.Namespace) -> int:
    return _ran(migrator.restamp(), "recorded", options)


def _ran(revisions: tuple[str, ...], done: str, options: argparse.Namespace) -> int:
    from safehold._cli import _shared

    if options.format == "json":
        _shared.print_json({"schema": 1, "revisions": list(revisions)})
    else:
        for revision in revisions:
            print(_shared.printable(f"{done}: {revision}"))
        print(f"{len(revisions)} revisions {done}")
    return 0


def _drift(migrator: Migrator, options: argparse.Namespace) -> int:
    from safehold._cli import _shared

    differences = [repr(one) for one in migrator.drift(_metadata(options.metadata))]
    if options.format == "json":
        _shared.print_json({"schema": 1, "differences": differences})
    else:
        for one in differences:
            print(_shared.printable(one))
        print(f"{len(differences)} differences")
    return 1 if differences else 0


def _metadata(name: str | None) -> Any:
    """Import the tables of a program, from the working directory too, as servers do."""
    import importlib

    from safehold.errors import ConfigError

    module, _, path = (name or "").partition(":")
    if not module or not path:
        raise ConfigError(
            "say which tables: --metadata MODULE:NAME, as in app.models:Base.metadata"
        )
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--metadata {name}: {error}") from error
    return found


_TASKS = {
    "lint": _lint,
    "plan": _plan,
    "upgrade": _upgrade,
    "downgrade": _downgrade,
    "verify": _verify,
    "drift": _drift,
    "restamp": _restamp,
}
