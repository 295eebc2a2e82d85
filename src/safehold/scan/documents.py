"""JSON documents: which are worth parsing, and the parsing, in any encoding that loaders accept."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from safehold.scan.budget import Exceeded
from safehold.scan.values import Data
from safehold.scan.visit import Visit

LARGEST: Final = 16 * 2**20
_BLANKS: Final = b" \t\r\n"
FIRSTS: Final = _BLANKS + b"{[\x00\xef\xfe\xff"
"""First bytes of a document that `begins` with a bracket, in any encoding, with a mark or not."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A letter or sign that is written as a number, where no writer needs it.
_ESCAPED: Final = rb"\\u00[2-7][0-9a-fA-F]"


def encoding_of(data: Data) -> str:
    """Return the encoding of a text, as ``json`` and PyYAML detect it."""
    head = bytes(data[:4])
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if b"\0" in head:
        order = "be" if head[0] == 0 else "le"
        return f"utf-{32 if head.count(0) > 2 else 16}-{order}"
    return "utf-8"


def as_utf8(data: Data) -> Data:
    """Return a text in UTF-8 and without a mark; data that is none as it is."""
    name = encoding_of(data)
    if name == "utf-8" or len(data) > 2 * LARGEST:
        return data
    try:
        return bytes(data).decode(name).encode()
    except UnicodeError:
        return data


def begins(data: Data, *firsts: bytes) -> bool:
    """Whether the first byte that is no blank is one of these."""
    return bytes(data[:256]).lstrip(_BLANKS)[:1] in firsts


def opens(data: Data) -> bool:
    """Whether the first character that is no blank is a bracket, in the encoding of the text."""
    head = bytes(data[:256]).decode(encoding_of(data), "ignore")
    return head.lstrip(_BLANKS.decode())[:1] in ("{", "[")


class Keys:
    """Keys that make a document worth parsing; a search for their bytes is far cheaper."""

    def __init__(self, *names: str) -> None:
        parts = [re.escape(name.encode()) for name in names]
        # "py/object" may be written "py\\/object".
        parts += [part.replace(b"/", rb"\\/") for part in parts if b"/" in part]
        self._sign = re.compile(b"|".join((*parts, _ESCAPED)))

    def may_be_in(self, data: Data) -> bool:
        """Whether a document may have one of the keys: begins like JSON and holds its bytes."""
        text = as_utf8(data)
        return begins(text, b"{", b"[") and self._sign.search(text) is not None


# Bytes of memory that a parser takes for each of these, about: of objects, lists, texts, members.
_WEIGHTS: Final = ((b"{", 250), (b"[", 80), (b'"', 32), (b",", 32))
_MOST_MEMORY: Final = 320 * 2**20


def bounded(text: bytes) -> bytes:
    """Return JSON that a parser may be given. Raises Exceeded for what takes too much memory."""
    if sum(text.count(sign) * weight for sign, weight in _WEIGHTS) > _MOST_MEMORY:
        raise Exceeded("a document of more values than are read here")
    return text


def parse(
    data: Data,
    visit: Visit,
    hook: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
) -> Any:
    """Return what a document holds; None if it is no JSON."""
    try:
        return json.loads(bounded(bytes(as_utf8(data))), object_pairs_hook=hook)
    except ValueError:
        return None
    except RecursionError:
        visit.depends()
        return None


def texts_of(
    tree: Any, most: int, over: Callable[[], None], *, joined: bool = False
) -> Iterator[str]:
    """Yield the texts of a tree; a list of nothing but texts is one if they are to be ``joined``.

    ``over`` is called if there are more nodes than ``most``: what follows them is not yielded.
    """
    waiting = [tree]
    for _ in range(most):
        if not waiting:
            return
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            if joined and node and all(isinstance(one, str) for one in node):
                yield "".join(node)
            else:
                waiting.extend(node)
    if waiting:
        over()
