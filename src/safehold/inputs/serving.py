"""Files below a directory as an ASGI or WSGI application: for uploads, which are hostile.

Every answer is a download unless its type is one that browsers only show: pictures that are no
programs, sound, film, plain text. Hidden names, directories and whatever leads out are 404 alike.
There are no ranges, no listings and no cache headers.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import IO, Any, Protocol
from urllib.parse import quote

from safehold.errors import InputRefused
from safehold.inputs.names import check_relative

_STEP = 2**16
_SHOWN = frozenset(
    """
    image/png image/jpeg image/gif image/webp image/avif audio/mpeg audio/ogg audio/wav video/mp4
    video/webm text/plain
    """.split()
)
_Message = MutableMapping[str, Any]
_Headers = list[tuple[str, str]]


class Confined(Protocol):
    """What opens files below a directory and nothing else."""

    def open(self, path: str) -> IO[Any]:
        """Open a file for reading, or raise InputRefused."""


def _opened(confined: Confined, method: str, path: str) -> tuple[str, _Headers, IO[bytes] | None]:
    """Return status, headers and the file that is sent."""
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", [("allow", "GET, HEAD"), ("content-length", "0")], None
    try:
        name = check_relative(path.lstrip("/"))
        # As on the disk, where a name may be composed in another way.
        file = confined.open(path.lstrip("/"))
    except (InputRefused, OSError):
        return "404 Not Found", [("content-length", "0")], None
    size = os.fstat(file.fileno()).st_size
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    shown = kind in _SHOWN
    last = quote(name.rpartition("/")[2], safe="")
    headers = [
        ("content-type", f"{kind}; charset=utf-8" if kind == "text/plain" else kind),
        ("content-length", str(size)),
        ("content-disposition", f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{last}"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-content-type-options", "nosniff"),
    ]
    return "200 OK", headers, file


def _pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield what was promised and no more, should the file grow."""
    while size > 0 and (data := file.read(min(_STEP, size))):
        size -= len(data)
        yield data


def asgi(confined: Confined) -> Callable[..., Awaitable[None]]:
    """Return an ASGI application that serves the files of a directory; mount it."""

    async def serve(
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        del receive
        if scope["type"] != "http":
            message = f"files are served over http, not {scope['type']}"
            raise RuntimeError(message)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        status, headers, file = await asyncio.to_thread(_opened, confined, scope["method"], path)
        start = {
            "type": "http.response.start",
            "status": int(status[:3]),
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
        try:
            await send(start)
            if file is not None and scope["method"] == "GET":
                pieces = _pieces(file, int(dict(headers)["content-length"]))
                while data := await asyncio.to_thread(next, pieces, b""):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if file is not None:
                file.close()

    return serve


def wsgi(confined: Confined) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application that serves the files of a directory; mount it."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # WSGI hands on bytes as Latin-1.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "surrogateescape")
        method = environ["REQUEST_METHOD"]
        status, headers, file = _opened(confined, method, path)
        start_response(status, headers)
        if file is None:
            return []
        if method == "HEAD":
            file.close()
            return []
        return _Body(file, int(dict(headers)["content-length"]))

    return serve


class _Body:
    """What a server iterates over, and closes whatever happens."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._pieces, self.close = _pieces(file, size), file.close

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces
