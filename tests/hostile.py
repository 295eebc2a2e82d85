"""Inputs whose numbers promise far more than is there, and what refusing them costs.

Each case is a function of a `World` that returns the call to be refused. `cost` runs one in a
child process, so that no bomb takes the test run with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import io
import json
import os
import resource
import struct
import subprocess
import sys
import time
import traceback
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from safehold import sfh1
from safehold.errors import SafeholdError
from safehold.scan import Verdict, scan_bytes, scan_path
from tests.holding import SECRET, World, make_world

Action = Callable[[], object]
Case = Callable[[World], Action]
CASES: dict[str, Case] = {}
EXTRAS: dict[str, Case] = {}
MOST = 2**20  # bytes of memory beyond the input itself; what needs more is in `MORE`
MORE: dict[str, int] = {}
_ROOM = 2**30  # address space for a child beyond what it has: a bomb is an error, not the end


class NotRefusedError(Exception):
    """What should have been refused was accepted."""


class Cost(NamedTuple):
    """The fastest of several refusals in seconds; the most memory of one beyond what it read."""

    seconds: float
    memory: int
    error: str


def case(function: Case) -> Case:
    CASES[name_of(function)] = function
    return function


def extra(function: Case) -> Case:
    """A case that needs the packages of an extra."""
    EXTRAS[name_of(function)] = function
    return function


def at_most(mebibytes: int) -> Callable[[Case], Case]:
    """Say what a case costs at most that is not refused within `MOST`."""

    def note(function: Case) -> Case:
        MORE[name_of(function)] = mebibytes * 2**20
        return function

    return note


def name_of(function: Case) -> str:
    return function.__name__.replace("_", " ")


def cost(build: Case, root: Path, repeat: int = 5) -> Cost:
    """Measure what a refusal costs, in a child. Raises AssertionError if it is none."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        try:
            said = json.dumps(_cost(build, root, repeat))
        except BaseException:  # noqa: BLE001  told to the parent
            said = "!" + traceback.format_exc()
        os.write(into, said.encode()[:60_000])
        os._exit(0)
    os.close(into)
    with open(out, "rb") as file:
        said = file.read().decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    assert said, f"the child ended with {status}"
    assert not said.startswith("!"), said
    return Cost(*json.loads(said))


def memory(name: str, root: Path) -> int:
    """Return the most memory that the refusal of a case takes beyond what it read.

    Where large blocks come from, and what their growth leaves behind, depends on what the process
    has freed so far: more than is allowed is measured again in one that has not done anything.
    """
    most = MORE.get(name, MOST)
    found = cost((CASES | EXTRAS)[name], _in(root, "child"), repeat=1).memory
    return found if found <= most else in_new_process(name, _in(root, "process"))


def in_new_process(name: str, root: Path) -> int:
    """Return the memory that a new process takes for a refusal."""
    code = (
        "import sys; from pathlib import Path; from tests import hostile; "
        "case = (hostile.CASES | hostile.EXTRAS)[sys.argv[1]]; "
        "print(hostile.cost(case, Path(sys.argv[2]), repeat=1).memory)"
    )
    command = [sys.executable, "-c", code, name, str(root)]
    top = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return int(done.stdout)


def _in(root: Path, name: str) -> Path:
    (root / name).mkdir()
    return root / name


def _cost(build: Case, root: Path, repeat: int) -> Cost:
    action = build(make_world(root))
    if (status := Path("/proc/self/statm")).exists():
        size = int(status.read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM, size + _ROOM))
    gc.collect()
    gc.freeze()  # what the parent has would put the collection of garbage off
    error = _refusal(action)  # once more than is measured: imports, and what is made once
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        _refusal(action)
        seconds.append(time.perf_counter() - started)
    resident = min(_resident(action) for _ in range(3))  # the system rounds, upwards
    tracemalloc.start()
    traced = min(_traced(action) for _ in range(2))  # the first may find a cache to fill
    return Cost(min(seconds), max(resident, traced, 0) - _read(root), error)


def _traced(action: Action) -> int:
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    _refusal(action)
    return tracemalloc.get_traced_memory()[1] - before


def _read(root: Path) -> int:
    """Return the bytes that the files of a case really have; a hole is none."""
    statuses = [path.stat() for path in root.rglob("*hostile*")]
    return sum(min(status.st_size, status.st_blocks * 512) for status in statuses)


def _refusal(action: Action) -> str:
    try:
        action()
    except (SafeholdError, OSError) as error:
        return type(error).__name__
    raise NotRefusedError


def _resident(action: Action) -> int:
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return 0
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5", "ascii")  # the high-water mark is what there is now
    before = _high_water()
    _refusal(action)
    return _high_water() - before


def _high_water() -> int:
    text = Path("/proc/self/status").read_text("ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


# --- files that nobody sealed: refused before anything of them is parsed --------------------


def prefix(world: World, *, text: int = 100, align: int = 64, payload: int = 0) -> bytes:
    tag = world.hold.keyring.signing.tag
    return struct.pack("<8sIIQ8s16s", sfh1.MAGIC, text, align, payload, tag, bytes(16))


def planted(world: World, start: bytes, size: int) -> Action:
    """A sparse file that begins with these bytes."""
    path = world.root / "models" / "hostile.pkl"
    path.write_bytes(start)
    os.truncate(path, size)
    return lambda: world.store.load(path)


@case
def payload_of_2_to_the_63(world: World) -> Action:
    return planted(world, prefix(world, payload=2**63), 5000)


@case
def payload_of_2_to_the_64_less_1(world: World) -> Action:
    return planted(world, prefix(world, payload=2**64 - 1), 5000)


@case
def header_of_2_to_the_32_less_1(world: World) -> Action:
    return planted(world, prefix(world, text=2**32 - 1), 5000)


@case
def header_of_2_to_the_32_less_1_that_is_there(world: World) -> Action:
    return planted(world, prefix(world, text=2**32 - 1), 2**32 + 64 + 40)


@case
@at_most(2)
def header_of_1_mib_of_zeros(world: World) -> Action:
    start = prefix(world, text=2**20)
    shape = sfh1.shape_of(start)
    assert shape is not None
    return planted(world, start, shape.total)


@case
def sparse_1_tib_file(world: World) -> Action:
    return planted(world, prefix(world, payload=100), 2**40)


@case
def sparse_1_tib_file_that_says_so(world: World) -> Action:
    start = prefix(world, align=4096, payload=2**40)
    shape = sfh1.shape_of(start)
    assert shape is not None
    return planted(world, start, shape.total)


@case
def sparse_file_as_large_as_the_limit(world: World) -> Action:
    start = prefix(world, align=4096, payload=world.hold.policy.limits.artifact)
    shape = sfh1.shape_of(start)
    assert shape is not None
    return planted(world, start, shape.total)


@case
def stream_that_promises_the_limit(world: World) -> Action:
    data = prefix(world, align=4096, payload=world.hold.policy.limits.artifact)
    return lambda: world.store.load_from(io.BytesIO(data + bytes(1000)))


@case
def bytes_that_promise_the_limit(world: World) -> Action:
    data = prefix(world, align=4096, payload=world.hold.policy.limits.artifact) + bytes(1000)
    return lambda: world.store.loads(data)


@case
def verify_of_a_sparse_1_tib_file(world: World) -> Action:
    planted(world, prefix(world, payload=100), 2**40)
    return lambda: world.store.verify(world.root / "models" / "hostile.pkl")


@case
def seal_of_a_sparse_1_tib_file(world: World) -> Action:
    planted(world, b"", 2**40)
    return lambda: world.store.seal(world.root / "models" / "hostile.pkl")


# --- sealed with the key: the decoder refuses ------------------------------------------------


def sealed(world: World, codec: str, data: bytes, place: str = "tables/hostile") -> Action:
    """What a holder of the key sealed, whatever it holds."""
    from safehold.artifacts import container
    from safehold.artifacts.container import Header
    from safehold.keys import Key

    zone = place.partition("/")[0]
    path = world.root / place
    header = Header(1, "HS256", "k1", zone, place, 1, 1, codec, [len(data)], raw=True)
    path.write_bytes(
        b"".join(
            container.sealed_chunks(
                header, [(len(data), [data])], Key("k1", SECRET), bytes(16), align=64
            )
        )
    )
    return lambda: world.store.load(path)


DEEP = 10**6


def under_seal(world: World, header: bytes) -> Action:
    """A container without a payload whose header is authentic, whatever it says."""
    from safehold.artifacts.suites import suite_for

    start = prefix(world, text=len(header)) + header
    head = start + bytes(-len(start) % 64)
    key = world.hold.keyring.signing
    root = suite_for(key, "models", bytes(16)).root(hashlib.sha256(head).digest(), b"")
    path = world.root / "models" / "hostile.pkl"
    path.write_bytes(head + root + sfh1.END)
    return lambda: world.store.load(path)


def header_up_to_its_segments() -> bytes:
    return (
        b"\x89\xa1v\x01\xa5suite\xa5HS256\xa3key\xa2k1\xa4zone\xa6models\xa4name\xa8models/a"
        b"\xaageneration\x01\xa7created\x01\xa5codec\xa6pickle\xa8segments"
    )


@case
def header_with_a_billion_segments(world: World) -> Action:
    return under_seal(world, header_up_to_its_segments() + b"\xdd" + struct.pack(">I", 10**9))


@case
def header_with_2_to_the_32_segments_of_which_some_are_there(world: World) -> Action:
    return under_seal(world, header_up_to_its_segments() + b"\xdd\xff\xff\xff\xff" + bytes(50_000))


@case
def header_with_a_segment_of_2_to_the_63(world: World) -> Action:
    return under_seal(world, header_up_to_its_segments() + b"\x91\xcf" + struct.pack(">Q", 2**63))


@case
def header_a_hundred_thousand_deep(world: World) -> Action:
    text = header_up_to_its_segments().replace(b"\x89", b"\x8a", 1) + b"\x90\xa4meta"
    return under_seal(world, text + b"\x81\xa1a" * 100_000 + b"\xc0")


@case
def msgpack_array_of_2_to_the_32(world: World) -> Action:
    return sealed(world, "msgpack", b"\xdd\xff\xff\xff\xff")


@case
def msgpack_map_of_2_to_the_32(world: World) -> Action:
    return sealed(world, "msgpack", b"\xdf\xff\xff\xff\xff")


@case
def msgpack_text_of_2_to_the_32(world: World) -> Action:
    return sealed(world, "msgpack", b"\xdb\xff\xff\xff\xffabc")


@case
def msgpack_bytes_of_2_to_the_32(world: World) -> Action:
    return sealed(world, "msgpack", b"\xc6\xff\xff\xff\xffabc")


@case
def msgpack_extension_of_2_to_the_32(world: World) -> Action:
    return sealed(world, "msgpack", b"\xc9\xff\xff\xff\xff\x01abc")


@case
def msgpack_arrays_of_2_to_the_32_in_each_other(world: World) -> Action:
    return sealed(world, "msgpack", b"\xdd\xff\xff\xff\xff" * 1000)


@case
def msgpack_a_million_deep(world: World) -> Action:
    return sealed(world, "msgpack", b"\x91" * DEEP + b"\x00")


@case
def msgpack_maps_a_million_deep(world: World) -> Action:
    return sealed(world, "msgpack", b"\x81\xa1a" * DEEP + b"\x00")


@case
def msgpack_extensions_in_each_other(world: World) -> Action:
    data = b"\x90"
    for _ in range(3000):
        data = b"\xc9" + struct.pack(">IB", len(data), 2) + data
    return sealed(world, "msgpack", data)


@case
def json_a_million_deep(world: World) -> Action:
    return sealed(world, "json", b"[" * DEEP + b"]" * DEEP)


@case
def json_objects_a_million_deep(world: World) -> Action:
    return sealed(world, "json", b'{"a":' * DEEP + b"0" + b"}" * DEEP)


@case
def json_number_of_a_million_digits(world: World) -> Action:
    return sealed(world, "json", b"[" + b"9" * DEEP + b"]")


def pickled(world: World, data: bytes) -> Action:
    return sealed(world, "pickle", b"\x80\x05" + data, "cache/hostile")


@case
def pickle_bytes_of_2_to_the_63(world: World) -> Action:
    return pickled(world, b"\x8e" + struct.pack("<Q", 2**63) + b".")


@case
def pickle_bytes_of_2_to_the_62(world: World) -> Action:
    return pickled(world, b"\x8e" + struct.pack("<Q", 2**62) + b".")


@case
def pickle_bytearray_of_2_to_the_40(world: World) -> Action:
    return pickled(world, b"\x96" + struct.pack("<Q", 2**40) + b".")


@case
def pickle_text_of_2_to_the_40(world: World) -> Action:
    return pickled(world, b"\x8d" + struct.pack("<Q", 2**40) + b".")


@case
def pickle_frame_of_2_to_the_62(world: World) -> Action:
    return pickled(world, b"\x95" + struct.pack("<Q", 2**62) + b"N.")


@case
def pickle_long_of_2_to_the_31(world: World) -> Action:
    return pickled(world, b"\x8b" + struct.pack("<i", 2**31 - 1) + b".")


@case
@at_most(32)  # a list that grows to 8 MB is copied meanwhile
def pickle_marks_a_million_deep(world: World) -> Action:
    return pickled(world, b"(" * DEEP)


@case
@at_most(128)
def pickle_lists_a_million_deep(world: World) -> Action:
    return pickled(world, b"]" * DEEP + b"a" * (DEEP - 2))


# --- plain files: the scanner, and what seal says of them ------------------------------------


def scanned(data: bytes) -> Action:
    """A scan is refused if it does not call the bytes clean."""

    def scan() -> None:
        if scan_bytes(data).verdict is not Verdict.CLEAN:
            raise _UncleanError

    return scan


class _UncleanError(SafeholdError):
    pass


def to_seal(world: World, name: str, data: bytes, size: int | None = None) -> Action:
    path = world.root / "models" / name
    path.write_bytes(data)
    if size is not None:
        os.truncate(path, size)
    return lambda: world.store.seal(path)


@case
def scan_of_a_header_with_a_billion_segments(world: World) -> Action:
    text = header_up_to_its_segments() + b"\xdd" + struct.pack(">I", 10**9)
    start = prefix(world, text=len(text)) + text
    shape = sfh1.shape_of(start)
    assert shape is not None
    return scanned(start + bytes(shape.total - len(start)))


@case
def scan_of_a_sparse_1_tib_file(world: World) -> Action:
    path = world.root / "models" / "hostile.pkl"
    path.write_bytes(b"\x80\x05")
    os.truncate(path, 2**40)

    def scan() -> None:
        if scan_path(path).files[0].verdict is not Verdict.CLEAN:
            raise _UncleanError

    return scan


@case
def scan_of_a_memo_index_of_2_to_the_32(world: World) -> Action:
    return scanned(b"\x80\x05Nr" + struct.pack("<I", 2**32 - 1) + b".")


@case
def seal_of_a_memo_index_of_2_to_the_27(world: World) -> Action:
    return to_seal(world, "hostile.pkl", b"\x80\x05Nr" + struct.pack("<I", 2**27) + b".")


@case
def seal_of_a_memo_index_in_text(world: World) -> Action:
    return to_seal(world, "hostile.pkl", b"Np%d\n." % 2**40)


@case
def scan_of_bytes_of_2_to_the_63(world: World) -> Action:
    return scanned(b"\x80\x05\x8e" + struct.pack("<Q", 2**63) + b".")


@case
@at_most(32)  # a list that grows to 8 MB is copied meanwhile
def scan_of_marks_a_million_deep(world: World) -> Action:
    return scanned(b"\x80\x05" + b"(" * DEEP)


@case
@at_most(3)
def seal_of_json_a_million_deep(world: World) -> Action:
    return to_seal(world, "hostile.json", b"[" * DEEP + b"]" * DEEP)


@case
def seal_of_msgpack_with_2_to_the_32_values(world: World) -> Action:
    return to_seal(world, "hostile.msgpack", b"\xdd\xff\xff\xff\xff")


def _zip(name: str, size: int, stored: bytes = b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, stored or bytes(size))
    return out.getvalue()


BOMB = 300 * 2**20


def npz_bomb() -> bytes:
    """300 MB of zeros in 300 KB, as an npz."""
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % BOMB
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w") as f,
    ):
        f.write(start)
        for _ in range(BOMB // 2**20):
            f.write(bytes(2**20))
    return out.getvalue()


def gzip_bomb(size: int = BOMB) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()


@case
@at_most(48)
def scan_of_a_gzip_bomb(world: World) -> Action:
    return scanned(gzip_bomb())


@extra
def npz_bomb_of_300_mb(world: World) -> Action:
    return sealed(world, "npz", npz_bomb(), "tables/hostile.npz")


@extra
def npz_directory_that_promises_2_to_the_62(world: World) -> Action:
    return sealed(world, "npz", _lying_zip(), "tables/hostile.npz")


def _lying_zip() -> bytes:
    data = bytearray(_zip("a.npy", 1000))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    return bytes(data)


def npy(shape: bytes, descr: bytes = b"'<f8'", version: int = 1) -> bytes:
    head = b"{'descr': %s, 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes((version, 0)) + length + head


@extra
def npy_of_2_to_the_63_values(world: World) -> Action:
    return sealed(world, "npy", npy(b"(%d,)" % 2**63), "tables/hostile.npy")


@extra
def npy_of_2_to_the_40_values(world: World) -> Action:
    return sealed(world, "npy", npy(b"(%d,)" % 2**40), "tables/hostile.npy")


@extra
def npy_header_of_4_gb(world: World) -> Action:
    data = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 1000
    return sealed(world, "npy", data, "tables/hostile.npy")


@extra
def npy_header_a_thousand_deep(world: World) -> Action:
    return sealed(world, "npy", npy(b"(" * 20_000 + b")" * 20_000, version=2), "tables/hostile.npy")


@extra
def array_tag_of_2_to_the_40_values(world: World) -> Action:
    return sealed(world, "json", b'{"$ndarray":["<f8",[%d],"C",""]}' % 2**40)


@extra
def safetensors_header_of_2_to_the_63(world: World) -> Action:
    return sealed(
        world, "safetensors", struct.pack("<Q", 2**63) + b"{}", "tables/hostile.safetensors"
    )


@extra
def safetensors_of_2_to_the_62_values(world: World) -> Action:
    head = b'{"a":{"dtype":"F64","shape":[%d],"data_offsets":[0,0]}}' % 2**62
    data = struct.pack("<Q", len(head)) + head
    return sealed(world, "safetensors", data, "tables/hostile.safetensors")


@extra
def safetensors_header_a_million_deep(world: World) -> Action:
    head = b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"
    data = struct.pack("<Q", len(head)) + head
    return sealed(world, "safetensors", data, "tables/hostile.safetensors")


def _parquet(compression: str, rows: int = 40_000_000) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    table = pa.table({"a": pa.array([0], pa.int64()).take(pa.array([0] * 1000))})
    table = pa.concat_tables([table] * (rows // 1000)).combine_chunks()
    pq.write_table(table, out, compression=compression, use_dictionary=False, row_group_size=rows)
    return out.getvalue()


@extra
@at_most(2)
def parquet_of_320_mb_in_zstd(world: World) -> Action:
    return sealed(world, "parquet", _parquet("zstd"), "tables/hostile.parquet")


@extra
def parquet_footer_of_2_to_the_32(world: World) -> Action:
    data = b"PAR1" + bytes(100) + struct.pack("<I", 2**32 - 1) + b"PAR1"
    return sealed(world, "parquet", data, "tables/hostile.parquet")


@extra
@at_most(48)
def joblib_bomb_of_300_mb(world: World) -> Action:
    raw = zlib.compress(b"\x80\x05B" + struct.pack("<I", BOMB) + bytes(BOMB), 9)
    return sealed(world, "joblib", raw, "models/hostile.joblib")


@extra
@at_most(48)
def seal_of_a_joblib_bomb(world: World) -> Action:
    raw = zlib.compress(b"\x80\x05B" + struct.pack("<I", BOMB) + bytes(BOMB), 9)
    return to_seal(world, "hostile.joblib", raw)
