"""YAML: tags that PyYAML and ruamel.yaml turn into calls, and aliases that multiply."""

from __future__ import annotations

import re
from typing import Final

from safehold import dangers
from safehold.scan import rules
from safehold.scan.documents import LARGEST, encoding_of
from safehold.scan.searching import search
from safehold.scan.tags import Tag, expansion, find_tags
from safehold.scan.visit import Source, Visit

_SUFFIXES: Final = (".yaml", ".yml")
ENDS_TOO: Final = _SUFFIXES
# Other text begins like a pickle only in UTF-16.
HEAD: Final = rb".{1,3}\0"
_SIGN: Final = re.compile(
    rb"python|%TAG|%[0-9A-Fa-f]{2}|!(?:new|name|apply|module|applyref):|_target_"
)
_TARGET: Final = re.compile(r"""_target_["']?\s*:\s*["']?([\w.]+)""")
_ALIAS: Final = re.compile(rb"\*")
_MOST_NODES: Final = 10_000_000
# A class made on the spot lets PyYAML call what its state names (CVE-2020-14343).
_METACLASSES: Final = frozenset({"type", "builtins.type"})
# Functions and classes that configurations of mkdocs name.
_KNOWN: Final = re.compile(
    r"(?:materialx?\.(?:extensions\.)?emoji|pymdownx\.(?:slugs|emoji|arithmatex|superfences)"
    r"|mermaid2|pymdownx\.blocks)\.\w+"
)


def read(source: Source, visit: Visit) -> str | None:
    """Check tags and aliases of a file that is called YAML; of another, if it was asked for."""
    called = source.name.lower().endswith(_SUFFIXES)
    data = source.data
    if not called and not (source.named and _is_text(data)):
        return None
    tagged = encoding_of(data) != "utf-8" or search(_SIGN, data, visit.budget) is not None
    aliased = called and search(_ALIAS, data, visit.budget) is not None
    before = len(visit.findings)
    if tagged or aliased:
        if len(data) > LARGEST:
            visit.note(source, rules.LIMIT_EXCEEDED, "a document larger than is read here")
            return "yaml"
        text = bytes(data).decode(encoding_of(data), "replace")
        _check(source, visit, text)
    if called and source.named and not _is_text(data):
        visit.note(source, rules.UNREADABLE_STREAM, "no text in UTF-8")
    return "yaml" if len(visit.findings) > before or (called and source.named) else None


def _is_text(data: bytes | memoryview) -> bool:
    """Whether the beginning is text in the encoding that PyYAML would take it for."""
    head = bytes(data[:4096])
    try:
        text = head.decode(encoding_of(data))
    except UnicodeDecodeError as error:
        # A character that the 4096 bytes cut.
        return len(data) > len(head) and error.start > len(head) - 4
    return "\0" not in text


def _check(source: Source, visit: Visit, text: str) -> None:
    for tag in find_tags(text):
        _check_tag(source, visit, tag)
    for found in _TARGET.finditer(text):
        _check_tag(source, visit, Tag("call", found[1]))
    nodes = expansion(text)
    if nodes > _MOST_NODES:
        message = "aliases that stand for far more than the file holds"
        visit.note(source, rules.LIMIT_EXCEEDED, message, None, {"nodes": min(nodes, 2**63 - 1)})


def _check_tag(source: Source, visit: Visit, tag: Tag) -> None:
    if tag.kind == "too many":
        visit.note(source, rules.LIMIT_EXCEEDED, "more tags than any document needs")
        return
    dotted = tag.name[:200]
    module, _, name = tag.name.rpartition(".")
    detail = {"tag": tag.kind[:100], "global": dotted}
    if tag.kind == "module":
        danger = dangers.lookup(tag.name, "module")
    else:
        danger = dangers.lookup(module or "builtins", name)
    if tag.name in _METACLASSES and tag.kind.startswith("object"):
        message = "makes a class, whose methods may be any function"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, detail)
    elif danger is not None:
        message = f"names {dotted}, which {danger.why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, detail)
    elif tag.kind != "call" and not _is_known(visit, tag, module, name):
        message = f"names {dotted or tag.kind}, which is not known to be harmless"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, detail)


def _is_known(visit: Visit, tag: Tag, module: str, name: str) -> bool:
    if _KNOWN.fullmatch(tag.name):
        return True
    return tag.kind == "name" and visit.names.status(module or "builtins", name, 4).known
