from __future__ import annotations

import base64
import hashlib
import secrets
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehold.keys import MIN_KEY_BYTES, generate_key, weakness

pytestmark = pytest.mark.bare

# Placeholders and defaults as documentation, templates and repositories print them, and what
# people make of them when a key must be longer.
WEAK = r"""
default_key
changeme
your-secure-key-here
your-256-bit-secret
a-string-secret-at-least-256-bits-long
your-super-secret-jwt-token-with-at-least-32-characters-long
your-super-secure-jwt-secret-key-minimum-32-characters
your_super_secure_random_string_here_min_32_chars
your_32_character_encryption_key
this-is-a-generic-HS256-secret-key-and-you-should-really-change-it
django-insecure-change-this-key-in-production-please
django-insecure-dev-key-change-in-production-2026x9zqwk
django-insecure-ouqc8j0sk$gn+*9zja*ii=rs=$q()cs$e*9$fg1(y28d#m8m$d
CHANGE_THIS_TO_A_SUPER_SECRET_KEY_32_CHARS
CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET
YOUR_OWN_RANDOM_GENERATED_SECRET_KEY
REPLACE_WITH_STRONG_SECRET_32_CHARS
replace-only-if-you-need-a-stable-local-key
smoke-check-jwt-secret-at-least-32-chars
<random 32 bytes: openssl rand -base64 32>
thisISaSECRET_1234thisISaSECRET_1234
ThisTokenIsNotSoSecretChangeIt!!
192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf
192B9BDD22AB9ED4D12E236C78AFCB9A393EC15F71BBF5DC987D54727823BCBF
09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7
c292a0a3aa32397cdb050e233733900f
AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow
changemechangemechangemechangeme
changeme-changeme-changeme-changeme
ChangeMe1!changeme2@CHANGEME3#changeMe4$
ch4ng3m3_ch4ng3m3_n0w_ch4ng3m3_pl34s3
CHANGEME________________________________
changeme000000000000000000000000000000
0000000000000000000000000000changeme
changeme-2024-01-01-production-2025-12-31
changeme20240101changeme20250101
default_key_default_key_default_key
default_key_1234567890_abcdefghijklmnop
d.e.f.a.u.l.t._.k.e.y.d.e.f.a.u.l.t._.k.e.y
c-h-a-n-g-e-m-e-c-h-a-n-g-e-m-e-1-2-3
P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd
p4ssw0rd!p4ssw0rd!s3cr3t!s3cr3t!2024
your-secure-key-here-your-secure-key-here
YOUR-SECURE-KEY-HERE-2024-01-15-PRODUCTION
SuperSecretKeyForDevelopmentOnly2024!!
my-super-secret-key-that-nobody-will-ever-guess
qwertyuiopasdfghjklzxcvbnm123456
1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,
qazwsxedcrfvtgbyhnujmikolp123456
zaq12wsxcde34rfvbgt56yhnmju78ik,
!QAZ2wsx#EDC4rfv%TGB6yhn&UJM8ik<
abcdefghijklmnopqrstuvwxyz0123456789
zyxwvutsrqponmlkjihgfedcba9876543210
0123456789abcdef0123456789abcdef
0123456789ABCDEFGHIJKLMNOPQRSTUV
12345678901234567890123456789012
8f9a7b6c5d4e3f2a1b0c9d8e7f6a5b4c
a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6
AaBbCcDdEeFfGgHhIiJjKkLlMmNnOoPp
112233445566778899001122334455667788
abc1abc2abc3abc4abc5abc6abc7abc8abc9
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
xxxxxxxxxxxxxxxxyyyyyyyyyyyyyyyyzzzz
01011010111001010110101001011010
deadbeefdeadbeefdeadbeefdeadbeef
correct-horse-battery-staple-correct-horse
thequickbrownfoxjumpsoverthelazydog
loremipsumloremipsumloremipsumlorem
secret_key_for_testing_purposes_only_1234
dev-secret-key-do-not-use-in-production
insecure-development-key-please-override
\2\1thisismyscretkey\1\2\e\y\y\h
keyboard cat keyboard cat keyboard cat
${SECRET_KEY:-change-this-default-secret-key}
SomeRandomStringSomeRandomString12
hunter2hunter2hunter2hunter2hunter2
""".strip().splitlines()
WEAK_BYTES = [
    b"",
    b"\x00" * 32,
    b"\x00" * 4096,
    bytes(range(32)),
    b"changeme" + b"\x00" * 24,
    b"changeme" + b" " * 30 + b"x",
    "äöü".encode() * 12,
    b"changeme12345678".hex().encode(),
    b"your-secure-key-here-please".hex().upper().encode(),
    base64.b64encode(b"your-secure-key-here-change-me"),
    base64.urlsafe_b64encode(b"change-this-secret-key-in-production").rstrip(b"="),
    hashlib.md5(b"password", usedforsecurity=False).hexdigest().upper().encode(),
    hashlib.sha256(b"changeme").hexdigest().encode(),
    hashlib.sha256(b"").hexdigest().encode(),
    hashlib.sha512(b"secret").hexdigest().encode(),
]

ALPHABET = string.ascii_letters + string.digits + string.punctuation
GENERATORS = {
    "safehold keygen": lambda: generate_key().encode(),
    "token_hex": lambda: secrets.token_hex(32).encode(),
    "32 hex digits": lambda: secrets.token_hex(16).encode(),
    "32 upper-case hex digits": lambda: secrets.token_hex(16).upper().encode(),
    "token_urlsafe": lambda: secrets.token_urlsafe(32).encode(),
    "32 characters of urlsafe": lambda: secrets.token_urlsafe(24).encode(),
    "token_bytes": lambda: secrets.token_bytes(32),
    "openssl rand -base64 32": lambda: base64.b64encode(secrets.token_bytes(32)),
    "openssl rand -base64 64": lambda: base64.encodebytes(secrets.token_bytes(64)).strip(),
    "base32": lambda: base64.b32encode(secrets.token_bytes(20)),
    "uuid4": lambda: str(uuid.uuid4()).encode(),
    "two uuid4": lambda: b"".join(str(uuid.uuid4()).encode() for _ in range(2)),
    "two uuid4 hex": lambda: b"".join(uuid.uuid4().hex.encode() for _ in range(2)),
    "letters, digits, punctuation": lambda: "".join(
        secrets.choice(ALPHABET) for _ in range(32)
    ).encode(),
    "letters and digits": lambda: "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(32)
    ).encode(),
}


@pytest.mark.parametrize("key", [text.encode() for text in WEAK] + WEAK_BYTES, ids=repr)
def test_guessable_key_has_a_reason(key):
    reason = weakness(key)
    assert reason is not None
    assert len(key) < 8 or key.decode("latin-1") not in reason


@pytest.mark.parametrize("name", GENERATORS)
def test_thousand_generated_keys_pass(name):
    refused = [reason for _ in range(1000) if (reason := weakness(GENERATORS[name]()))]
    assert refused == []


def test_a_random_key_with_runs_in_it_passes():
    assert weakness(b"D6AF444C827364F888821983DEFFA423") is None


@pytest.mark.parametrize("size", range(1, MIN_KEY_BYTES))
def test_short_random_key_is_refused(size):
    assert weakness(secrets.token_bytes(size)) is not None


def test_random_key_of_the_least_length_passes():
    assert (
        weakness(bytes.fromhex("9c1d5e27f0a8b3466e72c49b10fd85a3e9d6174b8820c5fe3a917f5d06b4e2c8"))
        is None
    )


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"", "empty"),
        (b"changeme", "well-known words"),
        (b"c292a0a3aa32397cdb050e233733900f", "publicly known"),
        (b"7Kq2", "at least 32"),
        (b"kX9#kX9#" * 5, "repeats"),
        (b"abcdefghijklmnopqrstuvwxyz0123456789", "alphabet"),
        (b"django-insecure-" + secrets.token_hex(32).encode(), "Django"),
        (b"10100111000101101011110100010110010101", "alike"),
        (b"your-secure-key-here-please".hex().encode(), "hexadecimal"),
    ],
    ids=repr,
)
def test_reason_names_the_kind_of_weakness(key, reason):
    assert reason in str(weakness(key))


@given(
    st.one_of(
        st.binary(max_size=80),
        st.text(max_size=80).map(lambda text: text.encode()),
        st.lists(st.sampled_from([text.encode() for text in WEAK] + WEAK_BYTES)).map(b"".join),
    )
)
def test_any_bytes_get_an_answer(key):
    reason = weakness(key)
    assert reason is None or reason.isprintable()


def test_long_key_takes_no_longer_than_a_short_one():
    assert weakness(secrets.token_bytes(1_000_000)) is None
    assert weakness(b"changeme" * 100_000) is not None


@pytest.mark.parametrize("size", [33, 40, 48, 64])
def test_random_tail_does_not_save_repeated_words(size):
    words = b"default_key-changeme-your-secure-key-here-"
    assert weakness((words * 2)[:size]) is not None
