"""YAML tags that make Python objects, found without building a tree.

Where a text only looks like a tag (in a quoted or block scalar) it does not stand where a node
begins, or it counts: a reader that disagrees about where scalars end must not see more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SCHEMA: Final = "tag:yaml.org,2002:"
_PYTHON: Final = _SCHEMA + "python/"
_TAG: Final = re.compile(r"(?<![^\s\[{,:?-])(?:!<[^>\s]{0,1024}>|![^\s,\[\]{}]*)")
_LONGEST_LEAD: Final = 4096
_COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_DIRECTIVE: Final = re.compile(r"^%TAG[ \t]+(!(?:[\w-]*!)?)[ \t]+(\S+)", re.MULTILINE)
_PERCENT: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_HANDLE: Final = re.compile(r"(![\w-]*!)(.*)|(!)(.*)", re.DOTALL)
# Tags of hyperpyyaml, which calls what they name.
_CALLS: Final = re.compile(r"!(?:new|name|apply|module|applyref):([\w.]+)")
# What PyYAML writes for Python's own data.
_DATA: Final = frozenset(
    "none bool str unicode bytes int long float complex list tuple dict".split()
)
_ANCHORS: Final = re.compile(r"(?:^|[-:?,\[{\s])([&*])([^\s,\[\]{}]+)", re.MULTILINE)
_MOST_TAGS: Final = 100_000
_MOST_PREFIXES: Final = 20
_MOST_WEIGHT: Final = 2**62
_MOST_ANCHORS: Final = 1_000_000


class Tag(NamedTuple):
    """A tag that names something: how, and the dotted name."""

    kind: str
    name: str


def find_tags(text: str) -> Iterator[Tag]:
    """Yield the tags that name Python objects."""
    text = _COMMENT.sub("", text)
    handles: dict[str, list[str]] = {"!!": [_SCHEMA], "!": ["!"]}
    for directive in _DIRECTIVE.finditer(text):
        prefixes = handles.setdefault(directive[1], [])
        if directive[2] not in prefixes:
            prefixes.append(directive[2])
        if len(prefixes) > _MOST_PREFIXES or len(handles) > _MOST_PREFIXES:
            yield Tag("too many", "")
            return
    for count, found in enumerate(_TAG.finditer(text)):
        if count >= _MOST_TAGS:
            yield Tag("too many", "")
            return
        if not _begins_node(text, found.start()):
            continue
        for uri in _resolved(found[0], handles):
            if uri.startswith(_PYTHON):
                kind, _, name = uri.removeprefix(_PYTHON).partition(":")
                if kind not in _DATA:
                    yield Tag(kind, name)
            elif call := _CALLS.fullmatch(uri):
                yield Tag("call", call[1])


def _begins_node(text: str, at: int) -> bool:
    """Whether a tag can stand here; in the middle of a plain scalar it is words."""
    start = max(0, at - _LONGEST_LEAD)
    line = text.rfind("\n", start, at) + 1
    if line == 0 and start > 0:
        return True
    before = text[line:at].rstrip(" \t\r\ufeff")
    word = re.split(r"[\s\[{,]", before[-_LONGEST_LEAD:])[-1]
    return not before or before[-1] in "-:?,[{" or word[:1] in ("&", "!")


def _resolved(tag: str, handles: dict[str, list[str]]) -> list[str]:
    """Return what a tag may stand for; a handle may be defined more than once."""
    if tag.startswith("!<"):
        return [_plain(tag[2:-1])]
    found = _HANDLE.fullmatch(tag)
    if found is None:
        return []
    handle, rest = (found[1], found[2]) if found[1] else (found[3], found[4])
    return [_plain(prefix + rest) for prefix in handles.get(handle, [])]


def _plain(uri: str) -> str:
    return _PERCENT.sub(lambda found: chr(int(found[1], 16)), uri)


def expansion(text: str) -> int:
    """Return how many nodes aliases stand for, about: as if each held all that follows it.

    Of more aliases and anchors than any document needs nobody asks what they stand for.
    """
    total = weight = 1
    name = ""
    weights: dict[str, int] = {}
    for count, found in enumerate(_ANCHORS.finditer(_COMMENT.sub("", text))):
        if count >= _MOST_ANCHORS:
            return _MOST_WEIGHT
        mark, anchor = found.groups()
        if mark == "&":
            if name:
                weights[name] = weight
            name, weight = anchor, 1
        else:
            weight = min(_MOST_WEIGHT, weight + weights.get(anchor, 1))
            total = min(_MOST_WEIGHT, total + weights.get(anchor, 1))
    return total
