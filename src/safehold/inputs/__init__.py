"""Inputs of requests: types that refuse what they are not for, confinement of paths, tripwires.

What an endpoint expects is a type (`PlainText`, `Filename`, `URL`, ...), where its files may lie
is a directory (`confine`). Both refuse with `InputRefused`; what they refuse is not guessed from
how an attack looks, so that no apostrophe and no keyword is ever in the way.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` would take longer to import than all of this
if TYPE_CHECKING:
    from safehold.errors import InputRefused
    from safehold.inputs.archives import ArchiveLimits
    from safehold.inputs.confining import Confined, confine
    from safehold.inputs.fetching import (
        connect,
        httpx_async_transport,
        httpx_transport,
        open_url,
        requests_adapter,
    )
    from safehold.inputs.names import Filename, RelativePath
    from safehold.inputs.text import Identifier, MultilineText, PlainText
    from safehold.inputs.urls import URL, Destinations

# Name -> module that defines it; loaded at first use, as most services need a few of them.
_LAZY = {
    "ArchiveLimits": "safehold.inputs.archives",
    "Confined": "safehold.inputs.confining",
    "Destinations": "safehold.inputs.urls",
    "Filename": "safehold.inputs.names",
    "Identifier": "safehold.inputs.text",
    "InputRefused": "safehold.errors",
    "MultilineText": "safehold.inputs.text",
    "PlainText": "safehold.inputs.text",
    "RelativePath": "safehold.inputs.names",
    "URL": "safehold.inputs.urls",
    "confine": "safehold.inputs.confining",
    "connect": "safehold.inputs.fetching",
    "httpx_async_transport": "safehold.inputs.fetching",
    "httpx_transport": "safehold.inputs.fetching",
    "open_url": "safehold.inputs.fetching",
    "requests_adapter": "safehold.inputs.fetching",
}

__all__ = [
    "URL",
    "ArchiveLimits",
    "Confined",
    "Destinations",
    "Filename",
    "Identifier",
    "InputRefused",
    "MultilineText",
    "PlainText",
    "RelativePath",
    "confine",
    "connect",
    "httpx_async_transport",
    "httpx_transport",
    "open_url",
    "requests_adapter",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        message = f"module 'safehold.inputs' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
