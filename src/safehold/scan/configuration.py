"""Configurations of Keras: trees of JSON that name classes and functions and may carry code.

Keras imports the ``module`` of a node and takes the class, or the function, of that name from
it (CVE-2024-3660, CVE-2025-1550, CVE-2025-8747); which versions refuse what is no question here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from safehold import dangers
from safehold.scan import rules
from safehold.scan.bytecode import dangerous_names, decode
from safehold.scan.documents import LARGEST, bounded, texts_of
from safehold.scan.references import leads_outside
from safehold.scan.visit import Source, Visit

_MOST_NODES: Final = 1_000_000
_OWN: Final = frozenset("keras tensorflow tf_keras keras_nlp keras_cv keras_hub".split())
# Where functions stand that a saved model refers to.
_FUNCTIONS: Final = frozenset(
    "activations applications constraints initializers layers losses metrics ops optimizers "
    "regularizers random".split()
)
_LAMBDAS: Final = frozenset({"Lambda", "__lambda__"})
# Their values are data: what they hold names nothing.
_TF_CALLS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
_TF_REACHES: Final = re.compile(
    r"(?:^|\.)(?:io|raw_ops|py_func(?:tion)?|numpy_function|gfile|saved_model|load_\w+|data|"
    r"train|summary|debugging|distribute|python|experimental\.dtensor)(?:\.|$)"
)
_FILES: Final = ("vocabulary", "idf_weights", "vocabulary_file")


def is_configuration(tree: Any) -> bool:
    """Whether a tree is that of a model or a layer."""
    return isinstance(tree, dict) and {"class_name", "config"} <= tree.keys()


def check_text(source: Source, visit: Visit, text: bytes) -> bool:
    """Check JSON from inside another format; False if it is none, with a finding if that hides."""
    if len(text) >= LARGEST:
        visit.note(source, rules.LIMIT_EXCEEDED, "a configuration larger than any model needs")
        return False
    try:
        tree = json.loads(bounded(text.rstrip(b"\0")))
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecursionError):
            visit.depends()
        if b"class_name" in text:
            message = "a configuration that is no JSON"
            visit.note(source, rules.UNREADABLE_STREAM, message)
        return False
    check_tree(source, visit, tree)
    return True


def check_tree(source: Source, visit: Visit, tree: Any) -> None:
    """Check each node of a configuration."""
    waiting: list[Any] = [tree]
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
    for key in _FILES:
        if isinstance(node.get(key), str):
            _check_file(source, visit, key, node[key])
    name, module, config = node.get("class_name"), node.get("module"), node.get("config")
    if not isinstance(name, str):
        return
    short = name.rsplit(">", 1)[-1]
    if short in _LAMBDAS:
        _check_lambda(source, visit, name, config)
    elif short == "TorchModuleWrapper":
        _check_wrapper(source, visit, config)
    elif short in _TF_CALLS:
        _check_call(source, visit, config)
    function = name == "function"
    target = config if function and isinstance(config, str) else node.get("spec_name", name)
    if isinstance(module, str) and isinstance(target, str):
        _check_name(source, visit, module, target, function=function)


def _check_name(source: Source, visit: Visit, module: str, name: str, *, function: bool) -> None:
    dotted = f"{module}.{name}"[:200]
    package, *below = module.split(".")
    danger = dangers.lookup(module, name)
    if package in _OWN:
        # A class of Keras is made from its configuration; a function is called with anything.
        if not function or _is_function_of_layers(package, below):
            return
        why = danger.why if danger else "is called while the model is loaded"
        message = f"names {dotted}, which {why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": dotted})
    elif danger is not None:
        message = f"names {dotted}, which {danger.why}"
        visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"global": dotted})
    elif module != "builtins":
        message = f"names {dotted}, which is not known to be harmless"
        visit.note(source, rules.UNKNOWN_GLOBAL, message, None, {"global": dotted})


def _is_function_of_layers(package: str, below: list[str]) -> bool:
    words = [word for word in below if word not in ("src", "api", "_tf_keras", "python", "keras")]
    if not words:
        return package != "tensorflow" or "keras" in below
    if package == "tensorflow" and "keras" not in below:
        return words[0] in ("math", "nn")
    return words[0] in _FUNCTIONS


def _check_lambda(source: Source, visit: Visit, name: str, config: Any) -> None:
    message = "a layer that carries Python bytecode"
    visit.note(source, rules.EMBEDDED_CODE, message, None, {"class_name": name})
    for text in _texts(source, visit, config):
        code = decode(text)
        names = dangerous_names(code) if code else []
        if names:
            message = f"bytecode that names {', '.join(names[:8])}"
            visit.note(source, rules.DANGEROUS_GLOBAL, message, None, {"names": names[:20]})


def _check_wrapper(source: Source, visit: Visit, config: Any) -> None:
    """Read what TorchModuleWrapper gives to ``torch.load`` (CVE-2025-49655)."""
    message = "a layer that carries a pickled PyTorch module"
    visit.note(source, rules.EMBEDDED_CODE, message)
    for text in _texts(source, visit, config):
        for data in _unpacked(text):
            if visit.count_member(source) and visit.admit(source, len(data)):
                member = f"{source.member or ''}@module"
                visit.scan(source.inner(data, "module.pt", member))


def _unpacked(text: str) -> Iterator[bytes]:
    if len(text) < 16:
        return
    try:
        yield base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError):
        # Bytes as Keras writes them: each a character.
        if text.startswith(("\x80", "PK")) and max(text) < "\u0100":
            yield text.encode("latin-1")


def _check_call(source: Source, visit: Visit, config: Any) -> None:
    called = config.get("function") if isinstance(config, dict) else None
    if isinstance(called, str) and _TF_REACHES.search(called):
        message = f"calls tensorflow.{called}"[:200]
        visit.note(source, rules.GRAPH_OPERATION, message, None, {"function": called[:200]})


def _check_file(source: Source, visit: Visit, key: str, path: str) -> None:
    detail = {key: path[:200]}
    if leads_outside(path):
        message = "a layer that reads a file outside the model"
        visit.note(source, rules.OUTSIDE_FILE, message, None, detail)
    elif path:
        message = "a layer that reads a file, which is not looked at here"
        visit.note(source, rules.UNREADABLE_STREAM, message, None, detail)


def _texts(source: Source, visit: Visit, tree: Any) -> Iterator[str]:
    message = "a configuration larger than any model needs"
    over = partial(visit.note, source, rules.LIMIT_EXCEEDED, message)
    return texts_of(tree, _MOST_NODES, over)
