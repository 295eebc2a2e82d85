"""Paths as URI references: the same for a file wherever a checkout lies, whatever it is called."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote, quote_from_bytes

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# What may stand in a URL without being quoted; a URL that is given is not quoted twice.
_OF_URL: Final = "/:?#[]@!$&'()*+,;=%~"
_FREE: Final = "/!$&'()*+,;=@~"


def uri_of(path: str, base: str) -> str:
    """Return a reference relative to ``base``, or a ``file:`` URI for what lies elsewhere.

    Bytes that are not UTF-8 (surrogates in ``path``) are quoted as they stand on the disk. What
    is no path, like ``<stdin>``, gets a quoted name.
    """
    if _SCHEME.match(path):
        return quote(path, safe=_OF_URL, errors="surrogatepass")
    whole = os.path.abspath(path)
    relative = os.path.relpath(whole, base)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep):
        return "file://" + _quoted(whole)
    # A colon in the first segment would make it a scheme.
    return _quoted(relative)


def member_uri(member: str) -> str:
    """Return the reference of a member within the file that holds it."""
    return "/" + _quoted(member.lstrip("/"))


def is_below(uri: str, root: str) -> bool:
    """Say whether a reference is the root's or of something below it."""
    if root in (".", uri):
        return root == uri or not _SCHEME.match(uri)
    return uri.startswith(root.rstrip("/") + "/")


def _quoted(path: str) -> str:
    try:
        data = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # the name of a member, which no disk has to hold
        data = path.encode("utf-8", "surrogatepass")
    return quote_from_bytes(data, safe=_FREE)
