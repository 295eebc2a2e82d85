"""Migrator: an Alembic project's revisions, run under a lock, recorded, and judged beforehand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safehold.context import Context
from safehold.db import rules
from safehold.db.migrations.ddl import check_statements
from safehold.db.migrations.environment import Applied, Offline, Online, Run, Steps, connection_of
from safehold.db.migrations.ledger import TABLE, Ledger, digest_of
from safehold.db.migrations.project import applied_in, config_of, files_of, known
from safehold.errors import MigrationError, Tampered
from safehold.events import Event
from safehold.findings import Finding, Location, Severity
from safehold.paths import StrPath
from safehold.source import audit_source

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection, MetaData

_UNTRUE: Final = frozenset(
    rule.id for rule in (rules.REVISION_CHANGED, rules.LEDGER_FORGED, rules.NOT_RECORDED)
)
_NAMED: Final = 50
"""Revisions that one event names."""


@dataclass(frozen=True, slots=True)
class Step:
    """One revision that would run: its file, its statements and what they do.

    ``statements`` is None where they are not known without running it.
    """

    revision: str
    path: Path
    statements: tuple[str, ...] | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do to the database as it is: from these heads, these steps."""

    heads: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was found in the steps."""
        return tuple(finding for step in self.steps for finding in step.findings)


@dataclass(slots=True)
class _State:
    """What one run under the lock sees and does."""

    heads: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)


def _never(_: Connection, __: Ledger, ___: Any) -> None:
    """Do nothing after a step, as there is none."""


class Migrator:
    """Runs the revisions of an Alembic project on one database.

    Compared with `alembic upgrade`: one runner at a time, everything or nothing of a revision
    also where the process is killed, revisions that were changed after they ran are found, the
    statements are judged before the first runs, and each run is in the trail. On MySQL and
    MariaDB a revision that is cut off stays half done, as their DDL ends transactions.
    """

    def __init__(
        self,
        url: str | None,
        directory: StrPath,
        hold: Context,
        *,
        patience: float = 60.0,
        refuse: Severity = Severity.HIGH,
        accept: Collection[str] = (),
    ) -> None:
        """Take the database and the directory of alembic.ini, or of env.py.

        Without `url`, env.py decides. `patience`: seconds to wait for another runner. A finding
        in a step refuses the run from severity `refuse` on, but for the rules in `accept`.

        Raises:
            ConfigError: there is no such project. MissingExtra: Alembic is not installed.
        """
        self._url, self._hold, self._patience = url, hold, patience
        self._refuse, self._accept = refuse, frozenset(accept)
        self._config = config_of(url, Path(directory))

    def plan(self, target: str = "heads") -> Plan:
        """Return what `upgrade` would run, with its SQL and its risks; changes nothing.

        Raises:
            MigrationError: the project or the database does not answer.
        """
        script = self._script()
        heads = self._heads(script)
        steps = self._pending(script, heads, target)
        return Plan(heads, tuple(self._judge(script, steps, heads)))

    def lint(self) -> Iterator[Finding]:
        """Yield what is found in all revisions of the project; asks no database.

        Raises:
            MigrationError: the project cannot be read.
        """
        script = self._script()
        for step in self._judge(script, self._pending(script, (), "heads"), ()):
            yield from step.findings

    def upgrade(self, target: str = "heads") -> tuple[str, ...]:
        """Run what is pending and return its ids in order; nothing where another runner did.

        Raises:
            MigrationError: refused, failed, or the lock was not to be had; says which.
            Tampered: what ran before is not what its record says.
            TrailError: the run could not be recorded and was not begun.
        """
        return self._move(target, action="db.upgrade")

    def downgrade(self, target: str) -> tuple[str, ...]:
        """Take revisions back down to `target` and return their ids in order.

        Raises:
            MigrationError, Tampered, TrailError: as `upgrade`.
        """
        return self._move(target, action="db.downgrade")

    def check(self) -> tuple[Finding, ...]:
        """Return where the ledger, Alembic's version and the files do not agree.

        Raises:
            MigrationError: the project or the database does not answer.
        """
        script = self._script()
        found: list[Finding] = []

        def look(context: Any, ledger: Ledger, heads: tuple[str, ...]) -> Sequence[Any]:
            found.extend(_compare(script, context, ledger, heads))
            return ()

        self._run(script, look)
        return tuple(found)

    def verify(self) -> None:
        """Check that what ran is what the files say.

        Raises:
            Tampered: it is not; the message names each revision.
        """
        self._raise_untrue(self.check())

    def restamp(self) -> tuple[str, ...]:
        """Record the revisions that Alembic says have run as their files are now; return their ids.

        It is how a database comes under safehold, and how a harmless change of a revision is
        accepted. It believes Alembic's version table and the files: look at `drift` before.

        Raises:
            MigrationError: the project or the database does not answer.
            TrailError: it could not be recorded and was not done.
        """
        script = self._script()
        state = _State()

        def write(context: Any, ledger: Ledger, heads: tuple[str, ...]) -> Sequence[Any]:
            connection, files = connection_of(context), files_of(script)
            ids = applied_in(script, heads)
            self._record("allowed", heads, sorted(ids), action="db.restamp")
            for revision in ledger.rows(connection).keys() - ids:
                ledger.remove(connection, revision)
            for revision in sorted(ids):
                ledger.write(connection, revision, digest_of(files[revision]))
            if connection.dialect.name != "sqlite":  # there the lock's release commits
                connection.commit()
            state.ran = sorted(ids)
            return ()

        self._run(script, write, keeps=True)
        return tuple(state.ran)

    def drift(self, metadata: MetaData) -> tuple[tuple[Any, ...], ...]:
        """Return how the database differs from the tables of a program, as Alembic names it.

        Raises:
            MigrationError: the project or the database does not answer.
        """
        from alembic.autogenerate import compare_metadata

        script = self._script()
        found: list[tuple[Any, ...]] = []

        def compare(context: Any, _: Ledger, __: tuple[str, ...]) -> Sequence[Any]:
            context.opts["include_name"] = _without_ledger(context.opts.get("include_name"))
            found.extend(compare_metadata(context, metadata))
            return ()

        self._run(script, compare)
        return tuple(found)

    def _move(self, target: str, action: str) -> tuple[str, ...]:
        script = self._script()
        state = _State()
        started = time.perf_counter()
        try:
            # Judged before the lock is taken: Alembic has one environment at a time, and what is
            # pending under the lock can only be less.
            judged = self._judged(script, action, target)
            self._run(script, self._steps(script, action, target, judged, state),
                      applied=self._applied(script, state), keeps=True)  # fmt: skip
        except Exception as error:
            with contextlib.suppress(Exception):  # the error itself is what counts
                outcome = "refused" if isinstance(error, MigrationError | Tampered) else "failed"
                self._record(outcome, state.heads, state.ran, error, action=action)
            raise
        if state.ran:
            seconds = time.perf_counter() - started
            self._record("done", state.heads, state.ran, action=action, seconds=seconds)
        return tuple(state.ran)

    def _judged(self, script: ScriptDirectory, action: str, target: str) -> frozenset[str]:
        """Return the ids of what is pending and not refused. Raises MigrationError."""
        if action == "db.downgrade":
            return frozenset()
        heads = self._heads(script)
        steps = self._pending(script, heads, target)
        self._raise_refused(script, steps, heads)
        return frozenset(_ids(steps))

    def _steps(
        self,
        script: ScriptDirectory,
        action: str,
        target: str,
        judged: frozenset[str],
        state: _State,
    ) -> Steps:
        def steps(context: Any, ledger: Ledger, heads: tuple[str, ...]) -> Sequence[Any]:
            state.heads = heads
            self._raise_untrue(_compare(script, context, ledger, heads))
            if action == "db.downgrade":
                with known():
                    found = script._downgrade_revs(target, heads)  # type: ignore[arg-type]  # noqa: SLF001  (see _pending)
            else:
                found = self._pending(script, heads, target)
                if not judged.issuperset(_ids(found)):
                    raise MigrationError(
                        "somebody took revisions back while this run waited; begin again"
                    )
            if found:
                self._record("allowed", heads, _ids(found), action=action)
            return found

        return steps

    def _applied(self, script: ScriptDirectory, state: _State) -> Applied:
        # Of the files as they were when Alembic read them, not as they are when a step has run.
        digests = {name: digest_of(path) for name, path in files_of(script).items()}

        def applied(connection: Connection, ledger: Ledger, step: Any) -> None:
            revision = step.up_revision_id
            if step.is_upgrade:
                ledger.write(connection, revision, digests[revision])
            else:
                ledger.remove(connection, revision)
            state.ran.append(revision)

        return applied

    def _run(
        self,
        script: ScriptDirectory,
        steps: Steps,
        *,
        applied: Applied = _never,
        keeps: bool = False,
        told: Callable[[str], None] | None = None,
    ) -> None:
        """Run env.py under the lock. Raises MigrationError for whatever fails there."""
        keyring = self._hold.keyring
        run = Run(lambda schema: Ledger(keyring, schema), self._patience, self._url, keeps, told)
        with known():
            Online(self._config, script, run, steps, applied).run()

    def _script(self) -> ScriptDirectory:
        from alembic.script import ScriptDirectory

        with known():
            script = ScriptDirectory.from_config(self._config)
            script.get_heads()  # loads every revision
        return script

    def _heads(self, script: ScriptDirectory) -> tuple[str, ...]:
        found: list[str] = []

        def look(_: Any, __: Ledger, heads: tuple[str, ...]) -> Sequence[Any]:
            found.extend(heads)
            return ()

        self._run(script, look)
        return tuple(found)

    def _pending(self, script: ScriptDirectory, heads: tuple[str, ...], target: str) -> list[Any]:
        with known():
            return list(script._upgrade_revs(target, heads))  # type: ignore[arg-type]  # noqa: SLF001  (no public name; annotated as one text, and takes several)

    def _judge(
        self, script: ScriptDirectory, steps: Sequence[Any], heads: tuple[str, ...]
    ) -> Iterator[Step]:
        """Yield each step with what is found in its source and its statements."""
        shown, dialect, why = self._shown(script, steps, heads)
        for step in steps:
            revision, path = step.revision.revision, Path(step.revision.path)
            statements = shown.get(revision)
            place = Location(path=str(path))
            findings = list(self._source(path))
            if statements is None:
                findings.append(Finding.of(rules.NOT_SHOWN, f"revision {revision}: {why}", place))
            else:
                findings.extend(check_statements(statements, dialect, place))
            known_statements = None if statements is None else tuple(statements)
            yield Step(revision, path, known_statements, tuple(findings))

    def _source(self, path: Path) -> Iterator[Finding]:
        """Yield what the rules of SQL find in the source of a revision."""
        audit = audit_source(path.read_bytes(), str(path), self._hold.policy)
        yield from (one for one in audit.findings if one.rule.id.startswith("SH2"))

    def _shown(
        self, script: ScriptDirectory, steps: Sequence[Any], heads: tuple[str, ...]
    ) -> tuple[dict[str, list[str]], str, str]:
        """Return the statements of each step as far as they can be written down, and why not."""
        start = heads[0] if len(heads) == 1 else "base"
        offline = Offline(self._config, script, steps, start)
        try:
            offline.run()
        except Exception as error:  # noqa: BLE001  (a project's code; what is not shown is told)
            if offline.dialect == "sqlite":
                return self._tried(script, steps)
            why = f"its statements cannot be written down: {type(error).__name__}: {error}"[:300]
            if offline.statements:
                offline.statements.popitem()  # the one that failed is not whole
            return offline.statements, offline.dialect, why
        return offline.statements, offline.dialect, ""

    def _tried(
        self, script: ScriptDirectory, steps: Sequence[Any]
    ) -> tuple[dict[str, list[str]], str, str]:
        """Return as `_shown` what the steps send to SQLite, which takes all of it back."""
        shown: dict[str, list[str]] = {}
        current: list[str] = []

        def each(_: Any, __: Ledger, ___: tuple[str, ...]) -> Iterator[Any]:
            nonlocal current
            for step in steps:
                current = shown.setdefault(step.revision.revision, [])
                yield step

        def write(statement: str) -> None:
            current.append(statement)  # of the step that runs

        try:
            self._run(script, each, told=write)
        except MigrationError as error:
            shown.popitem()
            return shown, "sqlite", f"it fails when it is tried: {error}"[:300]
        return shown, "sqlite", ""

    def _raise_refused(
        self, script: ScriptDirectory, steps: Sequence[Any], heads: tuple[str, ...]
    ) -> None:
        refused = [
            finding
            for step in self._judge(script, steps, heads)
            for finding in step.findings
            if finding.severity >= self._refuse and finding.rule.id not in self._accept
        ]
        if refused:
            told = "; ".join(
                f"{one.rule.id}: {one.message} ({one.location})" for one in refused[:5]
            )
            rules_of = sorted({one.rule.id for one in refused})
            raise MigrationError(
                f"nothing was run: {told}. Mend the revisions, or accept: {', '.join(rules_of)}",
                findings=tuple(refused),
            )

    def _raise_untrue(self, findings: Sequence[Finding]) -> None:
        untrue = [one for one in findings if one.rule.id in _UNTRUE - self._accept]
        if untrue:
            told = "; ".join(f"{one.rule.id}: {one.message}" for one in untrue[:_NAMED])
            raise Tampered(f"nothing was run: {told}. {untrue[0].rule.remedy}")

    def _record(
        self,
        outcome: Any,
        heads: tuple[str, ...],
        revisions: Sequence[str],
        error: Exception | None = None,
        *,
        action: str,
        seconds: float = 0.0,
    ) -> None:
        self._hold.recorder.record(
            Event(
                action=action,
                outcome=outcome,
                reason="" if error is None else type(error).__name__,
                artifact=str(self._config.get_main_option("script_location")),
                seconds=seconds,
                detail={"from": list(heads), "revisions": list(revisions[:_NAMED])},
            )
        )


def _compare(
    script: ScriptDirectory, context: Any, ledger: Ledger, heads: tuple[str, ...]
) -> tuple[Finding, ...]:
    rows = ledger.rows(connection_of(context))
    return tuple(ledger.check(rows, applied_in(script, heads), files_of(script)))


def _ids(steps: Sequence[Any]) -> list[str]:
    return [step.revision.revision for step in steps]


def _without_ledger(include: Any) -> Any:
    def is_included(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "table" and name == TABLE:
            return False
        return True if include is None else bool(include(name, kind, parents))

    return is_included
