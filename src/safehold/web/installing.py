"""`install`: the outermost layer, put where the framework of an application lets it stand."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from safehold.context import Context
from safehold.errors import ConfigError
from safehold.web import asgi, wsgi


def install(app: Any, hold: Context) -> Any:
    """Put the headers upon every answer of an application, and return what to serve.

    FastAPI, Starlette, Litestar and Flask keep their application object; Django's handlers and
    bare ASGI and WSGI callables come back wrapped.

    Raises:
        ConfigError: it is no application, or the policy's ``[web]`` table cannot be used.
    """
    for module, name, put in _FRAMEWORKS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(app, kind):
            return put(app, hold)
    if _is_asgi(app):
        return asgi.SecurityHeaders(app, hold)
    if callable(app) and not inspect.isclass(app):
        return wsgi.SecurityHeaders(app, hold)
    message = f"{type(app).__name__} is no ASGI or WSGI application; give install the application"
    raise ConfigError(message)


def _is_asgi(app: Any) -> bool:
    if isinstance(app, asgi.SecurityHeaders):
        return True
    if inspect.isclass(app) or not callable(app):
        return False
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(app.__call__):
        return True
    try:
        taken = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return False
    # Three values and no coroutine: a function that returns one, as ASGI allows.
    return sum(one.default is one.empty for one in taken) == 3


def _starlette(app: Any, hold: Context) -> Any:
    """Stand outside of the handler of errors, which `add_middleware` does not."""
    layer = asgi.SecurityHeaders(app, hold)
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: layer.around(build())
    if app.middleware_stack is not None:
        app.middleware_stack = layer.around(app.middleware_stack)
    return app


def _litestar(app: Any, hold: Context) -> Any:
    app.asgi_handler = asgi.SecurityHeaders(app.asgi_handler, hold)
    return app


def _flask(app: Any, hold: Context) -> Any:
    from safehold.web import flask

    flask.install(app, hold)
    return app


_FRAMEWORKS: tuple[tuple[str, str, Callable[[Any, Context], Any]], ...] = (
    ("starlette.applications", "Starlette", _starlette),
    ("litestar.app", "Litestar", _litestar),
    ("flask.app", "Flask", _flask),
    ("django.core.handlers.wsgi", "WSGIHandler", wsgi.SecurityHeaders),
    ("django.core.handlers.asgi", "ASGIHandler", asgi.SecurityHeaders),
)
