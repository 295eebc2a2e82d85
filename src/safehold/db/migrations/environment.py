"""Runs a project's own env.py, under a lock, with a ledger, and says what it did.

The project is not changed: env.py calls `context.configure` and `context.run_migrations` as ever,
on the connection that it made, and both lead here. Alembic shows env.py the methods of its own
class alone, so these two are replaced on the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

try:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import event
    from sqlalchemy.engine import make_url
except ImportError as missing:
    from safehold.errors import MissingExtra

    raise MissingExtra("alembic", "db") from missing

from safehold.db.migrations.ledger import Ledger
from safehold.db.migrations.locks import Lock, lock_for
from safehold.errors import MigrationError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

Steps = Callable[[MigrationContext, Ledger, tuple[str, ...]], Iterable[Any]]
"""Called under the lock with the heads of the database; returns the steps to run, or raises."""
Applied = Callable[["Connection", Ledger, Any], None]
"""Called after each step, in its transaction."""

_WHERE: Final = ("host", "port", "database")
_LOCAL: Final = (None, "", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Run:
    """What holds for one run. What is not to be kept is a look, and changes nothing.

    ``ledger`` makes the ledger of a schema; ``url`` is the database that env.py has to connect to.
    ``told`` gets each statement before it is sent, in a look that runs the steps all the same:
    only where a transaction takes everything back.
    """

    ledger: Callable[[str | None], Ledger]
    patience: float
    url: str | None
    keeps: bool = False
    told: Callable[[str], None] | None = None


def connection_of(context: MigrationContext) -> Connection:
    """Return the connection that a run has. Raises MigrationError: env.py gave none."""
    if context.connection is None:
        raise MigrationError("env.py gave context.configure no connection")
    return context.connection


class Online:
    """The environment of one run on a database, from the lock to its release."""

    def __init__(
        self, config: Config, script: ScriptDirectory, run: Run, steps: Steps, applied: Applied
    ) -> None:
        """Run what `steps` returns, and tell `applied` of each."""
        under_lock = self._under_lock(steps)
        self._script = script
        reads = not run.keeps and run.told is None
        self._inner = EnvironmentContext(config, script, fn=under_lock, dont_mutate=reads)
        self._inner.configure = self._configure  # type: ignore[method-assign,assignment]
        self._inner.run_migrations = self._run_migrations  # type: ignore[method-assign]
        self._run, self._applied = run, applied
        self._lock: Lock | None = None
        self._connection: Connection | None = None
        self._ran = False

    def run(self) -> None:
        """Run env.py.

        Raises:
            MigrationError: env.py gives no connection or one of another database, or the lock is
                not to be had. Everything else that the project raises.
        """
        try:
            with self._inner:
                self._script.run_env()
        finally:
            self._let_go(kept=False)  # where env.py failed before it came to run_migrations
        if not self._ran:
            raise MigrationError("env.py ended without calling context.run_migrations")

    def _configure(self, connection: Connection | None = None, **options: Any) -> None:
        """Take the lock on env.py's connection, then configure as it says."""
        if connection is None:
            raise MigrationError("env.py gave context.configure no connection")
        self._check_place(connection)
        self._let_go(kept=False)
        table = str(options.get("version_table") or "alembic_version")
        schema = options.get("version_table_schema")
        self._ledger = self._run.ledger(schema)
        lock = lock_for(connection, f"{schema or ''}.{table}")
        lock.take(connection, self._run.patience)
        self._lock, self._connection = lock, connection
        if self._run.told is not None:
            _tell(connection, self._run.told)
        callbacks = options.pop("on_version_apply", None) or ()
        if callable(callbacks):
            callbacks = (callbacks,)
        options["on_version_apply"] = (*callbacks, self._after_step)
        # SQLite runs in the transaction that is the lock; others end one with each revision, so
        # that what was done stays done when the run is cut off.
        options["transactional_ddl"] = None if connection.dialect.name == "mysql" else True
        options["transaction_per_migration"] = True
        EnvironmentContext.configure(self._inner, connection=connection, **options)

    def _run_migrations(self, **options: Any) -> None:
        """Run the steps; what they did stays when all ended well."""
        kept = False
        try:
            EnvironmentContext.run_migrations(self._inner, **options)
            self._ran = True
            kept = self._run.keeps
        finally:
            self._let_go(kept=kept)

    def _under_lock(self, steps: Steps) -> Callable[[Any, MigrationContext], Iterable[Any]]:
        def run(heads: Any, context: MigrationContext) -> Iterable[Any]:
            return steps(context, self._ledger, tuple(heads))

        return run

    def _after_step(self, *, ctx: MigrationContext, step: Any, **_: Any) -> None:
        self._applied(connection_of(ctx), self._ledger, step)

    def _let_go(self, *, kept: bool) -> None:
        lock, connection = self._lock, self._connection
        self._lock = self._connection = None
        if lock is not None and connection is not None:
            lock.release(connection, kept=kept)

    def _check_place(self, connection: Connection) -> None:
        """Refuse to migrate another database than the one that was asked for."""
        if self._run.url is None:
            return
        asked, got = make_url(self._run.url), connection.engine.url
        same = asked.get_backend_name() == got.get_backend_name() and all(
            getattr(asked, name) == getattr(got, name)
            or (name == "host" and asked.host in _LOCAL and got.host in _LOCAL)
            for name in _WHERE
        )
        if not same:
            shown = [url.render_as_string(hide_password=True) for url in (got, asked)]
            raise MigrationError(
                f"env.py connects to {shown[0]}, not to {shown[1]}: take the address from "
                'config.get_main_option("sqlalchemy.url") there, or give none here'
            )


def _tell(connection: Connection, told: Callable[[str], None]) -> None:
    if connection.dialect.name != "sqlite":
        raise MigrationError(f"a trial on {connection.dialect.name} would not be taken back")

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        told(statement)

    event.listen(connection, "before_cursor_execute", before)


class Offline:
    """The environment of a run that only writes its statements down."""

    def __init__(
        self, config: Config, script: ScriptDirectory, steps: Iterable[Any], start: str
    ) -> None:
        """Write down the steps from a revision on; `statements` has them, by revision."""
        fn = self._each(steps)
        self._script = script
        self._inner = EnvironmentContext(config, script, fn=fn, as_sql=True, starting_rev=start)
        self._inner.configure = self._configure  # type: ignore[method-assign,assignment]
        self.statements: dict[str, list[str]] = {}
        self.dialect = ""
        self._current: list[str] = []

    def run(self) -> None:
        """Run env.py. Raises what it raises; what was written down until then is there."""
        with self._inner:
            self._script.run_env()

    def _configure(self, **options: Any) -> None:
        """Configure as env.py says, and keep what would be written."""
        options["output_buffer"] = self
        options["literal_binds"] = True
        EnvironmentContext.configure(self._inner, **options)
        self.dialect = self._inner.get_context().dialect.name

    def _each(self, steps: Iterable[Any]) -> Callable[[Any, MigrationContext], Iterator[Any]]:
        def run(_: Any, __: MigrationContext) -> Iterator[Any]:
            for step in steps:
                self._current = self.statements.setdefault(step.revision.revision, [])
                yield step

        return run

    def write(self, text: str) -> None:
        """Take one statement, or a comment."""
        if text.strip() and not text.startswith("--"):
            self._current.append(text.strip())

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""
