"""dill's interface over sealed artifacts.

What dill writes is sealed, and loaded with the zone's allow-list, so that functions, code and
modules, which dill can take apart, are refused when they are written: no zone allows what builds
them. Objects of importable classes are stored as they are. What dill keeps of a whole session
(`dump_module`) has no sealed form.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from safehold.errors import MissingExtra

try:
    import dill
except ImportError as error:
    package = "dill"
    raise MissingExtra(package, "dill") from error

from safehold.artifacts.codecs import Encoded
from safehold.compat import active_store
from safehold.compat import pickle as _pickle
from safehold.compat.sealing import PREFER, Sealing

_BEYOND = ("dump_module", "load_module", "load_module_asdict", "dump_session", "load_session",
           "_dill", "session")  # fmt: skip
__all__ = tuple(  # what a star import of dill gives
    name for name in vars(dill) if not name.startswith("_") and name not in _BEYOND
)


def __getattr__(name: str) -> Any:
    if name in _BEYOND:
        message = f"dill.{name} has no sealed form: safehold.compat.dill does not offer it"
        raise AttributeError(message)
    return getattr(dill, name)


def dump(obj: object, file: Any, protocol: int | None = None, *args: Any, **options: Any) -> None:
    """Seal `obj` into a path or a binary handle. Raises as `safehold.Store.dump`."""
    encode = _encoder(obj, protocol, args, options)
    if isinstance(file, str | os.PathLike):
        active_store().dump(obj, file, prefer=PREFER, encode=encode)
    else:
        active_store().dump_to(obj, file, prefer=PREFER, encode=encode)


def dumps(obj: object, protocol: int | None = None, *args: Any, **options: Any) -> bytes:
    """Seal `obj` into bytes of the policy's memory zone. Raises as `safehold.Store.dumps`."""
    encode = _encoder(obj, protocol, args, options)
    return active_store().dumps(obj, prefer=PREFER, encode=encode)


def _encoder(
    obj: object, protocol: int | None, args: tuple[Any, ...], options: dict[str, Any]
) -> Callable[[], Encoded]:
    return lambda: Encoded([dill.dumps(obj, protocol, *args, **options)])


def load(file: Any, ignore: bool | None = None, **options: Any) -> Any:
    """Verify and load the next object of a path or handle. Raises as `safehold.Store.load`."""
    del ignore  # what it says of classes of `__main__` is the allow-list's matter
    return _pickle.load(file, **options)


def loads(str: Any, ignore: bool | None = None, **options: Any) -> Any:
    """Verify and load bytes that `dumps` made. Raises as `safehold.Store.loads`."""
    del ignore
    return _pickle.loads(str, **options)


class Pickler(Sealing, dill.Pickler):  # type: ignore[misc]  # dill is untyped
    """`dill.Pickler` whose every `dump` is one sealed container."""


class Unpickler(_pickle.Unpickler):
    """`dill.Unpickler` whose every `load` verifies one sealed container first."""

    def __init__(self, file: Any, *, ignore: bool | None = None, **options: Any) -> None:
        """As `dill.Unpickler`."""
        del ignore
        super().__init__(file, **options)
