"""Small pickles that use names, followed in one loop; the machine reads all others.

It does for opcodes as picklers write them what the machine does, see opcodes.py, with the same
values and the same judge. Whatever it has no line for, and whatever the judge notes, is left to
the machine, which reads the bytes from the start. So there are no notes here, and no limits.

The tokens are found by one search. One is an opcode with what belongs to it and the opcode that
puts it in the memo; if they make up the bytes, a loader reads these opcodes, as none is the
beginning of another. What is too long for a token is the last one, with the rest of the bytes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from safehold.scan.formats.joblib import is_wrapper
from safehold.scan.harmless import Harmless, harmless
from safehold.scan.judge import Judge
from safehold.scan.machine import KEPT_TEXT
from safehold.scan.names import Names
from safehold.scan.runs import MANY, counted
from safehold.scan.values import FLOAT, Blob, Box, Data, Global, Made, argument, weighs_more

# Larger ones are worth the machine's runs, and have more memo than one byte can say.
LARGEST: Final = 2**14
# Texts and bytes of less than so many bytes are in a token; there may be so many longer ones.
_SHORT_TEXT: Final = 72
_SHORT_BYTES: Final = 24
_MOST_LONG: Final = 100
_HEAVIEST: Final = 64
_MOST_REMEMBERED: Final = 2**12
_FRAMING: Final = 11
# The opcodes by their names in `pickletools`, some of them shortened.
_PROTO, _FRAME, _STOP, _MEMOIZE, _PUT = b"\x80\x95.\x94q"
_TEXT, _LONG_TEXT, _BYTES, _LONG_BYTES, _BYTEARRAY = b"\x8cXCB\x96"
_INT1, _INT2, _INT4, _LONG1, _FLOAT = b"KMJ\x8aG"
_MARK, _LIST, _DICT, _SET, _TUPLE1, _TUPLE3, _TUPLE, _FROZENSET = b"(]}\x8f\x85\x87t\x91"
_APPEND, _APPENDS, _SETITEM, _SETITEMS, _ADDITEMS = b"aesu\x90"
_GET, _LONG_GET, _GLOBAL, _STACK_GLOBAL = b"hjc\x93"
_REDUCE, _NEWOBJ, _NEWOBJ_EX, _BUILD = b"R\x81\x92b"
_CONSTANTS: Final = {ord("N"): None, ord(")"): (), 0x88: True, 0x89: False}
_BOXES: Final = {_LIST: "list", _DICT: "dict"}
_NAMES: Final = (_STACK_GLOBAL, _GLOBAL)
_TO_LIST: Final = (_APPENDS, _APPEND)
_TO_DICT: Final = (_SETITEMS, _SETITEM)
_OF_SETS: Final = (_ADDITEMS, _FROZENSET)
# How many bytes tell the length of those that may be long.
_WIDTHS: Final = {_TEXT: 1, _LONG_TEXT: 4, _BYTES: 1, _LONG_BYTES: 4, _BYTEARRAY: 8}


@cache
def _pattern(*, framed: bool) -> re.Pattern[bytes]:
    """Return the pattern of a token, with the texts and the memo of later or earlier protocols.

    Each alternative begins with another opcode, or with another length after the same one.
    """
    put = b"\\x94" if framed else b"q."
    memo = b"(?:%b)?" % put
    if framed:
        text = counted(b"\\x8c", b".", b"", 0, _SHORT_TEXT)
        # Two texts and the opcode that makes a name of them, each of them in the memo.
        texts = b"%b(?:\\x94(?:%b\\x94\\x93\\x94)?)?" % (text, text)
    else:
        texts = counted(b"X", b".", b"\\x00{3}", 0, _SHORT_TEXT) + memo
    texts += b"|" + counted(b"C", b".", b"", 0, _SHORT_BYTES) + memo
    numbers = b"(?:K.)+|(?:G.{8})+|M..|J.{4}|" + counted(b"\\x8a", b".", b"", 0, 11)
    # A list or dict with the mark before its items, and a call with the tuple of its arguments.
    boxes = b"[]}](?:%b\\(?)?" % put
    tuples = b"[\\x85-\\x87](?:%b(?:R%b)?)?" % (put, memo)
    made = b"[tR\\x81\\x93\\x8f\\x91\\x92]" + memo
    bare = b"h.|j.{4}|[(aesubN\\x88\\x89)\\x90]"
    name = b"c[^\\n]{1,255}\\n[^\\n]{1,255}\\n" + memo
    long = b"\\x8c[^%b].*|X(?:[^%b].{3}|.(?!\\x00{3}).{3}).*|C[^%b].*|B.{4}.*|\\x96.{8}.*" % (
        *(b"\\x00-\\x%02x" % (most - 1) for most in (_SHORT_TEXT, _SHORT_TEXT, _SHORT_BYTES)),
    )
    others = b"[^]()}BCGJKMNRXabcehjstu\\x81\\x85-\\x8a\\x8c\\x8f-\\x93\\x96].*"
    rows = (texts, bare, boxes, tuples, numbers, made, name, long, others)
    return re.compile(b"|".join(rows), re.DOTALL)


def read(data: Data, names: Names) -> Judge | None:
    """Return what judged a small pickle and noted nothing; None if the machine is to read it."""
    size = len(data)
    if not (4 < size <= LARGEST) or not isinstance(data, bytes):
        return None
    proto = data[1]
    if data[0] != _PROTO or not 2 <= proto <= 5 or data[size - 1] != _STOP:
        return None
    start = 2
    if data[2] == _FRAME:
        if proto < 4 or int.from_bytes(data[3:_FRAMING], "little") != size - _FRAMING:
            return None
        start = _FRAMING
    judge = Judge(names)
    try:
        top = _follow(data, start, judge)
    except (IndexError, UnicodeDecodeError):
        # An empty stack, no mark, nothing in the memo; or a text that is none.
        return None
    # A number may be the magic of torch, see legacy_torch.py.
    return None if judge.notes or type(top) not in (Made, Box, tuple) else judge


def _known(judge: Judge, module: str, name: str, protocol: int) -> Harmless | None:
    """Return what is known of a name; None if that is for the machine."""
    key = (module, name, protocol < 3)
    remembered = judge.names.quick
    found: Harmless | None = remembered.get(key)
    if found is None and not is_wrapper(module, name):
        found = harmless(judge.names, module, name, protocol)
        if found is not None and len(remembered) < _MOST_REMEMBERED:
            remembered[key] = found
    return found


def _named(judge: Judge, token: bytes, protocol: int) -> tuple[str, str, Harmless] | None:
    """Return the texts in the token of a name, and what is known of it."""
    length = 2 + token[1]
    module = token[2:length].decode()
    name = token[length + 3 : length + 3 + token[length + 2]].decode()
    known = _known(judge, module, name, protocol)
    if known is None:
        return None
    found = module, name, known
    if len(judge.names.quick) < _MOST_REMEMBERED:
        judge.names.quick[token] = found
    return found


# One loop with all its opcodes: a call for each would cost as much as what it does.
def _follow(data: bytes, start: int, judge: Judge) -> Any:  # noqa: C901, PLR0911, PLR0912, PLR0915
    """Follow the opcodes and return what they leave; None if that is for the machine."""
    proto, last = data[1], len(data) - 1
    framed = proto > 3
    pattern = _pattern(framed=framed)
    # How long tokens are that do one thing more, see `_pattern`.
    filled, alone = (3, 2) if framed else (4, 3)
    stack: list[Any] = []
    saved: list[list[Any]] = []
    memo: list[Any] = []
    uses, remembered = judge.uses, judge.names.quick
    # Most calls are of a few names, with which they need not be judged one by one.
    free: dict[Global, Harmless] = {}
    value: Any
    for _ in range(_MOST_LONG):
        tokens = pattern.findall(data, start, last)
        if b"".join(tokens) != data[start:last]:
            return None
        for token in tokens:
            opcode = token[0]
            length = 1
            if opcode == _TEXT:
                length = 2 + token[1]
                if token[1] >= _SHORT_TEXT:
                    break
                if len(token) > length + 1:
                    named = remembered.get(token)
                    if named is None:
                        named = _named(judge, token, proto)
                    if named is None:
                        return None
                    module, name, known = named
                    value = known.value
                    uses[known.named] = None
                    free[value] = known
                    memo += (module, name, value)
                    stack.append(value)
                    continue
                value = token[2:length].decode()
            elif opcode == _GET:
                stack.append(memo[token[1]])
                continue
            elif opcode in _BOXES:
                value = Box(_BOXES[opcode])
                stack.append(value)
                length = len(token)
                if length > 1:
                    if not framed and token[2] != len(memo):
                        return None
                    memo.append(value)
                    if length == filled:
                        saved.append(stack)
                        stack = []
                continue
            elif _TUPLE1 <= opcode <= _TUPLE3:
                count = _TUPLE1 - 1 - opcode
                value = tuple(stack[count:])
                del stack[count:]
                if len(value) != -count:
                    return None
                if len(token) > alone:
                    if not framed and token[2] != len(memo):
                        return None
                    memo.append(value)
                    maker, length = stack.pop(), alone + 1
                    known = free.get(maker) if type(maker) is Global else None
                    if known is None or known.called is None:
                        value = judge.called(maker, value, 0)
                    elif known.rule is None or known.rule(argument(value)):
                        uses[known.called] = None
                        value = Made(maker, value)
                    else:
                        return None
            elif opcode < _APPEND:
                if opcode == _BYTES:
                    length = 2 + token[1]
                    if token[1] >= _SHORT_BYTES:
                        break
                    value = token[2:length]
                elif opcode == _INT1:
                    stack += token[1::2]
                    continue
                elif opcode == _MARK:
                    saved.append(stack)
                    stack = []
                    continue
                elif opcode == _FLOAT:
                    if len(token) == 9:
                        stack.append(FLOAT)
                    else:
                        stack += [FLOAT] * (len(token) // 9)
                    continue
                elif opcode == _REDUCE:
                    args = stack.pop()
                    maker = stack.pop()
                    known = (
                        free.get(maker) if type(maker) is Global and type(args) is tuple else None
                    )
                    if known is None or known.called is None:
                        value = judge.called(maker, args, 0)
                    elif known.rule is None or known.rule(argument(args)):
                        uses[known.called] = None
                        value = Made(maker, args)
                    else:
                        return None
                elif opcode == _LONG_TEXT:
                    length = 5 + token[1]
                    if token[1] >= _SHORT_TEXT or token[2:5] != b"\0\0\0":
                        break
                    value = token[5:length].decode()
                elif opcode in _CONSTANTS:
                    stack.append(_CONSTANTS[opcode])
                    continue
                elif opcode == _INT2:
                    stack.append(token[1] | token[2] << 8)
                    continue
                elif opcode == _INT4:
                    stack.append(int.from_bytes(token[1:], "little", signed=True))
                    continue
                else:
                    break
            elif opcode in _TO_LIST:
                if opcode == _APPENDS:
                    items = stack
                    stack = saved.pop()
                else:
                    items = [stack.pop()]
                target = stack[-1]
                if type(target) is not Box:
                    judge.extended(target, ("list",), 0)
                elif target.kind == "list":
                    target.keep(items)
                else:
                    return None
                continue
            elif opcode in _NAMES:
                if opcode == _STACK_GLOBAL:
                    name = stack.pop()
                    module = stack.pop()
                    if type(name) is not str or type(module) is not str:
                        return None
                else:
                    lines = token.split(b"\n", 2)
                    module = str(lines[0][1:], "utf-8", "surrogateescape")
                    name = str(lines[1], "utf-8", "surrogateescape")
                    length = len(lines[0]) + len(lines[1]) + 2
                known = _known(judge, module, name, proto)
                if known is None:
                    return None
                uses[known.named] = None
                value = known.value
                free[value] = known
            elif opcode in _TO_DICT:
                if opcode == _SETITEMS:
                    items = stack
                    stack = saved.pop()
                else:
                    items = stack[-2:]
                    del stack[-2:]
                keys = items[::2]
                target = stack[-1]
                if len(items) % 2 or _are_heavy(keys):
                    return None
                if type(target) is not Box:
                    judge.extended(target, ("dict",), 0, keys)
                elif target.kind == "dict" and not target.fixed:
                    target.keep(items)
                else:
                    return None
                continue
            elif opcode == _BUILD:
                state = stack.pop()
                judge.built(stack[-1], state, 0)
                continue
            elif opcode == _TUPLE:
                if len(stack) >= MANY:
                    return None
                value = tuple(stack)
                stack = saved.pop()
            elif opcode in _CONSTANTS:
                stack.append(_CONSTANTS[opcode])
                continue
            elif opcode == _NEWOBJ:
                args = stack.pop()
                maker = stack.pop()
                known = free.get(maker) if type(maker) is Global and args == () else None
                if known is None or known.instantiated is None:
                    value = judge.instantiated(maker, args, 0)
                else:
                    uses[known.instantiated] = None
                    value = Made(maker, args)
            elif opcode == _LONG1:
                stack.append(int.from_bytes(token[2:], "little", signed=True))
                continue
            elif opcode == _LONG_GET:
                stack.append(memo[int.from_bytes(token[1:], "little")])
                continue
            elif opcode == _SET:
                value = Box("set")
            elif opcode in _OF_SETS:
                if _are_heavy(stack):
                    return None
                items = stack
                stack = saved.pop()
                if opcode == _ADDITEMS:
                    if type(stack[-1]) is not Box or stack[-1].kind != "set":
                        return None
                    stack[-1].keep(items)
                    continue
                value = Box("frozenset")
                value.keep(items)
            elif opcode == _NEWOBJ_EX:
                keywords = stack.pop()
                args = stack.pop()
                value = judge.instantiated(stack.pop(), args, 0, keywords)
            else:
                break
            stack.append(value)
            if len(token) != length:
                if not framed and token[-1] != len(memo):
                    return None
                memo.append(value)
        else:
            return stack[0] if len(stack) == 1 and not saved else None
        width = _WIDTHS.get(opcode, 0)
        start = last - len(token) + 1 + width
        stop = start + int.from_bytes(token[1 : 1 + width], "little")
        if not width or stop > last:
            return None
        stack.append(_long(data, opcode, start, stop))
        start = stop
        if data[stop] == (_MEMOIZE if framed else _PUT):
            start += 1 if framed else 2
            if start > last or not (framed or data[stop + 1] == len(memo)):
                return None
            memo.append(stack[-1])
    return None


def _long(data: bytes, opcode: int, start: int, stop: int) -> Any:
    """Return a text or bytes, left where it is if it is longer than the machine keeps."""
    is_text = opcode in (_TEXT, _LONG_TEXT)
    if opcode == _BYTEARRAY or stop - start > KEPT_TEXT:
        return Blob(
            "str" if is_text else "bytearray" if opcode == _BYTEARRAY else "bytes", start, stop
        )
    return str(data[start:stop], "utf-8", "surrogatepass") if is_text else data[start:stop]


def _are_heavy(keys: list[Any]) -> bool:
    """Whether one of them may take long to hash."""
    return tuple in map(type, keys) and any(
        type(key) is tuple and weighs_more(key, _HEAVIEST) for key in keys
    )
