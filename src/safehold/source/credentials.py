"""Whether a value in a source can be the secret that its name speaks of.

Layers, since each alone is wrong: words of the name, known placeholders and defaults, shapes of
tokens that services give out, structure (paths, header names, templates), entropy.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter

from safehold.credentials.names import Kind, words_of
from safehold.credentials.shapes import SHAPES

_KNOWN = frozenset(
    "admin administrator root toor changeme changeit change-me change_me change-this secret "
    "secretkey secret-key secret_key mysecret my-secret mysecretkey my-secret-key my_secret_key "
    "supersecret super-secret super_secret supersecretkey super-secret-key s3cr3t insecure dev "
    "development default test testing guest postgres mysql oracle redis rabbitmq minio minioadmin "
    "password1 passw0rd p@ssw0rd p@ssword letmein welcome qwerty qwerty123 abc123 monkey dragon "
    "iloveyou sunshine master shadow trustno1 hunter2 12345 123456 1234567 12345678 123456789 "
    "1234567890 111111 000000 your-secret-key your_secret_key your-secret-key-here "
    "your_secret_key_here thisisasecret this-is-a-secret keyboardcat tiger temp foobar "
    "not-so-secret dev-key dev-secret jwt-secret jwtsecret jwt_secret".split()
)
_DEFAULTED = re.compile(
    r"(?i)^(django-insecure|insecure|change|replace|your|dev|default|my|super|test|demo|todo)\b"
    r"|change.?(me|this|in)|in.?production|(super|my|very).?secret"
)
_TEMPLATE = re.compile(r"\$\{|\{\{|\{\w*\}|<[^>]+>|%\(|%s|\*\*\*|\.\.\.|(?i:xxxx|redacted)|^\$\w+$")
_NOT_VALUE = re.compile(
    r"(?i)^(none|null|true|false|undefined|n/?a|required|optional|hidden|plain|basic|bearer|digest)$"
    r"|^(https?|urn|arn|file|vault|env|ssm|gs|s3):|^[./~]|^/|\.(pem|key|txt|json|ya?ml|env|crt)$"
    r"|^-{1,2}\w|^\w+(\.\w+)+$"
)
_IDENTIFIER = re.compile(r"[A-Za-z]+(?:[-_ .:/][A-Za-z]+)*")
_SYMBOL = re.compile(r"[^A-Za-z0-9_\-. ]")
_SHAPE = {shape.name: re.compile(shape.in_source) for shape in SHAPES if shape.in_source}
_EVERYWHERE = frozenset(shape.name for shape in SHAPES if shape.is_issued)
"""Shapes that are a leak in tests, too; own keys and addresses there are made for them."""
PLACED = frozenset(
    "password passwd pass pwd pw passwort secret user username token key xxx x y test foo bar "
    "hunter2 example s3cr3t".split()
)
"""What stands for a password in the address of an example."""


def is_secret(value: str, kind: Kind, name: str, *, paired: bool = False) -> bool:
    """Say whether a value can be what its name speaks of.

    `paired`: a user or host stands beside it, so that also a plain word is meant.
    """
    text = value.strip()
    if len(text) < 3 or _TEMPLATE.search(text) or _NOT_VALUE.search(text):
        return False
    lower = text.lower()
    if kind in (Kind.PASSWORD, Kind.KEY) and lower in _KNOWN and lower not in words_of(name):
        return paired or kind is Kind.KEY or lower not in ("secret", "default", "test", "tiger")
    if _is_of_words(text, name):
        return paired and kind is Kind.PASSWORD and text == "password"
    if kind is Kind.KEY:
        return not text.isupper() or not _IDENTIFIER.fullmatch(text)
    if " " in text:
        return False
    if kind is Kind.PASSWORD:
        if _IDENTIFIER.fullmatch(text):
            return paired and text.isalpha()
        return not re.fullmatch(r"[\W_]+", text)
    is_placed = _DEFAULTED.search(text) is not None or "example" in lower
    return not is_placed and is_random(text, 20 if kind is Kind.TOKEN else 16)


def _is_of_words(text: str, name: str) -> bool:
    """`api_key = "X-Api-Key"`: the name again, or words about secrets alone."""
    if not _IDENTIFIER.fullmatch(text):
        return False
    said = {"x", "key", "token", "secret", "password", "passwd", "auth", "api", "access", "client",
            "authorization", "credential", "credentials", "bearer", "private", "passphrase", "user",
            *words_of(name)}  # fmt: skip
    return said.issuperset(words_of(text)) and text.lower() not in _KNOWN - {"secret"}


def is_random(text: str, least: int) -> bool:
    """Say whether a text is long and mixed enough to have been drawn."""
    if len(text) < least or not re.fullmatch(r"[A-Za-z0-9+/=_.\-~:!@#$%^&*]+", text):
        return False
    digits = sum(letter.isdigit() for letter in text)
    return digits >= 2 and any(map(str.isalpha, text)) and entropy(text) >= 3.0


def entropy(text: str) -> float:
    """Return Shannon's entropy of a text, in bits for each character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def shape_of(value: str, *, in_test: bool = False) -> str:
    """Return what a text is by its shape, as a key of a service; empty if nothing."""
    for name, pattern in _SHAPE.items():
        if in_test and name not in _EVERYWHERE:
            continue
        found = pattern.search(value)
        if found is None or "EXAMPLE" in found[0] or entropy(found[0]) < 3.0:
            continue
        if found.lastindex and (found[1].lower() in PLACED or set(found[1]) <= set("*.xX")):
            continue
        return name
    return ""


def fingerprint(value: str) -> str:
    """Return digits by which a random secret is known again; empty for one that can be guessed.

    Of a password that somebody thought of, even a part of a digest says whether a guess is right.
    """
    if not is_random(value, 20):
        return ""
    return hashlib.sha256(b"safehold secret\0" + value.encode("utf-8", "replace")).hexdigest()[:12]
