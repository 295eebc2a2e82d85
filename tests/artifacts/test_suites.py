"""Every suite: what is sealed comes back, and nothing that is not exactly that."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold import sfh1
from safehold.artifacts import chunks, container
from safehold.artifacts.container import Expected, Header, Segment
from safehold.artifacts.suites import MODULES, suite_for
from safehold.errors import (
    ConfigError,
    LimitExceeded,
    NotSealed,
    Tampered,
    UnknownKey,
    WrongContext,
)
from safehold.keys import Key, Keyring, generate_pair
from tests.artifacts.colliding import colliding_chunk
from tests.holding import OTHER_SECRET, SECRET

pytestmark = pytest.mark.bare

ARTIFACT = bytes(range(16))
CHUNK = container.CHUNK
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group; RFC 8032, section 5.1
PAIR, OTHER_PAIR = generate_pair(), generate_pair()
OTHERS = ("data", "memory")


@dataclass(frozen=True)
class Side:
    """A suite with the key that seals and the one that reads."""

    suite: str
    writer: Key
    reader: Key
    stranger: Key  # another secret under the same id

    def expected(self, limit: int = 2**32) -> Expected:
        return Expected(Keyring(self.reader), "models", limit, OTHERS)


def side(suite: str) -> Side:
    if suite == "ED25519":
        return Side(
            suite,
            Key("k1", PAIR.private.encode(), suite),
            Key("k1", PAIR.public.encode(), suite),
            Key("k1", OTHER_PAIR.private.encode(), suite),
        )
    return Side(
        suite,
        Key("k1", SECRET, suite),
        Key("k1", SECRET, suite),
        Key("k1", OTHER_SECRET, suite),
    )


class Sides(dict[str, Side]):
    """Made when they are asked for: a key needs what its suite needs."""

    def __missing__(self, suite: str) -> Side:
        self[suite] = side(suite)
        return self[suite]


SIDES = Sides()


@pytest.fixture(params=sfh1.SUITES)
def one(request) -> Side:
    return SIDES[request.param]


def seal(
    key: Key, /, *segments: bytes, align: int = 64, artifact: bytes = ARTIFACT, **changes: object
) -> bytes:
    fields: dict[str, object] = {
        "v": 1, "suite": key.suite, "key": key.id, "zone": "models", "name": "models/a.pkl",
        "generation": 3, "created": 1_790_000_000, "codec": "pickle",
        "segments": [len(segment) for segment in segments],
    }  # fmt: skip
    parts: list[Segment] = [(len(segment), [segment]) for segment in segments]
    header = Header(**(fields | changes))
    return b"".join(container.sealed_chunks(header, parts, key, artifact, align=align))


def in_memory(data: bytes, expected: Expected) -> list[bytes]:
    return [bytes(segment) for segment in container.verify_bytes(data, expected).segments]


def in_file(data: bytes, expected: Expected, tmp_path) -> list[bytes]:
    path = tmp_path / "container"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        sealed = container.verify_file(fd, len(data), expected)
    finally:
        os.close(fd)
    return [bytes(segment) for segment in sealed.segments]


@pytest.fixture
def nothing_is_parsed(monkeypatch):
    def decode(data: bytes) -> Header:
        pytest.fail("the header was parsed")

    monkeypatch.setattr(container, "decode_header", decode)


SHAPES = {
    "three segments": (b"first segment", b"", b"second" * 20),
    "no bytes": (b"",),
    "no segment": (),
    "one byte": (b"x",),
    "a whole chunk": (bytes(CHUNK),),
    "a chunk and a byte": (bytes(CHUNK) + b"y",),
    "many chunks": (os.urandom(9 * CHUNK + 5), b"z" * 100),
    "segments across chunks": (b"a" * (CHUNK - 1), b"b" * (2 * CHUNK), b"c" * 100),
}


@pytest.mark.parametrize("segments", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("align", [64, 4096])
def test_what_is_sealed_comes_back(one, segments, align, tmp_path):
    data = seal(one.writer, *segments, align=align)
    assert in_memory(data, one.expected()) == list(segments)
    assert in_file(data, one.expected(), tmp_path) == list(segments)


def test_every_suite_has_a_number_and_a_file_of_its_own():
    assert len({row.number for row in sfh1.SUITES.values()}) == len(sfh1.SUITES)
    assert set(MODULES) == set(sfh1.SUITES)
    assert sfh1.SUITES["HS256"].number == 0  # as in every file that has no number


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_changed_byte_is_refused(one, mask):
    small = seal(one.writer, b"first segment", b"", b"second" * 20)
    for index in range(len(small)):
        data = bytearray(small)
        data[index] ^= mask
        if index < 8:
            refusal: tuple[type[Exception], ...] = (NotSealed,)
        elif 16 <= index < 24:
            refusal = (Tampered, LimitExceeded)
        else:
            refusal = (UnknownKey,) if 24 <= index < 32 else (Tampered,)
        with pytest.raises(refusal):
            in_memory(bytes(data), one.expected())


@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_truncation_is_refused(one, tmp_path):
    small = seal(one.writer, b"first segment", b"", b"second" * 20)
    for length in range(len(small)):
        with pytest.raises((Tampered, NotSealed)):
            in_memory(small[:length], one.expected())
        if length % 16 == 0:
            with pytest.raises((Tampered, NotSealed)):
                in_file(small[:length], one.expected(), tmp_path)


@pytest.mark.usefixtures("nothing_is_parsed")
@pytest.mark.parametrize("name", ["no bytes", "one byte", "a whole chunk", "many chunks"])
def test_every_appended_byte_is_refused(one, name, tmp_path):
    data = seal(one.writer, *SHAPES[name])
    for extra in (b"\0", b"x" * 16, bytes(32), bytes(64), bytes(CHUNK), data):
        with pytest.raises(Tampered, match="extended"):
            in_memory(data + extra, one.expected())
        with pytest.raises(Tampered, match="extended"):
            in_file(data + extra, one.expected(), tmp_path)


def shape_of(data: bytes) -> sfh1.Shape:
    shape = sfh1.shape_of(data[:48])
    assert shape is not None
    return shape


def taken_apart(data: bytes) -> tuple[bytes, list[bytes], list[bytes], bytes]:
    """Return head, stored chunks, leaves, and what follows them."""
    shape = shape_of(data)
    payload = data[shape.head : shape.head + shape.payload]
    tail = data[shape.head + shape.payload :]
    size = shape.suite.leaf
    return (
        data[: shape.head],
        [payload[at : at + CHUNK] for at in range(0, len(payload), CHUNK)],
        [tail[at : at + size] for at in range(0, shape.leaves, size)],
        tail[shape.leaves :],
    )


def resized(head: bytes, length: int) -> bytes:
    return head[:16] + struct.pack("<Q", length) + head[24:]


def test_chunks_cannot_be_swapped_repeated_or_dropped(one, tmp_path):
    data = seal(one.writer, b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK, align=4096)
    head, stored, leaves, rest = taken_apart(data)
    assert in_file(head + b"".join((*stored, *leaves)) + rest, one.expected(), tmp_path)
    for order in ((1, 0, 2), (0, 0, 2), (0, 1), (0, 1, 2, 2), (1, 2), ()):
        start = resized(head, len(order) * CHUNK)
        moved = [stored[index] for index in order]
        for marks in (leaves[: len(order)], [leaves[index] for index in order]):
            changed = start + b"".join((*moved, *marks)) + rest
            if len(changed) != shape_of(changed).total:
                continue  # a length that does not fit is another test
            with pytest.raises(Tampered, match="does not match"):
                in_file(changed, one.expected(), tmp_path)
            with pytest.raises(Tampered, match="does not match"):
                in_memory(changed, one.expected())


@pytest.mark.parametrize("at", [0, 1, 8])
@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_a_changed_chunk_is_refused_by_its_leaf_however_many_threads_look(
    one, at, workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "_processors", lambda: workers)
    monkeypatch.setattr(chunks, "_PER_THREAD", 1)
    data = bytearray(seal(one.writer, os.urandom(9 * CHUNK - 5), align=4096))
    assert in_file(bytes(data), one.expected(), tmp_path)
    data[shape_of(data).head + at * CHUNK + 7] ^= 1
    with pytest.raises(Tampered, match="payload does not match"):
        in_file(bytes(data), one.expected(), tmp_path)
    with pytest.raises(Tampered, match="payload does not match"):
        in_memory(bytes(data), one.expected())


def test_a_thread_that_ends_early_is_no_verification(one, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "_processors", lambda: 4)
    monkeypatch.setattr(chunks, "_PER_THREAD", 1)
    real = chunks.read_at

    def fail(fd: int, offset: int, into: object) -> object:
        if isinstance(into, memoryview) and chunks.threading.current_thread().name != "MainThread":
            raise MemoryError
        return real(fd, offset, into)

    monkeypatch.setattr(container, "read_at", fail)
    monkeypatch.setattr(chunks.threading.Thread, "start", started(chunks.threading.Thread.start))
    with pytest.raises(MemoryError):
        in_file(seal(one.writer, bytes(9 * CHUNK)), one.expected(), tmp_path)


def started(start: object) -> object:
    """Start a thread and let it come first."""

    def run(thread: chunks.threading.Thread) -> None:
        start(thread)
        thread.join()

    return run


def test_a_system_without_threads_verifies_all_the_same(one, tmp_path, monkeypatch):
    def refuse(thread: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(chunks, "_processors", lambda: 4)
    monkeypatch.setattr(chunks.threading.Thread, "start", refuse)
    payload = os.urandom(9 * CHUNK)
    assert in_file(seal(one.writer, payload), one.expected(), tmp_path) == [payload]


def test_parts_of_two_valid_files_do_not_mix(one):
    first = seal(one.writer, b"payload one", name="models/a.pkl")
    second = seal(one.writer, b"payload two", name="models/b.pkl", artifact=bytes(16))
    shape = shape_of(first)
    end = shape.head + shape.payload
    cuts = [0, 24, 32, 48, shape.head, end, end + shape.leaves, len(first) - 8, len(first)]
    tried = 0
    for low in range(len(cuts) - 1):
        for high in range(low + 1, len(cuts)):
            start, stop = cuts[low], cuts[high]
            mixed = first[:start] + second[start:stop] + first[stop:]
            if mixed not in (first, second):
                tried += 1
                with pytest.raises(Tampered):
                    in_memory(mixed, one.expected())
    assert tried > 20


@pytest.mark.usefixtures("nothing_is_parsed")
def test_another_zone_is_named(one):
    with pytest.raises(WrongContext, match="sealed for zone 'data', used in zone 'models'"):
        in_memory(seal(one.writer, b"x", zone="data"), one.expected())
    with pytest.raises(Tampered):
        in_memory(seal(one.writer, b"x", zone="elsewhere"), one.expected())


def test_another_key_id_and_another_secret_under_the_same_id(one):
    data = seal(one.writer, b"x")
    with pytest.raises(Tampered, match="seal does not match"):
        in_memory(data, Expected(Keyring(one.stranger), "models", 2**32))
    with pytest.raises(Tampered, match="seal does not match"):
        in_memory(seal(one.stranger, b"x"), one.expected())
    renamed = Key("k2", OTHER_PAIR.public.encode() if one.suite == "ED25519" else OTHER_SECRET,
                  one.suite)  # fmt: skip
    with pytest.raises(UnknownKey):
        in_memory(data, Expected(Keyring(renamed), "models", 2**32))
    both = Expected(Keyring(renamed, one.reader), "models", 2**32)
    assert in_memory(data, both) == [b"x"]
    with pytest.raises(Tampered):
        in_memory(data[:24] + renamed.tag + data[32:], both)


# --- confusion -----------------------------------------------------------------------------

SYMMETRIC = [suite for suite, row in sfh1.SUITES.items() if not row.signs]


@pytest.mark.parametrize("claimed", sfh1.SUITES)
@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_key_is_bound_to_one_suite(one, claimed):
    """The same secret, or as near as suites allow, under every other suite's name."""
    if claimed == one.suite:
        return
    data = seal(SIDES[claimed].writer, b"x" * 100)
    with pytest.raises(Tampered, match=f"bound to suite {one.suite}"):
        in_memory(data, one.expected())


@pytest.mark.parametrize("claimed", sfh1.SUITES)
def test_a_number_of_another_suite_with_all_lengths_fixed_up(one, claimed):
    """Rename in the prefix only, so that the key's own suite made every tag."""
    if claimed == one.suite:
        return
    head, stored, leaves, rest = taken_apart(seal(one.writer, b"x" * 100))
    row = sfh1.SUITES[claimed]
    renamed = head[:14] + struct.pack("<H", row.number) + head[16:]
    fixed = b"".join(leaf[: row.leaf].ljust(row.leaf, b"\0") for leaf in leaves)
    root = rest[:-8][: row.root].ljust(row.root, b"\0")
    data = renamed + b"".join(stored) + fixed + root + sfh1.END
    assert len(data) == shape_of(data).total
    with pytest.raises(Tampered, match=f"bound to suite {one.suite}"):
        in_memory(data, one.expected())


@pytest.mark.parametrize("number", [len(sfh1.SUITES), 255, 65535])
def test_a_number_that_no_suite_has(one, number):
    data = seal(one.writer, b"x")
    with pytest.raises(Tampered, match="cut or changed"):
        in_memory(data[:14] + struct.pack("<H", number) + data[16:], one.expected())


@pytest.mark.parametrize("claimed", [*sfh1.SUITES, "none", "", "0"])
def test_the_suite_that_the_header_names_is_compared(one, claimed):
    """A holder of the key writes another name into the header and seals it well."""
    if claimed == one.suite:
        return
    with pytest.raises(Tampered, match="not canonical or contradicts"):
        in_memory(seal(one.writer, b"x", suite=claimed), one.expected())


@pytest.mark.parametrize("suite", SYMMETRIC)
@pytest.mark.parametrize("text", [PAIR.public, PAIR.public_pem, PAIR.private, PAIR.private_pem])
def test_a_half_of_a_pair_is_no_secret(suite, text):
    with pytest.raises(ConfigError, match="half of a key pair"):
        Key("k1", text.encode(), suite)


@pytest.mark.parametrize("form", ["line", "pem", "raw"])
def test_an_hmac_keyed_with_the_public_key_is_no_signature(form):
    """The classic: the verifier knows the public key, and so does the attacker."""
    import hmac

    secret = {
        "line": PAIR.public.encode(),
        "pem": PAIR.public_pem.encode(),
        "raw": bytes.fromhex(PAIR.public.partition(":")[2]),
    }[form]
    ed = SIDES["ED25519"]
    head, stored, leaves, rest = taken_apart(seal(ed.writer, b"x"))
    mac = hmac.digest(secret, sha256(head).digest() + b"".join(leaves), "sha256")
    for root in (mac + bytes(32), mac + mac, bytes(32) + mac):
        with pytest.raises(Tampered, match="seal does not match"):
            in_memory(head + b"".join(stored + leaves) + root + rest[64:], ed.expected())


@pytest.mark.parametrize("claimed", SYMMETRIC)
@pytest.mark.parametrize("form", ["raw", "digits"])
@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_file_of_another_suite_keyed_with_the_public_key_is_no_signed_file(claimed, form):
    """The whole forgery: the file says HS256, and its secret is what everybody knows."""
    raw = bytes.fromhex(PAIR.public.partition(":")[2])
    known = Key("k1", raw if form == "raw" else raw.hex().encode(), claimed)
    with pytest.raises(Tampered, match="bound to suite ED25519"):
        in_memory(seal(known, b"x" * 100), SIDES["ED25519"].expected())


@pytest.mark.parametrize("named", ["k2", "", "k1 ", "K1"])
def test_the_key_that_the_header_names_is_compared(one, named):
    """A holder of the key writes another's id into the header and seals it well."""
    with pytest.raises(Tampered, match="not canonical or contradicts"):
        in_memory(seal(one.writer, b"x", key=named), one.expected())


def test_the_zone_that_the_header_names_is_compared(one, monkeypatch):
    """The root is right for the zone of the reader, and the header tells of another."""
    real = container.suite_for
    monkeypatch.setattr(
        container, "suite_for", lambda key, _, artifact: real(key, "models", artifact)
    )
    data = seal(one.writer, b"x", zone="data")
    with pytest.raises(Tampered, match="not canonical or contradicts"):
        in_memory(data, one.expected())


def test_one_secret_under_two_ids_seals_for_the_id_that_is_named(one):
    """The prefix's tag is swapped for that of the same secret's other id."""
    twin = twin_of(one)
    data = seal(one.writer, b"x")
    both = Expected(Keyring(one.reader, twin), "models", 2**32)
    assert in_memory(data, both) == [b"x"]
    with pytest.raises(Tampered):
        in_memory(data[:24] + twin.tag + data[32:], both)


def twin_of(one: Side) -> Key:
    secret = PAIR.public.encode() if one.suite == "ED25519" else SECRET
    return Key("k2", secret, one.suite)


# --- signatures ----------------------------------------------------------------------------


def with_root(root: bytes) -> bytes:
    data = seal(SIDES["ED25519"].writer, b"signed")
    return data[: -len(root) - 8] + root + data[-8:]


def test_a_signature_has_one_form():
    ed = SIDES["ED25519"]
    data = seal(ed.writer, b"signed")
    signature = data[-72:-8]
    assert with_root(signature) == data  # Ed25519 is deterministic
    s = int.from_bytes(signature[32:], "little")
    for factor in range(1, 16):
        if s + factor * ORDER < 2**256:
            malleated = signature[:32] + (s + factor * ORDER).to_bytes(32, "little")
            with pytest.raises(Tampered):
                in_memory(with_root(malleated), ed.expected())
    negative = signature[:32] + ((-s) % ORDER).to_bytes(32, "little")
    for other in (negative, bytes(64), b"\x01" + bytes(63), signature[32:] + signature[:32]):
        with pytest.raises(Tampered):
            in_memory(with_root(other), ed.expected())


def test_a_stripped_signature_is_refused():
    ed = SIDES["ED25519"]
    data = seal(ed.writer, b"signed")
    for stripped in (data[:-72], data[:-72] + sfh1.END, data[:-8], data[:-72] + data[-40:]):
        with pytest.raises(Tampered, match="cut"):
            in_memory(stripped, ed.expected())


def test_whoever_verifies_cannot_seal():
    ed = SIDES["ED25519"]
    with pytest.raises(ConfigError, match="cannot sign"):
        seal(ed.reader, b"x")
    with pytest.raises(ConfigError, match="public and cannot sign"):
        _ = Keyring(ed.reader).signing


# --- commitment ----------------------------------------------------------------------------


def test_a_chunk_that_decrypts_under_two_keys_is_in_no_file_that_opens_under_two():
    suite = "AES256GCM"
    keys = [Key("k1", SECRET, suite), Key("k1", OTHER_SECRET, suite)]
    info = b"safehold/SFH1/AES256GCM/models"
    chunk_keys = [key.derive(info, ARTIFACT, 64)[32:] for key in keys]
    nonce = bytes(12)
    stored, tag = colliding_chunk(chunk_keys[0], chunk_keys[1], nonce)
    for key in chunk_keys:
        AESGCM(key).decrypt(nonce, stored + tag, None)  # it does open under both
    for writer, other in (keys, keys[::-1]):
        head, _, _, _ = taken_apart(seal(writer, bytes(len(stored))))
        root = suite_for(writer, "models", ARTIFACT).root(sha256(head).digest(), tag)
        data = head + stored + tag + root + sfh1.END
        assert in_memory(data, Expected(Keyring(writer), "models", 2**32))
        with pytest.raises(Tampered, match="seal does not match"):
            in_memory(data, Expected(Keyring(other), "models", 2**32))


def test_a_payload_is_not_readable_without_its_key_and_the_header_is():
    data = seal(SIDES["AES256GCM"].writer, b"a secret of some length" * 10)
    assert b"secret" not in data
    assert b"models/a.pkl" in data
    again = seal(SIDES["AES256GCM"].writer, b"a secret of some length" * 10, artifact=bytes(16))
    assert taken_apart(data)[1] != taken_apart(again)[1]


def test_nothing_is_left_of_a_chunk_that_is_not_genuine(one, tmp_path):
    data = seal(one.writer, b"secret" * 100)
    shape = shape_of(data)
    path = tmp_path / "container"
    for at in (shape.head + 3, None):
        changed = bytearray(data)
        if at is not None:
            changed[at] ^= 1
        path.write_bytes(changed)
        fd = os.open(path, os.O_RDONLY)
        opened = container.open_file(fd, len(data), one.expected())
        into = memoryview(bytearray(600))
        if at is None:
            opened.chunks.fill([0], into)
            assert bytes(into) == b"secret" * 100
        else:
            with pytest.raises(Tampered):
                opened.chunks.fill([0], into)
            assert bytes(into) == bytes(600)
        os.close(fd)


def test_tags_differ_by_place_and_file():
    for name in ("GMAC", "AES256GCM"):
        key = SIDES[name].writer
        leaves = {
            suite_for(key, zone, artifact).seal(index, b"the same")[1]
            for zone in ("models", "data")
            for artifact in (ARTIFACT, bytes(16))
            for index in (0, 1, 2**40)
        }
        assert len(leaves) == 12
