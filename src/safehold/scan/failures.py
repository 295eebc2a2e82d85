"""Why an object behind a URL could not be had, in words for people and without anything secret.

Texts of foreign errors may hold URLs, and those passwords: of them nothing is repeated.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from typing import Final

from safehold.errors import MissingExtra

# What answers of HTTP mean to whoever asked.
_STATUSES: Final = {
    401: "the server wants credentials, or does not take those it got",
    403: "the server refused it: the credentials may not read it, or there are none",
    404: "not found",
    407: "the proxy wants credentials",
    410: "not found",
    429: "the server is asked too often; try again later",
}
_UNREACHED: Final = (
    errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN,
)  # fmt: skip


class FetchError(Exception):
    """Why an object could not be fetched, without anything secret."""


def reason(error: BaseException) -> str:
    """Return what went wrong; of foreign texts only those that can hold no URL."""
    if isinstance(error, FetchError | MissingExtra):
        return str(error)
    if isinstance(error, ImportError):  # of the package for a kind of URL; fsspec names it
        return str(error)[:200]
    # Of HTTP any failure becomes one that a file is not found.
    status = _status(error)
    if status is not None:
        return _status_text(status)
    unreached = next(filter(None, map(_unreached, _chain(error))), None)
    if unreached is not None:
        return f"the server cannot be reached: {unreached}"
    for kind, text in (
        (FileNotFoundError, "not found"),
        (PermissionError, "permission denied"),
        (TimeoutError, "timed out"),
        (NotImplementedError, "it cannot be read or listed"),
    ):
        if isinstance(error, kind):
            return text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _status_text(status: int) -> str:
    text = _STATUSES.get(status)
    if text is None and 500 <= status < 600:
        text = "the server failed; try again later"
    if text is None:
        return f"the server answered with status {status}"
    return text if status == 404 else f"{text} (status {status})"


def _status(error: BaseException) -> int | None:
    """Return what a server answered, from an error or what it came from.

    Libraries keep it in one of these places: aiohttp, gcsfs, requests and huggingface_hub,
    botocore.
    """
    for seen in _chain(error):
        answer = getattr(seen, "response", None)
        if isinstance(answer, dict):
            place = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            place = getattr(answer, "status_code", None)
        # Other errors of aiohttp have codes of its own.
        own = type(seen).__module__.startswith("aiohttp")
        for name in ("status",) if own else ("status", "code"):
            place = getattr(seen, name, None) if place is None else place
        if isinstance(place, int) and 400 <= place < 600:
            return place
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from; not forever."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unreached(error: BaseException) -> str | None:
    """Return why there was no connection, if that is it."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    ssl = sys.modules.get("ssl")  # which whoever speaks TLS has imported
    if ssl is not None and isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    if ssl is not None and isinstance(error, ssl.SSLError):
        return "it does not speak TLS"
    refused = (ConnectionRefusedError, ConnectionResetError)
    if isinstance(error, refused) or getattr(error, "errno", None) in _UNREACHED:
        return os.strerror(getattr(error, "errno", None) or errno.ECONNREFUSED)
    return None
