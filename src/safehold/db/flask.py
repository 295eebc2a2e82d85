"""Flask-SQLAlchemy: the guard before every engine of an application, also of its binds.

database = SQLAlchemy()
guard(database, hold)          # before or after database.init_app(app)
"""

from __future__ import annotations

from typing import Any

from safehold.context import Context
from safehold.db.guarding import guard as guard_engine


def guard(database: Any, hold: Context, **options: Any) -> None:
    """Put the guard before the engines of Flask-SQLAlchemy; options are those of `db.guard`.

    Raises:
        ConfigError: as `db.guard`, and for an engine that is connected already.
    """
    for engines in database._app_engines.values():  # noqa: SLF001  (there is no public list)
        for engine in engines.values():
            guard_engine(engine, hold, **options)
    make = database._make_engine  # noqa: SLF001  (documented as what subclasses replace)

    def make_guarded(*args: Any, **more: Any) -> Any:
        return guard_engine(make(*args, **more), hold, **options)

    database._make_engine = make_guarded  # noqa: SLF001
