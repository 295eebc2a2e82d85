"""Adapters: what is changed in a library when, and only when, the program imports it.

A finder in front of the others finds nothing itself; it wraps the loader that the others found, so
that the adapter runs right after the module's own code, at each import and reload.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from safehold.guard import creating
from safehold.guard.grants import OWN, UNTRUSTED, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, Final

    from safehold.guard.gate import Gate

# Module -> the adapter of it, a module of `adapters` with ``apply(module, gate)``.
ADAPTERS: Final[dict[str, str]] = {
    "_interpreters": "interpreters",
    "_testcapi": "interpreters",
    "_testinternalcapi": "interpreters",
    "_xxsubinterpreters": "interpreters",
    "_pickle": "_pickle",
    "pickle": "pickle",
    "marshal": "marshal",
    "pkgutil": "marshal",
    "_pytest.assertion.rewrite": "marshal",
    "jinja2.bccache": "jinja2",
    "_sqlite3": "hooks",
    "msgpack._cmsgpack": "hooks",
    "msgpack.fallback": "hooks",
    "xmlrpc.server": "xmlrpc",
    "shelve": "shelve",
    "logging.config": "logging_config",
    "multiprocessing.connection": "multiprocessing",
    "multiprocessing.queues": "multiprocessing",
    "multiprocessing.reduction": "multiprocessing",
    "multiprocessing.spawn": "multiprocessing",
    "billiard.common": "multiprocessing",
    "billiard.connection": "multiprocessing",
    "billiard.pool": "multiprocessing",
    "billiard.queues": "multiprocessing",
    "billiard.reduction": "multiprocessing",
    "billiard.spawn": "multiprocessing",
    "os": "subprocess",
    "_posixsubprocess": "subprocess",
    "subprocess": "subprocess",
    "dask.local": "distributed",
    "distributed.protocol.pickle": "distributed",
    "distributed.comm.tcp": "distributed",
    "distributed.comm.inproc": "distributed",
    "ray._private.function_manager": "ray",
    "ray._private.runtime_env.setup_hook": "ray",
    "ray._private.serialization": "ray",
    "ray._private.worker": "ray",
    "ray.exceptions": "ray",
    "loky.backend": "loky",
    "joblib.externals.loky.backend": "loky",
    "joblib.numpy_pickle": "joblib",
    "joblib._memmapping_reducer": "joblib",
    "joblib._store_backends": "joblib",
    "yaml.constructor": "yaml",
    "ruamel.yaml.constructor": "yaml",
    "jsonpickle.pickler": "jsonpickle",
    "jsonpickle.unpickler": "jsonpickle",
    "skops.io._utils": "skops",
    "torch._weights_only_unpickler": "torch",
    "torch.package.package_importer": "torch",
    "zodbpickle._pickle": "zodbpickle",
    "zodbpickle.pickle_3": "zodbpickle",
    "ZODB.serialize": "zodbpickle",
    "safehold.artifacts.callers": "artifacts",
    "safehold.artifacts.reading": "artifacts",
}


# Libraries that others carry along as a package of their own: `pip._vendor` and its like.
_CARRIED: Final = (".yaml.constructor", ".jsonpickle.pickler", ".jsonpickle.unpickler")


def adapter_of(name: str) -> str:
    """Return the adapter of a module, ``""`` where it has none."""
    found = ADAPTERS.get(name, "")
    if not found and name.endswith(_CARRIED):
        found = next(ADAPTERS[tail[1:]] for tail in _CARRIED if name.endswith(tail))
    return found


# Adapters that have nothing to do with pickle.
_LIGHT: Final = frozenset({"_pickle", "interpreters", "marshal", "subprocess"})


adapting: Final[list[int]] = []
"""Threads that run the code of a module which is adapted afterwards."""


class _Finder:
    """First in ``sys.meta_path``; asks the others."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> Any:
        if not adapter_of(name):
            return None
        for finder in sys.meta_path:
            look = getattr(finder, "find_spec", None)
            if finder is self or look is None:
                continue
            spec = look(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self._gate)
                return spec
        return None


class _Loader:
    """Runs the adapter of a module after the module itself; else the loader it wraps."""

    def __init__(self, loader: Any, gate: Gate) -> None:
        self._loader = loader
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        if creating.is_made_once(spec.name):
            with creating.Making(spec.name):
                return self._loader.create_module(spec)
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # What looks at the module, as `inspect` and `runpy` do, sees the loader that loaded it.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        name, thread = module.__name__, get_ident()
        adapting.append(thread)
        try:
            if creating.is_made_once(name):
                with creating.Making(name):
                    self._loader.exec_module(module)
            else:
                self._loader.exec_module(module)
        finally:
            adapting.remove(thread)
        apply(name, module, self._gate)


def apply(name: str, module: ModuleType, gate: Gate) -> None:
    """Run the adapter of a module.

    Raises:
        AdapterError: the library is not as the adapter knows it, so nothing of it is usable; in
            mode monitor that is recorded alone.
    """
    try:
        with Held(OWN):
            adapter = adapter_of(name)
            path = f"safehold.guard.adapters.{adapter}"
            if adapter not in _LIGHT:
                __import__("_pickle")  # before what needs its entry points replaced
            __import__(path)
            sys.modules[path].apply(module, gate)
        creating.made(name, module)
    except Exception as error:  # noqa: BLE001  (refused, or recorded in mode monitor)
        message = (
            f"the guard knows no way to make this version of {name} safe "
            f"({type(error).__name__}: {error}); use a version that safehold supports"
        )
        try:
            gate.refuse(message, UNTRUSTED, None, rule="SH176", loader=name, action="import")
        except Exception as refusal:  # the adapter's own error is what the program sees
            with Held(OWN):
                from safehold.errors import AdapterError
            raise AdapterError(message) from refusal


def install(gate: Gate) -> None:
    """Adapt what is imported already, and all that will be."""
    creating.install(gate, ADAPTERS)
    sys.meta_path.insert(0, _Finder(gate))
    carried = [name for name in list(sys.modules) if name.endswith(_CARRIED)]
    for name in dict.fromkeys([*ADAPTERS, *carried]):
        module = sys.modules.get(name)
        if module is not None:
            apply(name, module, gate)
