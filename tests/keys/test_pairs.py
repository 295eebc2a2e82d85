"""Key pairs as texts, what is refused, and which key does what."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from safehold.errors import ConfigError, UnknownKey, WeakKey
from safehold.keys import Key, Keyring, generate_key, generate_pair

PAIR = generate_pair()
TEXTS = PAIR._asdict()
# RFC 8032, section 7.1, test 2
RFC_PRIVATE = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
RFC_PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
RFC_SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pair_key(text: str | bytes) -> Key:
    return Key("k1", text if isinstance(text, bytes) else text.encode(), "ED25519")


@pytest.mark.parametrize("private", ["private", "private_pem"])
@pytest.mark.parametrize("public", ["public", "public_pem"])
def test_what_one_half_signs_the_other_verifies(private, public):
    signer, verifier = pair_key(TEXTS[private]), pair_key(TEXTS[public])
    signature = signer.sign(b"message")
    assert verifier.is_signature(signature, b"message")
    assert signer.is_signature(signature, b"message")
    assert not verifier.is_signature(signature, b"other")
    assert not verifier.is_signature(b"", b"message")
    assert (signer.is_public, verifier.is_public) == (False, True)
    with pytest.raises(ConfigError, match="cannot sign"):
        verifier.sign(b"message")


def test_signatures_are_those_of_rfc_8032():
    signer = pair_key(f"ed25519-private:{RFC_PRIVATE}")
    verifier = pair_key(f"ed25519-public:{RFC_PUBLIC}")
    assert signer.sign(b"\x72").hex() == RFC_SIGNATURE
    assert verifier.is_signature(bytes.fromhex(RFC_SIGNATURE), b"\x72")


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC_PRIVATE,  # digits that do not say what they are
        RFC_PUBLIC,
        f"public:{RFC_PUBLIC}",
        f"ed25519-public:{RFC_PUBLIC[:-1]}",
        f"ed25519-public:{RFC_PUBLIC}00",
        f"ed25519-private: {RFC_PRIVATE}",
        PAIR.public_pem.replace("A", "B", 3),
        PAIR.public_pem[:-40],
        PAIR.private_pem.replace("PRIVATE", "PUBLIC"),
        "-----BEGIN PUBLIC KEY-----",
        generate_key(),
    ],
)
def test_anything_else_is_no_key(text):
    with pytest.raises(ConfigError, match="no Ed25519 key"):
        pair_key(text)


def test_other_kinds_of_pem_are_no_key():
    pem = forms.Encoding.PEM
    for private in (X25519PrivateKey.generate(), generate_private_key(65537, 2048)):
        public = private.public_key().public_bytes(pem, forms.PublicFormat.SubjectPublicKeyInfo)
        whole = private.private_bytes(pem, forms.PrivateFormat.PKCS8, forms.NoEncryption())
        for text in (public, whole):
            with pytest.raises(ConfigError, match="no Ed25519 key"):
                pair_key(text)


# Encodings of the points of order 1, 2, 4 and 8, canonical and not.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("digits", SMALL)
def test_a_point_of_small_order_is_no_key(digits):
    with pytest.raises(ConfigError, match="no Ed25519 key"):
        pair_key(f"ed25519-public:{digits}")


FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group; RFC 8032, section 5.1


@pytest.mark.parametrize("sign", [0, 2**255])
def test_a_public_key_has_one_form(sign):
    """A coordinate beyond the field would be the same key in another form."""
    for y in range(FIELD, 2**255):
        digits = (y | sign).to_bytes(32, "little").hex()
        with pytest.raises(ConfigError, match="no Ed25519 key"):
            pair_key(f"ed25519-public:{digits}")


def signed_with(first: bytes, message: bytes) -> bytes:
    """Return what the holder of the private key makes of a point with no scalar: R = 0."""
    scalar = int.from_bytes(hashlib.sha512(bytes.fromhex(RFC_PRIVATE)).digest()[:32], "little")
    scalar = scalar & ~7 & (2**254 - 1) | 2**254
    public = bytes.fromhex(RFC_PUBLIC)
    challenge = int.from_bytes(hashlib.sha512(first + public + message).digest(), "little")
    return first + (challenge * scalar % ORDER).to_bytes(32, "little")


def test_a_first_half_of_small_order_is_refused():
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(RFC_PUBLIC))
    neutral = (1).to_bytes(32, "little")
    raw.verify(signed_with(neutral, b"message"), b"message")  # RFC 8032 has nothing against it
    verifier = pair_key(f"ed25519-public:{RFC_PUBLIC}")
    assert not verifier.is_signature(signed_with(neutral, b"message"), b"message")


@pytest.mark.parametrize("digits", SMALL)
def test_other_forms_of_a_first_half_are_refused(digits):
    verifier = pair_key(f"ed25519-public:{RFC_PUBLIC}")
    assert not verifier.is_signature(signed_with(bytes.fromhex(digits), b"m"), b"m")


@pytest.mark.parametrize("length", [0, 1, 31, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length):
    signer = pair_key(PAIR.private)
    signature = (signer.sign(b"message") * 2)[:length]
    assert not signer.is_signature(signature, b"message")


def test_the_second_half_is_below_the_order():
    signer = pair_key(PAIR.private)
    signature = signer.sign(b"message")
    s = int.from_bytes(signature[32:], "little")
    for factor in range(1, 16):
        if s + factor * ORDER < 2**256:
            other = (s + factor * ORDER).to_bytes(32, "little")
            assert not signer.is_signature(signature[:32] + other, b"message")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("suite", ["HS256", "GMAC", "AES256GCM", "BLAKE3"])
def test_a_half_is_no_secret_of_another_suite(text, suite):
    with pytest.raises(ConfigError, match="half of a key pair or a PEM file"):
        Key("k1", text.encode(), suite)


@pytest.mark.parametrize("suite", ["none", "", "hs256", "ED448"])
def test_a_suite_that_is_not_there_is_refused(suite):
    with pytest.raises(ConfigError, match="there are: HS256"):
        Key("k1", generate_key().encode(), suite)


@pytest.mark.parametrize("suite", ["GMAC", "AES256GCM", "BLAKE3"])
def test_other_suites_have_strong_keys_too(suite):
    with pytest.raises(WeakKey, match="safehold keygen"):
        Key("k1", b"changeme" * 8, suite)


def test_nothing_is_derived_from_a_pair():
    for text in (PAIR.private, PAIR.public):
        with pytest.raises(ConfigError, match="key pair"):
            pair_key(text).derive(b"purpose")


def test_no_half_shows():
    key = pair_key(PAIR.private)
    with pytest.raises(ConfigError) as caught:
        pair_key(PAIR.private + "00")
    digits = PAIR.private.partition(":")[2]
    for text in (repr(key), str(caught.value), repr(caught.value)):
        assert digits not in text


def test_a_server_has_a_key_of_its_own_for_what_it_writes():
    own = Key("here", generate_key().encode())
    public = pair_key(PAIR.public)
    ring = Keyring(public, local=own)
    assert ring.local is own
    assert ring.local_by_tag(own.tag) is own
    assert ring.by_tag(public.tag) is public
    assert ring.by_id("here") is own
    with pytest.raises(UnknownKey):
        ring.by_tag(own.tag)  # it verifies no artifact
    for look_up in (lambda: ring.local_by_tag(public.tag), lambda: ring.local_by_id("k1")):
        with pytest.raises(UnknownKey):
            look_up()
    with pytest.raises(ConfigError, match=r"\[keys.local\]"):
        _ = Keyring(public).local
    with pytest.raises(ConfigError, match=r"\[keys.local\]"):
        _ = Keyring(pair_key(PAIR.private)).local
    with pytest.raises(ConfigError, match="not unique"):
        Keyring(public, local=Key("k1", generate_key().encode()))


def test_a_secret_serves_for_both():
    new, old = Key("k2", generate_key().encode(), "GMAC"), Key("k1", generate_key().encode())
    ring = Keyring(new, old)
    assert ring.local is new
    assert ring.local_by_tag(old.tag) is old


def test_keys_of_a_policy_are_read_with_their_suites(tmp_path):
    (tmp_path / "trainer.pub").write_text(PAIR.public_pem)
    environ = {"OLD": generate_key(), "OWN": generate_key()}
    ring = Keyring.load(
        [("t1", "file:trainer.pub", "ED25519"), ("k1", "env:OLD", "GMAC")],
        tmp_path,
        environ,
        local=("here", "env:OWN"),
    )
    assert [ring.by_id(name).suite for name in ("t1", "k1", "here")] == ["ED25519", "GMAC", "HS256"]
    assert ring.local.id == "here"
