"""Opcodes that make tuples, lists, dicts and sets, and put items into them."""

from __future__ import annotations

from typing import Any, Final

from safehold.scan import rules
from safehold.scan.machine import Handler, Machine
from safehold.scan.values import KEPT_ITEMS, UNKNOWN, Box, Global, Opaque, Run, weighs_more

# Hashing one key may visit this many items.
_HEAVIEST_KEY: Final = 10_000
# Items of an instance are told apart from their keys up to so many.
_COUNTED_ITEMS: Final = 2**16
# A tuple with more items is kept as a kind only.
_KEPT_TUPLE: Final = 1024


def _empty_box(kind: str) -> Handler:
    def push(m: Machine) -> None:
        m.stack.append(Box(kind))

    return push


def _empty_tuple(m: Machine) -> None:
    m.stack.append(())


def _tuple_of_one(m: Machine) -> None:
    item = m.pop()
    if type(item) is Global:
        m.judge.held((item,), m.pos)
    m.stack.append((item,))


def _small_tuple(count: int) -> Handler:
    def make(m: Machine) -> None:
        items = [m.pop() for _ in range(count)]
        _hold(m, items)
        m.stack.append(tuple(reversed(items)))

    return make


def _tuple(m: Machine) -> None:
    m.stack.append(as_tuple(m, m.above_mark()))


def as_tuple(m: Machine, items: list[Any]) -> Any:
    """Return items as a tuple, or only the kind of it when there are very many."""
    _hold(m, items)
    expanded = m.expanded(items, _KEPT_TUPLE)
    return Opaque("tuple") if expanded is None else tuple(expanded)


def _list(m: Machine) -> None:
    box = Box("list")
    _fill(m, box, m.above_mark())
    m.stack.append(box)


def _dict(m: Machine) -> None:
    box = Box("dict")
    items = m.above_mark()
    _hold(m, items)
    _set_items(m, box, items)
    m.stack.append(box)


def _frozenset(m: Machine) -> None:
    box = Box("frozenset")
    items = m.above_mark()
    _check_keys(m, items)
    _fill(m, box, items)
    m.stack.append(box)


def _hold(m: Machine, items: list[Any]) -> None:
    if Global in map(type, items):
        m.judge.held(items, m.pos)


def _fill(m: Machine, box: Box, items: list[Any]) -> None:
    _hold(m, items)
    if box.items is None and len(items) <= KEPT_ITEMS and Run not in map(type, items):
        box.items = items
        return
    for item in items[: KEPT_ITEMS + 1]:
        if type(item) is Run:
            box.whole = False
        else:
            box.append(item)


def _append(m: Machine) -> None:
    item = m.pop()
    _add(m, m.top(), [item], ("list",))


def _appends(m: Machine) -> None:
    items = m.above_mark()
    _add(m, m.top(), items, ("list",))


def _add_items(m: Machine) -> None:
    items = m.above_mark()
    _check_keys(m, items)
    _add(m, m.top(), items, ("set",))


def _add(m: Machine, target: Any, items: list[Any], kinds: tuple[str, ...]) -> None:
    if isinstance(target, Box) and target.kind in kinds:
        _fill(m, target, items)
    else:
        _hold(m, items)
        m.judge.extended(target, kinds, m.pos)


def _set_item(m: Machine) -> None:
    value = m.pop()
    key = m.pop()
    _put_items(m, m.top(), [key, value])


def _set_items_marked(m: Machine) -> None:
    items = m.above_mark()
    _put_items(m, m.top(), items)


def _put_items(m: Machine, target: Any, items: list[Any]) -> None:
    _hold(m, items)
    if isinstance(target, Box) and target.kind == "dict":
        _set_items(m, target, items)
    else:
        _check_keys(m, items)
        m.judge.extended(target, ("dict",), m.pos, _keys(m, items))


def _keys(m: Machine, items: list[Any]) -> list[Any]:
    """Return every second item; one that is unknown when they are too many to count."""
    if Run in map(type, items):
        expanded = m.expanded(items, _COUNTED_ITEMS)
        if expanded is None:
            return [UNKNOWN]
        items = expanded
    return items[::2]


def _set_items(m: Machine, box: Box, items: list[Any]) -> None:
    if box.fixed:
        message = "fields of a numpy dtype are changed after it was made"
        m.judge.note(rules.ATTACK_CONSTRUCTION, message, m.pos)
    if Run in map(type, items):
        expanded = m.expanded(items, 2 * KEPT_ITEMS)
        if expanded is None:
            box.whole = False
            _check_keys(m, items)
            return
        items = expanded
    if len(items) % 2:
        m.judge.broken("a key without a value", m.pos)
        items.append(UNKNOWN)
    _check_keys(m, items[::2])
    for index in range(0, len(items), 2):
        box.put(items[index], items[index + 1])


def _check_keys(m: Machine, keys: list[Any]) -> None:
    """A key is hashed, and a tuple hashes what it holds, as often as it holds it."""
    for key in keys if tuple in map(type, keys) else ():
        if type(key) is tuple and weighs_more(key, _HEAVIEST_KEY):
            message = "a key that takes far longer to hash than to read"
            m.judge.note(rules.LIMIT_EXCEEDED, message, m.pos)
            return


CONTAINERS: Final[dict[int, Handler]] = {
    # protocol 0
    ord("a"): _append,
    ord("d"): _dict,
    ord("l"): _list,
    ord("s"): _set_item,
    ord("t"): _tuple,
    # protocol 1
    ord("]"): _empty_box("list"),
    ord("}"): _empty_box("dict"),
    ord(")"): _empty_tuple,
    ord("e"): _appends,
    ord("u"): _set_items_marked,
    # protocol 2
    0x85: _tuple_of_one,
    0x86: _small_tuple(2),
    0x87: _small_tuple(3),
    # protocol 4
    0x8F: _empty_box("set"),
    0x90: _add_items,
    0x91: _frozenset,
}
