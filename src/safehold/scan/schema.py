"""The schema of a skops file: a tree of nodes, each naming a loader, a class and what it holds.

skops asks for the types of a file that it does not trust, and then lets each loader do with a
type what it does: call it with a list, with a text, with arguments from the file. Here the type
must be allowed, and also be one that the loader may have. Two nodes with the same id are one node
for skops, whatever the second says, so they have to be equal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, Literal, NamedTuple

from safehold.allow import model_places
from safehold.scan.judge import GlobalUse
from safehold.scan.names import Names
from safehold.scan.nodes import (
    PICKLE,
    BrokenError,
    Node,
    argument,
    has_odd_key,
    is_model,
    is_plain_array,
    node_of,
    state_fault,
)

Kind = Literal["unknown", "dangerous", "attack", "broken", "limit"]

# Loaders of protocol 0 read other fields, and skops calls them by the number in the file.
PROTOCOLS: Final = (1, 2)
_DEEPEST: Final = 150  # skops recurses, a few frames for each node
_MOST_FAULTS: Final = 100
_LONGEST: Final = 120
_SCALAR: Final = re.compile(
    r"bool_?|u?int(?:8|16|32|64|c|p)?|u?longlong|u?long|float(?:16|32|64|96|128)|c?longdouble"
    r"|complex(?:64|128|192|256)|str_|bytes_|datetime64|timedelta64"
)
_KEYS: Final = frozenset({"str", "int", "float", "bool"})
_BITS: Final = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})
_CHECK_ARRAY: Final = ("sklearn.utils.validation", "check_array")
_LOSSES: Final = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
_BROKEN: Final = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
_NDARRAY: Final = ("numpy", "ndarray")


class Fault(NamedTuple):
    """What is wrong with a node; ``name`` is empty where no name is."""

    kind: Kind
    message: str
    name: str = ""


class File(NamedTuple):
    """A member of the archive that a node reads, and as what."""

    name: str
    kind: Literal["npy", "npz", "bytes"]


class Schema:
    """What a schema names, which members it reads, and what is wrong with it."""

    def __init__(self, names: Names) -> None:
        """Judge by these names."""
        self._names = names
        self._seen: dict[int, dict[str, Any]] = {}
        self._digests: dict[int, bytes] = {}  # by identity: the tree stays as long as they do
        self.uses: dict[GlobalUse, None] = {}
        self.types: dict[tuple[str, str], None] = {}
        self.files: list[File] = []
        self.faults: list[Fault] = []

    def read(self, tree: Any) -> None:
        """Judge every node of a parsed ``schema.json``."""
        protocol = tree.get("protocol") if isinstance(tree, dict) else None
        if type(protocol) is not int or protocol not in PROTOCOLS:
            self._fault("broken", f"a skops file of protocol {protocol!r:.20}, not 1 or 2")
        waiting: list[tuple[Any, int]] = [(tree, 0)]
        while waiting and len(self.faults) < _MOST_FAULTS:
            state, depth = waiting.pop()
            if depth > _DEEPEST:
                self._fault("limit", f"nodes nested deeper than {_DEEPEST} levels")
                return
            try:
                waiting.extend((child, depth + 1) for child in self._node(state))
            except (BrokenError, *_BROKEN):
                self._fault("broken", "a node that no skops writes")

    def _fault(self, kind: Kind, message: str, name: str = "") -> None:
        fault = Fault(kind, message, name[:_LONGEST])
        if fault not in self.faults:
            self.faults.append(fault)

    def _node(self, state: Any) -> Iterable[Any]:
        node = node_of(state)
        saved = state.get("__id__")
        if saved is not None:
            if type(saved) is not int or saved <= 0:
                raise BrokenError
            first = self._seen.setdefault(saved, state)
            if first is not state and self._content(first) != self._content(state):
                self._fault("attack", "two nodes of one id that differ", _dotted(*node.type))
        rule = self._LOADERS.get(node.loader)
        if rule is None:
            message = f"a node of {node.loader[:_LONGEST]}, which is not loaded here"
            self._fault("attack", message, _dotted(*node.type))
            return ()
        return rule(self, node)

    def _content(self, state: Any) -> bytes:
        """Return a digest of what a node holds, each part of the tree digested once.

        What is written twice has other ids below it, and its bytes another member.
        """
        known = self._digests.get(id(state))
        if known is not None:
            return known
        digest = hashlib.blake2b(type(state).__name__.encode(), digest_size=16)
        if isinstance(state, dict):
            is_node = isinstance(state.get("__loader__"), str)
            for key in sorted(state.keys() - ({"__id__", "file"} if is_node else set())):
                digest.update(b"%d:" % len(key))
                digest.update(key.encode("utf-8", "surrogatepass"))
                digest.update(self._content(state[key]))
        elif isinstance(state, list):
            for item in state:
                digest.update(self._content(item))
        else:
            digest.update(repr(state).encode("utf-8", "surrogatepass"))
            return digest.digest()  # literals may share their identity
        return self._digests.setdefault(id(state), digest.digest())

    # --- names ---

    def _use(self, module: str, name: str, role: str) -> None:
        """Note a name and judge it by itself; a class is made, a function only named."""
        dotted = _dotted(module, name)
        status = self._names.status(module, name, PICKLE)
        self.uses[GlobalUse(dotted, role)] = None
        self.types[module, name] = None
        if status.danger is not None:
            self._fault("dangerous", f"names {dotted}, which {status.danger.why}", dotted)
        elif not status.known:
            message = f"names {dotted}, which is not known to be harmless"
            self._fault("unknown", message, dotted)
        elif role == "instantiated" and not (status.own or status.role == "class"):
            self._fault("attack", f"makes an instance of {dotted}, a function", dotted)

    def _only(self, node: Node, *types: tuple[str, str]) -> None:
        """A loader that is made for one type calls whatever else it is given."""
        if node.type not in types:
            dotted = _dotted(*node.type)
            danger = self._names.status(*node.type, PICKLE).danger
            kind: Kind = "attack" if danger is None else "dangerous"
            self._fault(kind, f"{node.loader[:_LONGEST]} of {dotted}", dotted)

    # --- one rule for each loader: judge the type, return the children ---

    def _json(self, node: Node) -> Iterable[Any]:
        if type(node.state["content"]) is not str:
            raise BrokenError
        return ()

    def _dict(self, node: Node) -> Iterable[Any]:
        keys, content = node.state["key_types"], node.state["content"]
        if node.type != ("builtins", "dict"):
            self._use(*node.type, "instantiated")
            if node.module != "collections" and has_odd_key(content):
                self._stateful(node, "is given a special name")  # an item is an attribute too
        if len(keys["content"]) != len(content):
            raise BrokenError  # two keys that are one as text
        listed = node_of(keys)
        self._only(listed, ("builtins", "list"))
        kinds = [node_of(kind) for kind in keys["content"]]
        if listed.loader != "ListNode" or not all(map(_is_key, kinds)):
            self._fault("attack", "keys of a dict that something else makes")
        return (keys, *content.values())

    def _defaultdict(self, node: Node) -> Iterable[Any]:
        self._only(node, ("collections", "defaultdict"))
        main, factory = node.state["content"]["main"], node.state["content"]["default_factory"]
        if node_of(factory).loader not in {"JsonNode", "TypeNode", "FunctionNode"}:
            self._fault("attack", "a default that something else makes")
        if node_of(main).type != ("builtins", "dict"):
            self._fault("attack", "a defaultdict of something else")
        return main, factory

    def _list(self, node: Node) -> Iterable[Any]:
        self._only(node, ("builtins", "list"))
        return list(node.state["content"])

    def _set(self, node: Node) -> Iterable[Any]:
        self._only(node, ("builtins", "set"), ("builtins", "frozenset"))
        return list(node.state["content"])

    def _tuple(self, node: Node) -> Iterable[Any]:
        if node.type != ("builtins", "tuple"):
            self._use(*node.type, "instantiated")
        return list(node.state["content"])

    def _bytes(self, node: Node) -> Iterable[Any]:
        self._only(node, ("builtins", "bytes"), ("builtins", "bytearray"))
        self._file(node, "bytes")
        return ()

    def _file(self, node: Node, kind: Literal["npy", "npz", "bytes"]) -> None:
        name = node.state["file"]
        if type(name) is not str:
            raise BrokenError
        self.files.append(File(name, kind))

    def _slice(self, node: Node) -> Iterable[Any]:
        self._only(node, ("builtins", "slice"))
        if any(type(edge) not in (int, type(None)) for edge in node.state["content"].values()):
            raise BrokenError
        return ()

    def _named(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "named")
        return ()

    def _partial(self, node: Node) -> Iterable[Any]:
        self._only(node, ("functools", "partial"))
        content = node.state["content"]
        function = node_of(content["func"])
        if function.loader != "FunctionNode" or function.type != _CHECK_ARRAY:
            message = f"functools.partial of {_dotted(*function.type)}"
            self._fault("attack", message, "functools.partial")
        self._given(node, content["namespace"])
        return content["func"], content["args"], content["kwds"], content["namespace"]

    def _constructor(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "called")
        given = node_of(node.state["content"])
        if given.loader != "TupleNode" or given.type != ("builtins", "tuple"):
            raise BrokenError
        args = tuple(map(argument, given.state["content"]))
        status = self._names.status(*node.type, PICKLE)
        wrong = status.own or status.role != "class" or not self._names.arguments_ok(status, args)
        if status.known and wrong:
            dotted = _dotted(*node.type)
            self._fault("unknown", f"calls {dotted}: unusual arguments", dotted)
        return (node.state["content"],)

    def _object(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        content = node.state.get("content")
        places = model_places(*node.type)
        if places is not None and not is_model(content, *places):
            message = f"a {_dotted(*node.type)} that is given an address, not a model"
            self._fault("attack", message, _dotted(*node.type))
        if content is None:
            return ()
        self._given(node, content)
        return (content,)

    def _given(self, node: Node, content: Any) -> None:
        """Judge that an instance is given a state."""
        own = self._names.status(*node.type, PICKLE).own
        fault = state_fault(node, content, own=own)
        if fault is not None:
            self._stateful(node, fault)

    def _stateful(self, node: Node, fault: str) -> None:
        dotted = _dotted(*node.type)
        self._fault("attack", f"a {dotted} {fault}", dotted)

    def _array(self, node: Node) -> Iterable[Any]:
        self._use(*_NDARRAY, "instantiated")
        is_scalar = node.module == "numpy" and _SCALAR.fullmatch(node.name) is not None
        if not is_scalar and node.type != ("numpy", "matrix"):
            self._only(node, _NDARRAY)
        if node.state["type"] == "numpy":
            self._file(node, "npy")
            return ()
        if node.state["type"] != "json":
            raise BrokenError
        return (*node.state["content"], node.state["shape"])

    def _masked(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        self._only(node, ("numpy.ma", "MaskedArray"), ("numpy.ma.core", "MaskedArray"))
        parts = node.state["content"]["data"], node.state["content"]["mask"]
        if not all(map(is_plain_array, parts)):
            self._stateful(node, "is made of something that is no array")
        return parts

    def _dtype(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        self._only(node, ("numpy", "dtype"))
        return (node.state["content"],)

    def _random_state(self, node: Node) -> Iterable[Any]:
        self._use(*_NDARRAY, "instantiated")
        self._only(node, ("numpy.random.mtrand", "RandomState"), ("numpy.random", "RandomState"))
        return (node.state["content"],)

    def _generator(self, node: Node) -> Iterable[Any]:
        self._use(*_NDARRAY, "instantiated")
        self._only(node, ("numpy.random._generator", "Generator"), ("numpy.random", "Generator"))
        content = node.state["content"]
        bits = json.loads(content["bit_generator"]["content"]["bit_generator"]["content"])
        if bits not in _BITS:
            self._fault("attack", f"a generator of {bits!r:.40}", f"numpy.random.{bits}")
        return tuple(content[key] for key in ("bit_generator", "seed_seq") if key in content)

    def _sparse(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        if node.state["type"] != "scipy":
            raise BrokenError
        self._file(node, "npz")
        return ()

    def _tree(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        self._only(node, ("sklearn.tree._tree", "Tree"))
        self._given(node, node.state["content"])
        return node.state["__reduce__"]["args"], node.state["content"]

    def _loss(self, node: Node) -> Iterable[Any]:
        self._use(*node.type, "instantiated")
        if node.module not in _LOSSES:
            self._only(node)
        self._given(node, node.state["content"])
        return node.state["__reduce__"]["args"], node.state["content"]

    _LOADERS: ClassVar[dict[str, Callable[[Schema, Node], Iterable[Any]]]] = {
        "JsonNode": _json,
        "DictNode": _dict,
        "DefaultDictNode": _defaultdict,
        "ListNode": _list,
        "SetNode": _set,
        "TupleNode": _tuple,
        "BytesNode": _bytes,
        "BytearrayNode": _bytes,
        "SliceNode": _slice,
        "FunctionNode": _named,
        "TypeNode": _named,
        "PartialNode": _partial,
        "ConstructorFromReduceNode": _constructor,
        "ObjectNode": _object,
        "NdArrayNode": _array,
        "MaskedArrayNode": _masked,
        "DTypeNode": _dtype,
        "RandomStateNode": _random_state,
        "RandomGeneratorNode": _generator,
        "SparseMatrixNode": _sparse,
        "TreeNode": _tree,
        "LossNode": _loss,
    }


def _dotted(module: str, name: str) -> str:
    return f"{module[:_LONGEST]}.{name[:_LONGEST]}"


def _is_key(node: Node) -> bool:
    """Whether a type makes nothing of a text but a key of a dict."""
    if node.loader != "TypeNode":
        return False
    if node.module == "numpy":
        return _SCALAR.fullmatch(node.name) is not None
    return node.module == "builtins" and node.name in _KEYS
