"""One request and its answer: the nonce, which is made when first asked for, and the route."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from safehold.errors import ConfigError

if TYPE_CHECKING:
    from safehold.web.changes import Change

KEY = "safehold.web"
"""Where an exchange stands in an ASGI scope or a WSGI environment, which are one request's own."""


class Exchange:
    """What belongs to one request alone. It lies in the request, never in a global or a context."""

    __slots__ = ("_nonces", "change")

    def __init__(self) -> None:
        self._nonces: list[str] = []
        self.change: Change | None = None

    @property
    def asked(self) -> bool:
        """Say whether there is a nonce, so that a body may have it."""
        return bool(self._nonces)

    @property
    def nonce(self) -> str:
        """The nonce of this request: 128 random bits."""
        if not self._nonces:
            # Of two threads of one request, both get the first.
            self._nonces.append(secrets.token_hex(16))
        return self._nonces[0]


def exchange_of(request: Any) -> Exchange:
    """Return the exchange of a scope, an environment, or a request of any framework.

    Raises:
        ConfigError: the request did not come through `SecurityHeaders`.
    """
    place = request
    for name in ("scope", "environ", "META", ""):
        found = place.get(KEY) if isinstance(place, dict) else None
        if isinstance(found, Exchange):
            return found
        place = getattr(request, name, None) if name else None
    message = "the request has no nonce: wrap the application with safehold.web.install(app, hold)"
    raise ConfigError(message)


def nonce(request: Any) -> str:
    """Return the nonce of a request, for ``<script nonce=...>`` and ``<style nonce=...>``.

    Raises:
        ConfigError: the request did not come through `SecurityHeaders`.
    """
    return exchange_of(request).nonce
