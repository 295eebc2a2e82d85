"""joblib and NumPy: pickles between raw array bytes, in object arrays, under an array's name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.bypasses.payloads import Raw, named, stream, system, value
from tests.corpus.cases import Case
from tests.corpus.hostile.packed import STAMP

PROTO = b"\x80\x04"


def payload(canary: Path) -> bytes:
    return system(canary).opcodes


def dtype(text: str) -> bytes:
    """Opcodes that make a type, such as ``<i4``, as numpy's pickles do."""
    made = value(named("numpy", "dtype")) + value((text[1:], False, True)) + b"R"
    size = (-1, -1, 63) if text[1:] == "O8" else (-1, -1, 0)
    return made + value((3, text[0], None, None, None, *size)) + b"b"


def wrapper(shape: tuple[int, ...], kind: str = "|u1", *, aligned: bool = False) -> bytes:
    """joblib's stand-in for an array; its bytes follow in the file."""
    pairs = [
        ("subclass", value(named("numpy", "ndarray"))),
        ("shape", value(shape)),
        ("order", value("C")),
        ("dtype", dtype(kind)),
        ("allow_mmap", b"\x89"),
    ]
    if aligned:
        pairs.append(("numpy_array_alignment_bytes", b"K\x10"))
    filled = b"}(" + b"".join(value(key) + item for key, item in pairs) + b"u"
    return named("joblib.numpy_pickle", "NumpyArrayWrapper").opcodes + b")\x81" + filled + b"b"


def framed(opcodes: bytes) -> bytes:
    return PROTO + b"\x95" + struct.pack("<Q", len(opcodes)) + opcodes


def behind_array(canary: Path) -> bytes:
    """The array is full of STOP opcodes: who takes them for such stops there."""
    return b"\x80\x02" + wrapper((64,)) + b"." * 64 + b"0" + payload(canary) + b"."


def between_arrays(canary: Path) -> bytes:
    first = wrapper((9,)) + b"N." * 4 + b"."
    second = wrapper((3,)) + b"\xff\xff\xff"
    return b"\x80\x02(" + first + payload(canary) + second + b"t."


def before_array(canary: Path) -> bytes:
    return b"\x80\x02(" + payload(canary) + wrapper((4,)) + b"...." + b"t."


def in_object_array(canary: Path) -> bytes:
    """An array of objects is a pickle of its own, where the bytes would stand."""
    return b"\x80\x02" + wrapper((1,), "|O8") + b"\x80\x02" + payload(canary) + b"." + b"."


def after_object_array(canary: Path) -> bytes:
    inner = b"\x80\x02cnumpy\nzeros\nK\x00\x85R."
    return b"\x80\x02" + wrapper((0,), "|O8") + inner + b"0" + payload(canary) + b"."


def in_frame(canary: Path) -> bytes:
    """joblib reads a frame ahead: the array's bytes follow the frame, not its opcode."""
    return framed(wrapper((50,)) + b"0" + payload(canary) + b".") + bytes(50)


def behind_frame(canary: Path) -> bytes:
    return framed(wrapper((100,)) + b"0N" * 7) + b"\xff" * 100 + payload(canary) + b"."


def frame_of_frame(canary: Path) -> bytes:
    second = b"0" + payload(canary) + b"."
    opcodes = wrapper((100,)) + b"\x95" + struct.pack("<Q", len(second))
    return framed(opcodes) + b"\xff" * 100 + second


def padded(canary: Path) -> bytes:
    """With alignment, a byte says how many bytes of padding come first."""
    array = b"\x05\xff\xff\xff\xff\xff" + b"." * 32
    return b"\x80\x02" + wrapper((32,), aligned=True) + array + b"0" + payload(canary) + b"."


def as_opcodes(canary: Path) -> bytes:
    """Harmless for joblib; pickle takes the array's bytes for opcodes."""
    hidden = b"0" + payload(canary) + b"."
    return PROTO + wrapper((len(hidden),)) + hidden + b"."


def in_dict(canary: Path) -> bytes:
    head = b"\x80\x02}" + value("weights") + wrapper((16,)) + b"." * 16 + b"s"
    return head + value("hook") + payload(canary) + b"s."


def twice(canary: Path) -> bytes:
    """The second time a wrapper gets its state, another array is read."""
    whole = wrapper((40,))
    made, state = whole.split(b")\x81", 1)
    again = made + b")\x81q\x07" + state
    tail = b"0h\x07" + state[:-1] + b"b" + bytes(40) + b"0" + payload(canary) + b"."
    return b"\x80\x02" + again + bytes(40) + tail


JOBLIB: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "plain": (lambda m: stream(system(m)), "joblib"),
    "behind-array": (behind_array, "joblib"),
    "between-arrays": (between_arrays, "joblib"),
    "before-array": (before_array, "joblib"),
    "in-object-array": (in_object_array, "joblib"),
    "after-object-array": (after_object_array, "joblib"),
    "in-frame": (in_frame, "joblib"),
    "behind-frame": (behind_frame, "joblib"),
    "frame-of-frame": (frame_of_frame, "joblib"),
    "padded": (padded, "joblib"),
    "as-opcodes": (as_opcodes, "pickle"),
    "in-dict": (in_dict, "joblib"),
    "state-twice": (twice, "joblib"),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 3),
    "gzip": lambda data: gzip.compress(data, 3, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def _joblib(name: str) -> Case:
    build, loader = JOBLIB[name]
    return Case(f"joblib-{name}", "joblib", build, loader, ".joblib", needs=("joblib", "numpy"))


def _packed(name: str, packer: str) -> Case:
    build = JOBLIB[name][0]
    return Case(
        f"joblib-{name}-{packer}",
        "joblib",
        lambda canary: PACKERS[packer](build(canary)),
        "joblib",
        ".joblib",
        needs=("joblib", "numpy"),
    )


def npy_header(shape: str, kind: str, version: int = 1, order: str = "False") -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    room = 64 - (10 if version == 1 else 12) - len(text) - 1
    text += b" " * (room % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text


def npy(canary: Path, version: int = 1, shape: str = "(1,)", kind: str = "'|O'") -> bytes:
    """An array of objects: the header, then a pickle."""
    return npy_header(shape, kind, version) + stream(Raw(b"](" + payload(canary) + b"e"))


def npz(canary: Path, method: int, name: str = "a.npy", first: bool = False) -> bytes:
    plain = npy_header("(2,)", "'<i4'") + bytes(8)
    members = [("b.npy", plain), (name, npy(canary))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members[::-1] if first else members:
            info = zipfile.ZipInfo(member, STAMP)
            info.compress_type = method
            archive.writestr(info, data)
    return buffer.getvalue()


def _numpy(identity: str, build: Callable[[Path], bytes], suffix: str = ".npy") -> Case:
    return Case(f"numpy-{identity}", "numpy", build, "numpy", suffix)


def _pandas_zip(canary: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt", STAMP), stream(system(canary)))
    return buffer.getvalue()


STRUCTURED = "[('n', '<i4'), ('o', '|O')]"
CASES = [
    *[_joblib(name) for name in JOBLIB],
    *[
        _packed(name, packer)
        for name, (_, loader) in JOBLIB.items()
        if loader == "joblib"
        for packer in PACKERS
    ],
    Case(
        "joblib-mapped", "joblib", behind_array, "joblib mapped", ".joblib",
        needs=("joblib", "numpy"),
    ),
    *[_numpy(f"version-{number}", lambda m, number=number: npy(m, number)) for number in (1, 2, 3)],
    _numpy("no-shape", lambda m: npy(m, shape="()")),
    _numpy("huge-shape", lambda m: npy(m, shape="(99999999999,)")),
    _numpy("empty-shape", lambda m: npy(m, shape="(0,)")),
    _numpy("matrix", lambda m: npy(m, shape="(1, 1)")),
    _numpy("fortran", lambda m: npy_header("(1,)", "'|O'", order="True") + stream(system(m))),
    _numpy("structured", lambda m: npy(m, kind=STRUCTURED)),
    _numpy("byte-order", lambda m: npy(m, kind="'<O8'")),
    _numpy("object-name", lambda m: npy(m, kind="'O'")),
    _numpy("spelled-object", lambda m: npy(m, kind="'object'")),
    _numpy("spelled-fields", lambda m: npy(m, kind="'i4, O'")),
    _numpy("spelled-times", lambda m: npy(m, kind="'(2,)O'")),
    _numpy("python-2", lambda m: npy(m, shape="(1L,)")),
    _numpy("subarray", lambda m: npy(m, kind="[('o', '|O', (2,))]")),
    _numpy("plain-pickle", lambda m: stream(system(m))),
    _numpy("old-pickle", lambda m: stream(system(m), protocol=None)),
    _numpy("second-pickle", lambda m: npy(m) + stream(system(m))),
    _numpy("broken-after", lambda m: npy_header("(1,)", "'|O'") + PROTO + payload(m) + b"\xff"),
    _numpy("npz", lambda m: npz(m, zipfile.ZIP_STORED), ".npz"),
    _numpy("npz-compressed", lambda m: npz(m, zipfile.ZIP_DEFLATED), ".npz"),
    _numpy("npz-first", lambda m: npz(m, zipfile.ZIP_STORED, first=True), ".npz"),
    _numpy("npz-other-name", lambda m: npz(m, zipfile.ZIP_STORED, "readme"), ".npz"),
    _numpy("npz-no-suffix", lambda m: npz(m, zipfile.ZIP_STORED), ".bin"),
    _numpy("npz-folder", lambda m: npz(m, zipfile.ZIP_STORED, "x/y/z.npy"), ".npz"),
    Case(
        "pandas-gzip", "numpy", lambda m: gzip.compress(stream(system(m)), mtime=0), "pandas",
        ".pkl.gz",
    ),
    Case("pandas-bz2", "numpy", lambda m: bz2.compress(stream(system(m))), "pandas", ".pkl.bz2"),
    Case("pandas-xz", "numpy", lambda m: lzma.compress(stream(system(m))), "pandas", ".pkl.xz"),
    Case("pandas-zip", "numpy", _pandas_zip, "pandas", ".pkl.zip"),
    Case("pandas-broken-gzip", "numpy", lambda m: stream(system(m)), "pandas", ".pkl"),
]  # fmt: skip
