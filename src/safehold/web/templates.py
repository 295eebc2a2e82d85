"""The nonce in templates: ``{{ csp_nonce() }}`` in Jinja2, ``${csp_nonce(context)}`` in Mako.

Django's has a tag, which `safehold.web.django` brings along; Flask's Jinja2 gets it by `install`.
"""

from __future__ import annotations

from typing import Any

from safehold.errors import ConfigError
from safehold.web.exchange import nonce


def csp_nonce(context: Any) -> str:
    """Return the nonce for a template whose context has the request under that name.

    Raises:
        ConfigError: it has none, or the request did not come through `SecurityHeaders`.
    """
    request = context.get("request")
    if request is None:
        message = "csp_nonce needs the request: render the template with request=request"
        raise ConfigError(message)
    return nonce(request)


def jinja(environment: Any) -> None:
    """Give every template of a Jinja2 environment the function `csp_nonce`."""
    from jinja2 import pass_context

    environment.globals["csp_nonce"] = pass_context(csp_nonce)
