"""Keras: the configuration inside a .keras archive, which names classes and may carry code."""

from __future__ import annotations

import json
from typing import Any, Final

from safehold import dangers
from safehold.scan import rules
from safehold.scan.visit import Source, Visit

_LARGEST: Final = 16 * 2**20
_MOST_NODES: Final = 1_000_000
_OWN: Final = ("keras", "tensorflow", "tf_keras", "keras_nlp", "keras_cv", "keras_hub")


def read(source: Source, visit: Visit) -> str | None:
    """Walk a model's ``config.json``: Lambda layers, modules outside Keras; None for others."""
    if source.name.rsplit("/", 1)[-1] != "config.json":
        return None
    if len(source.data) > _LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a configuration larger than any model needs")
        return "keras"
    try:
        config = json.loads(bytes(source.data))
    except (ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        return None
    _walk(source, visit, config)
    return "keras"


def _walk(source: Source, visit: Visit, config: dict[str, Any]) -> None:
    waiting: list[Any] = [config]
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        node = waiting.pop()
        if isinstance(node, dict):
            _check_node(source, visit, node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    visit.note(source, rules.LIMIT_EXCEEDED, "a configuration larger than any model needs")


def _check_node(source: Source, visit: Visit, node: dict[str, Any]) -> None:
    name, module = node.get("class_name"), node.get("module")
    if name in ("Lambda", "__lambda__"):
        message = "a layer that carries Python bytecode"
        visit.note(source, rules.EMBEDDED_CODE, message, None, {"class_name": name})
    if not isinstance(name, str) or not isinstance(module, str):
        return
    if module.split(".", 1)[0] in _OWN:
        return
    dotted = f"{module}.{name}"[:200]
    danger = dangers.lookup(module, name)
    if danger is not None:
        message = f"names {dotted}, which {danger.why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": dotted})
    elif module != "builtins":
        message = f"names {dotted}, which is not known to be harmless"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, {"global": dotted})
