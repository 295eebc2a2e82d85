"""What a name says of a value (password, key, token), and whether a value can be a secret.

Layers, since each alone is wrong: words of the name, known placeholders and defaults, shapes of
tokens that services give out, structure (paths, header names, templates), entropy.
"""

from __future__ import annotations

import enum
import hashlib
import math
import re
from collections import Counter

from safehold.source.words import words_of


class Kind(enum.Enum):
    """What a name says that its value is."""

    PASSWORD = "password"  # noqa: S105  the kind's name
    KEY = "key"  # of one's own: who knows it can sign or decrypt
    FOREIGN = "credential"  # what another service gave; a placeholder opens nothing
    TOKEN = "token"  # noqa: S105  the word alone, which mostly speaks of syntax


_OWN = frozenset(
    "secret key|secretkey|signing key|sign key|encryption key|crypt key|cipher key|master key|"
    "jwt key|jwt secret|jwt secret key|session secret|cookie secret|app secret key|hmac key|"
    "hmac secret|fernet key|csrf secret|auth secret|token secret|secret salt".split("|")
)
_FOREIGN = frozenset(
    "api key|apikey|access key|private key|client secret|consumer secret|app secret|webhook secret|"
    "shared secret|secret|api secret|account key|storage key|service key|auth key|license key|"
    "subscription key|secret access key|access token|auth token|api token|bearer token|"
    "refresh token|bot token|github token|gitlab token|slack token|personal token|"
    "personal access token|jwt token|secret token|oauth token|session token|security token|"
    "hf token|id token|deploy token|npm token|pypi token|authtoken|accesstoken".split("|")
)
_PASSWORDS = frozenset({"password", "passwd", "passphrase", "passcode", "passwort"})
_TRAILING = frozenset(
    "default defaults prod production dev development live value string str bytes hex b64 base64 "
    "old new current primary secondary raw".split()
)
_OTHERWISE = frozenset(
    "env var variable header headers field fields param params parameter attr attribute column "
    "label prompt message msg placeholder pattern regex format hint help title url uri endpoint "
    "name names type types scope no without invalid bad wrong incorrect fake dummy mock example "
    "sample test is has use require required need hashed public masked redacted reset missing "
    "empty error doc docs description desc option flag kind mode method algorithm alg policy "
    "validator template prefix suffix separator sep file filename path dir input form old".split()
)
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
_SHAPES = {
    "an access key of AWS": r"\bAKIA[A-Z0-9]{16}\b",
    "a token of GitHub": r"\bgh[ps]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{40,}",
    "a token of GitLab": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a token of Slack": r"\bxox[abeprs]-\d{6,}-[A-Za-z0-9-]{10,}",
    "a key of Stripe": r"\b[rs]k_live_[A-Za-z0-9]{16,}",
    "a key of Google": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{34}\b",
    "a key of OpenAI": r"\bsk-(?:proj-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    "a token of PyPI": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=\s\\n]{40,}",
    "a signed web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}",
    "a URL with a password": r"\b[a-z][a-z0-9+]*://[^\s/:@'\"{}<>%$]+:([^\s/@'\"{}<>%$]+)@[\w.-]+",
}
_SHAPE = {name: re.compile(pattern) for name, pattern in _SHAPES.items()}
_EVERYWHERE = frozenset(list(_SHAPES)[:9])
"""Shapes that are a leak in tests, too; own keys and addresses there are made for them."""
PLACED = frozenset(
    "password passwd pass pwd pw passwort secret user username token key xxx x y test foo bar "
    "hunter2 example s3cr3t".split()
)
"""What stands for a password in the address of an example."""


def kind_of(name: str) -> Kind | None:
    """Say what kind of secret a name speaks of, None when of none."""
    words = [word for word in words_of(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _TRAILING:
        words.pop()
    if not words or not _OTHERWISE.isdisjoint(words):
        return None
    if words[-1] in _PASSWORDS or (words[-1] == "pwd" and len(words) > 1):
        return Kind.PASSWORD
    for count in (3, 2, 1):
        phrase = " ".join(words[-count:])
        if phrase in _OWN:
            return Kind.KEY
        if phrase in _FOREIGN:
            return Kind.FOREIGN
    return Kind.TOKEN if words[-1] == "token" else None


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
