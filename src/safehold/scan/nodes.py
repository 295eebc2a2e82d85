"""Nodes of a skops schema: what one is, and what an instance may be given as its state.

A loader puts the state into the instance's ``__dict__``, or hands it to ``__setstate__``. Other
libraries then look names up on the instance: NumPy takes the memory that an attribute
``__array_interface__`` tells of. No real dump has such names, so none may have them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from safehold.scan.instances import called_method, exists_already
from safehold.scan.values import Global, Made, Opaque, is_odd_key

PICKLE: Final = 4  # the protocol whose names are spelled as here
_DICT: Final = ("DictNode", "builtins", "dict")
# What `dict.update` would take for pairs, and what such a pair may be.
_LISTS: Final = frozenset({"ListNode", "SetNode", "TupleNode"})
_MASKED: Final = frozenset({"JsonNode", "NdArrayNode"})


class Node(NamedTuple):
    """A node whose type and loader are named as they should be."""

    state: dict[str, Any]
    module: str
    name: str

    @property
    def type(self) -> tuple[str, str]:
        """Module and name of the type."""
        return self.module, self.name

    @property
    def loader(self) -> str:
        """What skops makes the node with."""
        return str(self.state.get("__loader__"))


class BrokenError(Exception):
    """A node without what its loader needs."""


def node_of(state: Any) -> Node:
    """Return a part of the tree as a node. Raises BrokenError."""
    if not isinstance(state, dict):
        raise BrokenError
    module, name, loader = (state.get(key) for key in ("__module__", "__class__", "__loader__"))
    if not (isinstance(module, str) and isinstance(name, str) and isinstance(loader, str)):
        raise BrokenError
    return Node(state, module, name)


def literal_of(node: Node) -> Any:
    """Return what a JsonNode holds. Raises ValueError."""
    return json.loads(node.state["content"])


def argument(state: Any) -> Any:
    """Return an argument as the allow list's rules expect it."""
    node = node_of(state)
    if node.loader == "JsonNode":
        value = literal_of(node)
        return Opaque(type(value).__name__) if isinstance(value, list | dict) else value
    if node.loader in {"TypeNode", "FunctionNode"}:
        return Global(node.module, node.name, PICKLE)
    if node.loader in {"ListNode", "TupleNode", "SetNode", "DictNode"}:
        return Opaque(node.name)
    if node.loader in {"BytesNode", "BytearrayNode"}:
        return b""
    return Made(Global(node.module, node.name, PICKLE), ())


def is_model(content: Any, keys: frozenset[str], kinds: tuple[type, ...]) -> bool:
    """Whether a booster's state is a dict with a model where its address will stand."""
    node = node_of(content)
    if node.loader != "DictNode" or node.type != ("builtins", "dict"):
        return False
    values = [node_of(value) for key, value in node.state["content"].items() if key in keys]
    return all(
        (value.loader == "BytearrayNode" and bytearray in kinds)
        or (value.loader == "JsonNode" and type(literal_of(value)) in {type(None), *kinds})
        for value in values
    )


def is_plain_array(state: Any) -> bool:
    """Whether a masked array's part is an array or a literal, and asks no object for one."""
    return node_of(state).loader in _MASKED


def state_fault(target: Node, content: Any, *, own: bool) -> str | None:
    """Return what is wrong with a state, or None. Raises BrokenError."""
    if exists_already(target.type):
        return "exists already and is changed"
    odd = _lends_memory if own else is_odd_key
    method = called_method(target.type)
    node = node_of(content)
    if node.loader == "TupleNode":
        # A class's own form, such as (attributes, slots).
        if any(map(odd, _texts(node))) or any(_fault(part, odd, method) for part in _parts(node)):
            return "is given a special name"
        return None
    return _fault(node, odd, method, whole=True)


def has_odd_key(keys: Iterable[str]) -> bool:
    """Whether one of the keys of a dict is a special name."""
    return any(map(is_odd_key, keys))


def _lends_memory(key: Any) -> bool:
    """What a class of the policy's own may not be given either."""
    return type(key) is str and (key == "__setstate__" or key.startswith("__array"))


def _fault(
    node: Node, odd: Callable[[Any], bool], method: str | None, *, whole: bool = False
) -> str | None:
    """Judge a state as a whole, or one part of a tuple, which may be of any other type."""
    if (node.loader, *node.type) == _DICT:
        keys = node.state["content"].keys()
        if any(map(odd, keys)):
            return "is given a special name"
        return "is given a method that its class calls" if method in keys else None
    if node.loader == "JsonNode":
        literal = isinstance(literal_of(node), list | dict)
        return "is given a state that cannot be told" if literal else None
    if whole and node.loader not in {"BytesNode", "BytearrayNode"}:
        return "is given a state that cannot be told"
    return None


def _parts(node: Node) -> list[Node]:
    return [node_of(part) for part in node.state["content"]]


def _texts(node: Node) -> Iterable[str]:
    """Yield the texts in lists within each other: a pair of name and value is one of them."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.loader in _LISTS or (one.loader == "NdArrayNode" and one.state["type"] == "json"):
            waiting.extend(_parts(one))
        elif one.loader == "JsonNode" and isinstance(value := literal_of(one), str):
            yield value
