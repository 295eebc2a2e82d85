"""Files that take the memory or the time of whoever loads them, and payloads behind much work."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

from tests.bypasses.payloads import Raw, call, named, stream, system
from tests.corpus.cases import Case

PROTO = b"\x80\x04"
BIG = 10**11


def _bomb(identity: str, data: bytes, loader: str = "pickle", suffix: str = ".pkl") -> Case:
    return Case(
        f"bomb-{identity}",
        "bombs",
        lambda canary: data,
        loader,
        suffix,
        effect="exhausts",
        verdict="suspicious",
    )


def _behind(identity: str, work: bytes) -> Case:
    """A payload behind work that every loader does."""
    return Case(
        f"behind-{identity}",
        "bombs",
        lambda canary: PROTO + work + system(canary).opcodes + b".",
    )


def number(of: int) -> Raw:
    raw = of.to_bytes((of.bit_length() + 8) // 8, "little")
    return Raw(b"\x8a" + bytes([len(raw)]) + raw)


def called(module: str, name: str, *args: object) -> bytes:
    return stream(call(named(module, name), *args))


def laughs(kind: bytes, depth: int = 60) -> bytes:
    """Tuples that hold the one before twice; hashing the last takes 2^depth steps."""
    levels = [b"0h%ch%c\x86q%c" % (level, level, level + 1) for level in range(depth)]
    return PROTO + b"K\x01\x85q\x00" + b"".join(levels) + kind


def _zeros() -> bytes:
    """A stream of 320 MiB of zeros, without the memory for it."""
    packer = lzma.LZMACompressor(preset=0)
    count = 320
    parts = [packer.compress(PROTO + b"\x8e" + struct.pack("<Q", count * 2**20))]
    parts += [packer.compress(bytes(2**20)) for _ in range(count)]
    parts += [packer.compress(b"."), packer.flush()]
    return b"".join(parts)


def _layers(canary: Path) -> bytes:
    data = stream(system(canary))
    for _ in range(5):
        data = gzip.compress(data, mtime=0)
    return data


TIMES = named("operator", "mul")
CASES = [
    _bomb("memo-long-binput", PROTO + b"Nr\xff\xff\xff\x7f."),
    _bomb("memo-put", PROTO + b"Np99999999999\n."),
    _bomb("bytearray8", PROTO + b"\x96" + struct.pack("<Q", 2**40) + b"."),
    _bomb("bytearray", called("builtins", "bytearray", number(BIG))),
    _bomb("bytes", called("builtins", "bytes", number(BIG))),
    _bomb("list-range", called("builtins", "list", call(named("builtins", "range"), number(BIG)))),
    _bomb("set-range", called("builtins", "set", call(named("builtins", "range"), number(BIG)))),
    _bomb(
        "frozenset-range",
        called("builtins", "frozenset", call(named("builtins", "range"), number(BIG))),
    ),
    _bomb("tuple-newobj", PROTO + b"cbuiltins\ntuple\n"
          + call(named("builtins", "range"), number(BIG)).opcodes + b"\x85\x81."),
    _bomb("extend-range", PROTO + b"]q\x00" + named("builtins", "list.extend").opcodes + b"h\x00"
          + call(named("builtins", "range"), number(BIG)).opcodes + b"\x86R."),
    _bomb("pow", called("builtins", "pow", 7, 10**9)),
    _bomb("factorial", called("math", "factorial", 10**8)),
    _bomb("ljust", called("builtins", "str.ljust", "a", number(BIG))),
    _bomb("zfill", called("builtins", "bytes.zfill", b"a", number(BIG))),
    _bomb("mul-text", stream(call(TIMES, "a" * 100, number(BIG)))),
    _bomb("mul-list", stream(call(TIMES, [1, 2], number(BIG)))),
    _bomb("repeat", called("builtins", "list", call(named("itertools", "repeat"), 1))),
    _bomb("count-deque", called("builtins", "sum", call(named("itertools", "count"), 1))),
    _bomb("fraction", called("fractions", "Fraction", "1e99999999")),
    _bomb("network", called("builtins", "set", call(named("ipaddress", "IPv4Network"),
                                                     "0.0.0.0/0"))),
    _bomb("regex", called("re", "match", "(a+)+$", "a" * 60 + "b")),
    _bomb("laughs-key", laughs(b"q\xff0}h\xffNs.")),
    _bomb("laughs-set", laughs(b"q\xff0\x8f(h\xff\x90.")),
    _bomb("laughs-frozenset", laughs(b"q\xff0(h\xff\x91.")),
    _bomb("xz-zeros", _zeros(), "lzma", ".pkl.xz"),
    Case("bomb-numpy-zeros", "bombs", lambda m: called("numpy", "zeros", number(BIG)),
         needs=("numpy",), effect="exhausts", verdict="suspicious"),
    Case("bomb-numpy-scalar", "bombs", lambda m: _typed("V2000000000"),
         needs=("numpy",), effect="exhausts", verdict="suspicious"),
    _behind("no-ops", b"N0" * 500_000),
    _behind("marks", b"(1" * 200_000),
    _behind("numbers", b"](" + b"K\x01" * 500_000 + b"e0"),
    _behind("floats", b"](" + (b"G" + bytes(8)) * 200_000 + b"e0"),
    _behind("texts", b"](" + b"\x8c\x03abc" * 300_000 + b"e0"),
    _behind("memo", b"".join(b"Nr" + struct.pack("<I", at) + b"0" for at in range(100_000))),
    _behind("memoize", b"N\x940" * 300_000),
    _behind("dicts", b"}0" * 200_000),
    _behind("lists-in-lists", b"]" * 20_000 + b"a" * 19_999 + b"0"),
    _behind("frames", b"\x95\0\0\0\0\0\0\0\0" * 100_000),
    _behind("protocols", b"\x80\x04" * 300_000),
    _behind("bytes", b"B" + struct.pack("<I", 2**22) + bytes(2**22) + b"0"),
    _behind("line", b"S'" + b"a" * 2**20 + b"'\n0"),
    _behind("names", b"ccollections\nOrderedDict\n0" * 50_000),
    _behind("calls", b"ccollections\nOrderedDict\n)R0" * 50_000),
    Case("behind-gzip-layers", "bombs", _layers, "layers", ".bin"),
]  # fmt: skip


def _typed(text: str) -> bytes:
    """``scalar(dtype)`` alone allocates what the type says."""
    kind = call(named("numpy", "dtype"), text)
    return stream(call(named("numpy._core.multiarray", "scalar"), kind))
