"""Objects of a running program: applications, settings classes, modules; nothing is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass, replace
from types import ModuleType
from typing import Any, Final

from safehold.deploy.names import topic_of
from safehold.deploy.settings import Origin, Setting, flatten, settings_of
from safehold.errors import ConfigError
from safehold.findings import Location

# Of Flask's defaults these say nothing about production.
_NOT_OF_FLASK: Final = frozenset({"PREFERRED_URL_SCHEME", "SERVER_NAME", "TRUSTED_HOSTS"})
_OF_DJANGO: Final = frozenset(
    "SECRET_KEY SECRET_KEY_FALLBACKS DEBUG ALLOWED_HOSTS SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS "
    "SECURE_HSTS_INCLUDE_SUBDOMAINS SESSION_COOKIE_SECURE SESSION_COOKIE_HTTPONLY "
    "SESSION_COOKIE_SAMESITE SESSION_COOKIE_AGE SESSION_SERIALIZER CSRF_COOKIE_SECURE "
    "CSRF_TRUSTED_ORIGINS DATABASES USE_X_FORWARDED_HOST SECURE_PROXY_SSL_HEADER LOGGING "
    "DATA_UPLOAD_MAX_MEMORY_SIZE DATA_UPLOAD_MAX_NUMBER_FIELDS INSTALLED_APPS MIDDLEWARE "
    "PASSWORD_HASHERS DEBUG_PROPAGATE_EXCEPTIONS CACHES".split()
)


def of_object(thing: Any) -> Iterator[Setting]:
    """Yield the settings of an object. Raises ConfigError for one that is not known here."""
    package = type(thing).__module__.partition(".")[0]
    if package == "django" or hasattr(thing, "SETTINGS_MODULE"):
        yield from _plain(_django(thing), "settings")
    elif hasattr(thing, "user_middleware") and hasattr(thing, "router"):
        yield from _of_starlette(thing)
    elif isinstance(getattr(thing, "config", None), Mapping) and hasattr(thing, "wsgi_app"):
        values = {key: value for key, value in thing.config.items() if key not in _NOT_OF_FLASK}
        yield from _plain(values, "app.config")
    elif hasattr(type(thing), "model_dump") and hasattr(type(thing), "model_fields"):
        yield from _plain(_revealed({name: getattr(thing, name) for name in type(thing).model_fields}),
                          type(thing).__name__)  # fmt: skip
    elif isinstance(thing, type) and hasattr(thing, "model_fields"):
        yield from _of_model(thing)
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield from _plain(_revealed(asdict(thing)), type(thing).__name__)
    elif isinstance(thing, ModuleType | type):
        yield from _plain(
            {name: getattr(thing, name) for name in dir(thing) if not name.startswith("_")},
            thing.__name__,
        )
    elif hasattr(thing, "__dict__") and vars(thing):
        yield from _plain(dict(vars(thing)), type(thing).__name__)
    else:
        raise ConfigError(
            f"settings of {type(thing).__name__} are not known; give a mapping, a path, or an "
            f"application of Flask, FastAPI or Starlette"
        )


def _plain(values: Mapping[str, Any], place: str) -> Iterator[Setting]:
    simple = (str, bytes, bool, int, float, list, tuple, set, frozenset, dict, type(None))
    kept = {
        str(name): value for name, value in values.items()
        if isinstance(value, simple) or hasattr(value, "total_seconds")
    }  # fmt: skip
    for setting in settings_of(flatten(kept), Origin.OBJECT):
        yield replace(setting, where=Location(f"<{place}>"))


def _django(thing: Any) -> dict[str, Any]:
    is_set = getattr(thing, "is_overridden", lambda name: name in dir(thing))
    names = _OF_DJANGO | {name for name in dir(thing) if name.isupper() and is_set(name)}
    values: dict[str, Any] = {}
    for name in sorted(names):
        try:
            values[name] = getattr(thing, name)
        except Exception:  # noqa: BLE001, S112  not set, or not usable: Django says so itself
            continue
    return values


def _of_starlette(app: Any) -> Iterator[Setting]:
    values: dict[str, Any] = {"debug": bool(getattr(app, "debug", False))}
    if getattr(app, "openapi_url", None):
        values |= {name: getattr(app, name, None) for name in ("docs_url", "redoc_url")}
    for entry in app.user_middleware:
        name = getattr(entry.cls, "__name__", "middleware")
        given = dict(getattr(entry, "kwargs", None) or getattr(entry, "options", None) or {})
        if name == "SessionMiddleware":
            given.setdefault("https_only", False)
        values |= {f"{name}.{key}": value for key, value in given.items()}
    yield from _plain(_revealed(values), "app")


def _of_model(model: Any) -> Iterator[Setting]:
    """Yield the defaults of a class of settings, which count where nothing is set."""
    for name, item in model.model_fields.items():
        value = _revealed({"": item.default})[""]
        if isinstance(value, str | bytes | bool | int | float | list | tuple):
            where = Location(f"<{model.__name__}>")
            topic = topic_of(name, value)
            yield Setting(name, value, where, Origin.SOURCE, default=True, topic=topic)


def _revealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with pydantic's secrets and starlette's as the texts that they hold."""
    starlette = sys.modules.get("starlette.datastructures")
    found: dict[str, Any] = {}
    for name, value in values.items():
        if hasattr(value, "get_secret_value"):
            found[name] = value.get_secret_value()
        elif starlette is not None and isinstance(value, starlette.Secret):
            found[name] = str(value)
        elif hasattr(type(value), "model_fields"):
            inner = {key: getattr(value, key) for key in type(value).model_fields}
            found[name] = _revealed(inner)
        elif type(value).__module__.startswith("pydantic"):
            found[name] = str(value)
        else:
            found[name] = value
    return found
