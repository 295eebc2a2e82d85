"""``safehold migrate``: point unsafe calls at the facades, convert what they read, or undo that."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from safehold.events import Outcome
    from safehold.policy import Policy
    from safehold.report.migration import Migration
    from safehold.source import FileAudit, RollbackReport

HELP = """Rewrite Python sources so that pickle and joblib calls go through safehold's facades.
Shows a diff and changes nothing without --write. What cannot be rewritten without risk is
reported with its line and remedy and stays as it is. With --data the files that these calls
read are sealed or converted too, and each original is kept beside as FILE.unsealed until
--finalize removes it. --rollback undoes the newest run of migrate or harden, finished or
killed."""

_MOST_DAYS: Final = 366  # for which files may be listed: it is to be an end, not a state
FORMATS: Final = ("text", "json", "sarif", "html")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    from safehold._cli import _shared

    parser.add_argument("path", metavar="PATH", help="a directory, or one file")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="make the changes, with a journal")
    action.add_argument(
        "--rollback", action="store_true", help="undo the newest run below PATH, to the byte"
    )
    action.add_argument(
        "--finalize",
        action="store_true",
        help="verify what was converted once more and remove the originals, for good",
    )
    parser.add_argument(
        "--data",
        action="extend",
        nargs="+",
        metavar="DIR",
        help="also seal or convert the files below DIR, and those that a call names, which the "
        "scanner finds clean; may be repeated",
    )
    parser.add_argument(
        "--unsealed-until",
        metavar="DAY",
        type=_day,
        help="with --data: convert nothing, but list the files to be read as they are until the "
        "end of DAY, a date as 2026-12-31 in UTC",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="take zones from this policy (default: what SAFEHOLD_POLICY names, else "
        "PATH/safehold.toml, else the policy that `safehold harden` would write)",
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="output format")
    parser.add_argument(
        "--comment",
        metavar="TEXT",
        type=_comment,
        help="add one comment line with TEXT to each module that is migrated, after its shebang, "
        "encoding cookie and docstring (default: none)",
    )
    parser.add_argument(
        "--jobs",
        type=_shared.jobs,
        default=1,
        metavar="N",
        help="processes that look at sources; -1 for all cores (default: 1)",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out names, or paths below PATH, that match; may be repeated",
    )


def _day(text: str) -> date:
    from datetime import UTC, date, datetime, timedelta

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date as 2026-12-31") from None
    today = datetime.now(UTC).date()
    if not today <= day <= today + timedelta(days=_MOST_DAYS):
        message = f"{text} is not within {_MOST_DAYS} days from today"
        raise argparse.ArgumentTypeError(message)
    return day


def _comment(text: str) -> str:
    from safehold.source import comment_line

    try:
        return comment_line(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Run the verb; exit code 1 while something is to be changed or done by hand."""
    import os
    from pathlib import Path

    from safehold.errors import ConfigError
    from safehold.report.migration import Migration
    from safehold.source import with_comment

    path = Path(options.path)
    root = path if path.is_dir() else path.parent
    if options.rollback:
        path.stat()  # "nothing to roll back" would hide a wrong path
        return _roll_back(options, root)
    if options.finalize:
        from safehold._cli import _migrating

        return _migrating.finalize(options, root, _policy(options, root))
    if options.unsealed_until and not options.data:
        message = "--unsealed-until lists files of --data DIR; name the directories"
        raise ConfigError(message)
    policy = _policy(options, root)
    audits = list(_audits(path, policy, options))
    if options.comment:
        audits = [with_comment(audit, options.comment) for audit in audits]
    data = None
    if options.data:
        from safehold._cli import _migrating

        audits, data = _migrating.with_data(options, root, policy, audits)
    elif options.write:
        _record(options, policy, audits)
        audits = list(_written(root, audits))
    migration = Migration(tuple(audits), str(root), os.getcwd(), written=options.write, data=data)
    _print(migration, options.format)
    return migration.code


def _record(options: argparse.Namespace, policy: Policy, audits: list[FileAudit]) -> None:
    """Record what is about to be changed, if the policy is one that the user has named.

    The keys of one that lies in the checkout are not looked for: it says where a command is run.
    """
    from safehold._cli import _recorded, _shared

    if _shared.has_policy(options) and any(audit.after is not None for audit in audits):
        _recorded.record(policy, _recorded.migrating(policy, audits))


def _policy(options: argparse.Namespace, root: Path) -> Policy:
    import os

    from safehold._cli import _shared
    from safehold.policy import Policy, default_policy

    named = options.policy or os.environ.get(_shared.VARIABLE)
    if named:
        return Policy.load(named)
    own = root / "safehold.toml"
    return Policy.load(own) if own.is_file() else default_policy(root)


def _audits(path: Path, policy: Policy, options: argparse.Namespace) -> Iterator[FileAudit]:
    from safehold._cli._progress import progress
    from safehold.source import audit_file, audit_tree

    if path.is_dir():
        with progress() as tell:
            yield from audit_tree(
                path,
                policy=policy,
                exclude=options.exclude,
                progress=lambda name: tell("sources", name),
                migrated_alone=True,
                jobs=options.jobs,
            )
    else:
        path.stat()  # a missing file is an error, not a finding
        yield audit_file(path, policy=policy, name=path.name, migrated_alone=True)


def _written(root: Path, audits: Iterable[FileAudit]) -> Iterator[FileAudit]:
    """Make the planned changes; what could not be written becomes a diagnostic."""
    from safehold.source import Journal, carry_out

    audits = list(audits)
    if not any(audit.after is not None for audit in audits):
        yield from audits
        return
    with Journal.begin(root) as journal:
        for audit in audits:
            yield carry_out(journal, root, audit)


def _roll_back(options: argparse.Namespace, root: Path) -> int:
    from safehold._cli import CLEAN, ERROR, FINDINGS, _shared
    from safehold.errors import ConfigError
    from safehold.source import rollback

    output = options.format
    if output not in ("text", "json"):
        message = f"--rollback tells what it did as text or json, not as {output}"
        raise ConfigError(message)
    tell = _teller(options)
    tell("allowed")
    report = rollback(root)
    counts = {name: len(getattr(report, name)) for name in ("restored", "kept", "problems")}
    tell("failed" if report.problems else "done", runs=report.runs, **counts)
    if output == "json":
        names = ("runs", "restored", "kept", "problems")
        _shared.print_json({"schema": 1, **{name: getattr(report, name) for name in names}})
    else:
        _print_rollback(report)
    if report.problems:
        return ERROR
    return FINDINGS if report.kept else CLEAN


def _teller(options: argparse.Namespace) -> Callable[..., None]:
    """Return what records a rollback, if the user has named a policy.

    One that cannot be read any more keeps nobody from rolling back what came with it.
    """
    import sys

    from safehold._cli import _recorded, _shared
    from safehold.errors import ConfigError

    policy = None
    if _shared.has_policy(options):
        try:
            policy = _shared.load_policy(options)
        except ConfigError as error:
            line = f"safehold: warning: not recorded in the trail: {error}"
            print(_shared.printable(line), file=sys.stderr)

    def tell(outcome: Outcome, **detail: object) -> None:
        if policy is not None:
            event = _recorded.ending(policy, "rollback", outcome, **detail)
            _recorded.record(policy, event, quiet=outcome != "allowed")

    return tell


def _print_rollback(report: RollbackReport) -> None:
    from safehold._cli import _shared

    for name in report.kept:
        print(_shared.printable(f"kept: {name} (changed after the run)"))
    for problem in report.problems:
        print(_shared.printable(f"not restored: {problem}"))
    if not report.runs and not report.problems:
        print("nothing to roll back")
    for run_id in report.runs:
        print(f"rolled back run {run_id}: {_count(len(set(report.restored)), 'path')} restored")


def _print(migration: Migration, output: str) -> None:
    import sys

    from safehold._cli import _shared

    if output == "json":
        _shared.print_json(_as_json(migration))
    elif output == "sarif":
        from safehold.report import migration_sarif

        sys.stdout.write(migration_sarif.render(migration))
    elif output == "html":
        from safehold._cli._text import encodable
        from safehold.report import migration_page

        sys.stdout.write(encodable(migration_page.render(migration)))
    else:
        _print_text(migration)


def _as_json(migration: Migration) -> dict[str, Any]:
    document = {
        "schema": 1,
        "files": [audit.as_json() for audit in migration.audits],
        "summary": {**migration.totals, "written": migration.written},
    }
    if migration.data is not None:
        document["data"] = [file.as_json() for file in migration.data]
    return document


def _print_text(migration: Migration) -> None:
    from safehold._cli import _shared
    from safehold.report.migration import left
    from safehold.source import diff

    written = migration.written
    for audit in migration.audits:
        if audit.after is not None and written:
            rest = left(audit)
            print(_shared.printable(f"migrated{f', {rest} left' if rest else ''}: {audit.path}"))
        for line in () if written else diff(audit):
            print("\t".join(_shared.printable(part) for part in line.split("\t")))
        for item in audit.diagnostics:
            kind = "" if item.is_open else "note: "
            message = f"{audit.path}:{item.line}: {item.rule} {kind}{item.message}"
            print(_shared.printable(message))
            print(_shared.printable(f"    {item.remedy}"))
    for file in migration.data or ():
        kept = f"; original in {file.original}" if file.original else ""
        print(_shared.printable(f"{file.outcome} {file.path}: {file.reason}{kept}"))
        if file.remedy:
            print(_shared.printable(f"    {file.remedy}"))
    totals = migration.totals
    verb = "migrated" if written else "to migrate (nothing changed; use --write)"
    partly = f", {totals['partly']} of them in part" if totals["partly"] else ""
    print(
        f"{_count(totals['files'], 'file')}: {totals['migrated']} {verb}{partly}, "
        f"{totals['diagnosed']} with something left by hand, {totals['unchanged']} unchanged"
    )
    if migration.data is not None:
        settled = sum(file.outcome not in ("leave", "left", "failed") for file in migration.data)
        verb = "sealed, converted or listed" if written else "to seal, convert or list"
        rest = len(migration.data) - settled
        print(f"{_count(len(migration.data), 'data file')}: {settled} {verb}, {rest} left")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
