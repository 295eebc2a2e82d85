"""Opcode forms: every way to name a callable, to build its arguments and to call it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import named, source, value
from tests.corpus.cases import Case
from tests.corpus.hostile.gadgets_process import shell

# callable -> (module, name, text for a canary)
TARGETS: dict[str, tuple[str, str, Callable[[Path], str]]] = {
    "system": ("posix", "system", shell),
    "exec": ("builtins", "exec", source),
    "getoutput": ("subprocess", "getoutput", shell),
}
Target = tuple[str, str, str]


def short(text: str) -> bytes:
    raw = text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def long_(text: str) -> bytes:
    raw = text.encode()
    return b"\x8d" + struct.pack("<Q", len(raw)) + raw


def binstring(text: str) -> bytes:
    raw = text.encode()
    return b"T" + struct.pack("<i", len(raw)) + raw


def short_binstring(text: str) -> bytes:
    raw = text.encode()
    return b"U" + bytes([len(raw)]) + raw


def quoted(text: str) -> bytes:
    return b"S'" + text.encode().replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'\n"


def unicode_line(text: str) -> bytes:
    return b"V" + text.encode("raw-unicode-escape") + b"\n"


def escaped(text: str) -> bytes:
    """UNICODE with each character written as an escape."""
    return b"V" + "".join(f"\\u{ord(char):04x}" for char in text).encode() + b"\n"


def string_escaped(text: str) -> bytes:
    return b"S'" + "".join(f"\\x{ord(char):02x}" for char in text).encode() + b"'\n"


def octal_escaped(text: str) -> bytes:
    return b'S"' + "".join(f"\\{ord(char):03o}" for char in text).encode() + b'"\n'


# How a text is pushed; each gives `str` under the loader's defaults.
TEXTS: dict[str, Callable[[str], bytes]] = {
    "binunicode": value,
    "short": short,
    "long": long_,
    "binstring": binstring,
    "shortbinstring": short_binstring,
    "string": quoted,
    "unicode": unicode_line,
    "escaped": escaped,
    "stringescaped": string_escaped,
    "octal": octal_escaped,
}
# Ways through the memo: what follows the text, and what brings it back.
MEMOS: dict[str, tuple[bytes, bytes]] = {
    "put": (b"p7\n", b"g7\n"),
    "binput": (b"q\x07", b"h\x07"),
    "longbinput": (b"r\x07\x01\x00\x00", b"j\x07\x01\x00\x00"),
    "putbinget": (b"p9\n", b"h\x09"),
    "binputget": (b"q\x09", b"g9\n"),
}


def named_by(text: Callable[[str], bytes]) -> Callable[[Target], bytes]:
    return lambda target: text(target[0]) + text(target[1]) + b"\x93"


def _memo_name(put: bytes, get: bytes) -> Callable[[Target], bytes]:
    """The module's name is remembered, thrown away, covered by a decoy and brought back."""
    return lambda target: (
        value(target[0]) + put + b"0" + value("collections") + b"0" + get
        + value(target[1]) + b"\x93"
    )  # fmt: skip


def _memoized(target: Target) -> bytes:
    return (
        short(target[0]) + b"\x94" + short(target[1]) + b"\x94" + b"00"
        + short("collections") + b"0" + b"h\x00h\x01\x93"
    )  # fmt: skip


def _swapped(target: Target) -> bytes:
    """Name first, module later, put in order by the memo."""
    return value(target[1]) + b"q\x01" + value(target[0]) + b"q\x02" + b"00" + b"h\x02h\x01\x93"


def _duplicated(target: Target) -> bytes:
    return value(target[0]) + b"(" + value("decoy") + b"1" + value(target[1]) + b"20\x93"


def _overwritten(target: Target) -> bytes:
    return (
        value("collections") + b"q\x00" + value(target[0]) + b"q\x00" + b"00h\x00"
        + value(target[1]) + b"\x93"
    )  # fmt: skip


def _function_memo(target: Target) -> bytes:
    """The function itself goes through the memo."""
    return named(target[0], target[1]).opcodes + b"q\x050" + b"N0" + b"h\x05"


def _in_list(target: Target) -> bytes:
    """The function is put into a list first, and reached by the memo."""
    return b"](" + named(target[0], target[1]).opcodes + b"q\x06e0h\x06"


def _dict_key(target: Target) -> bytes:
    return b"}" + named(target[0], target[1]).opcodes + b"q\x06Ns0h\x06"


# How a callable is named.
NAMES: dict[str, Callable[[Target], bytes]] = {
    "global": lambda target: f"c{target[0]}\n{target[1]}\n".encode(),
    **{f"stack-{name}": named_by(text) for name, text in TEXTS.items()},
    **{f"memo-{name}": _memo_name(put, get) for name, (put, get) in MEMOS.items()},
    "memo-memoize": _memoized,
    "memo-swapped": _swapped,
    "memo-overwritten": _overwritten,
    "dup": _duplicated,
    "memo-function": _function_memo,
    "memo-list": _in_list,
    "memo-dict": _dict_key,
}


def _tuple(text: bytes) -> bytes:
    return b"(" + text + b"t"


# How the one argument becomes a tuple.
ARGUMENTS: dict[str, Callable[[bytes], bytes]] = {
    "tuple": _tuple,
    "tuple1": lambda text: text + b"\x85",
    "memo": lambda text: text + b"\x85q\x080h\x08",
    "tuple-memo": lambda text: _tuple(text) + b"p88\n0g88\n",
    "marked": lambda text: b"((" + text + b"1" + text + b"t",
    "dup": lambda text: text + b"20\x85",
}


def reduce(function: bytes, text: bytes) -> bytes:
    return function + text + b"\x85R"


# Calls from a name's two halves: not all of them take a function that is on the stack.
CALLS: dict[str, Callable[[Target, bytes], bytes]] = {
    "reduce": lambda target, text: NAMES["global"](target) + _tuple(text) + b"R",
    "inst": lambda target, text: b"(" + text + f"i{target[0]}\n{target[1]}\n".encode(),
    "obj": lambda target, text: b"(" + NAMES["global"](target) + text + b"o",
    "reduce-pop": lambda target, text: NAMES["global"](target) + _tuple(text) + b"R0N",
    "inst-pop": lambda target, text: b"(" + text + f"i{target[0]}\n{target[1]}\n".encode() + b"0N",
    "obj-popmark": lambda target, text: b"((" + NAMES["global"](target) + text + b"o1N",
    "in-list": lambda target, text: b"](" + NAMES["global"](target) + _tuple(text) + b"Re",
    "in-dict-value": lambda target, text: (
        b"}" + value("a") + NAMES["global"](target) + _tuple(text) + b"Rs"
    ),
    "in-dict-key": lambda target, text: b"}(" + NAMES["global"](target) + _tuple(text) + b"RNu",
    "in-tuple": lambda target, text: b"(" + NAMES["global"](target) + _tuple(text) + b"Rt",
    "as-state": lambda target, text: (
        b"ctypes\nSimpleNamespace\n)R}"
        + value("a")
        + NAMES["global"](target)
        + _tuple(text)
        + b"Rsb"
    ),
    "as-argument": lambda target, text: (
        b"cbuiltins\nset\n](" + NAMES["global"](target) + _tuple(text) + b"Re\x85R"
    ),
    "persistent-none": lambda target, text: NAMES["global"](target) + _tuple(text) + b"RNQ",
    "after-items": lambda target, text: (
        b"(lp0\nI1\naI2\na0" + NAMES["global"](target) + _tuple(text) + b"R"
    ),
}


def _target(name: str, canary: Path) -> tuple[Target, bytes]:
    module, attribute, argument = TARGETS[name]
    return (module, attribute, ""), value(argument(canary))


def head(protocol: int) -> bytes:
    return b"" if protocol < 2 else bytes([0x80, protocol])


def _call_case(call: str, target: str, protocol: int) -> Case:
    def build(canary: Path) -> bytes:
        found, text = _target(target, canary)
        module = found[0]
        if protocol < 3 and module == "builtins":
            found = ("__builtin__", found[1], "")
        return head(protocol) + CALLS[call](found, text) + b"."

    return Case(f"form-{call}-{target}-{protocol}", "opcode-forms", build)


def _name_case(name: str, target: str, protocol: int) -> Case:
    def build(canary: Path) -> bytes:
        found, text = _target(target, canary)
        return head(protocol) + NAMES[name](found) + _tuple(text) + b"R."

    family = "memo" if "memo" in name or name == "dup" else "names"
    return Case(f"name-{name}-{target}-{protocol}", family, build)


def _argument_case(arguments: str, text: str) -> Case:
    def build(canary: Path) -> bytes:
        pushed = TEXTS[text](shell(canary))
        return b"\x80\x04" + b"cposix\nsystem\n" + ARGUMENTS[arguments](pushed) + b"R."

    return Case(f"argument-{arguments}-{text}", "opcode-forms", build)


def _iterated(opcode: str, name: str, tail: bytes) -> Case:
    """`map` of `exec`, gone through by the `__new__` of a harmless class."""

    def build(canary: Path) -> bytes:
        items = named("builtins", "map").opcodes + named("builtins", "exec").opcodes
        items += value([source(canary)]) + b"\x86\x81"
        return b"\x80\x04" + named("builtins", name).opcodes + items + b"\x85" + tail + b"."

    return Case(f"form-{opcode}-{name}", "opcode-forms", build)


def _reconstructed(name: str) -> Case:
    """``copyreg`` calls a base class of the file's choice with a value of its choice."""

    def build(canary: Path) -> bytes:
        items = named("builtins", "map").opcodes + named("builtins", "exec").opcodes
        items += value([source(canary)]) + b"\x86\x81"
        kind = named("builtins", name)
        args = b"(" + kind.opcodes + kind.opcodes + items + b"t"
        return b"\x80\x04ccopyreg\n_reconstructor\n" + args + b"R."

    return Case(f"form-reconstructor-{name}", "opcode-forms", build)


def _newobj_function(name: str, keywords: bool) -> Case:
    """``copyreg.__newobj__`` called as a function."""

    def build(canary: Path) -> bytes:
        items = named("builtins", "map").opcodes + named("builtins", "exec").opcodes
        items += value([source(canary)]) + b"\x86\x81"
        kind = named("builtins", name).opcodes
        if keywords:
            return b"\x80\x04ccopyreg\n__newobj_ex__\n(" + kind + items + b"\x85}tR."
        return b"\x80\x04ccopyreg\n__newobj__\n(" + kind + items + b"tR."

    return Case(f"form-{'newobj-ex' if keywords else 'newobj'}-function-{name}",
                "opcode-forms", build)  # fmt: skip


def _extension(identity: str, opcodes: bytes, text: Callable[[Path], str]) -> Case:
    def build(canary: Path) -> bytes:
        return b"\x80\x02" + opcodes + value((text(canary),)) + b"R."

    return Case(f"extension-{identity}", "extensions", build, loader="registry")


ITERATING = ("tuple", "frozenset", "bytes")
CASES = [
    *[
        _call_case(call, target, protocol)
        for call in CALLS
        for target in TARGETS
        for protocol in range(6)
        if call != "persistent-none"
    ],
    *[_call_case("persistent-none", "system", protocol) for protocol in (0, 2, 4)],
    *[
        _name_case(name, target, protocol)
        for name in NAMES
        for target in TARGETS
        for protocol in (3, 4, 5)
    ],
    *[_argument_case(arguments, text) for arguments in ARGUMENTS for text in TEXTS],
    *[_iterated("newobj", name, b"\x81") for name in ITERATING],
    *[_iterated("newobj-ex", name, b"}\x92") for name in ITERATING],
    *[_iterated("reduce", name, b"R") for name in (*ITERATING, "list", "set", "dict")],
    *[_reconstructed(name) for name in ("tuple", "frozenset", "list", "set", "bytearray")],
    *[_newobj_function(name, keywords) for name in ITERATING for keywords in (False, True)],
    _extension("one", b"\x82\xf0", shell),
    _extension("two", b"\x83\x34\x12", shell),
    _extension("four", b"\x84\x45\x23\x01\x00", source),
    _extension("two-small", b"\x83\xf0\x00", shell),
    _extension("four-small", b"\x84\xf0\x00\x00\x00", shell),
    _extension("memo", b"\x82\xf0q\x000h\x00", shell),
]
