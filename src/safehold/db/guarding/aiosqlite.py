"""The guard of aiosqlite: sqlite3's, asked in the context of whoever awaits.

aiosqlite runs everything in a thread of its own, where no inputs of a request are and from where no
caller is to be seen; and its log of what it runs, at level DEBUG, would have the values.
"""

from __future__ import annotations

import contextvars
import functools
import os
import sqlite3
from collections.abc import Callable
from threading import Thread
from typing import Any

from safehold.errors import MissingExtra

try:
    import aiosqlite
except ModuleNotFoundError:
    raise MissingExtra("aiosqlite", "aiosqlite") from None

from safehold.db.guarding import sqlite
from safehold.db.guarding.watch import Watch, called_by, caller


@functools.lru_cache(maxsize=64)
def connection_class(watch: Watch) -> Any:
    """Return the class whose `connect` makes guarded connections."""

    class Connection(aiosqlite.Connection):
        """A connection whose every statement goes by the guard."""

        safehold_watch = watch

        @classmethod
        def connect(cls, database: Any, *, iter_chunk_size: int = 64, **options: Any) -> Any:
            """Return what `aiosqlite.connect` does, to await or to enter."""
            kind = sqlite.connection_class(watch)
            place = os.fspath(database) if isinstance(database, os.PathLike) else database
            opening = functools.partial(sqlite3.connect, place, **{**options, "factory": kind})
            made = cls(opening, iter_chunk_size)
            # A program that ends does not wait for it.
            thread = made if isinstance(made, Thread) else made._thread
            thread.daemon = True
            return made

        async def _execute(self, fn: Callable[..., Any], *args: Any, **more: Any) -> Any:
            context = contextvars.copy_context()
            context.run(called_by.set, caller())

            def run() -> Any:
                return context.run(fn, *args, **more)

            return await super()._execute(run)  # type: ignore[no-untyped-call]

    return Connection


def plain_class() -> Any:
    """Return a class that connects as the guarded one does, without a guard."""

    class Connection(aiosqlite.Connection):
        """A connection of aiosqlite."""

        connect = staticmethod(aiosqlite.connect)

    return Connection
