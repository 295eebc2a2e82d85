"""Keras: the configuration in a .keras archive, or in a file of its own, as JSON."""

from __future__ import annotations

from typing import Any, Final

from safehold.scan import rules
from safehold.scan.configuration import check_tree, is_configuration
from safehold.scan.documents import FIRSTS, LARGEST, Keys, parse
from safehold.scan.visit import Source, Visit

__all__ = ["FIRSTS", "read"]

_KEYS: Final = Keys("class_name")


def read(source: Source, visit: Visit) -> str | None:
    """Walk the configuration of a model: code in layers, names outside Keras; None for others."""
    if not _KEYS.may_be_in(source.data):
        return None
    if len(source.data) > LARGEST:
        if source.name.rsplit("/", 1)[-1] != "config.json":
            return None
        visit.note(source, rules.LIMIT_EXCEEDED, "a configuration larger than any model needs")
        return "keras"
    tree: Any = parse(source.data, visit)
    if not is_configuration(tree):
        return None
    check_tree(source, visit, tree)
    return "keras"
