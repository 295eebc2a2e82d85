"""Web: strict headers on every answer, whatever makes it.

    app = safehold.web.SecurityHeaders(app, hold)      # ASGI; safehold.web.wsgi for WSGI
    app = safehold.web.install(app, hold)              # picks by what the application is

The threat model page says what headers do not protect.
"""

from __future__ import annotations

from safehold.web import templates, wsgi
from safehold.web.asgi import SecurityHeaders
from safehold.web.changes import sends
from safehold.web.exchange import nonce
from safehold.web.installing import install

__all__ = ["SecurityHeaders", "install", "nonce", "sends", "templates", "wsgi"]
