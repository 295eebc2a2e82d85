"""Traces of one's own secrets: by them a piece of a secret is known in any text.

Every eight bytes in a row of each way to write a secret are kept as a number. A text is looked at
in steps of eight bytes, so a piece of 15 characters is always met, a shorter one by chance.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from sys import byteorder

STEP = 8
_LEAST = 12  # characters in a row that are a secret's, and not a word that it happens to hold
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})+")


def traces_of(secret: bytes) -> frozenset[int]:
    """Return the traces of a secret in its spellings: itself, hex, base64, escaped."""
    return frozenset(
        int.from_bytes(spelling[at : at + STEP], byteorder)
        for spelling in _spellings(secret)
        for at in range(len(spelling) - STEP + 1)
    )


def _spellings(secret: bytes) -> Iterator[bytes]:
    forms = [secret]
    if _HEX.fullmatch(secret):
        forms += [bytes.fromhex(secret.decode()), secret.lower(), secret.upper()]
    else:
        forms.append(secret.hex().encode())
        padded = secret.rstrip(b"=") + b"=" * (-len(secret.rstrip(b"=")) % 4)
        for altchars in (None, b"-_"):
            with contextlib.suppress(binascii.Error):
                forms.append(base64.b64decode(padded, altchars, validate=True))
    for form in forms:
        yield form
        yield form.decode("latin-1").encode()
        yield repr(form)[2:-1].encode()
        yield form.decode("utf-8", "backslashreplace").encode()
        yield form.hex().encode()
        yield form.hex().upper().encode()
        for shift in range(3):  # as a part of something longer, too
            text = base64.b64encode(bytes(shift) + form)
            inner = text[shift + (shift > 0) : len(text) - 4 if text.endswith(b"=") else len(text)]
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def is_free(text: str, traces: frozenset[int]) -> bool:
    """Say whether a text holds no piece of 15 characters of what the traces are of."""
    data = text.encode("utf-8", "surrogatepass")
    view = memoryview(data)[: len(data) // STEP * STEP]
    return traces.isdisjoint(view.cast("Q"))


def without(text: str, traces: frozenset[int], marker: str) -> str:
    """Return a text with a marker in the place of every piece of 12 characters and more."""
    data = text.encode("utf-8", "surrogatepass")
    spans: list[list[int]] = []
    for at in range(len(data) - STEP + 1):
        if int.from_bytes(data[at : at + STEP], byteorder) in traces:
            if spans and at <= spans[-1][1]:
                spans[-1][1] = at + STEP
            else:
                spans.append([at, at + STEP])
    out, done = b"", 0
    for begin, end in spans:
        if end - begin >= _LEAST:
            out += data[done:begin] + marker.encode()
            done = end
    return (out + data[done:]).decode("utf-8", "replace")
