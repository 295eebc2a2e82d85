"""Streams that read otherwise than they look: differentials, breaks, and several in a row."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import named, source, stream, system, value
from tests.corpus.cases import Case
from tests.corpus.hostile.gadgets_process import shell

PROTO = b"\x80\x04"


def payload(canary: Path) -> bytes:
    return system(canary).opcodes


def frame(content: bytes) -> bytes:
    return b"\x95" + struct.pack("<Q", len(content)) + content


# What stands before the payload; the C loader accepts it, a careless reader may not.
PREFIXES: dict[str, bytes] = {
    "int-hex": b"I0x10\n0",
    "int-octal": b"I010\n0",
    "int-new-octal": b"I0o17\n0",
    "int-binary": b"I0b11\n0",
    "int-nul": b"I1\0junk\n0",
    "int-blank": b"I 7\n0",
    "int-tab": b"I\t7\n0",
    "int-plus": b"I+7\n0",
    "int-minus-hex": b"I-0x1f\n0",
    "int-underscore": b"I1_000\n0",
    "int-huge": b"I" + b"9" * 60 + b"\n0",
    "int-true": b"I01\n0",
    "int-false": b"I00\n0",
    "int-zeros": b"I000\n0",
    "int-carriage": b"I7\r\n0",
    "long-hex": b"L0x10L\n0",
    "long-underscore": b"L1_0L\n0",
    "long-no-l": b"L10\n0",
    "long-blank": b"L 10 L\n0",
    "long-octal": b"L0o10L\n0",
    "long-zero-bytes": b"\x8a\x00" + b"0",
    "long4-zero-bytes": b"\x8b\x00\x00\x00\x00" + b"0",
    "long1-255": b"\x8a\xff" + b"\x01" * 255 + b"0",
    "float-inf": b"F-inf\n0",
    "float-nan": b"Fnan\n0",
    "float-long": b"F" + b"1" * 300 + b"\n0",
    "put-blank": b"Nq\x00p 1 \n0",
    "put-underscore": b"Np1_0\ng10\n00",
    "put-leading-zero": b"Np007\ng7\n00",
    "get-plus": b"Np1\ng+1\n00",
    "frame-none": b"\x95\x01\0\0\0\0\0\0\0",
    "frame-empty": b"\x95\0\0\0\0\0\0\0\0",
    "frames-empty": b"\x95\0\0\0\0\0\0\0\0" * 20,
    "proto-middle": b"N0\x80\x05",
    "proto-lower": b"N0\x80\x00\x80\x04",
    "proto-many": b"\x80\x04" * 50,
    "marks-left": b"(((",
    "mark-popped": b"(0",
    "mark-popmark": b"(1",
    "many-marks": b"(" * 300 + b"1" * 300,
    "none-many": b"N" * 3000 + b"0" * 3000,
    "string-empty": b"S''\n0",
    "string-double": b'S"a\'b"\n0',
    "string-escape": b"S'\\x41\\n'\n0",
    "binstring-empty": b"T\0\0\0\0" + b"0",
    "unicode-surrogate": b"V\\ud800\n0",
    "unicode-astral": b"V\\U0001f600\n0",
    "unicode-nul": b"Va\0b\n0",
    "utf8-surrogate": b"X\x03\0\0\0\xed\xa0\x80" + b"0",
    "utf8-nul": b"X\x01\0\0\0\0" + b"0",
    "stop-in-text": b"X\x03\0\0\0N.N0",
    "stop-in-bytes": b"C\x02N.0",
    "stop-in-bytearray": b"\x96\x02\0\0\0\0\0\0\0N.0",
    "global-in-text": b"X\x10\0\0\0cposix\nsystem\n)R0",
    "dup-many": b"N" + b"2" * 500 + b"0" * 501,
    "memo-sparse": b"Nr\xff\xff\x00\x00" + b"0",
    "memo-again": b"Nq\x00" * 200 + b"0" * 200,
    "dict-odd-values": b"(I1\nI2\nd0",
    "empty-set": b"\x8f(K\x01\x900",
    "frozenset": b"(K\x01K\x02\x910",
    "bytes-long": b"\x8e\x01\0\0\0\0\0\0\0a0",
    "nested-lists": b"](](](]eee0",
    "binpersid-free": b"N(1" + b"0",
}


def _prefixed(identity: str, prefix: bytes, loader: str, protocol: bytes = PROTO) -> Case:
    return Case(
        f"differential-{identity}-{loader.replace(' ', '-')}",
        "differentials",
        lambda canary: protocol + prefix + payload(canary) + b".",
        loader=loader,
    )


# Some only the C loader accepts.
_C_ONLY = frozenset(
    """
    int-hex int-octal int-nul int-new-octal int-binary long-hex long-octal string-escape
    frame-none int-minus-hex proto-middle memo-sparse marks-left float-nan
    """.split()
)


def _renamed(identity: str, function: bytes, argument: Callable[[Path], str] = shell) -> Case:
    return Case(
        f"differential-{identity}",
        "differentials",
        lambda canary: PROTO + function + value((argument(canary),)) + b"R.",
    )


def _framed(identity: str, build: Callable[[Path], bytes], loader: str = "pickle") -> Case:
    return Case(f"frame-{identity}", "differentials", build, loader=loader)


def _split(canary: Path) -> bytes:
    """The frame ends inside the payload's opcodes; `loads` does not mind."""
    whole = payload(canary) + b"."
    return PROTO + frame(whole[:9]) + whole[9:]


def _across(canary: Path) -> bytes:
    """From a file, the C loader drops what is left of the frame and reads what follows it."""
    tail = b"posix\nsystem\n" + value((shell(canary),)) + b"R."
    return PROTO + frame(b"ccollections") + tail


def _second_after_frame(canary: Path) -> bytes:
    return PROTO + frame(b"N." + b"\x80\x04N" * 300) + stream(system(canary))


def _two_frames(canary: Path) -> bytes:
    return PROTO + frame(b"N0") + frame(payload(canary) + b".")


FRAMES = [
    _framed("whole", lambda m: PROTO + frame(payload(m) + b".")),
    _framed("two", _two_frames),
    _framed("split-loads", _split, "loads"),
    _framed("across", _across, "stream"),
    _framed("second-after", _second_after_frame, "all"),
    _framed("of-one-byte", lambda m: PROTO + frame(b"N") + b"0" + payload(m) + b"."),
    _framed("small-reads", lambda m: PROTO + frame(payload(m) + b"."), "small reads"),
    _framed("in-protocol-0", lambda m: frame(payload(m) + b".")),
    _framed("nested", lambda m: PROTO + frame(frame(payload(m) + b"."))),
]

# What follows the payload: an error comes, and comes too late.
TAILS: dict[str, bytes] = {
    "no-stop": b"",
    "pop-and-stop": b"0.",
    "underflow": b"000.",
    "no-opcode": b"\xff",
    "nul": b"\x00",
    "bad-call": b"R.",
    "cut-global": b"c",
    "cut-global-name": b"cposix\n",
    "cut-stack-global": b"\x93.",
    "long-text": b"X\xff\xff\xff\x7f.",
    "negative-text": b"T\xff\xff\xff\xff.",
    "huge-text": b"\x8d" + b"\xff" * 7 + b"\x7f.",
    "huge-bytes": b"\x8e" + b"\xff" * 7 + b"\x7f.",
    "unset-memo": b"h\x63.",
    "unset-long-memo": b"j\xff\xff\xff\x7f.",
    "unset-text-memo": b"g99999\n.",
    "empty-int": b"I\n.",
    "bad-int": b"Ixyz\n.",
    "bad-float": b"Fxyz\n.",
    "bad-string": b"S'abc\n.",
    "no-quotes": b"Sabc\n.",
    "bad-escape": b"S'\\x'\n.",
    "bad-unicode": b"V\\u12\n.",
    "bad-utf8": b"X\x01\0\0\0\xff.",
    "negative-put": b"p-1\n.",
    "bad-put": b"pxyz\n.",
    "no-mark": b"t.",
    "no-mark-list": b"l.",
    "no-mark-dict": b"d.",
    "odd-dict": b"(K\x01d.",
    "unhashable": b"}]Ns.",
    "append-to-none": b"NNa.",
    "build-none": b"NNb.",
    "newobj-none": b"N)\x81.",
    "newobj-ex-none": b"N)}\x92.",
    "obj-empty": b"(o.",
    "inst-unknown": b"(inothing\nnothing\n.",
    "missing-module": b"cnothing_of_the_kind\nx\n.",
    "missing-name": b"cos\nnothing_of_the_kind\n.",
    "persistent": b"Px\n.",
    "binpersid": b"NQ.",
    "unknown-extension": b"\x82\x07.",
    "zero-extension": b"\x82\x00.",
    "proto-too-high": b"\x80\x7f.",
    "next-buffer": b"\x97.",
    "readonly-buffer": b"N\x98.",
    "frame-too-long": b"\x95\xff\0\0\0\0\0\0\0N.",
    "frame-huge": b"\x95" + b"\xff" * 8 + b".",
    "long1-cut": b"\x8a\xff\x01",
    "long4-negative": b"\x8b\xff\xff\xff\xff.",
    "memoize-empty": b"0\x94.",
    "dup-empty": b"02.",
    "additems-none": b"N(N\x90.",
    "frozenset-unhashable": b"(]\x91.",
    "setitems-odd": b"}(Nu.",
    "stop-mark": b"0(.",
    "junk": bytes(range(256)),
}
TAIL_LOADERS = ("pickle", "python")


def _tailed(identity: str, tail: bytes, loader: str) -> Case:
    return Case(
        f"broken-{identity}-{loader}",
        "broken-streams",
        lambda canary: PROTO + payload(canary) + tail,
        loader=loader,
    )


def _memo_left(canary: Path) -> bytes:
    """Each stream alone is harmless; one unpickler reads both."""
    first = PROTO + value("posix") + b"q\x00" + value("system") + b"q\x01."
    return first + PROTO + b"h\x00h\x01\x93" + value((shell(canary),)) + b"R."


def _memo_memoized(canary: Path) -> bytes:
    first = PROTO + value("posix") + b"\x94" + value("system") + b"\x94."
    second = value("collections") + b"\x940" + value("OrderedDict") + b"\x940"
    return first + PROTO + second + b"h\x00h\x01\x93(" + value(shell(canary)) + b"tR."


def _memo_function(canary: Path) -> bytes:
    first = PROTO + named("posix", "system").opcodes + b"q\x050N."
    return first + PROTO + b"h\x05" + value((shell(canary),)) + b"R."


def _memo_argument(canary: Path) -> bytes:
    first = PROTO + value((source(canary),)) + b"q\x03."
    return first + PROTO + b"cbuiltins\nexec\nh\x03R."


HARMLESS: dict[str, bytes] = {
    "none": b"N.",
    "list": PROTO + b"](K\x01K\x02e.",
    "dict": PROTO + b"}(X\x01\0\0\0aK\x01u.",
    "framed": PROTO + frame(b"K\x01."),
    "bytes": PROTO + b"C\x10" + b"." * 16 + b".",
    "old": b"(lp0\nI1\na.",
    "large": PROTO + b"](" + b"K\x01" * 5000 + b"e.",
}


def _second(identity: str, first: bytes, count: int) -> Case:
    return Case(
        f"concatenated-{identity}-{count}",
        "concatenation",
        lambda canary: first * count + stream(system(canary)),
        loader="all",
    )


CASES = [
    *[_prefixed(name, prefix, "pickle") for name, prefix in PREFIXES.items()],
    *[
        _prefixed(name, prefix, "loads")
        for name, prefix in PREFIXES.items()
        if name.startswith(("frame", "proto", "int", "memo"))
    ],
    *[
        _prefixed(name, prefix, "python")
        for name, prefix in PREFIXES.items()
        if name not in _C_ONLY
    ],
    _prefixed("string-non-ascii", b"S'\xff'\n0", "latin1"),
    _prefixed("string-non-ascii", b"S'\xff'\n0", "bytes"),
    _prefixed("binstring-non-ascii", b"U\x01\xff0", "latin1"),
    _prefixed("binstring-non-ascii", b"U\x01\xff0", "bytes"),
    _prefixed("long-binstring-non-ascii", b"T\x02\0\0\0\xff\xfe0", "bytes"),
    _prefixed("high-protocol", b"", "pickle", b"\x80\x05"),
    _prefixed("protocol-1", b"", "pickle", b"\x80\x01"),
    _prefixed("no-protocol", b"", "pickle", b""),
    _renamed("escaped-name", b"Vp\\u006fsix\nVsystem\n\x93"),
    _renamed("string-name", b"S'posix'\nS'sys\\x74em'\n\x93"),
    _renamed("made-name", value("po") + b"0cbuiltins\nstr\n" + value(("posix",)) + b"R"
             + value("system") + b"\x93"),
    _renamed("joined-name", named("builtins", "str.join").opcodes
             + value(("", ["po", "six"])) + b"R" + value("system") + b"\x93"),
    _renamed("lowered-name", named("builtins", "str.lower").opcodes
             + value(("POSIX",)) + b"R" + value("system") + b"\x93"),
    _renamed("formatted-name", named("builtins", "str.format").opcodes
             + value(("{}six", "po")) + b"R" + value("system") + b"\x93"),
    _renamed("replaced-name", value("posix") + named("builtins", "str.replace").opcodes
             + value(("system!", "!", "")) + b"R\x93"),
    *FRAMES,
    *[_tailed(name, tail, loader) for name, tail in TAILS.items() for loader in TAIL_LOADERS],
    *[_second(name, first, count) for name, first in HARMLESS.items() for count in (1, 2, 7)],
    Case("concatenated-memo", "concatenation", _memo_left, loader="one unpickler"),
    Case("concatenated-memoized", "concatenation", _memo_memoized, loader="one unpickler"),
    Case("concatenated-function", "concatenation", _memo_function, loader="one unpickler"),
    Case("concatenated-argument", "concatenation", _memo_argument, loader="one unpickler"),
    Case(
        "concatenated-broken-second",
        "concatenation",
        lambda canary: b"N." + PROTO + payload(canary) + b"\xff",
        loader="all",
    ),
]  # fmt: skip
