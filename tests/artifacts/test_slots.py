"""Slots: a file opens under the keys that both of them name, and only as it was sealed."""

from __future__ import annotations

import copy
import io
import itertools
import os
import pickle
import struct

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safehold import sfh1
from safehold.artifacts import container, proof, streams
from safehold.artifacts.container import Expected, Header
from safehold.artifacts.slots import Bound, FileKey, head_digest, slot_sector
from safehold.artifacts.suites import suite_for
from safehold.errors import (
    LimitExceeded,
    NotSealed,
    Revoked,
    Tampered,
    UnknownKey,
    VerificationError,
    WrongContext,
)
from safehold.keys import Key, Keyring
from tests.artifacts.colliding import colliding_chunk
from tests.artifacts.slotted import (
    ARTIFACT,
    FIRST,
    NEW_PAIR,
    OLD_PAIR,
    SECOND,
    SLOT,
    TEXT,
    file_key_of,
    header_of,
    in_file,
    in_memory,
    key_of,
    resized,
    seal,
    sectors_under,
    slot,
    with_slots,
)
from tests.holding import OTHER_SECRET, SECRET

pytestmark = pytest.mark.bare

CHUNK = container.CHUNK
PAYLOAD = (b"first segment", b"", b"second" * 20)
SYMMETRIC = [suite for suite, row in sfh1.SUITES.items() if not row.signs]


@pytest.fixture(params=sfh1.SUITES)
def suite(request) -> str:
    return request.param


@pytest.fixture
def old(suite) -> Key:
    return key_of("old", suite)


@pytest.fixture
def new(suite) -> Key:
    return key_of("new", suite)


@pytest.fixture
def nothing_is_parsed(monkeypatch):
    def decode(data: bytes) -> Header:
        pytest.fail("the header was parsed")

    monkeypatch.setattr(container, "decode_header", decode)


def shape_of(data: bytes) -> sfh1.Shape:
    shape = sfh1.shape_of(data[:48])
    assert shape is not None
    return shape


SHAPES = {
    "three segments": PAYLOAD,
    "no bytes": (b"",),
    "no segment": (),
    "a chunk": (bytes(CHUNK),),
    "many chunks": (os.urandom(5 * CHUNK + 5), b"z" * 100),
}


@pytest.mark.parametrize("segments", SHAPES.values(), ids=SHAPES)
def test_what_is_sealed_comes_back(old, segments, tmp_path):
    data = seal(old, *segments)
    assert in_memory(data, old) == list(segments)
    assert in_file(tmp_path / "a", data, old) == list(segments)


def test_where_everything_is(old, suite):
    data = seal(old, *PAYLOAD)
    shape = shape_of(data)
    assert (shape.slotted, shape.start, shape.head) == (True, 1536, 4096)
    assert data[12:14] == b"\x00\x90"
    assert data[24:32] == bytes(8)
    assert data[48:512] == bytes(464)
    assert slot(data, 0) == slot(data, 1)
    assert slot(data, 0)[:8] == old.tag
    assert data[FIRST + SLOT : SECOND] == data[SECOND + SLOT : TEXT] == bytes(440)
    assert sfh1.decode_header(data[1536 : 1536 + shape.text]).key == ""
    assert shape.root == (0 if suite == "ED25519" else 32)


def test_the_key_of_the_header_is_that_of_the_slots(old, new):
    data = seal(old, *PAYLOAD)
    assert container.verify_bytes(data, expected_of(old)).header.key == "old"
    moved = with_slots(data, *[sectors_under(data, new, old)[:SLOT]] * 2)
    assert container.verify_bytes(moved, expected_of(new)).header.key == "new"


def expected_of(*keys: Key) -> Expected:
    return Expected(Keyring(*keys), "models", 2**32)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_changed_byte_is_refused(old, suite, mask):
    """Head with both slots, payload, leaves, root if there is one, and end."""
    original = seal(old, *PAYLOAD)
    tags = (*range(FIRST, FIRST + 8), *range(SECOND, SECOND + 8))
    for index in range(len(original)):
        data = bytearray(original)
        data[index] ^= mask
        if index < 8:
            refusal: tuple[type[Exception], ...] = (NotSealed,)
        elif index == 13:
            refusal = (Tampered, NotSealed, UnknownKey)  # bits of it are other forms
        elif 16 <= index < 24:
            refusal = (Tampered, LimitExceeded)
        else:
            refusal = (UnknownKey,) if index in tags else (Tampered,)
        with pytest.raises(refusal):
            in_memory(bytes(data), old)


@pytest.mark.parametrize("size", [PAYLOAD, (os.urandom(2 * CHUNK),)], ids=["small", "large"])
def test_every_changed_byte_of_the_slots_is_refused_in_a_file(old, size, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "_PAUSE", 0)
    original = seal(old, *size)
    path = tmp_path / "a"
    path.write_bytes(original)
    fd = os.open(path, os.O_RDWR)
    for index in (*range(FIRST, FIRST + SLOT + 8), *range(SECOND, SECOND + SLOT + 8), TEXT - 1):
        os.pwrite(fd, bytes([original[index] ^ 1]), index)
        with pytest.raises((Tampered, UnknownKey)):
            container.verify_file(fd, len(original), expected_of(old))
        os.pwrite(fd, original[index : index + 1], index)
    assert container.verify_file(fd, len(original), expected_of(old)).segments
    os.close(fd)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_every_truncation_and_every_addition_is_refused(old):
    data = seal(old, *PAYLOAD)
    for length in (*range(0, 4096, 16), *range(4096, len(data))):
        with pytest.raises((Tampered, NotSealed)):
            in_memory(data[:length], old)
    for extra in (b"\0", bytes(16), bytes(32), bytes(64), bytes(CHUNK), data):
        with pytest.raises(Tampered, match="extended"):
            in_memory(data + extra, old)


@pytest.mark.usefixtures("nothing_is_parsed")
def test_another_zone_is_named(old):
    data = seal(old, *PAYLOAD, zone="data")
    with pytest.raises(WrongContext, match="sealed for zone 'data', used in zone 'models'"):
        in_memory(data, old)
    with pytest.raises(Tampered):
        in_memory(seal(old, *PAYLOAD, zone="elsewhere"), old)


@pytest.mark.usefixtures("nothing_is_parsed")
@pytest.mark.parametrize("align", [0x8000 | 64, 0xC000 | 4096, 0xC000 | 64, 0x8000, 0x9001])
def test_forms_that_there_are_not(old, align):
    data = seal(old, *PAYLOAD)
    with pytest.raises((Tampered, NotSealed)):
        in_memory(data[:12] + struct.pack("<H", align) + data[14:], old)


@pytest.mark.parametrize("claimed", sfh1.SUITES)
@pytest.mark.usefixtures("nothing_is_parsed")
def test_a_number_of_another_suite_with_all_lengths_fixed_up(old, suite, claimed):
    if claimed == suite:
        return
    data = seal(old, *PAYLOAD)
    shape, row = shape_of(data), sfh1.SUITES[claimed]
    renamed = data[:14] + struct.pack("<H", row.number) + data[16 : shape.head + shape.payload]
    root = 0 if row.signs else row.root
    fixed = renamed + bytes(row.leaf + root) + sfh1.END
    assert len(fixed) == shape_of(fixed).total
    with pytest.raises(Tampered, match=f"bound to suite {suite}"):
        in_memory(fixed, old)


def test_slots_cannot_be_taken_away_or_put_on(old):
    """A file of one form is none of the other, whatever is moved where."""
    with_them = seal(old, *PAYLOAD)
    header = header_of(old, *PAYLOAD)
    parts = [(len(one), [one]) for one in PAYLOAD]
    without = b"".join(container.sealed_chunks(header, parts, old, ARTIFACT, align=4096))
    head, tail = without[:4096], without[4096:]
    for tag in (bytes(8), old.tag):
        with pytest.raises((Tampered, UnknownKey)):
            in_memory(head[:12] + b"\x00\x90" + head[14:24] + tag + head[32:] + tail, old)
        moved = with_them[:12] + b"\x00\x10" + with_them[14:24] + tag + with_them[32:]
        with pytest.raises((Tampered, UnknownKey)):
            in_memory(moved, old)


# --- slots of others -----------------------------------------------------------------------


def test_slots_of_two_files_cannot_be_swapped(old):
    one = seal(old, *PAYLOAD)
    for other in (
        seal(old, *PAYLOAD, artifact=bytes(16)),
        seal(old, *PAYLOAD, name="models/b.pkl"),
        seal(old, *PAYLOAD, generation=4),
        seal(old, b"other segment", b"", b"second" * 20),
    ):
        for first, second in itertools.product((one, other), repeat=2):
            if first is second is one:
                continue
            with pytest.raises(Tampered):
                in_memory(with_slots(one, slot(first, 0), slot(second, 1)), old)


def test_slots_of_the_same_file_sealed_twice_hold_two_file_keys(suite, old):
    one, two = seal(old, *PAYLOAD), seal(old, *PAYLOAD)
    mixed = with_slots(one, slot(one, 0), slot(two, 1))
    if suite == "ED25519":
        assert one == two
        return
    with pytest.raises(Tampered):
        in_memory(mixed, old)


def test_two_file_keys_are_refused_although_both_slots_open(suite):
    """What only a holder of the key can make; the root is right for the first."""
    if suite == "ED25519":
        return
    key = key_of("old", suite)
    data = seal(key, *PAYLOAD)
    shape = shape_of(data)
    leaves = data[shape.head + shape.payload :][: shape.leaves]
    bound = Bound("models", head_digest(data[: shape.head]), leaves)
    other = slot_sector(key, bound, FileKey.new(suite))[:SLOT]
    for first, second in ((slot(data, 0), other), (other, slot(data, 0)), (other, other)):
        with pytest.raises(Tampered):
            in_memory(with_slots(data, first, second), key)


def test_a_slot_under_another_listed_key_opens_and_both_must_be_listed(old, new):
    data = seal(old, *PAYLOAD)
    later = sectors_under(data, new, old)[:SLOT]
    before = slot(data, 0)
    for first, second in ((later, before), (before, later)):
        mixed = with_slots(data, first, second)
        assert in_memory(mixed, new, old) == list(PAYLOAD)
        for alone in (old, new):
            with pytest.raises(UnknownKey):
                in_memory(mixed, alone)
        assert container.verify_bytes(mixed, expected_of(new, old)).header.key == "old"
    moved = with_slots(data, later, later)
    assert in_memory(moved, new) == list(PAYLOAD)
    with pytest.raises(UnknownKey):
        in_memory(moved, old)


def test_the_tag_of_another_key_is_refused(old, new):
    data = seal(old, *PAYLOAD)
    renamed = new.tag + slot(data, 0)[8:]
    for first, second in ((renamed, slot(data, 1)), (slot(data, 0), renamed), (renamed,) * 2):
        with pytest.raises(Tampered):
            in_memory(with_slots(data, first, second), old, new)


def test_a_pair_under_two_ids_signs_each_for_itself():
    """The tag is signed too: no slot passes for one of another id."""
    one = key_of("old", "ED25519")
    twin = Key("twin", OLD_PAIR.private.encode(), "ED25519")
    data = seal(one, *PAYLOAD)
    renamed = twin.tag + slot(data, 0)[8:]
    with pytest.raises(Tampered):
        in_memory(with_slots(data, renamed, renamed), one, twin)


def test_another_secret_under_the_same_id(suite, old):
    secret = NEW_PAIR.private.encode() if suite == "ED25519" else OTHER_SECRET
    stranger = Key("old", secret, suite)
    with pytest.raises(Tampered, match="seal does not match"):
        in_memory(seal(stranger, *PAYLOAD), old)


@pytest.mark.parametrize("other", sfh1.SUITES)
def test_a_slot_for_a_key_of_another_suite(suite, other, old):
    if other == suite:
        return
    data, foreign = seal(old, *PAYLOAD), key_of("new", other)
    fake = foreign.tag + slot(data, 0)[8:]
    with pytest.raises(Tampered, match="bound to suite"):
        in_memory(with_slots(data, fake, slot(data, 1)), old, foreign)


# --- what a file key is good for -----------------------------------------------------------


@pytest.mark.parametrize("suite", SYMMETRIC)
def test_a_known_file_key_puts_no_other_head_or_leaves_under_the_slots_of_a_new_key(suite):
    """Whoever had the old key has the file key; a slot of the new key speaks of this file."""
    old, new = key_of("old", suite), key_of("new", suite)
    data = seal(old, *PAYLOAD)
    moved = with_slots(data, *[sectors_under(data, new, old)[:SLOT]] * 2)
    shape = shape_of(data)
    known = file_key_of(data, old)
    for forged in (
        moved[:TEXT] + moved[TEXT : shape.head].replace(b"models/a.pkl", b"models/b.pkl") +
        moved[shape.head :],
        moved[: shape.head] + b"FIRST segment" + moved[shape.head + 13 :],
    ):  # fmt: skip
        head = forged[: shape.head]
        payload = forged[shape.head : shape.head + shape.payload]
        own = suite_for(known, "models", ARTIFACT)
        stored, leaf = own.seal(0, payload)
        root = own.root(head_digest(head), leaf)
        made = head + bytes(stored) + leaf + root + sfh1.END
        with pytest.raises(Tampered):
            in_memory(made, new)
        # It is the slots that say so: under the old key it would be a file.
        under = slot_sector(old, Bound("models", head_digest(head), leaf), known)[:SLOT]
        assert in_memory(with_slots(made, under, under), old)


@pytest.mark.parametrize("suite", SYMMETRIC)
def test_a_slot_that_unwraps_under_two_keys_is_in_no_file_that_opens_under_two(suite):
    keys = [Key("k1", SECRET, suite), Key("k1", OTHER_SECRET, suite)]
    info, salt = f"safehold/SFH1/wrap/{suite}/models".encode(), bytes(range(16))
    wraps = [key.derive(info, salt) for key in keys]
    data = seal(keys[0], b"x")
    shape = shape_of(data)
    head, payload = data[: shape.head], data[shape.head : shape.head + shape.payload]
    if not sfh1.SUITES[suite].keyless:
        # Leaves are tags of a key that follows from the slot, which is made from the leaves; an
        # empty payload has none.
        data = seal(keys[0])
        shape = shape_of(data)
        head, payload = data[: shape.head], b""
    leaves = data[shape.head + shape.payload :][: shape.leaves]
    digest = head_digest(head)
    bound = keys[0].tag + digest + leaves
    wrapped, tag = colliding_chunk(wraps[0], wraps[1], bytes(12), bound)
    found = [
        FileKey(suite, AESGCM(wrap).decrypt(bytes(12), wrapped + tag, bound)) for wrap in wraps
    ]
    assert not found[0].is_same(found[1])
    both = keys[0].tag + salt + wrapped + tag
    for own, key, other in ((found[0], *keys), (found[1], *keys[::-1])):
        root = suite_for(own, "models", ARTIFACT).root(digest, leaves)
        made = with_slots(head + payload + leaves + root + sfh1.END, both, both)
        in_memory(made, key)
        with pytest.raises(Tampered, match="seal does not match"):
            in_memory(made, other)


def test_a_file_key_is_not_shown_pickled_or_copied():
    one = FileKey("HS256", b"s" * 32)
    assert "sss" not in repr(one)
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            act(one)


@pytest.mark.parametrize("suite", SYMMETRIC)
def test_forked_writers_share_no_file_key_and_no_salt(suite):
    key = key_of("old", suite)
    seen = [seal(key, b"x" * 100)]
    for _ in range(4):
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(into, seal(key, b"x" * 100))
            os._exit(0)
        os.close(into)
        with open(out, "rb") as file:
            seen.append(file.read())
        assert os.waitpid(pid, 0)[1] == 0
    assert len({slot(data, 0)[8:24] for data in seen}) == len(seen)
    roots = {data[-40:-8] for data in seen}  # all else is the same, but for slots
    assert len(roots) == len(seen)


@pytest.mark.parametrize("suite", SYMMETRIC)
def test_each_wrap_has_a_salt_of_its_own(suite):
    old, new = key_of("old", suite), key_of("new", suite)
    data = seal(old, *PAYLOAD)
    salts = {sectors_under(data, new, old)[8:24] for _ in range(20)}
    assert len(salts) == 20


# --- changed while it is read --------------------------------------------------------------


@pytest.mark.parametrize("size", [PAYLOAD, (bytes(3 * CHUNK),)], ids=["small", "large"])
@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_slot_that_does_not_open_is_read_again_three_times(
    old, size, times, tmp_path, monkeypatch
):
    """A writer is caught in the middle of one: a page is not copied in one step."""
    monkeypatch.setattr(proof, "_PAUSE", 0)
    data = seal(old, *size)
    torn = with_slots(data, slot(data, 0)[:30] + bytes(42), slot(data, 1))
    path = tmp_path / "a"
    path.write_bytes(torn)
    real, reads = container._slots, []

    def read(fd: int) -> object:
        reads.append(fd)
        if len(reads) == times:
            path.write_bytes(data)
        return real(fd)

    monkeypatch.setattr(container, "_slots", read)
    fd = os.open(path, os.O_RDONLY)
    try:
        if times <= 3:
            assert container.verify_file(fd, len(data), expected_of(old)).segments
        else:
            with pytest.raises(Tampered):
                container.verify_file(fd, len(data), expected_of(old))
    finally:
        os.close(fd)
    assert len(reads) == min(times, 3)


def test_slots_that_hold_are_read_once(old, tmp_path, monkeypatch):
    monkeypatch.setattr(container, "_slots", lambda fd: pytest.fail("read again"))
    data = seal(old, bytes(3 * CHUNK))
    assert in_file(tmp_path / "a", data, old)


def test_what_is_read_again_is_verified_all_the_same(old, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "_PAUSE", 0)
    data, other = seal(old, *PAYLOAD), seal(old, *PAYLOAD, artifact=bytes(16))
    torn = with_slots(data, bytes(72), bytes(72))
    monkeypatch.setattr(container, "_slots", lambda fd: bytearray(other[FIRST:TEXT]))
    with pytest.raises(VerificationError):
        in_file(tmp_path / "a", torn, old)


def test_lengths_that_lie_are_refused_first(old):
    data = seal(old, *PAYLOAD)
    for payload in (2**63, 2**64 - 1, 2**32 + 1, 0, 1):
        with pytest.raises((LimitExceeded, Tampered)):
            in_memory(resized(data, payload), old)


@pytest.mark.parametrize("changes", [{"key": "old"}, {"v": 2}, {"segments": [2]}, {"zone": "data"}])
def test_what_only_a_key_holder_can_make_and_must_not(old, changes, monkeypatch):
    """A header that names a key, for one: the key of a file with slots is theirs to say."""
    text = sfh1.encode_header(
        msgspec.structs.replace(header_of(old, b"x"), **({"key": ""} | changes))
    )
    monkeypatch.setattr(container, "_text", lambda header: text)
    with pytest.raises(Tampered, match="not canonical or contradicts"):
        in_memory(seal(old, b"x"), old)


def test_a_revoked_artifact_is_refused(old):
    data = seal(old, *PAYLOAD)
    refused = Expected(Keyring(old), "models", 2**32, refused=frozenset({ARTIFACT}))
    with pytest.raises(Revoked, match="is revoked by the policy"):
        container.verify_bytes(data, refused)
    data = data[:300] + b"\1" + data[301:]
    with pytest.raises(Tampered):
        container.verify_bytes(data, refused)


def test_a_container_that_is_copied_is_the_one_that_was_verified(old):
    """What is read again takes its place in the bytes that the caller keeps."""
    data = seal(old, *PAYLOAD)
    file = io.BytesIO(with_slots(data, slot(data, 0)[:30] + bytes(42), slot(data, 1)))
    read, reads = file.read, []

    def once_torn(count: int) -> bytes:
        reads.append(count)
        if len(reads) == 3:
            file.getbuffer()[FIRST:TEXT] = data[FIRST:TEXT]
        return read(count)

    file.read = once_torn  # type: ignore[method-assign]
    ((position, copied, sealed),) = streams.copy_each(file, expected_of(old))
    assert (position, bytes(copied)) == (0, data)
    assert [bytes(one) for one in sealed.segments] == list(PAYLOAD)


@pytest.mark.parametrize(
    ("form", "tag"), [(0x9000, b"k" * 8), (0x8040, bytes(8)), (0xD000, bytes(8))]
)
def test_a_prefix_that_no_writer_makes_has_no_shape(form, tag):
    """Even a holder of the key has one form for each file."""
    fields = (sfh1.MAGIC, 10, form, 100, tag, ARTIFACT)
    assert sfh1.shape_of(sfh1.PREFIX.pack(*fields)) is None
    assert sfh1.shape_of(sfh1.PREFIX.pack(sfh1.MAGIC, 10, 0x9000, 100, bytes(8), ARTIFACT))
