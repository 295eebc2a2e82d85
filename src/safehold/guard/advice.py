"""What to do about a refusal, by the library that loads and by where the bytes are."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from safehold.guard.grants import Grant

_CACHE: Final = (
    "what another run has cached is untrusted: clear the cache, and keep plain data in it"
)
_TASKS: Final = (
    "send plain data: task_serializer, result_serializer = 'json', accept_content = ['json']"
)
_ARRAYS: Final = "store arrays of numbers and text, not of objects"
_OBJECTS: Final = "seal the file (safehold seal), or in memory: safehold.Store.dumps and loads"
# Package, or module within it -> what its users do instead; the longest name counts.
_NEXT: Final = {
    "ZODB": "records of another run are untrusted: keep plain data, or export and seal them",
    "billiard": _TASKS,
    "cachelib": _CACHE,
    "celery": _TASKS,
    "cloudpickle": _OBJECTS,
    "dill": _OBJECTS,
    "diskcache": f"{_CACHE} (diskcache.JSONDisk does)",
    "django.contrib.sessions": "SESSION_SERIALIZER is to be Django's JSONSerializer",
    "django.core.cache": _CACHE,
    "dogpile.cache": _CACHE,
    "flask_caching": _CACHE,
    "flask_session": "SESSION_SERIALIZATION_FORMAT is to be 'msgpack' or 'json'",
    "jinja2": "templates are compiled from their source; leave bytecode_cache out",
    "joblib": _OBJECTS,
    "jsonpickle": "decode it with json",
    "kombu": _TASKS,
    "logging.config": "configure from a file of your own, with classes of logging",
    "marshal": "import the module instead, or store data",
    "msgpack": "let the hook make values and no more",
    "numpy": _ARRAYS,
    "pandas": "store it as Parquet, or seal the file: safehold seal",
    "ruamel.yaml": "load it with YAML(typ='safe')",
    "skops": "list only types that you know in trusted",
    "sqlalchemy": "use sqlalchemy.JSON, or LargeBinary with safehold.Store.dumps",
    "sqlite3": "let the converter make values and no more, as json.loads does",
    "tables": _ARRAYS,
    "torch": "load with weights_only=True, or seal the file: safehold seal",
    "xmlrpc": "register each method by itself: register_function",
    "yaml": "load it with yaml.safe_load",
    "zodbpickle": _OBJECTS,
}
_VALUES: Final = "pickle values, and nothing that acts on the system when it is loaded"
_HOSTILE: Final = "do not load it; find out who wrote it"
_PLAIN: Final = "keep plain data there, or what safehold.Store.dumps makes, read with its loads"


def library_of(module: Any) -> str:
    """Return the part of a module's name that advice is known for, ``""`` if there is none."""
    name = module if isinstance(module, str) else ""
    while name and name not in _NEXT:
        name = name.rpartition(".")[0]
    return name


def advice(loader: str, module: str, grant: Grant, why: str) -> str:
    """Return what to do next.

    ``module``: the one that calls the loader; ``why``: what is wrong with what they name.
    """
    if grant.kind == "minted":
        return _VALUES
    if grant.kind != "untrusted":
        return ""
    known = _NEXT.get(library_of(module) or library_of(loader))
    if known is not None and (loader != "pickle" or why.endswith("plain data")):
        return known
    if not why.endswith("plain data"):
        return _HOSTILE
    if grant.artifact:
        return (
            f"if you vouch for it, name an internal zone for it in the policy, and then: "
            f"safehold seal {grant.artifact}"
        )
    return _PLAIN
