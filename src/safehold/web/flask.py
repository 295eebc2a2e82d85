"""Flask: changes of routes, `csp_nonce` in templates, and the debugger's page under a nonce."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from safehold.context import Context
from safehold.web.changes import Change, change_of_view
from safehold.web.exchange import exchange_of, nonce
from safehold.web.wsgi import App, Environ, SecurityHeaders, Start

_DEBUGGED = "werkzeug.debug.preserve_context"
"""What werkzeug's debugger, which `flask run --debug` puts outside of all, leaves in a request."""
_FAILED = "safehold.web.failed"


def install(app: Any, hold: Context) -> None:
    """Wrap a Flask application in place."""
    app.wsgi_app = SecurityHeaders(
        _Debugged(app), hold, route=_route_of(app), raises=lambda: bool(app.testing)
    )
    app.context_processor(lambda: {"csp_nonce": _csp_nonce})


def _csp_nonce() -> str:
    from flask import request

    return nonce(request)


def _route_of(app: Any) -> Callable[[Environ], Change | None]:
    def route(environ: Environ) -> Change | None:
        endpoint = getattr(environ.get("werkzeug.request"), "endpoint", None)
        view = None if endpoint is None else app.view_functions.get(endpoint)
        return None if view is None else change_of_view(view)

    return route


class _Debugged:
    """The application, with a debugger of its own where one stands outside of it already.

    The outer one would answer without headers and with scripts that have no nonce. Without an
    outer one there is none here either: a debugger runs what it is told.
    """

    def __init__(self, app: Any) -> None:
        self._flask = app
        self._app: App = app.wsgi_app
        self._debugger: App | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        if _DEBUGGED not in environ or self._flask.testing:
            return self._app(environ, start_response)
        return self._debugged(environ, start_response)

    def _debugged(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        if self._debugger is None:
            from werkzeug.debug import DebuggedApplication

            debugger = DebuggedApplication(self._flask, evalex=True, pin_logging=False)
            _ = debugger.pin  # of the application: the one that the outer debugger has shown
            debugger.app = self._marking
            self._debugger = debugger

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            if environ.get(_FAILED):
                headers = [pair for pair in headers if pair[0].lower() != "content-length"]
                mark = f'<script nonce="{exchange_of(environ).nonce}"'
                environ[_FAILED] = mark.encode()
            return start_response(status, headers, *more)

        for data in self._debugger(environ, start):
            mark = environ.get(_FAILED)
            # The debugger's own page, in which all that is not its own is escaped.
            yield data.replace(b"<script", mark) if isinstance(mark, bytes) else data

    def _marking(self, environ: Environ, start_response: Start) -> Iterator[bytes]:
        try:
            yield from self._app(environ, start_response)
        except Exception:
            environ[_FAILED] = True
            raise
