"""Literals of a module by the name that they are given: assigned, passed, defaults, compared."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from safehold.source.entries import last_name, literal
from safehold.source.unit import Unit

_FROM_ENVIRONMENT = frozenset(
    "os.environ.get os.getenv os.environ.setdefault environ.Env decouple.config".split()
)
# Of settings libraries, whose `default` is what a service without settings runs with.
_READERS = frozenset({"config", "env", "Env", "getenv", "Field", "get_env", "str", "get_secret"})
_WRAPPERS = frozenset({"SecretStr", "SecretBytes", "Secret", "bytes", "str", "Final"})
_BESIDE = frozenset(
    "user username login host hostname server account database db dbname email port dsn url".split()
)


class Given(enum.Enum):
    """How a literal gets its name."""

    VALUE = enum.auto()
    DEFAULT = enum.auto()  # unless somebody says otherwise
    COMPARED = enum.auto()


@dataclass(frozen=True, slots=True)
class Named:
    """A literal and its name. `is_paired`: a user or host stands beside it."""

    name: str
    node: ast.Constant
    given: Given
    is_paired: bool = False

    @property
    def text(self) -> str:
        """The literal as text."""
        value = self.node.value
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def named_literals(unit: Unit) -> tuple[Named, ...]:
    """Return the texts and bytes of a module that have a name."""
    return unit.once(_all)


def _all(unit: Unit) -> tuple[Named, ...]:
    return tuple(_named(unit))


def _named(unit: Unit) -> Iterator[Named]:
    for assign in unit.nodes(ast.Assign):
        for target in assign.targets:
            yield from _given(_name(target), assign.value)
    for annotated in unit.nodes(ast.AnnAssign):
        if annotated.value is not None:
            yield from _given(_name(annotated.target), annotated.value)
    for call, _ in unit.module.calls:
        yield from _passed(call)
    for mapping in unit.nodes(ast.Dict):
        yield from _mapped(mapping)
    for arguments in unit.nodes(ast.arguments):
        yield from _defaults(arguments)
    for compare in unit.nodes(ast.Compare):
        yield from _compared(compare)
    yield from _environment(unit)


def _name(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript):
        return literal(target.slice) or ""
    return last_name(target)


def _given(name: str, value: ast.expr, *, paired: bool = False) -> Iterator[Named]:
    """Yield the literals that a value can be."""
    if not name:
        return
    if _is_text(value):
        yield Named(name, value, Given.VALUE, paired)
    elif isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        if _is_text(value.values[-1]):
            yield Named(name, value.values[-1], Given.DEFAULT, paired)
    elif isinstance(value, ast.IfExp):
        for part in (value.body, value.orelse):
            if _is_text(part):
                yield Named(name, part, Given.DEFAULT, paired)
    elif isinstance(value, ast.Call):
        yield from _made(name, value, paired=paired)


def _made(name: str, call: ast.Call, *, paired: bool) -> Iterator[Named]:
    last = last_name(call.func)
    for item in call.keywords:
        if item.arg == "default" and last in _READERS and _is_text(item.value):
            yield Named(name, item.value, Given.DEFAULT, paired)
    if isinstance(call.func, ast.Attribute) and last == "encode" and _is_text(call.func.value):
        yield Named(name, call.func.value, Given.VALUE, paired)
    if call.args and _is_text(call.args[0]):
        if last in _WRAPPERS and len(call.args) == 1:
            yield Named(name, call.args[0], Given.VALUE, paired)
        elif last == "Field":
            yield Named(name, call.args[0], Given.DEFAULT, paired)


def _passed(call: ast.Call) -> Iterator[Named]:
    names = {item.arg for item in call.keywords}
    for item in call.keywords:
        if item.arg and item.arg != "default":
            yield from _given(item.arg, item.value, paired=bool(names & _BESIDE))


def _mapped(mapping: ast.Dict) -> Iterator[Named]:
    keys = [literal(key) if key is not None else None for key in mapping.keys]
    paired = any(key is not None and key.lower() in _BESIDE for key in keys)
    for key, value in zip(keys, mapping.values, strict=True):
        if key is not None:
            yield from _given(key, value, paired=paired)


def _defaults(arguments: ast.arguments) -> Iterator[Named]:
    positional = [*arguments.posonlyargs, *arguments.args]
    named = positional[len(positional) - len(arguments.defaults) :]
    names = {item.arg for item in (*positional, *arguments.kwonlyargs)}
    for parameter, value in (
        *zip(named, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ):
        if value is not None and _is_text(value):
            yield Named(parameter.arg, value, Given.DEFAULT, bool(names & _BESIDE))


def _compared(compare: ast.Compare) -> Iterator[Named]:
    if len(compare.ops) != 1 or not isinstance(compare.ops[0], ast.Eq | ast.NotEq):
        return
    left, right = compare.left, compare.comparators[0]
    for one, other in ((left, right), (right, left)):
        if _is_text(other) and _name(one):
            yield Named(_name(one), other, Given.COMPARED)


def _environment(unit: Unit) -> Iterator[Named]:
    for called in unit.calls(*_FROM_ENVIRONMENT):
        name = called.argument(0, "key")
        default = called.argument(1, "default")
        if name is not None and default is not None and _is_text(name) and _is_text(default):
            yield Named(str(name.value), default, Given.DEFAULT)


def _is_text(node: ast.expr) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
