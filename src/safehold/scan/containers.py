"""Opcodes that make tuples, lists, dicts and sets, and put items into them."""

from __future__ import annotations

import re
from typing import Any, Final

from safehold.scan import rules
from safehold.scan.machine import Handler, Machine
from safehold.scan.runs import MANY
from safehold.scan.values import UNKNOWN, Box, Global, Opaque, Run, weighs_more

# Hashing one key may visit this many items.
_HEAVIEST_KEY: Final = 10_000
# A tuple with more items is kept as a kind only.
_KEPT_TUPLE: Final = MANY - 1


def _empty_box(kind: str) -> Handler:
    def push(m: Machine) -> None:
        if m.pos > m.skipper.next_try and m.skipper.skip(m, m.pos - 1):
            return
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
        stack = m.stack
        items = stack[-count:]
        if len(stack) - m.fence < count or Run in map(type, items):
            items = [m.pop() for _ in range(count)][::-1]
        else:
            del stack[-count:]
        _hold(m, items)
        stack.append(tuple(items))

    return make


def _tuple(m: Machine) -> None:
    m.stack.append(as_tuple(m, m.above_mark()))


def as_tuple(m: Machine, items: list[Any]) -> Any:
    """Return items as a tuple, or only the kind of it when there are very many."""
    _hold(m, items)
    if len(items) > _KEPT_TUPLE or any(map(_is_long, items)):
        return Opaque("tuple")
    found = flat(items)
    m.items += len(found)
    return Opaque("tuple") if len(found) > _KEPT_TUPLE else tuple(found)


def _is_long(item: Any) -> bool:
    """Whether one look shows that a run has more values than a tuple keeps."""
    if type(item) is not Run or item.stop - item.start < _KEPT_TUPLE:
        return False
    return item.forms.many.match(item.reader.data, item.start, item.stop) is not None


def flat(items: list[Any]) -> list[Any]:
    """Return items with runs unfolded."""
    if Run not in map(type, items):
        return items
    found: list[Any] = []
    for item in items:
        if type(item) is Run:
            found += item.unfolded()
        else:
            found.append(item)
    return found


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
    items = _members(m.above_mark())
    _check_keys(m, items)
    _fill(m, box, items)
    m.stack.append(box)


def _hold(m: Machine, items: list[Any]) -> None:
    if Global in map(type, items):
        m.judge.held(items, m.pos)


def _fill(m: Machine, box: Box, items: list[Any]) -> None:
    _hold(m, items)
    box.add(items)


def _append(m: Machine) -> None:
    item = m.pop()
    _add(m, m.top(), [item], ("list",))


def _appends(m: Machine) -> None:
    items = m.above_mark()
    _add(m, m.top(), items, ("list",))


def _add_items(m: Machine) -> None:
    items = _members(m.above_mark())
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
        items = flat(items)
        _check_keys(m, items)
        m.judge.extended(target, ("dict",), m.pos, items[::2])


def _set_items(m: Machine, box: Box, items: list[Any]) -> None:
    if box.fixed:
        message = "fields of a numpy dtype are changed after it was made"
        m.judge.note(rules.ATTACK_CONSTRUCTION, message, m.pos)
    keys, odd = items[::2], len(items) % 2 == 1
    if Run in map(type, items):
        items, keys, odd = _aligned(items)
    if odd:
        m.judge.broken("a key without a value", m.pos)
        items.append(UNKNOWN)
    _check_keys(m, keys)
    m.items += len(items)
    box.add(items)


def _aligned(items: list[Any]) -> tuple[list[Any], list[Any], bool]:
    """Unfold the runs that are no pairs; return the keys beside the others, and if one is alone."""
    found: list[Any] = []
    keys: list[Any] = []
    odd = False
    for item in items:
        if type(item) is Run:
            if not odd and _has_form(item, item.forms.pairs):
                found.append(item)
                continue
            values = item.unfolded()
        else:
            values = [item]
        keys += values[odd::2]
        odd ^= len(values) % 2 == 1
        found += values
    return found, keys, odd


def _members(items: list[Any]) -> list[Any]:
    """Unfold the runs whose values may take long to hash."""
    found: list[Any] = []
    for item in items:
        if type(item) is Run and not _has_form(item, item.forms.scalars):
            found += item.unfolded()
        else:
            found.append(item)
    return found


def _has_form(run: Run, form: re.Pattern[bytes]) -> bool:
    if run.pairs and form is run.forms.pairs:
        return True
    return form.fullmatch(run.reader.data, run.start, run.stop) is not None


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
