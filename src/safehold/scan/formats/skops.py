"""skops: the ``schema.json`` of an archive says which types are made, and how."""

from __future__ import annotations

import json
from typing import Final

from safehold.findings import Rule
from safehold.scan import rules
from safehold.scan.documents import bounded
from safehold.scan.instances import VERSION
from safehold.scan.schema import Kind, Schema
from safehold.scan.visit import Source, Visit

_NAME: Final = "schema.json"
ENDS: Final = (_NAME,)
_LARGEST: Final = 256 * 2**20
_RULES: Final[dict[Kind, Rule]] = {
    "unknown": rules.UNKNOWN_GLOBAL,
    "dangerous": rules.DANGEROUS_GLOBAL,
    "attack": rules.ATTACK_CONSTRUCTION,
    "broken": rules.UNREADABLE_STREAM,
    "limit": rules.LIMIT_EXCEEDED,
}


def read(source: Source, visit: Visit) -> str | None:
    """Judge the nodes of a schema; None for anything else."""
    if source.name != _NAME:
        return None
    if len(source.data) > _LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a schema larger than any model needs")
        return "skops"
    try:
        tree = json.loads(bounded(bytes(source.data)))
    except (ValueError, RecursionError):
        visit.note(source, rules.UNREADABLE_STREAM, "a schema that is no JSON")
        return "skops"
    schema = Schema(visit.names)
    schema.read(tree)
    for fault in schema.faults:
        detail = {"global": fault.name} if fault.name else {}
        visit.note(source, _RULES[fault.kind], fault.message, None, detail)
    visit.uses.update(schema.uses)
    visit.plain = False
    version = tree.get("_skops_version") if isinstance(tree, dict) else None
    if isinstance(version, str) and VERSION.fullmatch(version):
        visit.versions.add(("skops", version))
    return "skops"
