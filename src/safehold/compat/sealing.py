"""What the picklers of the facades share: each `dump` is one sealed container."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from safehold.artifacts.codecs import Encoded
from safehold.compat import active_store

if TYPE_CHECKING:
    from collections.abc import Callable

PREFER = "pickle"


class Sealing:
    """Goes before a pickler class that takes its file first; the memo ends with each `dump`."""

    clear_memo: Callable[[], None]

    def __init__(self, file: Any, *args: Any, **options: Any) -> None:
        """As the pickler."""
        self._written = io.BytesIO()
        self._target = file
        super().__init__(self._written, *args, **options)  # type: ignore[call-arg]  # the pickler's

    def dump(self, obj: Any, /) -> None:
        """Seal `obj` into the handle. Raises as `safehold.Store.dump`."""
        active_store().dump_to(obj, self._target, prefer=PREFER, encode=lambda: self._encoded(obj))

    def _encoded(self, obj: object) -> Encoded:
        self._written.seek(0)
        self._written.truncate()
        self.clear_memo()
        super().dump(obj)  # type: ignore[misc]  # the pickler's
        return Encoded([self._written.getvalue()])
