"""An Alembic project as it lies in a directory: its settings, its revisions, its errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safehold.errors import ConfigError, MigrationError, MissingExtra, SafeholdError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_INI: Final = "alembic.ini"
_ENV: Final = "env.py"


def config_of(url: str | None, directory: Path) -> Config:
    """Return the settings of the project in a directory, or of an ini file, for a database.

    Raises:
        ConfigError: neither alembic.ini nor env.py is there. MissingExtra: no Alembic.
    """
    try:
        from alembic.config import Config
    except ImportError as error:
        raise MissingExtra("alembic", "db") from error
    ini = directory / _INI if directory.is_dir() else directory
    if ini.is_file() and ini.name != _ENV:
        config = Config(str(ini))
    elif (directory / _ENV).is_file():
        config = Config()
        config.set_main_option("script_location", _escaped(str(directory)))
    else:
        raise ConfigError(f"no Alembic project in {directory}: neither {_INI} nor {_ENV} is there")
    if url is not None:
        config.set_main_option("sqlalchemy.url", _escaped(url))
    return config


def files_of(script: ScriptDirectory) -> dict[str, Path]:
    """Return the file of each revision."""
    return {one.revision: Path(one.path) for one in script.walk_revisions()}


def applied_in(script: ScriptDirectory, heads: tuple[str, ...]) -> frozenset[str]:
    """Return the ids of all revisions that have run where these are the heads.

    Raises:
        MigrationError: the project does not have a head of the database.
    """
    with known():
        found = script.iterate_revisions(heads, "base", implicit_base=True)
        return frozenset(one.revision for one in found)


@contextlib.contextmanager
def known() -> Iterator[None]:
    """Turn whatever Alembic, a driver or a project raises into a MigrationError."""
    try:
        yield
    except SafeholdError:
        raise
    except Exception as error:
        text = str(_reason(error)).strip().partition("\n")[0]
        message = f"{type(error).__name__}: {text}"[:500]
        raise MigrationError(
            f"the migration failed, and what it had begun was taken back: {message}"
        ) from error


def _reason(error: Exception) -> Any:
    """Return what the driver said, without the values that SQLAlchemy shows beside it."""
    return getattr(error, "orig", None) or error


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
