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
    from safehold.inputs.arguments import ShellArg, argv
    from safehold.inputs.commands import check_command, verify_command
    from safehold.inputs.confining import Confined, confine
    from safehold.inputs.detecting import detect, record_tripwires
    from safehold.inputs.fetching import (
        connect,
        httpx_async_transport,
        httpx_transport,
        open_url,
        requests_adapter,
    )
    from safehold.inputs.html import HTML, clean_html
    from safehold.inputs.json_text import check_json, parse_json
    from safehold.inputs.names import Filename, RelativePath
    from safehold.inputs.parsing import parse, parse_body, parse_form
    from safehold.inputs.requests import Inputs, add_inputs, request_inputs
    from safehold.inputs.sql import check_statement, verify_statement
    from safehold.inputs.text import Identifier, MultilineText, PlainText
    from safehold.inputs.urls import URL, Destinations

# Name -> module that defines it; loaded at first use, as most services need a few of them.
_LAZY = {
    "ArchiveLimits": "safehold.inputs.archives",
    "Confined": "safehold.inputs.confining",
    "Destinations": "safehold.inputs.urls",
    "Filename": "safehold.inputs.names",
    "HTML": "safehold.inputs.html",
    "Identifier": "safehold.inputs.text",
    "InputRefused": "safehold.errors",
    "Inputs": "safehold.inputs.requests",
    "MultilineText": "safehold.inputs.text",
    "PlainText": "safehold.inputs.text",
    "RelativePath": "safehold.inputs.names",
    "ShellArg": "safehold.inputs.arguments",
    "URL": "safehold.inputs.urls",
    "add_inputs": "safehold.inputs.requests",
    "argv": "safehold.inputs.arguments",
    "check_command": "safehold.inputs.commands",
    "check_json": "safehold.inputs.json_text",
    "check_statement": "safehold.inputs.sql",
    "clean_html": "safehold.inputs.html",
    "confine": "safehold.inputs.confining",
    "connect": "safehold.inputs.fetching",
    "detect": "safehold.inputs.detecting",
    "httpx_async_transport": "safehold.inputs.fetching",
    "httpx_transport": "safehold.inputs.fetching",
    "open_url": "safehold.inputs.fetching",
    "parse": "safehold.inputs.parsing",
    "parse_body": "safehold.inputs.parsing",
    "parse_form": "safehold.inputs.parsing",
    "parse_json": "safehold.inputs.json_text",
    "record_tripwires": "safehold.inputs.detecting",
    "request_inputs": "safehold.inputs.requests",
    "requests_adapter": "safehold.inputs.fetching",
    "verify_command": "safehold.inputs.commands",
    "verify_statement": "safehold.inputs.sql",
}

__all__ = [
    "HTML",
    "URL",
    "ArchiveLimits",
    "Confined",
    "Destinations",
    "Filename",
    "Identifier",
    "InputRefused",
    "Inputs",
    "MultilineText",
    "PlainText",
    "RelativePath",
    "ShellArg",
    "add_inputs",
    "argv",
    "check_command",
    "check_json",
    "check_statement",
    "clean_html",
    "confine",
    "connect",
    "detect",
    "httpx_async_transport",
    "httpx_transport",
    "open_url",
    "parse",
    "parse_body",
    "parse_form",
    "parse_json",
    "record_tripwires",
    "request_inputs",
    "requests_adapter",
    "verify_command",
    "verify_statement",
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
