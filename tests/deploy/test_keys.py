"""Keys: of a thousand that were drawn none is refused, of two hundred weak ones none accepted."""

from __future__ import annotations

import base64
import itertools
import secrets
import string

from safehold.deploy import check
from safehold.keys import generate_key

LETTERS = string.ascii_letters + string.digits
DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"
MAKERS = (
    generate_key,
    lambda: secrets.token_hex(32),
    lambda: secrets.token_hex(16),
    lambda: secrets.token_urlsafe(32),
    lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),  # Fernet's form
    lambda: "".join(secrets.choice(DJANGO) for _ in range(50)),
    lambda: "".join(secrets.choice(LETTERS) for _ in range(40)),
)
WORDS = "secret password admin changeme default test dev letmein qwerty welcome".split()
SHAPES = (
    "{0}", "{0}123", "{0}{1}", "{0}-{1}-key", "my-{0}-{1}-key-for-production-use", "{0}" * 8,
    "your_{0}_here_change_me_please_now", "{0}_{1}_2024!", "super-secret-{0}-{1}-key-1234567890",
    "{0}.{1}.{0}.{1}.{0}.{1}.{0}.{1}",
    "s3cr3t-{0}-{1}-abcdefghijklmnop",
)  # fmt: skip
PLAIN = (
    "", "0" * 64, "a" * 32, "abc" * 20, "0123456789abcdef" * 4, "1234567890" * 5, "qwertyuiop" * 4,
    "abcdefghijklmnopqrstuvwxyz0123456789", "deadbeef" * 8, "9f2c61e0b7d8", "x", "none",
    "django-insecure-k2v9q8w7e6r5t4y3u2i1o0p9a8s7d6f5g4h3",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
)  # fmt: skip
WEAK = [
    *PLAIN,
    *(shape.format(*pair) for shape in SHAPES for pair in zip(WORDS, WORDS[1:] + WORDS[:1], strict=True)),
    *("".join(pair) for pair in itertools.product(WORDS, ["1", "2024", "!", "_key", "SECRET", "abc123", "0" * 30, "#1"])),
]  # fmt: skip
NAMES = ("SECRET_KEY", "PYNOMALY_SECRET_KEY", "SERIALIZATION_SECRET_KEY", "JWT_SECRET")


def test_none_of_a_thousand_good_keys_is_refused():
    refused = []
    for number in range(1000):
        key = MAKERS[number % len(MAKERS)]()
        refused += [key for _ in check({NAMES[number % len(NAMES)]: key})]
    assert refused == []


def test_none_of_two_hundred_weak_keys_is_accepted():
    weak = list(dict.fromkeys(WEAK))
    assert len(weak) >= 200
    accepted = [
        key for number, key in enumerate(weak)
        if not any(one.rule.id == "SH310" for one in check({NAMES[number % len(NAMES)]: key}))
    ]  # fmt: skip
    assert accepted == []
