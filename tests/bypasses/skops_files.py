"""Builds skops files by hand, so that neither skops nor what it would refuse to write is needed."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any


def node(loader: str, dotted: str, **fields: Any) -> dict[str, Any]:
    module, _, name = dotted.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": name, **fields}


def literal(value: Any) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def sequence(*items: dict[str, Any], kind: str = "list") -> dict[str, Any]:
    loaders = {"list": "ListNode", "tuple": "TupleNode", "set": "SetNode"}
    return node(loaders[kind], f"builtins.{kind}", content=list(items))


def mapping(dotted: str = "builtins.dict", **items: dict[str, Any]) -> dict[str, Any]:
    keys = sequence(*(node("TypeNode", "builtins.str") for _ in items))
    return node("DictNode", dotted, key_types=keys, content=items)


def archive(
    tree: Any, *members: tuple[str, bytes], protocol: Any = 2, method: int = zipfile.ZIP_STORED
) -> bytes:
    """Return the file; ``tree`` is a node, or the text of the whole schema."""
    out = io.BytesIO()
    if not isinstance(tree, str):
        tree = json.dumps({**tree, "protocol": protocol, "_skops_version": "0.16.0"})
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("schema.json", tree)
        for name, data in members:
            made.writestr(name, data)
    return out.getvalue()
