"""Files of hostile bytes, of any size: floods, mixes and bombs for each reader of the scanner.

    python -m bench hostile_bytes

`FAMILIES` maps a name to a builder, which returns about as many bytes as it is asked for, and the
suffix that the file has. All are harmless: none names anything that does something.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

Build = Callable[[int], bytes]

PROTO = b"\x80\x04"


class Family(NamedTuple):
    """Builder and suffix; ``clean`` if a scan may find nothing wrong with it."""

    build: Build
    suffix: str = ".pkl"
    clean: bool = False


FAMILIES: dict[str, Family] = {}


def _add(name: str, build: Build, suffix: str = ".pkl", *, clean: bool = False) -> None:
    FAMILIES[name] = Family(build, suffix, clean)


def flood(unit: bytes, head: bytes = b"", tail: bytes = b"") -> Build:
    """Return a builder of one unit again and again."""

    def build(size: int) -> bytes:
        return head + unit * max(1, (size - len(head) - len(tail)) // len(unit)) + tail

    return build


def up_to(most: int, build: Build) -> Build:
    """Return a builder whose files are no larger than the reader takes."""
    return lambda size: build(min(size, most))


def numbered(form: str, head: bytes = b"", tail: bytes = b"", width: int = 0) -> Build:
    """Return a builder of a form with a number that counts, of so many digits at least."""

    def build(size: int) -> bytes:
        parts, length, count = [head], len(head) + len(tail), 0
        while length < size:
            text = form.replace("%", f"{count:0{width}x}").encode("latin-1")
            parts.append(text)
            length += len(text)
            count += 1
        return b"".join([*parts, tail])

    return build


def halves(first: bytes, second: bytes, head: bytes = b"", tail: bytes = b"") -> Build:
    """Return a builder of one flood and then another, of as many units each."""

    def build(size: int) -> bytes:
        count = (size - len(head) - len(tail)) // (len(first) + len(second))
        return head + first * count + second * count + tail

    return build


# --- pickle -----------------------------------------------------------------------------------

for _code in range(256):
    _add(f"byte {_code:02x}", flood(bytes([_code]), PROTO + b"N"))

_UNITS: dict[str, bytes] = {
    "none pop": b"N0",
    "mark pop": b"(0",
    "mark popmark": b"(1",
    "list pop": b"]0",
    "dict pop": b"}0",
    "none memoize": b"N\x94",
    "list memoize": b"]\x94",
    "none memoize pop": b"N\x940",
    "list memoize pop": b"]\x940",
    "put byte": b"Nq\x010",
    "put line": b"Np1\n0",
    "put long": b"Nr\x01\0\0\x000",
    "empty tuples": b"(t",
    "empty lists": b"(l",
    "empty dicts": b"(d",
    "tuples of one": b"N\x85",
    "tuples of one pop": b"N\x850",
    "tuples of two": b"NN\x86",
    "tuples of three": b"NNN\x87",
    "list append": b"]Na",
    "list append pop": b"]Na0",
    "list appends": b"](NNe",
    "dict setitem": b"}NNs",
    "dict setitems": b"}(NNu",
    "sets": b"\x8f(N\x90",
    "frozensets": b"(N\x91",
    "small ints": b"K\x01",
    "ints": b"J\x01\x02\x03\x04",
    "ints of 32 bytes": b"\x8a\x20" + b"\x7f" * 32,
    "floats": b"G" + bytes(8),
    "int lines": b"I1\n",
    "bool lines": b"I01\n",
    "long lines": b"L1L\n",
    "float lines": b"F1\n",
    "string lines": b"S'a'\n",
    "unicode lines": b"Va\n",
    "texts": b"\x8c\x02ab",
    "texts of 256": b"\x8c\xfe" + b"a" * 254,
    "bytes of 256": b"C\xff" + b"a" * 255,
    "old texts": b"U\x02ab",
    "wide texts": b"\x8c\x04\xf0\x9f\x98\x80",
    "protocols": PROTO,
    "empty frames": b"\x95" + bytes(8),
    "small frames": b"\x95\x02\0\0\0\0\0\0\0N0",
    "buffers": b"\x97",
    "readonly buffers": b"\x97\x98",
    "persistent lines": b"P1\n",
    "persistent ids": b"NQ",
    "extension codes": b"\x82\x01",
    "same name": b"ca\nb\n",
    "same name pop": b"ca\nb\n0",
    "calls": b"ccollections\nOrderedDict\n)R",
    "calls pop": b"ccollections\nOrderedDict\n)R0",
    "instances": b"ccollections\nOrderedDict\n)\x81",
    "states": b"ccollections\nOrderedDict\n)\x81}b",
    "inst": b"(ia\nb\n",
    "inst allowed": b"(icollections\nOrderedDict\n",
    "obj": b"(ccollections\nOrderedDict\no",
    "stack global": b"\x8c\x01a\x8c\x01b\x93",
    "tuples of 1000": b"(" + b"N" * 1000 + b"t",
    "tuples of 1000 copies": b"(N" + b"2" * 999 + b"t",
    "tuples of 1000 texts": b"(" + b"\x8c\x02ab" * 1000 + b"t",
    "dicts of 50": b"}(" + b"".join(b"\x8c\x02k%cN" % (48 + at) for at in range(50)) + b"u",
    "dicts of 50 copies": b"}("
    + b"".join(b"\x8c\x02k%cN20" % (48 + at) for at in range(50))
    + b"u",
    "lists of 60": b"](" + b"\x8c\x02ab" * 60 + b"e",
    "runs and pops": b"K\x01" * 4000 + b"0" * 4000,
    "runs of lists and pops": b"]" * 4000 + b"0" * 4000,
    "run of texts and none": b"\x8c\x02ab\x94" + b"N" * 40,
    "calls of numbers": b"cbuiltins\ncomplex\nK\x01K\x01\x86R",
}
for _name, _unit in _UNITS.items():
    _add(_name, flood(_unit, PROTO))
    _add(f"{_name}, stop", flood(_unit, PROTO, b"N."), clean=True)

_add("dup", flood(b"2", PROTO + b"]"))
_add("dup pop", flood(b"20", PROTO + b"]", b"."), clean=True)
_add("laughs", flood(b"2\x86", PROTO + b"N"))
_add("laughs as a key", flood(b"2\x86", PROTO + b"}N", b"Ns."))
_add("nested tuples", flood(b"\x85", PROTO + b"N", b"."), clean=True)
_add("get byte", flood(b"h\x00", PROTO + b"N\x94"))
_add("get pop", flood(b"h\x000", PROTO + b"N\x94", b"."), clean=True)
_add("get a name", flood(b"h\x00", PROTO + b"ca\nb\n\x94"))
_add("get what nobody put", flood(b"h\x09", PROTO + b"N\x94"))
_add("get lines", flood(b"g0\n", PROTO + b"N\x94"))
_add("list in list", halves(b"]", b"a", PROTO, b"."))
_add("marks and tuples", halves(b"(", b"t", PROTO, b"."), clean=True)
_add("marks and lists", halves(b"(", b"l", PROTO, b"."), clean=True)
_add("items of one list", flood(b"N", PROTO + b"](", b"e."), clean=True)
_add("items of one dict", flood(b"K\x01N", PROTO + b"}(", b"u."), clean=True)
_add("items of one tuple", flood(b"K\x01", PROTO + b"(", b"t."), clean=True)
_add("appends to one list", flood(b"Na", PROTO + b"]", b"."), clean=True)
_add("states of one object", flood(b"}b", PROTO + b"ccollections\nOrderedDict\n)R"))
_add("texts, then what they put", flood(b"\x8c\x02ab\x94", PROTO, b"h\x00."), clean=True)
_add("lists, then what they put", flood(b"]\x94", PROTO, b"h\x00."), clean=True)
_add("names", numbered("cm%\nn\n"))
_add("names, pop", numbered("cm%\nn\n0"))
_add("names of one module", numbered("cm\nn%\n0"))
_add("names in builtins", numbered("cbuiltins\nn%\n0"))
_add("names called", numbered("cm%\nn\n)R0"))
_add("names made", numbered("cm%\nn\n)\x81}b0"))
_add("names with dots", numbered("ca.b.c.d.e.f.g.h.i.j%\nn.o.p.q.r.s.t\n0"))
_add("names of 4000", numbered("c" + "m" * 4000 + "%\nn\n0"))
_add("distinct texts", numbered("Vt%\n"))
_add("distinct keys", numbered("Vt%\nN", PROTO + b"}(", b"u."), clean=True)
_add("distinct memo", numbered("Np%\n0"))
_add("streams", flood(b"N.", PROTO + b"N."), clean=True)
_add("empty streams", flood(b"."))


def _streams_with_memo(size: int) -> bytes:
    first = b"(" + b"]\x94" * (size // 20) + b"t."
    return first + b"N." * ((size - len(first)) // 2)


def _puts(size: int) -> bytes:
    return b"N" + b"".join(b"r" + struct.pack("<I", at) for at in range(size // 5))


def _puts_downwards(size: int) -> bytes:
    count = size // 5
    return b"N" + b"".join(b"r" + struct.pack("<I", count - at) for at in range(count))


_add("streams with a memo", _streams_with_memo, clean=True)
_add("puts", _puts)
_add("puts downwards", _puts_downwards)
_add("junk, then streams", flood(b"\x80\x02N0", b"N.\xff"))
_add("junk, then names", flood(b"ca\nb\n", b"N.\xff"))
_add("junk, then lines", flood(b"\na", b"N.\xff"))
_add("junk, then letters", flood(b"c", b"N.\xff"))
_add("spaces", flood(b" "))
_add("newlines", flood(b"\n"))

_ARRAY = (
    b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x08subclasscnumpy\nndarray\n"
    b"\x8c\x05shapeK\x01\x85\x8c\x05order\x8c\x01C\x8c\x05dtypecnumpy\ndtype\n\x8c\x02O8"
    b"\x89\x88\x87R\x8c\x0aallow_mmap\x89ub"
)
_add("arrays of objects", flood(_ARRAY + b"N.", PROTO), ".joblib")
_add("arrays in arrays", flood(_ARRAY, PROTO), ".joblib")
_add("old arrays", flood(b"cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81}b0", PROTO), ".joblib")


def _opcodes(size: int) -> bytes:
    """Opcodes at random that need no more than one value below them."""
    draw = random.Random(size)
    units = [unit for unit in _UNITS.values() if len(unit) < 12]
    few = [b"".join(draw.choices(units, k=500)) for _ in range(64)]
    return PROTO + b"".join(draw.choices(few, k=max(1, size // len(few[0]))))


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


_add("random opcodes", _opcodes)
_add("random bytes", _noise)

# --- what packs other bytes -------------------------------------------------------------------


def _zip(size: int, each: int, name: str, content: bytes, *, packed: bool = False) -> bytes:
    """Return an archive of members, each of which takes so many bytes of it."""
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for at in range(max(1, min(size // each, 120_000))):
            archive.writestr(zipfile.ZipInfo(f"{name}{at}.pkl"), content, method)
    return buffer.getvalue()


def _overlapping(unit: bytes, name: str) -> Build:
    """Return a builder of archives whose directory names one member again and again."""

    def build(size: int) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name), unit * min(size, 500_000), zipfile.ZIP_DEFLATED)
        data = buffer.getvalue()
        start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
        row = data[start:end]
        count = max(2, (size - start) // len(row))
        tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count & 65535, count & 65535,
                           count * len(row), start, 0)  # fmt: skip
        return data[:start] + row * count + tail

    return build


def _long_names(size: int) -> bytes:
    name = b"\xff" * 60_000
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    row = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name),
                      0, 0, 0, 0, 0, 0) + name  # fmt: skip
    count = max(1, (size - len(local)) // len(row))
    return (
        local
        + row * count
        + struct.pack(
            "<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, count * len(row), len(local), 0
        )
    )


def _nested(pack: Callable[[bytes], bytes]) -> Build:
    def build(size: int) -> bytes:
        data = b"N0" * (size // 2)
        for _ in range(70):
            data = pack(data)
        return data

    return build


def _repeated(pack: Callable[[bytes], bytes], unit: bytes) -> Build:
    """Return a builder of one packed stream again and again."""

    def build(size: int) -> bytes:
        packed = pack(unit * (min(8 * size, 2**22) // len(unit)))
        return packed * max(1, size // len(packed))

    return build


def _stored(size: int) -> bytes:
    return _zip(size, size, "a", b"N0" * (size // 2))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def _packed_floods(size: int) -> bytes:
    return _zip(size, 2500, "a", b"N0" * min(size, 500_000), packed=True)


_GZ = _gzip(b"")
_add("zip of empty members", lambda size: _zip(size, 110, "a", b""), ".zip")
_add("zip of tiny pickles", lambda size: _zip(size, 112, "a", b"N."), ".zip", clean=True)
_add(
    "zip of packed floods", lambda size: _zip(size, 2500, "a", b"N0" * 500_000, packed=True), ".zip"
)
_add("zip of one flood", _stored, ".zip")
_add("zip whose members overlap", _overlapping(b"N0", "a.pkl"), ".zip")
_add("zip whose empty members overlap", _overlapping(b"", "a.pkl"), ".zip")
_add("zip whose members of zeros overlap", _overlapping(b"\0\0", "a.bin"), ".zip")
_add("zip with long names", _long_names, ".zip")
_add("zip headers", flood(b"PK\x03\x04" + bytes(26)), ".zip")
_add("zip directory", flood(b"PK\x01\x02" + bytes(42), b"PK\x03\x04"), ".zip")
_add("zip ends", flood(b"PK\x05\x06" + bytes(18)), ".zip")
_add("gzip of empty members", flood(_GZ), ".pkl.gz")
_add("gzip and junk", flood(_GZ + b"\x01"), ".pkl.gz")
_add("gzip of zeros", _repeated(_gzip, bytes(1)), ".gz")
_add("gzip of a flood", _repeated(_gzip, b"N0"), ".pkl.gz")
_add("gzip of lists", _repeated(_gzip, b"]"), ".pkl.gz")
_add("gzip of nones", _repeated(_gzip, b"N"), ".pkl.gz")
_add("gzip of blobs", _repeated(_gzip, b"B\0\x40\0\0" + bytes(2**14) + b"0"), ".pkl.gz")
_add("gzip in gzip", _nested(_gzip), ".pkl.gz")
_add("bz2 of a flood", _repeated(bz2.compress, b"N0"), ".pkl.bz2")
_add("bz2 of empty streams", flood(bz2.compress(b"")), ".pkl.bz2")
_add("xz of a flood", _repeated(lzma.compress, b"N0"), ".pkl.xz")
_add("xz of empty streams", flood(lzma.compress(b"")), ".pkl.xz")
_add("zlib of a flood", _repeated(zlib.compress, b"N0"), ".pkl.z")
_add("zlib of empty blocks", flood(b"\0\0\0\xff\xff", b"x\x9c"), ".pkl.z")
_add("skippable frames", flood(b"\x50\x2a\x4d\x18\0\0\0\0"), ".pkl.lz4")
_add("lz4 of empty blocks", flood(b"\x01\0\0\x80a", b"\x04\x22\x4d\x18\x60\x40\x82"), ".pkl.lz4")
_add("zstd of tiny blocks", flood(b"\x0a\0\0a", b"\x28\xb5\x2f\xfd\0\x58"), ".pkl.zst")
for _magic in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x02\x21\x4c\x18", b"ZF0x1"):
    _add(f"magic {_magic[:2].hex()}", flood(_magic), ".pkl")


def _tar(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for at in range(max(1, size // 512)):
            archive.addfile(tarfile.TarInfo(f"a{at}"))
    return buffer.getvalue()


def _pax(size: int) -> bytes:
    row = b"6 a=b\n" * (size // 6)
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(row)
    return info.tobuf() + row + bytes(-len(row) % 512) + tarfile.TarInfo("a").tobuf() + bytes(1024)


def _tar_of_torch(size: int) -> bytes:
    buffer = io.BytesIO()
    parts = b"K\x01." * (size // 3)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("pickle", "tensors", "storages"):
            data = b"J\x40\x42\x0f\0." + parts if name == "storages" else b"K\0."
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


_add("tar of empty members", _tar, ".tar", clean=True)
_add("tar of pax records", _pax, ".tar", clean=True)
_add("tar of torch", _tar_of_torch, ".pt")

# --- structures -------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _onnx(unit: bytes) -> Build:
    return lambda size: b"\x08\x07" + field(7, unit * (size // len(unit)))


_NODE = field(1, field(1, b"a") + field(2, b"Add"))
_add("onnx of empty nodes", _onnx(b"\x0a\0"), ".onnx", clean=True)
_add("onnx of nodes", _onnx(field(1, field(4, b"Add"))), ".onnx", clean=True)
_add("onnx of domains", lambda size: b"\x08\x07" + field(7, numbered("\x0a\x0d\x3a\x09d%")(size)),
     ".onnx")  # fmt: skip
_add("onnx of tensors", _onnx(field(5, b"\x6a\0")), ".onnx")
_add("onnx of versions", flood(b"\x08\x07"), ".onnx")
_add("graph of empty nodes", flood(b"\x0a\0", _NODE), ".pb", clean=True)
_add("graph of nodes", flood(_NODE), ".pb", clean=True)
_add("graph of inputs", lambda size: _NODE + field(1, b"\x1a\0" * (size // 2)), ".pb", clean=True)
_add("graph of functions", lambda size: _NODE + field(2, field(1, b"\x1a\0") * (size // 4)),
     ".pb", clean=True)  # fmt: skip
_add("notes of keras", flood(b"\x0a\x02\x2a\0", field(1, field(4, b"_tf_keras"))),
     "keras_metadata.pb", clean=True)  # fmt: skip
_add("numbers without end", flood(b"\x08" + b"\x80" * 9 + b"\x01"), ".onnx")
_add("text graph", flood(b"node { op: 'A' } "), ".pbtxt", clean=True)
_add("text graph of quotes", flood(b"'", b"node { op: "), ".pbtxt", clean=True)


def _hdf5(messages: bytes) -> bytes:
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\0" + struct.pack(
        "<4Q", 0, 2**64 - 1, 48 + 16 + len(messages), 48
    )
    start = struct.pack("<BBHII4x", 1, 0, 65535, 1, len(messages))
    return head + bytes(4) + start + messages


def _messages(kind: int, body: bytes) -> Build:
    unit = struct.pack("<HHB3x", kind, len(body), 0) + body
    return lambda size: _hdf5(unit * max(1, size // len(unit)))


_TEXT_ATTRIBUTE = struct.pack("<BBHHH", 1, 0, 8, 8, 8) + b"a\0\0\0\0\0\0\0" + b"\x13\0\0\0"
_add("hdf5 of empty messages", _messages(0, b""), ".h5", clean=True)
_add("hdf5 of dimensions", _messages(1, b"\x01\xff" + bytes(6)), ".h5")
_add("hdf5 of 30 dimensions", _messages(1, b"\x01\x1e" + bytes(6)), ".h5", clean=True)
_add("hdf5 of attributes", _messages(12, _TEXT_ATTRIBUTE + struct.pack("<I", 1) + b"\x01" + bytes(7)
     + b"\x80"), ".h5", clean=True)  # fmt: skip
_add("hdf5 of large attributes", _messages(12, _TEXT_ATTRIBUTE + struct.pack("<I", 1000)
     + b"\x01\x01" + bytes(6) + struct.pack("<Q", 60000)), ".h5")  # fmt: skip
_add("hdf5 of links", _messages(6, b"\x01\x08\x40\x01a" + struct.pack("<H", 3) + b"\0b\0"), ".h5")
_add("hdf5 heaps", flood(b"GCOL\x01\0\0\0" + struct.pack("<Q", 4096), _hdf5(bytes(64))), ".h5")
_add("hdf5 configurations", flood(b'{"class_name":', _hdf5(b"\xff" * 64)), ".h5")
_add("hdf5 signature", flood(b"\x89HDF\r\n\x1a\n"), ".h5")


def _gguf(values: int, tensors: int, unit: bytes) -> Build:
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, values)
    return flood(unit, head)


def _gguf_texts(size: int) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k"
    count = max(1, size // 8)
    return head + struct.pack("<IIQ", 9, 8, count) + bytes(8 * count)


_add("gguf of texts", _gguf_texts, ".gguf", clean=True)
_add("gguf of values", numbered("\x0b\0\0\0\0\0\0\0key%\x07\0\0\0\x01",
     b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), width=8), ".gguf")  # fmt: skip
_add("gguf of tensors", _gguf(0, 2**40, bytes(8 + 4 + 12)), ".gguf")
_add("gguf of arrays", _gguf(2**40, 0, bytes(8) + struct.pack("<IIQ", 9, 9, 2**40)), ".gguf")


def _safetensors(unit: bytes, head: bytes, tail: bytes) -> Build:
    def build(size: int) -> bytes:
        text = flood(unit, head, tail)(size - 8)
        return struct.pack("<Q", len(text)) + text

    return build


_add("safetensors of lists", _safetensors(b"[],", b'{"a":[', b"0]}"), ".safetensors")
_add("safetensors of objects", _safetensors(b"{},", b'{"a":[', b"0]}"), ".safetensors")
_add("safetensors of spaces", _safetensors(b" ", b"{", b"}"), ".safetensors", clean=True)


def _npy(kind: str, shape: str, most: int = 128) -> bytes:
    text = f"{{'descr':'{kind}','fortran_order':False,'shape':({shape})}}".encode()
    text = text.ljust(most - 12)
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text


_add("npy arrays", flood(_npy("|u1", "0,")), ".npy", clean=True)
_add("npy headers", flood(_npy("|u1", "0,1,2,3,4,5,6,7,8,9," * 3200, 65_500)), ".npy", clean=True)
_add("npy of objects", flood(b"N0", _npy("|O8", "1,")), ".npy")


def _parquet(footer: bytes, pages: bytes = b"") -> bytes:
    return b"PAR1" + pages + footer + struct.pack("<I", len(footer)) + b"PAR1"


def _parquet_list(kind: bytes, item: bytes) -> Build:
    """Return a builder of footers that are one list, as large as footers may be."""

    def build(size: int) -> bytes:
        count = min(size, 15 * 2**20)
        return _parquet(b"\x19" + kind + varint(count) + item * (count + 1))

    return build


_add("parquet of structs", _parquet_list(b"\xfc", b"\0"), ".parquet")
_add("parquet of numbers", _parquet_list(b"\xf5", b"\0"), ".parquet")


def _parquet_pages(size: int) -> bytes:
    """One column of tiny pages."""
    page = b"\x15\x02\x15\0\x15\0\0"
    pages = page * max(1, size // len(page))
    packed = varint(2 * len(pages))
    meta = (b"\x15\x02\x19\x15\0\x19\x18\x01a\x15\0\x16\0\x16" + packed + b"\x16" + packed
            + b"\x26\x08\0")  # fmt: skip
    schema = b"\x48\x01s\x15\x02\0" + b"\x15\x02\x25\0\x18\x01a\0"
    group = b"\x19\x1c\x26\x08\x1c" + meta + b"\0\x16" + packed + b"\x16\0\0"
    footer = b"\x15\x02\x19\x2c" + schema + b"\x16\0\x19\x1c" + group + b"\0"
    return _parquet(footer, pages)


_add("parquet of pages", _parquet_pages, ".parquet", clean=True)
_add("tflite", lambda size: b"\x1c\0\0\0TFL3" + bytes(size), ".tflite")
_add("containers", flood(b"\x89SFH1\r\n\x1a" + bytes(64)), ".pkl")
_add("torch before zip", flood(
    b"N.", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."),
     ".pt")  # fmt: skip


def _torch_script(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("m/data.pkl"), b"\x80\x02" + b"N0" * (size // 4) + b"N.")
        archive.writestr(zipfile.ZipInfo("m/code/a.py"), b"torch. aten::" * (size // 26))
        archive.writestr(zipfile.ZipInfo("m/bytecode.pkl"), b"(t" * 100 + b".")
    return buffer.getvalue()


_add("torch script", _torch_script, ".pt")

# --- texts ------------------------------------------------------------------------------------

_TEXTS: dict[str, tuple[bytes, bytes, bytes]] = {
    "lists": (b"[],", b"[", b"0]"),
    "objects": (b"{},", b"[", b"0]"),
    "objects of one": (b'{"a":1},', b"[", b"0]"),
    "numbers": (b"1.5,", b"[", b"0]"),
    "texts": (b'"ab",', b"[", b"0]"),
    "deep lists": (b"[", b"", b""),
    "deep objects": (b'{"a":', b"", b""),
    "quotes and spaces": (b" ", b'["', b'"]'),
}
_DOCUMENT, _TEMPLATE = 16 * 2**20 - 100, 2**20 - 100
for _name, (_unit, _head, _tail) in _TEXTS.items():
    for _kind, _start, _suffix in (
        ("json", b'{"a":', ".json"),
        ("code", b'{"auto_map":1,"a":', ".json"),
        ("keras", b'{"class_name":"a","config":', "config.json"),
        ("notebook", b'{"cells":', ".ipynb"),
    ):
        _build = up_to(_DOCUMENT, flood(_unit, _start + _head, _tail + b"}"))
        _add(f"{_kind} of {_name}", _build, _suffix, clean=True)

_PICKLED = base64.b64encode(PROTO + b"N0" * 20 + b"N.")
_add("notebook of pickles", flood(_PICKLED + b" ", b'{"cells":["', b'"]}'), ".ipynb", clean=True)
_add("notebook of one pickle", flood(base64.b64encode(b"N0" * 3), b'{"cells":["'
     + base64.b64encode(PROTO + b"N"), b'"]}'), ".ipynb", clean=True)  # fmt: skip
_add("notebook of letters", flood(b"A" * 59 + b" ", b'{"cells":["', b'"]}'), ".ipynb", clean=True)
_add("notebook of literals", flood(b"b'\\\\x80\\\\x04N.' ", b'{"cells":["', b'"]}'), ".ipynb",
     clean=True)  # fmt: skip
_add("notebook of open literals", flood(b"b'aaaa ", b'{"cells":["', b'"]}'), ".ipynb", clean=True)
_add("notebook of open quotes", flood(b" ", b'{"cells":["\\"', b'a"]}'), ".ipynb", clean=True)
_add("notebook of hex", flood(b"8004", b'{"cells":["', b'"]}'), ".ipynb", clean=True)
for _name, _unit in {
    "tags": b"- !!python/name:a.b c\n",
    "handles": b"%TAG !a! b\n",
    "words and tags": b"a !b ",
    "aliases": b"*a ",
    "anchors": b"&a *a ",
    "comments": b"# !!python\n",
    "percents": b"!<%41%41%41> ",
    "braces": b"{",
    "dashes": b"- ",
    "targets": b"_target_: a.b\n",
}.items():
    _add(f"yaml of {_name}", up_to(_DOCUMENT, flood(_unit, b"python: *a\n")), ".yaml", clean=True)
_add("yaml of many anchors", up_to(_DOCUMENT, numbered("&a% *a% ", b"python: *a\n")), ".yaml",
     clean=True)  # fmt: skip
for _name, _unit in {
    "spaces": b" ",
    "braces": b"{{",
    "blocks": b"{% a %}",
    "brackets": b"a[",
    "quotes": b"'' ",
    "bars": b"a|attr(",
    "escapes": b"\\x5f",
    "underscores": b"'_'*2",
    "parts": b"a ~ ",
}.items():
    _build = up_to(_TEMPLATE, flood(_unit, b"{{ '", b"x }}"))
    _add(f"template of {_name}", _build, ".jinja", clean=True)
_add("MLmodel", up_to(2**22, flood(b"code: a\n")), "MLmodel")
_add("MLmodel of spaces", up_to(2**22, flood(b" ", b"code:")), "MLmodel", clean=True)
_add("torch graph", flood(b'{"expr_str":"s0"},', b'{"graph_module":[', b"0]}"), "model.json",
     clean=True)  # fmt: skip
_add("web page", flood(b" ", b"", b"<html"), ".pkl")

# --- models of boosters, 7z, flatbuffers, XML -------------------------------------------------


def _sevenzip(size: int) -> bytes:
    """A header of parts that each say again which of its files are empty."""
    count = min(200_000, size)
    part = bytes((14, 0xC0 | (count + 7) // 8 >> 16)) + struct.pack("<H", (count + 7) // 8 & 0xFFFF)
    part += bytes((count + 7) // 8)
    files = bytes((1, 5, 0xC0 | count >> 16)) + struct.pack("<H", count & 0xFFFF)
    header = files + part * max(1, min(size, 2**24 - 100) // len(part)) + bytes(2)
    place = struct.pack("<QQI", 0, len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(place)) + place + header


def _executorch(size: int) -> bytes:
    """Many plans that are the same one, with many operators that are the same one."""
    count = min(size // 8, 900_000)
    plans = 4 * count
    # The list of a table's fields, then the table: how far back the list is, and its one field.
    head = (
        struct.pack("<I4s4x", 20, b"ET12")
        + struct.pack("<4Hi", 8, 8, 0, 4, 8)
        + struct.pack("<I", 4)
    )
    first = len(head) + 4
    plan = first + plans + 20
    vector = struct.pack("<I", count) + b"".join(
        struct.pack("<I", plan - first - 4 * index) for index in range(count)
    )
    listed = struct.pack("<9H2x", 18, 8, 0, 0, 0, 0, 0, 0, 4) + struct.pack("<iI", 20, 4)
    last = plan + 8 + 4
    operator = last + plans + 4
    inner = struct.pack("<I", count) + b"".join(
        struct.pack("<I", operator - last - 4 * index) for index in range(count)
    )
    return head + vector + listed + inner + struct.pack("<2Hi", 4, 4, 4)


_LEARNER = b"\x03" + bytes(7) + b"reg" + b"\x06" + bytes(7) + b"gbtree"
_FOREST = bytes(136) + _LEARNER + struct.pack("<I", 1_000_000) + bytes(156)
_add("7z of empty parts", _sevenzip, ".7z")
_add("ubjson of nulls", flood(b"Z", b"{L" + bytes(7) + b"\x07learner["), ".ubj")
_add("xgboost of empty trees", flood(bytes(148), _FOREST), ".model")
_add("lightgbm of lines", flood(b"a=1\n", b"tree\nversion=v4\n"), ".txt")
_add("pmml of elements", flood(b"<a/>", b"<PMML>", b"</PMML>"), ".pmml", clean=True)
_add("executorch of shared plans", _executorch, ".pte", clean=True)
_add("large json of lists", flood(b"[],", b'{"a":[', b"0]}"), ".json", clean=True)
_add("large json of texts", flood(b'"\\n",', b'{"a":[', b"0]}"), ".json", clean=True)
